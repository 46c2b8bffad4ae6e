//! `wavelane shaders`: kernels as the text that a device compiles, and what can be said of them without a device.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wavelane::gate::{self, Count, Profile, Report, Shader, Table, Target, Variant, profiles};
use wavelane::generate::Options;
use wavelane::kernel::{Caps, Kernel, linker};
use wavelane::models::{LanguageModel, Outputs};
use wavelane::session::pages::CacheShape;
use wavelane::{DType, Error, Result};

use super::End;
use super::debug::step_plan;
use super::output::{print, say};

/// Arguments of `shaders`.
#[derive(Args)]
pub struct Shaders {
    /// A GGUF file, for the kernels of its steps; without one, every kernel that the planner may pick for any op and device.
    #[arg(conflicts_with_all = ["check", "update"])]
    model: Option<PathBuf>,
    /// Only kernels with this in their names; may be repeated, and then all must be.
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// Only kernels that are picked for this device [default for a model: rdna].
    #[arg(long, value_name = "NAME", value_parser = profile)]
    profile: Option<Profile>,
    /// Print everything that is known, as JSON.
    #[arg(long)]
    json: bool,
    /// Write the text of each kernel into this folder, which is made where it does not exist.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// The language of what is written.
    #[arg(long = "as", value_name = "LANGUAGE", default_value = "wgsl", requires = "dump")]
    language: Language,
    /// Fail where a kernel breaks a limit of a device that it is picked for, cannot be translated, or departs from the table of
    /// costs.
    #[arg(long, conflicts_with_all = ["only", "profile", "json", "dump"])]
    check: bool,
    /// Write the table of costs.
    #[arg(long, conflicts_with_all = ["only", "profile", "json", "dump", "check"])]
    update: bool,
    /// The table of costs.
    #[arg(long, value_name = "FILE", default_value = gate::PATH)]
    table: PathBuf,
}

/// A language of shaders.
#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Wgsl,
    Spirv,
    Msl,
    Hlsl,
    GlslEs,
}

impl Language {
    /// What WGSL is translated into.
    fn target(self) -> Option<Target> {
        match self {
            Language::Wgsl => None,
            Language::Spirv => Some(Target::Spirv),
            Language::Msl => Some(Target::Msl),
            Language::Hlsl => Some(Target::Hlsl),
            Language::GlslEs => Some(Target::GlslEs),
        }
    }
}

/// The profile of that name, or a list of all.
fn profile(name: &str) -> Result<Profile, String> {
    let profiles = profiles::all();
    let names = || profiles.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ");
    profiles.iter().find(|profile| profile.name == name).cloned().ok_or_else(|| format!("the devices are {}", names()))
}

