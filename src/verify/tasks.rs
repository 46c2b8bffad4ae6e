//! Which comparisons are made.

use std::collections::BTreeMap;

use super::Untried;
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Fill;
use crate::graph::Graph;
use crate::kernel::caps::View;
use crate::kernel::{Caps, Extremes};
use crate::plan::choices::{FIRST_SCRATCH, Lowered, Problem};
use crate::plan::{self, Plan};
use crate::quant::Format;
use crate::shape::Symbols;

/// Comparisons of one graph with the same operands.
pub struct Task {
    /// Its place among the graphs of the gate.
    pub graph: usize,
    /// What the operands are.
    pub fill: Fill,
    /// The most bytes of a buffer, where a weight is to lie in several.
    pub buffer: Option<u64>,
    /// The views of the device under which it is compared.
    pub views: Vec<View>,
}

/// The cheapest graph so far for each kernel: how little it tells, operations, the graph, the view, bytes of a buffer.
type Cheapest = BTreeMap<(String, Fill), (u32, u64, usize, View, Option<u64>)>;

/// How little a graph tells of its kernels: of rows with one element hardly anything can be wrong, and a single row has no neighbours.
fn poverty(problem: &Problem<'_>) -> u32 {
    let single = problem.inputs.first().is_some_and(|o| o.columns() <= 1);
    let alone = problem.inputs.first().is_some_and(|o| o.len() == o.columns());
    2 * u32::from(single) + u32::from(alone)
}

/// Every graph under every view that leads to kernels of its own. What extreme numbers do, and weights in several bindings, hangs on
/// the kernel and not on the graph: of these each kernel has its cheapest graph. `untried` is told what no kernel can do.
///
/// # Errors
/// Those of [`plan::problems`].
pub fn all(graphs: &[Graph], caps: &Caps, untried: &mut dyn FnMut(Untried)) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let (mut extreme, mut split) = (Cheapest::new(), Cheapest::new());
    for (graph, of) in graphs.iter().enumerate() {
        for problem in plan::problems(of, &Symbols::new(), caps)? {
            let (found, refused) = problem.lowerings(caps);
            for (view, reason) in refused {
                untried(Untried { op: problem.op.name().into(), view: view.to_string(), reason: reason.to_string() });
            }
            for (view, lowered) in &found {
                note_extremes(&mut extreme, &problem, graph, *view, lowered);
                note_split(&mut split, &problem, of, graph, caps, *view);
            }
            let views: Vec<View> = found.into_iter().map(|(view, _)| view).collect();
            if !views.is_empty() {
                tasks.push(Task { graph, fill: Fill::Units, buffer: None, views });
            }
        }
    }
    for cheapest in [extreme, split] {
        let mut views: BTreeMap<(usize, Fill, Option<u64>), Vec<View>> = BTreeMap::new();
        for ((_, fill), (_, _, graph, view, buffer)) in cheapest {
            views.entry((graph, fill, buffer)).or_default().push(view);
        }
        tasks.extend(views.into_iter().map(|((graph, fill, buffer), mut views)| {
            views.sort_unstable();
            views.dedup();
            Task { graph, fill, buffer, views }
        }));
    }
    tasks.sort_by_cached_key(|task| kernel(&graphs[task.graph], &task.caps(caps).seen_as(task.views[0])));
    Ok(tasks)
}

/// The kernel of a graph's result: graphs that share it follow one another, so that it is compiled once and then dropped.
fn kernel(graph: &Graph, caps: &Caps) -> String {
    let plan = plan::compile(graph, &Symbols::new(), caps).ok();
    plan.and_then(|plan| plan.dispatches().last().map(|dispatch| dispatch.kernel.name())).unwrap_or_default()
}

/// Notes a graph for the extreme numbers of which its op promises something.
fn note_extremes(cheapest: &mut Cheapest, problem: &Problem<'_>, graph: usize, view: View, lowered: &Lowered) {
    let extremes = problem.op.rule().extremes();
    // Weights are as they are.
    let floats = |o: &&crate::ops::Operand| o.chunks.is_empty() && matches!(o.dtype, DType::F32 | DType::F16);
    if !problem.inputs.iter().any(|o| floats(&o)) {
        return;
    }
    let fills = [(Fill::Edges, extremes.edges()), (Fill::Odd, extremes.odd())];
    // Of a single row that is spoiled nothing may be left to compare.
    let spoiled = |fill: Fill| fill == Fill::Odd && extremes == Extremes::Apart && poverty(problem) % 2 == 1;
    for (fill, _) in fills.into_iter().filter(|(fill, numbers)| !numbers.is_empty() && !spoiled(*fill)) {
        for dispatch in &lowered.dispatches {
            let found = (poverty(problem), problem.flops(), graph, view, None);
            let known = cheapest.entry((dispatch.kernel.name(), fill)).or_insert(found);
            *known = (*known).min(found);
        }
    }
}

/// Notes a graph for a weight whose parts lie in several bindings.
fn note_split(cheapest: &mut Cheapest, problem: &Problem<'_>, graph: &Graph, index: usize, caps: &Caps, view: View) {
    let compile = |caps: &Caps| plan::compile(graph, &Symbols::new(), caps).ok();
    let Some((buffer, plan)) = split(problem, &caps.seen_as(view), compile) else { return };
    for dispatch in plan.dispatches() {
        let found = (0, problem.flops(), index, view, Some(buffer));
        let known = cheapest.entry((dispatch.kernel.name(), Fill::Units)).or_insert(found);
        *known = (*known).min(found);
    }
}

/// Bytes of a buffer by which a packed weight is cut in about three, and the plan with it; nothing where the node has no such weight,
/// or activations need larger buffers.
fn split(problem: &Problem<'_>, caps: &Caps, compile: impl Fn(&Caps) -> Option<Plan>) -> Option<(u64, Plan)> {
    let weight = problem.inputs.iter().find(|o| !o.chunks.is_empty())?;
    let row = Format::of(weight.dtype)?.plane_bytes(1, weight.columns()).into_iter().max()? as u64;
    let buffer = compile(caps)?.arena_bytes.max(row * weight.rows().div_ceil(3) as u64);
    let plan = compile(&Caps { max_buffer: buffer, ..caps.clone() })?;
    let parts = plan.values.iter().any(|v| matches!(&v.place, plan::Place::Weight { chunks, .. } if chunks.len() > 1));
    parts.then_some((buffer, plan))
}

/// For each shader with its providers that the device is given by default, the graph with the fewest operations that tells about it.
///
/// # Errors
/// Those of [`plan::compile`].
pub fn fewest(graphs: &[Graph], caps: &Caps) -> Result<Vec<Task>> {
    let mut least: BTreeMap<String, (u32, u64, usize)> = BTreeMap::new();
    for (i, graph) in graphs.iter().enumerate() {
        for problem in plan::problems(graph, &Symbols::new(), caps)? {
            let found = (poverty(&problem) / 2, problem.flops(), i);
            for dispatch in problem.lower(caps, caps, FIRST_SCRATCH)?.dispatches {
                let known = least.entry(format!("{} {:?}", dispatch.kernel.shader, dispatch.kernel.providers)).or_insert(found);
                *known = (*known).min(found);
            }
        }
    }
    let mut chosen: Vec<usize> = least.into_values().map(|(.., graph)| graph).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let view = caps.views()[0];
    Ok(chosen.into_iter().map(|graph| Task { graph, fill: Fill::Units, buffer: None, views: vec![view] }).collect())
}
