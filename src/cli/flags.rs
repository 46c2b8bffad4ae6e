//! Flags that commands share, and what they make of the library.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use wavelane::generate::{Engine, Options, Request, Sampling, Sequence, StopRules};
use wavelane::gpu::{Allowance, Budget};
use wavelane::models::LanguageModel;
use wavelane::plan::passes::Precision;
use wavelane::session::Device;
use wavelane::{DType, Result};

use super::output::Bar;
use super::start::Start;

/// Where a model runs.
#[derive(Args)]
pub struct DeviceFlags {
    /// A part of an adapter's name, its number, or 'cpu' for the reference.
    #[arg(long, env = "WAVELANE_DEVICE", value_name = "NAME|INDEX|cpu")]
    device: Option<String>,
    /// Use what wgpu calls experimental: matrices that subgroups multiply together. Try --check first.
    #[arg(long)]
    experimental: bool,
    /// Do not time kernels against one another before their first use.
    #[arg(long, env = "WAVELANE_NO_TUNE")]
    no_tune: bool,
    /// Choose kernels as a file says that 'wavelane tune --export' wrote, and learn nothing new.
    #[arg(long, value_name = "FILE")]
    choices: Option<PathBuf>,
}

/// The time that a start may spend on timing kernels; the next one goes on where it ended.
const TUNING: Allowance = Allowance::Time(Duration::from_secs(1));

impl DeviceFlags {
    /// Whether the choice is left to the library.
    pub fn any(&self) -> bool {
        self.device.as_deref().is_none_or(str::is_empty)
    }

    /// Opens the device.
    pub fn open(&self) -> Result<Device> {
        self.open_tuning(true)
    }

    /// Opens the device, which learns which kernels are fast only where `tune` says so too.
    fn open_tuning(&self, tune: bool) -> Result<Device> {
        let tuning = if self.no_tune || !tune { Allowance::NONE } else { TUNING };
        self.open_with(Budget { tuning, ..Budget::default() })
    }

    /// Opens the device, with this budget for learning about it.
    pub fn open_with(&self, budget: Budget) -> Result<Device> {
        let name = self.device.as_deref().filter(|name| !name.is_empty());
        let open = if self.experimental { Device::open_experimental } else { Device::open_with };
        let Some(choices) = &self.choices else { return open(name, budget) };
        let device = open(name, Budget::NONE)?;
        if let Device::Gpu(gpu) = &device
            && let Some(record) = gpu.record()
        {
            record.import(choices)?;
        }
        Ok(device)
    }
}

/// Which model runs where.
#[derive(Args)]
pub struct ModelFlags {
    /// A GGUF file.
    pub model: PathBuf,
    #[command(flatten)]
    pub device: DeviceFlags,
    /// Most tokens of prompt and answer together.
    #[arg(long, value_name = "N")]
    pub ctx: Option<usize>,
    /// Element type of the key-value cache [default: f16 on a GPU, f32 on the CPU].
    #[arg(long)]
    pub cache: Option<Cache>,
    /// In which numbers products multiply; all but f32 trade accuracy for speed where the device has the means.
    #[arg(long, default_value = "f32")]
    pub precision: Numbers,
    /// Most prompt tokens of one step, a power of two.
    #[arg(long, value_name = "N", default_value_t = Options::default().chunk)]
    pub chunk: usize,
    /// The same results to the last bit however a text came about: steps of one token, so that prompts take long.
    #[arg(long, conflicts_with = "chunk")]
    reproducible: bool,
}

/// Element types of a key-value cache.
#[derive(Clone, Copy, ValueEnum)]
pub enum Cache {
    F16,
    F32,
}

/// Numbers in which products multiply.
#[derive(Clone, Copy, ValueEnum)]
pub enum Numbers {
    /// f32 throughout.
    F32,
    /// Prompts may round to f16 and sum a few products in it.
    F16,
    /// Activations become bytes with a scale for every 32.
    Int8,
}

