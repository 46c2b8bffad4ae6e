//! Every kernel that could be chosen on a device, compared with the reference: what `wavelane verify` does.
//!
//! The cases are the graphs of the static gate. Kernels that are wrong, or that the driver refuses to compile, are struck from the
//! device's record. `docs/proving.md` says what is tried and promised.

mod compare;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::error::Result;
use crate::gate;
use crate::gpu::{Budget, DeviceInfo, Fill, Gpu, Record};
use crate::graph::Graph;
use crate::kernel::Caps;
use crate::plan;
use crate::shape::Symbols;

use compare::{Compared, compare};
use tasks::Task;

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One case for each shader with its providers that the device is given by default.
    Quick,
    /// All cases, under all views of the device; extreme numbers and weights of several bindings for each kernel.
    Full,
}

/// What the comparisons of the kernels of one shader showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// The shader of the last kernel of a node: others before it only prepare.
    pub family: String,
    /// Kernels that ran as such.
    pub kernels: usize,
    /// Comparisons.
    pub cases: usize,
    /// Those that failed.
    pub wrong: usize,
    /// The largest error of those that did not, in units of its tolerance.
    pub worst: f64,
    /// The case with that error.
    pub worst_case: String,
    /// Seconds that all took, reference and compilation included.
    pub seconds: f64,
}

/// A kernel that is not used on the device any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Struck {
    /// What was wrong with it.
    pub reason: String,
    /// The kernels that are used instead, in the case that failed; nothing where there are none.
    pub replacement: Option<String>,
}

/// Comparisons that were not made, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Untried {
    /// The op.
    pub op: String,
    /// Under which view of the device.
    pub view: String,
    /// Why.
    pub reason: String,
}

/// What became of a device's kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The device.
    pub device: DeviceInfo,
    /// Whether all cases were compared.
    pub full: bool,
    /// Comparisons.
    pub cases: usize,
    /// Different kernels that were compared.
    pub kernels: usize,
    /// Seconds of the whole.
    pub seconds: f64,
    /// By shader.
    pub families: Vec<Family>,
    /// Kernels that are struck, by name.
    pub struck: BTreeMap<String, Struck>,
    /// What was not compared, with how many comparisons it would have been.
    pub untried: Vec<(Untried, usize)>,
}

/// What the comparisons showed so far.
#[derive(Default)]
struct Findings {
    families: BTreeMap<String, (Family, BTreeSet<String>)>,
    /// By the kernel's name, with the graph that failed.
    struck: BTreeMap<String, (String, usize)>,
    untried: BTreeMap<Untried, usize>,
}

/// Compares the device's kernels with the reference and notes in its record, where it has one, which are right and which are struck;
/// what was known before is forgotten. `progress` is told the comparisons made and those to make.
///
/// # Errors
/// [`crate::Error::Device`] when the device fails altogether.
pub fn verify(gpu: &Gpu, extent: Extent, progress: &mut dyn FnMut(usize, usize)) -> Result<Verification> {
    let started = Instant::now();
    let record = gpu.record().cloned().unwrap_or_else(|| Arc::new(Record::new(Budget::NONE)));
    record.forget_proofs();
    let graphs = &gate::graphs()[..];
    let caps = &gpu.info().caps;
    let mut findings = Findings::default();
    let tasks = match extent {
        Extent::Quick => tasks::fewest(graphs, caps)?,
        Extent::Full => tasks::all(graphs, caps, &mut |untried| *findings.untried.entry(untried).or_default() += 1)?,
    };
    let all = tasks.iter().map(|task| task.views.len()).sum();
    let mut done = 0;
    progress(done, all);
    compare(gpu, &record, graphs, &tasks, &mut |compared| {
        findings.note(graphs, compared);
        done += 1;
        progress(done, all);
    })?;
    record.save();
    let choices = record.choices();
    let replaced = |(kernel, (reason, graph)): (String, (String, usize))| {
        let plan = plan::compile_with(&graphs[graph], &Symbols::new(), caps, &choices).ok();
        let replacement = plan.map(|plan| plan.dispatches().map(|d| d.kernel.name()).collect::<Vec<_>>().join("; "));
        (kernel, Struck { reason, replacement })
    };
    let kernels: BTreeSet<&String> = findings.families.values().flat_map(|(_, kernels)| kernels).collect();
    let kernels = kernels.len();
    let families: Vec<Family> =
        findings.families.into_values().map(|(family, kernels)| Family { kernels: kernels.len(), ..family }).collect();
    Ok(Verification {
        device: gpu.info().clone(),
        full: extent == Extent::Full,
        cases: families.iter().map(|f| f.cases).sum(),
        kernels,
        seconds: started.elapsed().as_secs_f64(),
        families,
        struck: findings.struck.into_iter().map(replaced).collect(),
        untried: findings.untried.into_iter().collect(),
    })
}

impl Findings {
    fn note(&mut self, graphs: &[Graph], Compared { task, view, verdict, seconds }: Compared<'_>) {
        let graph = &graphs[task.graph];
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(reason) => {
                let untried = Untried { op: graph.nodes[0].op.name().into(), view: view.to_string(), reason };
                *self.untried.entry(untried).or_default() += 1;
                return;
            }
        };
        let name = verdict.kernels.last().map_or_else(|| "none".to_owned(), |kernel| kernel.shader.to_string());
        let (family, kernels) = self.families.entry(name.clone()).or_default();
        family.family = name;
        family.cases += 1;
        family.seconds += seconds;
        kernels.extend(verdict.kernels.iter().map(|kernel| kernel.name()));
        match verdict.outcome {
            Ok(worst) if worst >= family.worst => {
                family.worst = worst;
                family.worst_case = format!("{}, {view}", task.describe(graph));
            }
            Ok(_) => {}
            Err(what) => {
                family.wrong += 1;
                let what = format!("{}: {what}", task.describe(graph));
                for kernel in &verdict.kernels {
                    self.struck.entry(kernel.name()).or_insert_with(|| (what.clone(), task.graph));
                }
            }
        }
    }
}

impl Task {
    /// The device as far as planning is concerned.
    fn caps(&self, device: &Caps) -> Caps {
        Caps { max_buffer: self.buffer.unwrap_or(device.max_buffer), ..device.clone() }
    }

    /// The case in one line: the op, its operands, their numbers.
    fn describe(&self, graph: &Graph) -> String {
        let node = &graph.nodes[0];
        let operands: Vec<String> = node.inputs.iter().map(|id| graph.value(*id).ty.to_string()).collect();
        let fill = match self.fill {
            Fill::Units => "",
            Fill::Edges => ", edges of f16",
            Fill::Odd => ", odd numbers",
        };
        let split = if self.buffer.is_some() { ", weight in parts" } else { "" };
        format!("{} of {}{fill}{split}", node.op.name(), operands.join(", "))
    }
}
