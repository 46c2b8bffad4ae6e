//! `wavelane profile`: where the time of a model goes on a device.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wavelane::formats::onnx::OnnxFile;
use wavelane::generate::Sequence;
use wavelane::gpu::DeviceInfo;
use wavelane::gpu::profile::{Method, ProfileOptions};
use wavelane::measure::Part;
use wavelane::onnx::Session;
use wavelane::report::{ProfileReport, page};
use wavelane::session::Device;
use wavelane::{Error, Result};

use super::End;
use super::flags::ModelFlags;
use super::infer::{Reader, replace};
use super::inspect::is_onnx;
use super::output::{Bar, print, value};
use super::start::Start;

/// Arguments of `profile`.
#[derive(Args)]
pub struct Profile {
    #[command(flatten)]
    model: ModelFlags,
    /// GGUF: tokens of the prompt, of which the last step is profiled; the token after it is the decode step.
    #[arg(short = 'p', long, value_name = "N", default_value_t = 128)]
    prompt: usize,
    /// ONNX: an input, as of `infer`; may be repeated.
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<String>,
    /// ONNX: how pictures become inputs.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// ONNX: the rate to which sound is brought, in Hz.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    /// Runs behind each median.
    #[arg(short, long, value_name = "N", default_value_t = ProfileOptions::default().runs)]
    runs: usize,
    /// How times are taken [default: by timestamps where the device has them].
    #[arg(long)]
    method: Option<How>,
    /// Nodes that the tables name.
    #[arg(long, value_name = "N", default_value_t = 12)]
    top: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write a trace for Perfetto or Chrome's about:tracing.
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Write a page with charts and a flame view; it needs nothing but a browser.
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
}

/// How times are taken.
#[derive(Clone, Copy, ValueEnum)]
enum How {
    Timestamps,
    Submits,
}

impl Profile {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if self.runs == 0 {
            return Err(Error::Request("--runs 0: at least one".into()));
        }
        let (info, parts) = if is_onnx(&self.model.model) { self.onnx()? } else { self.language()? };
        let name = self.model.model.file_name().unwrap_or_default().to_string_lossy();
        let report = ProfileReport::new(&name, &info, parts);
        if let Some(path) = &self.trace {
            write(path, &report.to_trace())?;
        }
        if let Some(path) = &self.html {
            replace(path, page::of_profile(&report).as_bytes())?;
        }
        match self.json {
            true => print(format_args!("{}\n", value(&report)?))?,
            false => print(report.to_text(self.top))?,
        }
        Ok(End::Done)
    }

    fn options(&self) -> ProfileOptions {
        let method = self.method.map(|how| match how {
            How::Timestamps => Method::Timestamps,
            How::Submits => Method::Submits,
        });
        ProfileOptions { runs: self.runs, method }
    }

    fn language(&self) -> Result<(DeviceInfo, Vec<Part>)> {
        if !self.input.is_empty() || self.preset.is_some() {
            return Err(Error::Request("--input and --preset are for ONNX files".into()));
        }
        let mut sequence = self.model.open(&mut Start::begin())?;
        let info = device_info(sequence.engine().device())?;
        let (context, chunk) = (sequence.context(), self.model.chunk);
        if self.prompt == 0 || self.prompt >= context {
            let what = format!("a prompt of {} tokens: 1 to {} leave room for the next", self.prompt, context - 1);
            return Err(Error::Request(what));
        }
        let bar = Bar::new("profiling", false);
        let ids = wavelane::measure::tokens(self.prompt, sequence.engine().model().vocabulary());
        let last = (self.prompt - 1) / chunk * chunk;
        let step = |sequence: &mut Sequence, ids: &[u32], what: &str| {
            let name = format!("{what} at position {}", sequence.tokens().len());
            Ok::<_, Error>(Part { name, profile: sequence.profile(ids, self.options())? })
        };
        bar.set(0, 3);
        sequence.fill(&ids[..last])?;
        bar.set(1, 3);
        let rest = &ids[last..];
        let prompt = step(&mut sequence, rest, &format!("prompt step of {} tokens", rest.len()))?;
        bar.set(2, 3);
        let decode = step(&mut sequence, &ids[..1], "decode step")?;
        Ok((info, vec![prompt, decode]))
    }

    fn onnx(&self) -> Result<(DeviceInfo, Vec<Part>)> {
        let model = OnnxFile::open(&self.model.model)?.model;
        let device = self.model.device.open()?;
        let info = device_info(&device)?;
        let mut session = Session::new(model, &device)?;
        let inputs = Reader::new(&session, self.preset.as_deref(), self.rate)?.read_all(&self.input)?;
        let bar = Bar::new("profiling", false);
        bar.set(0, 1);
        let profiles = session.profile(&inputs, self.options())?;
        let many = profiles.len() > 1;
        let name = |i: usize| if many { format!("stage {i}") } else { "one run".to_owned() };
        Ok((info, profiles.into_iter().enumerate().map(|(i, profile)| Part { name: name(i), profile }).collect()))
    }
}

/// What identifies the device.
fn device_info(device: &Device) -> Result<DeviceInfo> {
    match device {
        Device::Gpu(gpu) => Ok(gpu.info().clone()),
        Device::Cpu => Err(Error::Request("the device 'cpu' runs the graph itself; it has no dispatches to time".into())),
    }
}

fn write(path: &Path, value: &serde_json::Value) -> Result<()> {
    replace(path, format!("{value}\n").as_bytes())
}