impl From<Numbers> for Precision {
    fn from(numbers: Numbers) -> Self {
        match numbers {
            Numbers::F32 => Precision::F32,
            Numbers::F16 => Precision::F16,
            Numbers::Int8 => Precision::Int8,
        }
    }
}

impl ModelFlags {
    /// Opens the model on its device and uploads it, with a progress bar.
    pub fn open(&self, start: &mut Start) -> Result<Sequence> {
        // A bad file should be reported even where there is no device.
        let model = start.file(|| LanguageModel::open(&self.model))?;
        // Another kernel that turns out faster would change the last bits of the next start.
        let device = start.device(|| self.device.open_tuning(!self.reproducible))?;
        let engine = start.file(|| Engine::new(model, device))?;
        let bar = Bar::new("loading", true);
        engine.sequence_with_progress(&self.options(), &mut |done, total| bar.set(done, total))
    }

    /// How sequences are run.
    pub fn options(&self) -> Options {
        let cache = self.cache.map(|c| if let Cache::F16 = c { DType::F16 } else { DType::F32 });
        let options = Options { context: self.ctx, cache, precision: self.precision.into(), chunk: self.chunk };
        if self.reproducible { options.reproducible() } else { options }
    }
}

/// How long a text gets, how its tokens are chosen and what ends it.
#[derive(Args)]
#[command(next_help_heading = "Generation")]
pub struct SamplingFlags {
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = Request::default().max_tokens)]
    max_tokens: usize,
    /// Always take the most likely token.
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "typical_p"])]
    greedy: bool,
    /// Divides the logits; 0 is greedy.
    #[arg(long, value_name = "X", default_value_t = Sampling::default().temperature)]
    temperature: f32,
    /// Keep the K best tokens; 0 keeps all.
    #[arg(long, value_name = "K", default_value_t = Sampling::default().top_k)]
    top_k: usize,
    /// Keep the fewest best tokens with this probability together.
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p)]
    top_p: f32,
    /// Keep tokens at least this many times as likely as the best.
    #[arg(long, value_name = "P", default_value_t = Sampling::default().min_p)]
    min_p: f32,
    /// Keep the tokens of most typical surprise up to this probability.
    #[arg(long, value_name = "P", default_value_t = Sampling::default().typical_p)]
    typical_p: f32,
    /// Divides the logits of recent tokens.
    #[arg(long, value_name = "X", default_value_t = Sampling::default().repetition_penalty)]
    repetition_penalty: f32,
    /// Subtracted for each time that a token occurred recently.
    #[arg(long, value_name = "X", default_value_t = Sampling::default().frequency_penalty, allow_negative_numbers = true)]
    frequency_penalty: f32,
    /// Subtracted for tokens that occurred recently.
    #[arg(long, value_name = "X", default_value_t = Sampling::default().presence_penalty, allow_negative_numbers = true)]
    presence_penalty: f32,
    /// How many tokens are recent.
    #[arg(long, value_name = "N", default_value_t = Sampling::default().penalty_window)]
    penalty_window: usize,
    /// Seed of the draws [default: another one each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A text that ends the answer; may be repeated.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// A token that ends the answer; may be repeated.
    #[arg(long, value_name = "ID")]
    stop_token: Vec<u32>,
}

impl SamplingFlags {
    /// The request that the flags make.
    pub fn request(&self) -> Result<Request> {
        // 53 bits, which every reader of JSON keeps.
        let random = || RandomState::new().hash_one(0) >> 11;
        let drawn = Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical_p: self.typical_p,
            ..Sampling::default()
        };
        let sampling = Sampling {
            repetition_penalty: self.repetition_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            penalty_window: self.penalty_window,
            seed: self.seed.unwrap_or_else(random),
            ..if self.greedy { Sampling::greedy() } else { drawn }
        };
        sampling.validate()?;
        let stop = StopRules { strings: self.stop.clone(), tokens: self.stop_token.clone() };
        Ok(Request { max_tokens: self.max_tokens, sampling, stop })
    }
}
