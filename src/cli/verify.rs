//! `wavelane verify`: every kernel that could be chosen on this device, against the reference.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use wavelane::gate;
use wavelane::gpu::{Budget, Fill, Gpu, Verdict};
use wavelane::graph::Graph;
use wavelane::kernel::caps::View;
use wavelane::plan;
use wavelane::session::Device;
use wavelane::shape::Symbols;
use wavelane::{Error, Result};

use super::End;
use super::flags::DeviceFlags;
use super::output::{Bar, print, say};

/// Arguments of `verify`.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    device: DeviceFlags,
    /// One case for each kernel that this device is given by default [the default].
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All cases, also of the kernels that would replace others, and with the edges of f16 among the operands.
    #[arg(long)]
    full: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One comparison to make.
struct Task {
    graph: usize,
    view: View,
    fill: Fill,
}

/// What the comparisons of the kernels of one shader showed.
#[derive(Default)]
struct Family {
    cases: usize,
    wrong: usize,
    worst: f64,
    seconds: f64,
}

impl Verify {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let Device::Gpu(gpu) = self.device.open_with(Budget::default())? else {
            return Err(Error::Request("the CPU is the reference: there is nothing to compare it with".into()));
        };
        let graphs = gate::graphs();
        let tasks = if self.full { all(&gpu, &graphs)? } else { fewest(&gpu, &graphs)? };
        if let Some(record) = gpu.record() {
            record.forget_proofs();
        }
        let started = Instant::now();
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut wrong: BTreeMap<String, String> = BTreeMap::new();
        let bar = Bar::new("verifying", false);
        for (done, task) in tasks.iter().enumerate() {
            bar.set(done as u64, tasks.len() as u64);
            let began = Instant::now();
            let verdict = match gpu.verify(&graphs[task.graph], task.view, task.fill) {
                Err(Error::Unsupported(_)) => continue,
                verdict => verdict?,
            };
            let name = family(&verdict);
            let found = families.entry(name).or_default();
            found.cases += 1;
            found.seconds += began.elapsed().as_secs_f64();
            match verdict.outcome {
                Ok(worst) => found.worst = found.worst.max(worst),
                Err(what) => {
                    found.wrong += 1;
                    verdict.kernels.iter().for_each(|kernel| _ = wrong.insert(kernel.name(), what.clone()));
                }
            }
        }
        drop(bar);
        if let Some(record) = gpu.record() {
            record.save();
        }
        self.report(&gpu, &families, &wrong, started.elapsed().as_secs_f64())?;
        Ok(if wrong.is_empty() { End::Done } else { End::Failed })
    }

    fn report(
        &self,
        gpu: &Gpu,
        families: &BTreeMap<String, Family>,
        wrong: &BTreeMap<String, String>,
        seconds: f64,
    ) -> Result<()> {
        let cases: usize = families.values().map(|f| f.cases).sum();
        if self.json {
            let family = |(name, f): (&String, &Family)| json!({ "family": name, "cases": f.cases, "wrong": f.wrong, "worst": f.worst, "seconds": f.seconds });
            let families: Vec<_> = families.iter().map(family).collect();
            let object = json!({
                "device": gpu.info(), "full": self.full, "cases": cases, "seconds": seconds, "families": families, "struck": wrong,
            });
            return print(format_args!("{object}\n"));
        }
        print(format_args!("{:28} {:>6} {:>6} {:>18} {:>8}\n", "family", "cases", "wrong", "worst / tolerance", "s"))?;
        for (name, f) in families {
            print(format_args!("{name:28} {:>6} {:>6} {:>18.3} {:>8.2}\n", f.cases, f.wrong, f.worst, f.seconds))?;
        }
        for (kernel, what) in wrong {
            print(format_args!("struck: {kernel}: {what}\n"))?;
        }
        say(format_args!("{}: {cases} cases in {seconds:.1} s, {} kernels struck", gpu.info().name, wrong.len()));
        Ok(())
    }
}

/// The shader of the last kernel: others before it only prepare.
fn family(verdict: &Verdict) -> String {
    verdict.kernels.last().map_or_else(|| "none".into(), |kernel| kernel.shader.to_string())
}

/// Ops of sums and products, whose errors at the edges of f16 are as bounded as elsewhere. Others have functions that are undefined
/// there, or products of so many factors that they leave the normal numbers on the way.
const EDGED: [&str; 14] = [
    "ArgMax",
    "Attention",
    "BatchMatMul",
    "CacheWrite",
    "Conv",
    "DenseAttention",
    "MatMul",
    "Normalize",
    "Pool",
    "QuantizeRows",
    "RmsNorm",
    "RopeCache",
    "Softmax",
    "TopK",
];

/// Every graph under every view of the device that leads to kernels of its own, with operands of all kinds that suit it.
fn all(gpu: &Gpu, graphs: &[Graph]) -> Result<Vec<Task>> {
    let caps = &gpu.info().caps;
    let mut tasks = Vec::new();
    for (graph, of) in graphs.iter().enumerate() {
        for problem in plan::problems(of, &Symbols::new(), caps)? {
            let fills = if EDGED.contains(&problem.op.name()) { &[Fill::Units, Fill::Edges][..] } else { &[Fill::Units] };
            for (view, _) in problem.candidates(caps) {
                tasks.extend(fills.iter().map(|fill| Task { graph, view, fill: *fill }));
            }
        }
    }
    Ok(tasks)
}

/// For each shader with its providers that the device is given by default, the graph with the fewest operations that has it.
fn fewest(gpu: &Gpu, graphs: &[Graph]) -> Result<Vec<Task>> {
    let caps = &gpu.info().caps;
    let view = caps.views()[0];
    let mut least: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    for (i, graph) in graphs.iter().enumerate() {
        let plan = plan::compile(graph, &Symbols::new(), caps)?;
        let flops = plan.steps.iter().map(|step| step.flops).sum();
        for kernel in plan.dispatches().map(|d| format!("{} {:?}", d.kernel.shader, d.kernel.providers)) {
            let known = least.entry(kernel).or_insert((flops, i));
            *known = (*known).min((flops, i));
        }
    }
    let mut chosen: Vec<usize> = least.into_values().map(|(_, graph)| graph).collect();
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen.into_iter().map(|graph| Task { graph, view, fill: Fill::Units }).collect())
}
