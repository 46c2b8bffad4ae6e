//! Flags that show what runs, instead of or beside running it.

use std::sync::{Arc, Mutex};

use clap::Args;
use wavelane::generate::Sequence;
use wavelane::gpu::check::Checked;
use wavelane::graph::Graph;
use wavelane::kernel::Caps;
use wavelane::models::LanguageModel;
use wavelane::onnx::StageSummary;
use wavelane::plan::{self, Plan, passes};
use wavelane::session::Device;
use wavelane::session::pages::CacheShape;
use wavelane::shape::Symbols;
use wavelane::{DType, Error, Result};

use super::flags::{DeviceFlags, ModelFlags};
use super::output::{print, say};

/// Looking at what runs.
#[derive(Args)]
#[command(next_help_heading = "Debugging")]
pub struct DebugFlags {
    /// Run every dispatch beside its CPU reference and stop at the first that differs.
    #[arg(long)]
    check: bool,
    /// Print the graph and what each pass changed, and run nothing.
    #[arg(long)]
    dump_graph: bool,
    /// Print the plans of a decode step and of a whole prompt step, and run nothing.
    #[arg(long)]
    dump_plan: bool,
}

/// The plan of a step of `tokens` tokens that yields the output at `output` for `rows` of them.
pub fn step_plan(graph: &Graph, tokens: usize, rows: usize, output: usize, caps: &Caps) -> Result<Plan> {
    let symbols = Symbols::from([("T".into(), tokens), ("R".into(), rows)]);
    plan::compile(&passes::restrict(graph, &[output])?, &symbols, caps)
}

impl DebugFlags {
    /// Prints what is to be printed; true when nothing shall run. Steps yield the output at `output`, for every token
    /// where `every` is set, else for the last.
    ///
    /// Nothing is uploaded, and without any device the plan is that for the least that a device can offer.
    pub fn dump(&self, flags: &ModelFlags, output: usize, every: bool) -> Result<bool> {
        if !self.dumps() {
            return Ok(false);
        }
        let model = LanguageModel::open(&flags.model)?;
        let caps = self.caps(&flags.device)?;
        let options = flags.options();
        let cache = CacheShape { slots: 1, context: options.context_of(&model)? };
        let dtype = options.cache.unwrap_or(if caps.is_some() { DType::F16 } else { DType::F32 });
        let (mut graph, mut report) = model.graph(&cache, dtype)?;
        report.push(("set-precision", passes::set_precision(&mut graph, options.precision)?));
        if self.dump_graph {
            for (name, changed) in report {
                print(format_args!("pass {name}: {changed} changed\n"))?;
            }
            print(&graph)?;
        }
        if let Some(caps) = caps.filter(|_| self.dump_plan) {
            for tokens in [1, options.chunk.min(cache.context.next_power_of_two())] {
                print(step_plan(&graph, tokens, if every { tokens } else { 1 }, output, &caps)?)?;
            }
        }
        Ok(true)
    }

    /// Whether something is to be printed and nothing shall run.
    pub fn dumps(&self) -> bool {
        self.dump_graph || self.dump_plan
    }

    /// Prints what is to be printed of a model's stages.
    ///
    /// # Errors
    /// Those of [`plan::compile`] and of the device.
    pub fn dump_stages(&self, stages: &[StageSummary], device: &DeviceFlags) -> Result<()> {
        let caps = self.caps(device)?.filter(|_| self.dump_plan);
        print_stages(stages, self.dump_graph, caps.as_ref())
    }

    /// What the device offers, or the least that one can where there is none; nothing for the CPU.
    fn caps(&self, device: &DeviceFlags) -> Result<Option<Caps>> {
        match device.open() {
            Ok(Device::Cpu) if self.dump_plan => {
                Err(Error::Request("the device 'cpu' runs the graph itself; it has no plan".into()))
            }
            Ok(Device::Cpu) => Ok(None),
            Ok(Device::Gpu(gpu)) => Ok(Some(gpu.info().caps.clone())),
            Err(Error::NoDevice(_)) if device.any() => {
                say("no GPU was found: this is what would run on a device that offers the least");
                Ok(Some(Caps::plain()))
            }
            Err(e) => Err(e),
        }
    }

    /// Switches the check on where it is asked for.
    pub fn watch(&self, sequence: &mut Sequence) -> CheckReport {
        self.watch_by(|seen| sequence.check(seen))
    }

    /// Calls `check`, where a check is asked for, with what it shall tell.
    pub fn watch_by(&self, check: impl FnOnce(Box<dyn FnMut(&Checked) + Send>)) -> CheckReport {
        if !self.check {
            return CheckReport(None);
        }
        let checks = Arc::new(Mutex::new(Checks::default()));
        let told = checks.clone();
        check(Box::new(move |checked| {
            let mut checks = told.lock().unwrap_or_else(|e| e.into_inner());
            checks.results += 1;
            let ratio = checked.worst.ratio();
            if checks.worst.as_ref().is_none_or(|(worst, _)| ratio > *worst) {
                checks.worst = Some((ratio, format!("{} '{}': {}", checked.op, checked.name, checked.worst)));
            }
        }));
        CheckReport(Some(checks))
    }
}

/// Prints stages: their graphs with what each pass changed, and their plans for a device with `caps`.
pub fn print_stages(stages: &[StageSummary], graph: bool, caps: Option<&Caps>) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let ran = if stage.ran { ", which had to run: the next depends on its results" } else { "" };
        print(format_args!("stage {i} at {}{ran}\n", stage.place))?;
        let Some(optimised) = &stage.graph else {
            print("nothing is computed on the device\n")?;
            continue;
        };
        if graph {
            for (name, changed) in &stage.passes {
                print(format_args!("pass {name}: {changed} changed\n"))?;
            }
            print(optimised)?;
        }
        if let Some(caps) = caps {
            print(plan::compile(optimised, &Symbols::new(), caps)?)?;
        }
    }
    Ok(())
}

/// What a checked run found so far.
#[derive(Default)]
struct Checks {
    results: usize,
    worst: Option<(f64, String)>,
}

/// A check under way; [`CheckReport::finish`] says what it found.
pub struct CheckReport(Option<Arc<Mutex<Checks>>>);

impl CheckReport {
    /// One line on standard error.
    pub fn finish(&self) {
        let Some(checks) = &self.0 else { return };
        let Checks { results, worst } = &*checks.lock().unwrap_or_else(|e| e.into_inner());
        match worst {
            Some((_, place)) => {
                say(format_args!("checked {results} results against the reference, all within tolerance; closest: {place}"));
            }
            None => say("nothing to check: the device 'cpu' is the reference"),
        }
    }
}
