//! `wavelane vad`: when somebody speaks in a sound.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wavelane::Result;
use wavelane::media::Audio;
use wavelane::tasks::vad::{RATE, Rules, Vad as Detector, samples_at_rate, speech};

use super::flags::DeviceFlags;
use super::output::{Bar, print};
use super::{End, cache};

/// Arguments of `vad`.
#[derive(Args)]
pub struct Vad {
    /// A sound (WAV, FLAC, MP3 or Ogg Vorbis).
    audio: PathBuf,
    /// The model [default: what scripts/fetch.sh silero-vad fetches].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print one JSON object, also with the probability of each 32 ms.
    #[arg(long)]
    json: bool,
}

impl Vad {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let sound = Audio::open(&self.audio)?;
        let model = cache::model(self.model.as_deref(), "silero-vad/silero_vad.onnx", &[], "silero-vad")?;
        let mut detector = Detector::open(&model, &self.device.open()?)?;
        let probabilities = {
            let bar = Bar::new("listening", false);
            detector.probabilities(&sound, &mut |done, total| bar.set(done as u64, total as u64))?
        };
        let segments = speech(&probabilities, samples_at_rate(&sound), &Rules::default());
        let seconds = |sample: usize| sample as f64 / f64::from(RATE);
        if self.json {
            let segment = |s: &std::ops::Range<usize>| json!({ "start": seconds(s.start), "end": seconds(s.end) });
            let speech: Vec<Value> = segments.iter().map(segment).collect();
            print(format_args!("{}\n", json!({ "speech": speech, "probabilities": probabilities })))?;
        } else {
            let line = |s: &std::ops::Range<usize>| format!("{:9.3} {:9.3}\n", seconds(s.start), seconds(s.end));
            print(segments.iter().map(line).collect::<String>())?;
        }
        Ok(End::Done)
    }
}
