//! `wavelane shaders`: kernels as the text that a device compiles, and what can be said of them without a device.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wavelane::formats::onnx::OnnxFile;
use wavelane::gate::{self, Count, Profile, Report, Shader, Table, Target, profiles};
use wavelane::generate::Options;
use wavelane::kernel::{Caps, Kernel, linker};
use wavelane::models::{LanguageModel, Outputs};
use wavelane::plan::{self, Plan};
use wavelane::session::pages::CacheShape;
use wavelane::shape::Symbols;
use wavelane::{DType, Error, Result};

use super::End;
use super::debug::step_plan;
use super::inspect::{describe, is_onnx};
use super::output::{print, say};

/// Arguments of `shaders`.
#[derive(Args)]
pub struct Shaders {
    /// A GGUF file, for the kernels of its steps, or an ONNX file, for those of a run; without one, every kernel that the planner may
    /// pick for any op and device.
    #[arg(conflicts_with = "update")]
    model: Option<PathBuf>,
    /// ONNX: the shape of an input, such as x=1x3x224x224; may be repeated [default: as declared, with 1 for open dimensions].
    #[arg(long, value_name = "NAME=DIMS", requires = "model")]
    shape: Vec<String>,
    /// Only kernels with this in their names; may be repeated, and then all must be.
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// Only kernels that are picked for this device [default for a model: rdna].
    #[arg(long, value_name = "NAME", value_parser = profile)]
    profile: Option<Profile>,
    /// Only kernels that a device gets as it is, without those that could replace them.
    #[arg(long, conflicts_with_all = ["model", "check", "update"])]
    own: bool,
    /// Print everything that is known, as JSON.
    #[arg(long)]
    json: bool,
    /// Write the text of each kernel into this folder, which is made where it does not exist.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// The language of what is written.
    #[arg(long = "as", value_name = "LANGUAGE", default_value = "wgsl", requires = "dump")]
    language: Language,
    /// Fail where a kernel breaks a limit of a device that it is picked for, cannot be translated or, without a model, departs from
    /// the table of costs.
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
        let profiles = match (&self.profile, &self.model) {
            (Some(profile), _) => vec![profile.clone()],
            (None, Some(_)) if !self.check => vec![profile("rdna").map_err(Error::Request)?],
            (None, _) => profiles::all(),
        };
        let mut variants = match &self.model {
            Some(model) => gate::variants_of(&profiles, self.plans(model)?)?,
            None if self.own => gate::own_variants(&profiles)?,
            None => gate::variants(&profiles)?,
        };
        variants.retain(|variant| self.wants(&variant.kernel.name()));
        let reports = gate::reports(variants)?;
        if self.check || self.update {
            return self.gate(&reports, &profiles);
        }
        self.list(&reports, &profiles)?;
        if let Some(folder) = &self.dump {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
            reports.iter().enumerate().try_for_each(|(number, report)| self.write(folder, number, &report.variant.kernel))?;
        }
        Ok(End::Done)
    }

    /// The plans of a model: under every view of a device where they are checked, else for the device as it is.
    fn plans(&self, model: &Path) -> Result<Plans> {
        let plans = match is_onnx(model) {
            true => of_run(model, &self.shape)?,
            false if !self.shape.is_empty() => return Err(Error::Request("--shape is for ONNX files".into())),
            false => of_steps(model)?,
        };
        let most = if self.check { usize::MAX } else { 1 };
        Ok(Box::new(move |caps| {
            let views = caps.views().into_iter().take(most).map(|view| plans(&caps.seen_as(view)));
            Ok(views.collect::<Result<Vec<_>>>()?.concat())
        }))
    }

    fn wants(&self, name: &str) -> bool {
        self.only.iter().all(|word| name.contains(word.as_str()))
    }

    /// Checks everything, or writes the table and checks the rest.
    fn gate(&self, reports: &[Report], profiles: &[Profile]) -> Result<End> {
        let mut found = gate::problems(reports, profiles);
        let computed = Table::of(reports)?;
        if self.update {
            std::fs::write(&self.table, computed.to_string()).map_err(|e| Error::io(&self.table, e))?;
        } else if self.model.is_none() {
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
    fn list(&self, reports: &[Report], profiles: &[Profile]) -> Result<()> {
        if self.json {
            let all: Vec<_> = reports.iter().map(|report| report.to_json(profiles)).collect();
            return print(format_args!("{}\n", serde_json::Value::from(all)));
        }
        let uses = |report: &Report| match self.model {
            Some(_) => report.variant.uses.values().map(|used| used.dispatches).sum(),
            None => report.variant.uses.len(),
        };
        let rows: Vec<_> = reports.iter().enumerate().map(|(number, report)| cells(number, uses(report), report)).collect();
        let widths: Vec<usize> =
            (0..COLUMNS.len()).map(|i| rows.iter().map(|row| row[i].len()).fold(COLUMNS[i].len(), usize::max)).collect();
        let line = |cells: &[String], name: &str| {
            let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            format!("{}  {name}", padded.join(" "))
        };
        say(
            "used: by how many devices, of a model: in how many dispatches; a+b: a once, b per iteration of loops with unknown bounds",
        );
        say(line(&COLUMNS.map(str::to_owned), "kernel"));
        for (row, report) in rows.iter().zip(reports) {
            print(line(row, &report.name) + "\n")?;
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

/// What is listed of a kernel before its name; loads and stores of storage by their bytes.
const COLUMNS: [&str; 17] = [
    "no", "used", "size", "shared", "buffers", "barriers", "load4", "load8", "load16", "loaded", "store4", "store8", "store16",
    "stored", "flops", "ints", "features",
];

fn cells(number: usize, used: usize, report: &Report) -> [String; COLUMNS.len()] {
    let cost = &report.cost;
    let both = |once: u64, repeated: u64| if repeated == 0 { once.to_string() } else { format!("{once}+{repeated}") };
    let count = |count| both(cost.once.get(count), cost.repeated.get(count));
    let features: Vec<&str> = report.features.iter().map(|feature| feature.name()).collect();
    [
        number.to_string(),
        used.to_string(),
        report.workgroup_size.iter().product::<u32>().to_string(),
        report.workgroup_bytes.to_string(),
        report.storage_buffers.to_string(),
        count(Count::Barriers),
        count(Count::Load4),
        count(Count::Load8),
        count(Count::Load16),
        both(cost.once.loaded(), cost.repeated.loaded()),
        count(Count::Store4),
        count(Count::Store8),
        count(Count::Store16),
        both(cost.once.stored(), cost.repeated.stored()),
        count(Count::Flops),
        count(Count::Ints),
        if features.is_empty() { "-".into() } else { features.join(",") },
    ]
}

/// What makes plans for a device.
type Plans = Box<dyn Fn(&Caps) -> Result<Vec<Plan>> + Sync>;

/// The plans of a language model's steps with one token, with several and with a whole chunk of a prompt.
fn of_steps(model: &Path) -> Result<Plans> {
    let model = LanguageModel::open(model)?;
    let options = Options::default();
    let cache = CacheShape { slots: 1, context: options.context_of(&model)? };
    let (graph, _) = model.graph(&cache, DType::F16)?;
    let sizes = [1, 2, 8, options.chunk.min(cache.context.next_power_of_two())];
    Ok(Box::new(move |caps| sizes.iter().map(|tokens| step_plan(&graph, *tokens, 1, Outputs::BEST, caps)).collect()))
}

/// The plans of the stages of an ONNX model's run on inputs of these shapes.
fn of_run(model: &Path, shapes: &[String]) -> Result<Plans> {
    let (stages, _) = describe(OnnxFile::open(model)?.model, shapes)?;
    let graphs: Vec<_> = stages.into_iter().filter_map(|stage| stage.graph).collect();
    Ok(Box::new(move |caps| graphs.iter().map(|graph| plan::compile(graph, &Symbols::new(), caps)).collect()))
}
