//! `wavelane saliency`: where people look in a picture.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wavelane::Result;
use wavelane::media::Picture;
use wavelane::media::image::Format;
use wavelane::tasks::saliency::Saliency as Model;

use super::flags::DeviceFlags;
use super::output::print;
use super::{End, cache};

/// How much of a picture its heat map covers.
const OPACITY: f32 = 0.6;

/// Arguments of `saliency`.
#[derive(Args)]
pub struct Saliency {
    /// A picture (PNG, JPEG or WebP).
    image: PathBuf,
    /// The model [default: what scripts/fetch.sh vit-focus fetches].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Save the picture under a heat map.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Saliency {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if let Some(path) = &self.output {
            Format::of_path(path)?;
        }
        let mut picture = Picture::open(&self.image)?;
        let model = cache::model(self.model.as_deref(), "vit_s_focus.onnx", &[], "vit-focus")?;
        let map = Model::open(&model, &self.device.open()?)?.map(&picture)?;
        let (peak, [x, y]) = map.peak().unwrap_or((f32::NAN, [0, 0]));
        // The middle of the greatest value's part of the picture.
        let place = |at: usize, of: usize, size: u32| ((at as f64 + 0.5) * f64::from(size) / of.max(1) as f64) as u32;
        let (x, y) = (place(x, map.width, picture.width()), place(y, map.height, picture.height()));
        if let Some(path) = &self.output {
            picture.blend_heat(&map.values, [map.width, map.height], [0.0, 1.0], OPACITY)?;
            picture.save(path)?;
        }
        let mean = map.mean();
        if self.json {
            let object = json!({ "peak": peak, "x": x, "y": y, "mean": mean, "map": [map.height, map.width] });
            print(format_args!("{object}\n"))?;
        } else {
            print(format_args!("most important at ({x}, {y}): {peak:.3}; mean {mean:.3}\n"))?;
        }
        Ok(End::Done)
    }
}
