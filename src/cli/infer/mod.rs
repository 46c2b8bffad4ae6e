//! `wavelane infer`: an ONNX model for given inputs, or for every file of a folder.

mod batch;
mod inputs;
mod results;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use wavelane::formats::onnx::{Dim, ValueKind};
use wavelane::onnx::Session;
use wavelane::session::Device;
use wavelane::{Error, Result};

use super::End;
use super::debug::DebugFlags;
use super::flags::DeviceFlags;
use super::output::{print, say};
use super::start::Start;
use batch::Batch;
pub use inputs::{Reader, is_picture, is_sound};
pub use results::replace;
use results::{Format, Summary};

/// Arguments of `infer`.
#[derive(Args)]
pub struct Infer {
    /// An ONNX file.
    model: PathBuf,
    /// An input, or a file whose arrays are inputs by their names: .npy, .npz, .safetensors, .pb, pictures, sound; may be repeated.
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<String>,
    /// Where results go, by extension: .npz, .npy, .safetensors, .pb, .json. With --batch, a folder [default: a summary].
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Run every file of a folder through a model with one input. A run that was interrupted goes on where it stopped.
    #[arg(long, value_name = "FOLDER", conflicts_with = "input")]
    batch: Option<PathBuf>,
    /// How pictures become inputs [default: pulled to the model's size, 0 to 1].
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// The rate to which sound is brought, in Hz.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    debug: DebugFlags,
}

impl Infer {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if self.debug.dumps() {
            return self.dump();
        }
        let mut start = Start::begin();
        // A bad file should be reported even where there is no device.
        let model = start.file(|| wavelane::formats::onnx::OnnxFile::open(&self.model))?.model;
        if let Some(path) = self.output.as_deref().filter(|_| self.batch.is_none()) {
            Format::of_path(path, model.graph.outputs.len())?;
        }
        let device = start.device(|| self.device.open())?;
        let mut session = start.file(|| Session::new(model, &device))?;
        let report = self.debug.watch_by(|seen| session.check(seen));
        let reader = Reader::new(&session, self.preset.as_deref(), self.rate)?;
        let end = match &self.batch {
            Some(folder) => {
                let settings = json!({
                    "model": batch::identity(&self.model)?, "preset": self.preset, "rate": self.rate,
                    "version": env!("CARGO_PKG_VERSION"),
                });
                let batch = Batch { folder, output: self.output.as_deref(), json: self.json, settings };
                batch.run(&mut session, &reader)?
            }
            None => self.once(&mut session, &reader, &device, start)?,
        };
        report.finish();
        Ok(end)
    }

    fn once(&self, session: &mut Session, reader: &Reader, device: &Device, mut start: Start) -> Result<End> {
        let inputs = start.file(|| reader.read_all(&self.input))?;
        let began = Instant::now();
        let results = session.run(&inputs)?;
        let seconds = began.elapsed().as_secs_f64();
        start.first(device);
        if let Some(path) = &self.output {
            results::save(path, &results)?;
        }
        let summaries: Vec<Summary> = results.iter().map(|(name, array)| Summary::of(name, array)).collect();
        if self.json {
            let outputs: Vec<Value> = summaries.iter().map(Summary::json).collect();
            let mut object = json!({ "device": device.name(), "seconds": seconds, "outputs": outputs });
            object.as_object_mut().iter_mut().for_each(|object| object.append(&mut start.json(device)));
            print(format_args!("{object}\n"))?;
            return Ok(End::Done);
        }
        if self.output.is_none() {
            print(summaries.iter().map(Summary::text).collect::<String>())?;
        }
        say(format_args!("{}: {seconds:.3} s", device.name()));
        start.text(device).iter().for_each(say);
        Ok(End::Done)
    }

    /// Prints what would run. Stages whose results decide about others run on the CPU.
    fn dump(&self) -> Result<End> {
        if self.batch.is_some() {
            return Err(Error::Request("--dump-graph and --dump-plan take inputs by --input".into()));
        }
        let mut session = Session::load(&self.model, &Device::Cpu)?;
        let inputs = Reader::new(&session, self.preset.as_deref(), self.rate)?.read_all(&self.input)?;
        self.debug.dump_stages(&session.describe(&inputs)?, &self.device)?;
        Ok(End::Done)
    }
}

/// A value's type in a few characters, such as `float[N, 3, 224, 224]`.
pub fn kind_text(kind: &ValueKind) -> String {
    let dim = |d: &Dim| match d {
        Dim::Value(n) => n.to_string(),
        Dim::Param(name) => name.clone(),
        Dim::Unknown => "?".into(),
    };
    match kind {
        ValueKind::Tensor { ty, shape: Some(shape) } => format!("{ty}[{}]", shape.iter().map(dim).collect::<Vec<_>>().join(", ")),
        ValueKind::Tensor { ty, shape: None } => format!("{ty} of any shape"),
        ValueKind::SparseTensor { ty, .. } => format!("sparse {ty}"),
        ValueKind::Sequence(of) => format!("sequence of {}", kind_text(of)),
        ValueKind::Optional(of) => format!("optional {}", kind_text(of)),
        ValueKind::Map { key, value } => format!("map of {key} to {}", kind_text(value)),
        ValueKind::Opaque { domain, name } => format!("{domain}.{name}"),
        ValueKind::Unknown => "of unknown type".into(),
    }
}
