//! `wavelane tune`: finds the fastest kernels for a language model on this device.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use wavelane::generate::Engine;
use wavelane::gpu::{Allowance, Budget};
use wavelane::models::LanguageModel;
use wavelane::session::Device;
use wavelane::{Error, Result};

use super::End;
use super::flags::ModelFlags;
use super::output::{Bar, print};

/// Arguments of `tune`.
#[derive(Args)]
pub struct Tune {
    #[command(flatten)]
    model: ModelFlags,
    /// Most seconds to spend.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,
    /// Write what is known of the device to a file that '--choices' takes.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Tune {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let model = LanguageModel::open(&self.model.model)?;
        let limit = Allowance::Time(Duration::from_secs(self.limit));
        let Device::Gpu(gpu) = self.model.device.open_with(Budget { proving: limit, tuning: limit })? else {
            return Err(Error::Request("the CPU has one kernel for everything: there is nothing to choose".into()));
        };
        let record = gpu.record().cloned().ok_or_else(|| Error::invalid("tune", "the device has no record"))?;
        let engine = Engine::new(model, Device::Gpu(gpu.clone()))?;
        let sizes = self.model.chunk.checked_ilog2().map_or(1, |n| n + 1);
        let bar = Bar::new("tuning", false);
        bar.set(0, u64::from(sizes));
        let mut sequence = engine.sequence(&self.model.options())?;
        for i in 0..sizes {
            sequence.plan(1 << i)?;
            bar.set(u64::from(i) + 1, u64::from(sizes));
        }
        drop(bar);
        if let Some(file) = &self.export {
            record.save_as(file)?;
        }
        let (choices, own) = (record.choices(), gpu.info().caps.views()[0]);
        if self.json {
            return print(format_args!("{}\n", json!({ "device": gpu.info(), "choices": choices }))).map(|()| End::Done);
        }
        for (signature, view) in choices.fastest.iter().filter(|(_, view)| **view != own) {
            print(format_args!("{view}: {signature}\n"))?;
        }
        let changed = choices.fastest.values().filter(|view| **view != own).count();
        let (timed, device) = (choices.fastest.len(), &gpu.info().name);
        print(format_args!("{device}: of {timed} problems, {changed} run faster by other kernels than those for its kind\n"))?;
        Ok(End::Done)
    }
}