impl Shaders {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if self.check || self.update {
            return self.gate(&profiles::all());
        }
        let profiles = self.profile.clone().map_or_else(profiles::all, |profile| vec![profile]);
        let found: Vec<(Variant, usize)> = match &self.model {
            Some(model) => {
                let caps = self.profile.clone().map_or_else(|| profile("rdna"), Ok).map_err(Error::Request)?.caps;
                kernels(model, &caps)?.into_iter().map(|(kernel, dispatches)| (Variant::new(kernel), dispatches)).collect()
            }
            None => gate::variants(&profiles)?.into_iter().map(|v| (v.clone(), v.uses.len())).collect(),
        };
        let wanted = found.into_iter().filter(|(variant, _)| self.wants(&variant.name()));
        let (variants, uses): (Vec<Variant>, Vec<usize>) = wanted.unzip();
        let reports = gate::reports(variants)?;
        self.list(&reports, &uses, &profiles)?;
        if let Some(folder) = &self.dump {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
            reports.iter().enumerate().try_for_each(|(number, report)| self.write(folder, number, &report.variant.kernel))?;
        }
        Ok(End::Done)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.iter().all(|word| name.contains(word.as_str()))
    }

    /// Checks everything, or writes the table and checks the rest.
    fn gate(&self, profiles: &[Profile]) -> Result<End> {
        let reports = gate::reports(gate::variants(profiles)?)?;
        let mut found = gate::problems(&reports, profiles);
        let computed = Table::of(&reports)?;
        if self.update {
            std::fs::write(&self.table, computed.to_string()).map_err(|e| Error::io(&self.table, e))?;
        } else {
            let text = std::fs::read_to_string(&self.table).map_err(|e| Error::io(&self.table, e))?;
            found.extend(Table::parse(&text)?.departures(&computed));
        }
        for problem in &found {
            print(format_args!("{problem}\n"))?;
        }
        if !found.is_empty() {
            return Err(Error::Check(format!("{} of the above; where a cost is meant: wavelane shaders --update", found.len())));
        }
        say(format_args!("{} kernels keep to what {} devices offer", reports.len(), profiles.len()));
        Ok(End::Done)
    }

    /// Prints a line for each report, or all of them as JSON.
    fn list(&self, reports: &[Report], uses: &[usize], profiles: &[Profile]) -> Result<()> {
        if self.json {
            let all: Vec<_> = reports.iter().map(|report| report.to_json(profiles)).collect();
            return print(format_args!("{}\n", serde_json::Value::from(all)));
        }
        say("  no   uses  size shared buffers barriers  loaded  stored   flops    ints  kernel [features]");
        say(
            "uses are dispatches of a model's steps, else devices; a+b is a once and b per iteration of loops with unknown bounds",
        );
        for ((number, report), uses) in reports.iter().enumerate().zip(uses) {
            let cost = &report.cost;
            let both = |once: u64, repeated: u64| if repeated == 0 { once.to_string() } else { format!("{once}+{repeated}") };
            let count = |count| both(cost.once.get(count), cost.repeated.get(count));
            let features: Vec<&str> = report.features.iter().map(|feature| feature.name()).collect();
            print(format_args!(
                "{number:4}  {uses:5} {:5} {:6} {:7} {:>8} {:>7} {:>7} {:>7} {:>7}  {} [{}]\n",
                report.workgroup_size.iter().product::<u32>(),
                report.workgroup_bytes,
                report.storage_buffers,
                count(Count::Barriers),
                both(cost.once.loaded(), cost.repeated.loaded()),
                both(cost.once.stored(), cost.repeated.stored()),
                count(Count::Flops),
                count(Count::Ints),
                report.name,
                features.join(" "),
            ))?;
        }
        Ok(())
    }

    /// Writes a kernel's text, under its number and what was linked.
    fn write(&self, folder: &Path, number: usize, kernel: &Kernel) -> Result<()> {
        let target = self.language.target();
        let source = linker::link(kernel)?;
        let bytes = match target {
            Some(target) => Shader::parse(&kernel.to_string(), &source)?.translate(target)?,
            None => source.into_bytes(),
        };
        let stems = kernel.providers.iter().map(|stem| stem.replace('/', "_"));
        let name = [format!("{number:04}"), kernel.shader.to_string()].into_iter().chain(stems).collect::<Vec<_>>().join("-");
        let path = folder.join(format!("{name}.{}", target.map_or("wgsl", Target::extension)));
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, e))
    }
}

/// The kernels of a language model's steps with one token, with several and with a whole chunk of a prompt, and in how many of their
/// dispatches each is.
fn kernels(model: &Path, caps: &Caps) -> Result<BTreeMap<Kernel, usize>> {
    let model = LanguageModel::open(model)?;
    let options = Options::default();
    let cache = CacheShape { slots: 1, context: options.context_of(&model)? };
    let (graph, _) = model.graph(&cache, DType::F16)?;
    let mut kernels = BTreeMap::new();
    for tokens in [1, 2, 8, options.chunk.min(cache.context.next_power_of_two())] {
        let plan = step_plan(&graph, tokens, 1, Outputs::BEST, caps)?;
        plan.dispatches().for_each(|d| *kernels.entry(d.kernel.clone()).or_default() += 1);
    }
    Ok(kernels)
}
