//! `wavelane inspect`: what a model file holds and what running it takes. Needs no device.

mod gguf;
mod onnx;

use std::path::{Path, PathBuf};

use clap::Args;
use wavelane::{Error, Result};

use super::End;
pub use onnx::{describe, inputs_of_shapes};

/// Arguments of `inspect`.
#[derive(Args)]
pub struct Inspect {
    /// A GGUF or ONNX file.
    model: PathBuf,
    /// GGUF: the context length for which memory is counted [default: 4096, or the model's where that is shorter].
    #[arg(long, value_name = "N")]
    ctx: Option<usize>,
    #[command(flatten)]
    run: onnx::RunFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        match is_onnx(&self.model) {
            true if self.ctx.is_some() => return Err(Error::Request("--ctx is for GGUF files".into())),
            true => onnx::show(&self.model, &self.run, self.json)?,
            false if self.run.is_used() => {
                return Err(Error::Request("--input, --dump-graph and --dump-plan are for ONNX files".into()));
            }
            false => gguf::show(&self.model, self.ctx, self.json)?,
        }
        Ok(End::Done)
    }
}

/// Whether a file is an ONNX model, by its name.
pub fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
}

/// A value on one line, cut where it gets long.
pub fn shorten(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
    .replace('\n', "\\n")
}

/// Bytes in a unit that suits them.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
