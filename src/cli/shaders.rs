//! `wavelane shaders`: the kernels that a language model's steps are made of, as the text that a device compiles. Needs no device.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wavelane::generate::Options;
use wavelane::kernel::caps::Width;
use wavelane::kernel::{Caps, Kernel, linker};
use wavelane::models::{LanguageModel, Outputs};
use wavelane::session::pages::CacheShape;
use wavelane::{DType, Error, Result};

use super::End;
use super::debug::step_plan;
use super::output::print;

/// Arguments of `shaders`.
#[derive(Args)]
pub struct Shaders {
    /// A GGUF file.
    model: PathBuf,
    /// Only kernels with all of these words in their names.
    words: Vec<String>,
    /// Which kind of device the steps are planned for.
    #[arg(long, default_value = "wide")]
    profile: Profile,
    /// Write the WGSL of each kernel into this folder, which is made where it does not exist.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
}

/// Kinds of devices.
#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    /// The least that a GPU offers.
    Plain,
    /// A GPU with subgroups of 32 or 64.
    Wide,
    /// A CPU that runs shaders, with subgroups of 8.
    Narrow,
}

impl Profile {
    fn caps(self) -> Caps {
        match self {
            Profile::Plain => Caps::plain(),
            Profile::Wide => Caps { subgroup: Some((32, 64)), ..Caps::plain() },
            Profile::Narrow => Caps { width: Width::Narrow, subgroup: Some((8, 8)), ..Caps::plain() },
        }
    }
}

impl Shaders {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let kernels = self.kernels()?;
        let wanted = kernels.iter().filter(|(kernel, _)| {
            let name = kernel.to_string();
            self.words.iter().all(|word| name.contains(word.as_str()))
        });
        if let Some(folder) = &self.dump {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        for (number, (kernel, dispatches)) in wanted.enumerate() {
            print(format_args!("{number:3}  {dispatches:5} dispatches  {kernel}\n"))?;
            if let Some(folder) = &self.dump {
                write(folder, number, kernel)?;
            }
        }
        Ok(End::Done)
    }

    /// The kernels of steps with one token, with several and with a whole chunk of a prompt, and in how many of their dispatches each is.
    fn kernels(&self) -> Result<BTreeMap<Kernel, usize>> {
        let model = LanguageModel::open(&self.model)?;
        let options = Options::default();
        let cache = CacheShape { slots: 1, context: options.context_of(&model)? };
        let (graph, _) = model.graph(&cache, DType::F16)?;
        let mut kernels = BTreeMap::new();
        for tokens in [1, 2, 8, options.chunk.min(cache.context.next_power_of_two())] {
            let plan = step_plan(&graph, tokens, 1, Outputs::BEST, &self.profile.caps())?;
            plan.dispatches().for_each(|d| *kernels.entry(d.kernel.clone()).or_default() += 1);
        }
        Ok(kernels)
    }
}

/// Writes a kernel's text, under its number and what was linked.
fn write(folder: &Path, number: usize, kernel: &Kernel) -> Result<()> {
    let stems = kernel.providers.iter().map(|stem| stem.replace('/', "_"));
    let name = [format!("{number:03}"), kernel.shader.to_string()].into_iter().chain(stems).collect::<Vec<_>>().join("-");
    let path = folder.join(name + ".wgsl");
    std::fs::write(&path, linker::link(kernel)?).map_err(|e| Error::io(&path, e))
}
