//! Flags that commands share, and what they make of the library.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use wavelane::generate::{Engine, Options, Request, Sampling, Sequence, StopRules};
use wavelane::session::Device;
use wavelane::{DType, Error, Result};

use super::output::{Bar, print};

/// Which model runs where.
#[derive(Args)]
pub struct ModelFlags {
    /// A GGUF file.
    pub model: PathBuf,
    /// A part of an adapter's name, its number, or 'cpu' for the reference.
    #[arg(long, env = "WAVELANE_DEVICE", value_name = "NAME|INDEX|cpu")]
    pub device: Option<String>,
    /// Most tokens of prompt and answer together.
    #[arg(long, value_name = "N")]
    pub ctx: Option<usize>,
    /// Element type of the key-value cache [default: f16 on a GPU, f32 on the CPU].
    #[arg(long)]
    pub cache: Option<Cache>,
    /// Most prompt tokens of one step, a power of two.
    #[arg(long, value_name = "N", default_value_t = Options::default().chunk)]
    pub chunk: usize,
}

/// Element types of a key-value cache.
#[derive(Clone, Copy, ValueEnum)]
pub enum Cache {
    F16,
    F32,
}

impl ModelFlags {
    /// Opens the model on its device and uploads it, with a progress bar.
    pub fn open(&self) -> Result<Sequence> {
        // A bad file should be reported even where there is no device.
        let model = wavelane::models::LanguageModel::open(&self.model)?;
        let engine = Engine::new(model, Device::open(self.device.as_deref())?)?;
        let cache = self.cache.map(|c| if let Cache::F16 = c { DType::F16 } else { DType::F32 });
        let bar = Bar::new("loading", true);
        let options = Options { context: self.ctx, cache, chunk: self.chunk };
        engine.sequence_with_progress(&options, &mut |done, total| bar.set(done, total))
    }
}

/// How tokens are chosen.
#[derive(Args)]
pub struct SamplingFlags {
    /// Always take the most likely token.
    #[arg(long)]
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
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = Request::default().max_tokens)]
    max_tokens: usize,
}

impl SamplingFlags {
    /// The request that the flags make.
    pub fn request(&self) -> Result<Request> {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos() as u64);
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
            seed: self.seed.unwrap_or_else(clock),
            ..if self.greedy { Sampling::greedy() } else { drawn }
        };
        sampling.validate()?;
        let stop = StopRules { strings: self.stop.clone(), tokens: self.stop_token.clone() };
        Ok(Request { max_tokens: self.max_tokens, sampling, stop })
    }
}

/// Looking at what runs, instead of or beside running it.
#[derive(Args)]
pub struct DebugFlags {
    /// Run every dispatch beside its CPU reference and stop at the first that differs.
    #[arg(long)]
    pub check: bool,
    /// Print the graph and what each pass changed, and run nothing.
    #[arg(long)]
    dump_graph: bool,
    /// Print the plans of a prompt step and of a decode step, and run nothing.
    #[arg(long)]
    dump_plan: bool,
}

/// What a checked run found so far.
#[derive(Default)]
struct Checks {
    steps: usize,
    worst: Option<(f64, String)>,
}

/// A check under way; [`CheckReport::finish`] says what it found.
pub struct CheckReport(Option<Arc<Mutex<Checks>>>);

impl DebugFlags {
    /// Prints what is to be printed; true when nothing shall run.
    pub fn dump(&self, sequence: &mut Sequence, prompt_tokens: usize) -> Result<bool> {
        if self.dump_graph {
            let (graph, passes) = sequence.graph();
            for (name, changed) in passes {
                print(format_args!("pass {name}: {changed} changed\n"))?;
            }
            print(graph)?;
        }
        if self.dump_plan {
            for tokens in [sequence.step_size(prompt_tokens), 1] {
                match sequence.plan(tokens)? {
                    Some(plan) => print(&*plan)?,
                    None => return Err(Error::Request("the device 'cpu' runs the graph itself; it has no plan".into())),
                }
            }
        }
        Ok(self.dump_graph || self.dump_plan)
    }

    /// Switches the check on where it is asked for.
    pub fn watch(&self, sequence: &mut Sequence) -> CheckReport {
        if !self.check {
            return CheckReport(None);
        }
        let checks = Arc::new(Mutex::new(Checks::default()));
        let told = checks.clone();
        sequence.check(move |checked| {
            let mut checks = told.lock().unwrap_or_else(|e| e.into_inner());
            checks.steps += 1;
            let ratio = checked.worst.ratio();
            if checks.worst.as_ref().is_none_or(|(worst, _)| ratio > *worst) {
                checks.worst = Some((ratio, format!("{} '{}': {}", checked.op, checked.name, checked.worst)));
            }
        });
        CheckReport(Some(checks))
    }
}

impl CheckReport {
    /// One line on standard error.
    pub fn finish(&self) {
        let Some(checks) = &self.0 else { return };
        let checks = checks.lock().unwrap_or_else(|e| e.into_inner());
        match &checks.worst {
            Some((_, place)) => {
                eprintln!("checked {} results against the reference, all within tolerance; closest: {place}", checks.steps)
            }
            None => eprintln!("nothing to check: the device 'cpu' is the reference"),
        }
    }
}
