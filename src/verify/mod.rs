//! Every kernel that could be chosen on a device, compared with the reference: what `wavelane verify` does.
//!
//! The cases are the graphs of the static gate. Kernels that are wrong, or that the driver refuses to compile, are struck from the
//! device's record. `docs/proving.md` says what is tried and promised.

mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::error::{Error, Result};
use crate::gate;
use crate::gpu::{Budget, DeviceInfo, Fill, Gpu, Record, Trial, Verdict, WeightStore};
use crate::graph::Graph;
use crate::kernel::Caps;
use crate::kernel::caps::View;
use crate::plan::{self, Plan};
use crate::shape::Symbols;

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

/// Tasks whose pipelines are made at a time: that takes most of the time, and all cores can do it.
const AHEAD: usize = 32;

/// Pipelines that are kept for further tasks: one of an unrolled kernel takes a MiB or two on drivers that run shaders on a CPU.
const KEPT: usize = 256;

/// A verification under way.
struct Run<'a> {
    gpu: &'a Gpu,
    graphs: &'a [Graph],
    families: BTreeMap<String, (Family, BTreeSet<String>)>,
    /// By the kernel's name, with the graph that failed.
    struck: BTreeMap<String, (String, usize)>,
    untried: BTreeMap<Untried, usize>,
}

/// Compares the device's kernels with the reference and notes in its record, where it has one, which are right and which are struck;
/// what was known before is forgotten. `progress` is told the comparisons made and those to make.
///
/// # Errors
/// [`Error::Device`] when the device fails altogether.
pub fn verify(gpu: &Gpu, extent: Extent, progress: &mut dyn FnMut(usize, usize)) -> Result<Verification> {
    let started = Instant::now();
    let record = gpu.record().cloned().unwrap_or_else(|| Arc::new(Record::new(Budget::NONE)));
    record.forget_proofs();
    let gpu = &gpu.with_record(record.clone());
    let graphs = &gate::graphs()[..];
    let caps = &gpu.info().caps;
    let mut run = Run { gpu, graphs, families: BTreeMap::new(), struck: BTreeMap::new(), untried: BTreeMap::new() };
    let tasks = match extent {
        Extent::Quick => tasks::fewest(graphs, caps)?,
        Extent::Full => tasks::all(graphs, caps, &mut |untried| *run.untried.entry(untried).or_default() += 1)?,
    };
    let all = tasks.iter().map(|task| task.views.len()).sum();
    let mut done = 0;
    for tasks in tasks.chunks(AHEAD) {
        gpu.prepare(&tasks.iter().flat_map(|task| run.plans(task)).collect::<Vec<_>>())?;
        for task in tasks {
            progress(done, all);
            run.take(task)?;
            done += task.views.len();
        }
        gpu.trim_pipelines(KEPT);
    }
    record.save();
    let choices = record.choices();
    let replaced = |(kernel, (reason, graph)): (String, (String, usize))| {
        let plan = plan::compile_with(&graphs[graph], &Symbols::new(), caps, &choices).ok();
        let replacement = plan.map(|plan| plan.dispatches().map(|d| d.kernel.name()).collect::<Vec<_>>().join("; "));
        (kernel, Struck { reason, replacement })
    };
    let kernels: BTreeSet<&String> = run.families.values().flat_map(|(_, kernels)| kernels).collect();
    let kernels = kernels.len();
    let families: Vec<Family> =
        run.families.into_values().map(|(family, kernels)| Family { kernels: kernels.len(), ..family }).collect();
    Ok(Verification {
        device: gpu.info().clone(),
        full: extent == Extent::Full,
        cases: families.iter().map(|f| f.cases).sum(),
        kernels,
        seconds: started.elapsed().as_secs_f64(),
        families,
        struck: run.struck.into_iter().map(replaced).collect(),
        untried: run.untried.into_iter().collect(),
    })
}

impl Run<'_> {
    /// The plans of one task, where there are any.
    fn plans(&self, task: &Task) -> Vec<Plan> {
        let compile =
            |view: &View| plan::compile(&self.graphs[task.graph], &Symbols::new(), &task.caps(self.gpu).seen_as(*view)).ok();
        task.views.iter().filter_map(compile).collect()
    }

    /// Makes the comparisons of one task.
    fn take(&mut self, task: &Task) -> Result<()> {
        let graph = &self.graphs[task.graph];
        let small = self.gpu.with_caps(|caps| *caps = task.caps(self.gpu));
        let gpu = self.gpu.record().map_or(small.clone(), |record| small.with_record(record.clone()));
        let trial = Trial::of_graph(graph, task.fill)?;
        let weights = WeightStore::new(&gpu);
        for view in &task.views {
            let began = Instant::now();
            match gpu.verify(&trial, *view, &weights) {
                Ok(verdict) => self.note(task, *view, verdict, began.elapsed().as_secs_f64()),
                Err(e @ (Error::Unsupported(_) | Error::Request(_) | Error::Shape { .. })) => {
                    let op = graph.nodes[0].op.name().into();
                    *self.untried.entry(Untried { op, view: view.to_string(), reason: e.to_string() }).or_default() += 1;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn note(&mut self, task: &Task, view: View, verdict: Verdict, seconds: f64) {
        let name = verdict.kernels.last().map_or_else(|| "none".to_owned(), |kernel| kernel.shader.to_string());
        let (family, kernels) = self.families.entry(name.clone()).or_default();
        family.family = name;
        family.cases += 1;
        family.seconds += seconds;
        kernels.extend(verdict.kernels.iter().map(|kernel| kernel.name()));
        match verdict.outcome {
            Ok(worst) if worst >= family.worst => {
                family.worst = worst;
                family.worst_case = format!("{}, {view}", task.describe(&self.graphs[task.graph]));
            }
            Ok(_) => {}
            Err(what) => {
                family.wrong += 1;
                let what = format!("{}: {what}", task.describe(&self.graphs[task.graph]));
                for kernel in &verdict.kernels {
                    self.struck.entry(kernel.name()).or_insert_with(|| (what.clone(), task.graph));
                }
            }
        }
    }
}

impl Task {
    /// The device as far as planning is concerned.
    fn caps(&self, gpu: &Gpu) -> Caps {
        let caps = gpu.info().caps.clone();
        Caps { max_buffer: self.buffer.unwrap_or(caps.max_buffer), ..caps }
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
