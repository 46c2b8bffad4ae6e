//! `wavelane ocr`: the text in a picture.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wavelane::Result;
use wavelane::media::Picture;
use wavelane::media::image::Format;
use wavelane::tasks::ocr::{FILES, Line, Ocr as Reader};

use super::flags::DeviceFlags;
use super::output::print;
use super::{End, cache};

/// The colours of boxes, in turn, and how thick they are drawn.
const COLOURS: [[u8; 3]; 3] = [[220, 40, 40], [30, 130, 230], [30, 160, 70]];
const THICKNESS: f32 = 2.0;

/// Arguments of `ocr`.
#[derive(Args)]
pub struct Ocr {
    /// A picture (PNG, JPEG or WebP).
    image: PathBuf,
    /// The folder of the models [default: what scripts/fetch.sh ocr fetches].
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
    /// Save the picture with a box around every line.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print one JSON object with boxes and scores.
    #[arg(long)]
    json: bool,
}

impl Ocr {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if let Some(path) = &self.output {
            Format::of_path(path)?;
        }
        let mut picture = Picture::open(&self.image)?;
        let models = cache::model(self.models.as_deref(), "ocr", &FILES, "ocr")?;
        let lines = Reader::open(&models, &self.device.open()?)?.read(&picture)?;
        if let Some(path) = &self.output {
            for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
                picture.draw_quad(&line.quad, THICKNESS, *colour);
            }
            picture.save(path)?;
        }
        if self.json {
            let line = |l: &Line| {
                json!({
                    "text": l.text, "score": l.text_score, "box": l.quad, "box_score": l.box_score, "turned": l.turned,
                })
            };
            let lines: Vec<Value> = lines.iter().map(line).collect();
            print(format_args!("{}\n", json!({ "lines": lines })))?;
        } else {
            print(lines.iter().map(|line| format!("{}\n", line.text)).collect::<String>())?;
        }
        Ok(End::Done)
    }
}
