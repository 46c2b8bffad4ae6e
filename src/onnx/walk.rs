//! Walks a model's nodes in order and has each translated, down into branches and loops, until the stage must run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Context;
use super::frames::{Frame, Frames, Kind, Loop, Scan};
use super::ops;
use super::tracer::{Stop, Traced, Tracer};
use super::value::Value;
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::formats::onnx::{Attribute, Graph, Node};
use crate::ops::Concat;
use crate::tensor::Tensor;

/// Most iterations of a loop: each is traced anew.
const MOST_ITERATIONS: usize = 1 << 16;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All results of the model are there, or will be when the stage has run.
    Done,
    /// The stage must run before the walk can go on.
    Stage,
}

/// Walks on from where `frames` stands. `step` is told after each node whether it was a host step.
///
/// # Errors
/// What the translation of a node says, with the node's name.
pub fn walk(frames: &mut Frames, tracer: &mut Tracer) -> Result<End> {
    loop {
        match next(frames, tracer) {
            Ok(None) => {}
            Ok(Some(end)) => return Ok(end),
            Err(Stop::Stage) if tracer.is_empty() => {
                return Err(Error::invalid("trace", format!("{} waits for a stage that has nothing to run", tracer.label())));
            }
            Err(Stop::Stage) => return Ok(End::Stage),
            Err(Stop::Error(e)) => return Err(e),
        }
    }
}

fn next(frames: &mut Frames, tracer: &mut Tracer) -> Traced<Option<End>> {
    let place = frames.place();
    let Some(frame) = frames.0.last() else { return Ok(Some(End::Done)) };
    let graph = frame.graph.clone();
    let Some(node) = graph.nodes.get(frame.next) else {
        if matches!(frame.kind, Kind::Main) {
            return Ok(Some(End::Done));
        }
        tracer.begin(format!("the end of graph '{}'", graph.name), place);
        return finish(frames, tracer).map(|()| None);
    };
    tracer.begin(node.label(), place);
    let input = |name: &String| match name.as_str() {
        "" => Ok(None),
        name => match frames.find(name) {
            Some(value) => Ok(Some(value.clone())),
            None => Err(Stop::Error(Error::shape(node.label(), format!("the operand '{name}' was not passed")))),
        },
    };
    let inputs = node.inputs.iter().map(input).collect::<Traced<Vec<_>>>()?;
    match (node.domain.as_str(), node.op_type.as_str()) {
        ("" | "ai.onnx", "If") => enter_branch(frames, tracer, node, inputs).map(|()| None),
        ("" | "ai.onnx", "Loop") => enter_loop(frames, tracer, node, inputs).map(|()| None),
        ("" | "ai.onnx", "Scan") => enter_scan(frames, tracer, node, inputs).map(|()| None),
        _ => {
            let unknown = || Stop::Error(Error::Unsupported(format!("the operator '{}' of {}", node.op_type, node.label())));
            let translate = ops::find(&node.domain, &node.op_type).ok_or_else(unknown)?;
            let mut cx = Context::new(node, inputs, tracer);
            let values = translate(&mut cx)?;
            let host_step = cx.host_step;
            yield_results(frames, node, values)?;
            Ok(host_step.then_some(End::Stage))
        }
    }
}

/// Gives the results of `node` their names, and goes on to the next node.
fn yield_results(frames: &mut Frames, node: &Node, values: Vec<Value>) -> Traced<()> {
    if let Some(name) = node.outputs.iter().skip(values.len()).find(|name| !name.is_empty()) {
        return Err(Stop::Error(Error::Unsupported(format!("the result '{name}' of {}", node.label()))));
    }
    let Some(frame) = frames.0.last_mut() else { return Ok(()) };
    let named = node.outputs.iter().zip(values).filter(|(name, _)| !name.is_empty());
    frame.scope.extend(named.map(|(name, value)| (name.clone(), value)));
    frame.next += 1;
    Ok(())
}

fn graph(node: &Node, attribute: &str) -> Traced<Arc<Graph>> {
    match node.attributes.get(attribute) {
        Some(Attribute::Graph(graph)) => Ok(graph.clone()),
        _ => Err(Stop::Error(Error::shape(node.label(), format!("there is no graph '{attribute}'")))),
    }
}

/// A graph's own constants.
pub fn initializers(graph: &Graph) -> BTreeMap<String, Value> {
    let constant = |(name, tensor): &(String, crate::formats::onnx::OnnxTensor)| {
        let content = super::value::Content::Known(Arc::new(super::value::Constant::from_file(tensor.clone())));
        (name.clone(), Value::new(tensor.ty(), tensor.shape().to_vec(), content))
    };
    graph.initializers.iter().map(constant).collect()
}

fn truth(tracer: &mut Tracer, value: &Value) -> Traced<bool> {
    let tensor = tracer.host(value)?;
    let first = tensor.as_i64()?.first().copied();
    first.map(|n| n != 0).ok_or_else(|| Stop::Error(Error::shape(tracer.label(), "a condition without elements")))
}

fn operand(node: &Node, inputs: &[Option<Value>], i: usize) -> Traced<Value> {
    let missing = || Stop::Error(Error::shape(node.label(), format!("operand {i} is missing")));
    inputs.get(i).cloned().flatten().ok_or_else(missing)
}

fn enter_branch(frames: &mut Frames, tracer: &mut Tracer, node: &Node, inputs: Vec<Option<Value>>) -> Traced<()> {
    let condition = truth(tracer, &operand(node, &inputs, 0)?)?;
    let graph = graph(node, if condition { "then_branch" } else { "else_branch" })?;
    let scope = initializers(&graph);
    frames.0.push(Frame { graph, next: 0, scope, kind: Kind::Branch });
    Ok(())
}

/// What iterations hand on is not the same in each, even where it began as a constant of the file.
fn passing(value: Value) -> Traced<Value> {
    match value.constant() {
        Some(constant) if constant.lasting => Ok(Value::known(value.ty, constant.tensor()?.as_ref().clone(), false)),
        _ => Ok(value),
    }
}

fn enter_loop(frames: &mut Frames, tracer: &mut Tracer, node: &Node, inputs: Vec<Option<Value>>) -> Traced<()> {
    let graph = graph(node, "body")?;
    let trips = match inputs.first().cloned().flatten() {
        Some(value) => tracer.host(&value)?.as_i64()?.first().copied(),
        None => None,
    };
    let condition = match inputs.get(1).cloned().flatten() {
        Some(value) => truth(tracer, &value)?,
        None => true,
    };
    let carried: Vec<Value> = inputs.into_iter().skip(2).flatten().map(passing).collect::<Traced<_>>()?;
    let scans = graph.outputs.len().checked_sub(carried.len() + 1);
    let scans = scans.filter(|_| graph.inputs.len() == carried.len() + 2);
    let scans = scans.ok_or_else(|| Stop::Error(Error::shape(node.label(), "the body does not go with the operands")))?;
    let state = Loop { trips, iteration: 0, scans: vec![Vec::new(); scans], carried: carried.len() };
    if !condition || trips.is_some_and(|n| n <= 0) {
        return leave_loop(frames, tracer, node, &graph, state, carried);
    }
    let scope = iteration_scope(&graph, &state, carried)?;
    frames.0.push(Frame { graph, next: 0, scope, kind: Kind::Loop(state) });
    Ok(())
}

/// Refuses a loop that goes on and on: every iteration is traced, and its nodes are kept.
fn within(node: &Node, iterations: usize) -> Traced<()> {
    match iterations {
        0..=MOST_ITERATIONS => Ok(()),
        _ => Err(Stop::Error(Error::Unsupported(format!("more than {MOST_ITERATIONS} iterations, in {}", node.label())))),
    }
}

fn iteration_scope(graph: &Graph, state: &Loop, carried: Vec<Value>) -> Traced<BTreeMap<String, Value>> {
    let mut scope = initializers(graph);
    let number = Value::known(ElementType::Int64, Tensor::i64(&[], vec![state.iteration])?, false);
    let go_on = Value::known(ElementType::Bool, Tensor::i64(&[], vec![1])?, false);
    let values = [number, go_on].into_iter().chain(carried);
    scope.extend(graph.inputs.iter().map(|i| i.name.clone()).zip(values));
    Ok(scope)
}

fn leave_loop(
    frames: &mut Frames,
    tracer: &mut Tracer,
    node: &Node,
    graph: &Graph,
    state: Loop,
    carried: Vec<Value>,
) -> Traced<()> {
    let mut results = carried;
    for (i, scan) in state.scans.iter().enumerate() {
        results.push(match scan.first() {
            Some(_) => stack(tracer, scan, 0, false)?,
            None => no_iterations(graph, state.carried + 1 + i)?,
        });
    }
    yield_results(frames, node, results)
}

/// The scan output of a loop that did not run: no rows of what the body says it yields.
fn no_iterations(graph: &Graph, output: usize) -> Traced<Value> {
    use crate::formats::onnx::{Dim, ValueKind};
    let (ty, shape) = match graph.outputs.get(output).map(|o| &o.kind) {
        Some(ValueKind::Tensor { ty, shape }) => (*ty, shape.clone().unwrap_or_default()),
        _ => (ElementType::Float, Vec::new()),
    };
    let dim = |d: Dim| match d {
        Dim::Value(n) => n,
        Dim::Param(_) | Dim::Unknown => 0,
    };
    let shape: Vec<usize> = std::iter::once(0).chain(shape.into_iter().map(dim)).collect();
    let dtype = super::value::graph_type(ty).unwrap_or(crate::dtype::DType::F32);
    Ok(Value::known(ty, Tensor::zeros(dtype, &shape)?, false))
}

/// The values side by side along a new dimension `axis`, the last first where `backwards`.
fn stack(tracer: &mut Tracer, values: &[Value], axis: usize, backwards: bool) -> Traced<Value> {
    let mut rows = Vec::new();
    for value in values {
        let mut shape = value.shape.clone();
        shape.insert(axis.min(shape.len()), 1);
        let row = tracer.apply(crate::ops::Reshape { shape }, &[value], &[value.ty])?;
        rows.extend(row);
    }
    if backwards {
        rows.reverse();
    }
    let mut stacked = tracer.apply(Concat { axis }, &rows.iter().collect::<Vec<_>>(), &[values[0].ty])?;
    stacked.pop().ok_or_else(|| Stop::Error(Error::invalid("trace", "a concatenation without a result")))
}

/// Ends the innermost frame.
fn finish(frames: &mut Frames, tracer: &mut Tracer) -> Traced<()> {
    let Some(frame) = frames.0.last() else { return Ok(()) };
    let result = |name: &String| {
        let missing = || Stop::Error(Error::shape(tracer.label(), format!("the result '{name}' was not computed")));
        frames.find(name).cloned().ok_or_else(missing)
    };
    let results = frame.graph.outputs.iter().map(|o| result(&o.name)).collect::<Traced<Vec<_>>>()?;
    let (graph, kind) = (frame.graph.clone(), frame.kind.clone());
    let below = frames.0.len().checked_sub(2).and_then(|i| frames.0.get(i));
    let Some(node) = below.and_then(|f| f.graph.nodes.get(f.next)).cloned() else { return Ok(()) };
    match kind {
        Kind::Main => Ok(()),
        Kind::Branch => {
            frames.0.pop();
            yield_results(frames, &node, results)
        }
        Kind::Loop(mut state) => {
            let mut results = results.into_iter();
            let condition = match results.next() {
                Some(value) => truth(tracer, &value)?,
                None => false,
            };
            let carried = results.by_ref().take(state.carried).map(passing).collect::<Traced<Vec<_>>>()?;
            state.scans.iter_mut().zip(results).for_each(|(scan, value)| scan.push(value));
            state.iteration += 1;
            within(&node, state.iteration as usize)?;
            frames.0.pop();
            if !condition || state.trips.is_some_and(|n| state.iteration >= n) {
                return leave_loop(frames, tracer, &node, &graph, state, carried);
            }
            let scope = iteration_scope(&graph, &state, carried)?;
            frames.0.push(Frame { graph, next: 0, scope, kind: Kind::Loop(state) });
            Ok(())
        }
        Kind::Scan(mut state) => {
            let states = results.iter().take(state.states).cloned().map(passing).collect::<Traced<Vec<_>>>()?;
            state.scans.iter_mut().zip(results.into_iter().skip(state.states)).for_each(|(scan, value)| scan.push(value));
            state.step += 1;
            frames.0.pop();
            go_on_scanning(frames, tracer, &node, graph, state, states)
        }
    }
}

fn enter_scan(frames: &mut Frames, tracer: &mut Tracer, node: &Node, inputs: Vec<Option<Value>>) -> Traced<()> {
    let refuse = |what: &str| Stop::Error(Error::shape(node.label(), what));
    if node.opset < 9 {
        return Err(Stop::Error(Error::Unsupported(format!("Scan of operator set {}, in {}", node.opset, node.label()))));
    }
    let graph = graph(node, "body")?;
    let list = |name: &str| match node.attributes.get(name) {
        Some(Attribute::Ints(v)) => v.clone(),
        _ => Vec::new(),
    };
    let scanned = match node.attributes.get("num_scan_inputs") {
        Some(Attribute::Int(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
        _ => return Err(refuse("'num_scan_inputs' is missing")),
    };
    let inputs: Vec<Value> = inputs.into_iter().flatten().collect();
    let states = inputs.len().checked_sub(scanned).filter(|_| graph.inputs.len() == inputs.len() && scanned > 0);
    let states = states.ok_or_else(|| refuse("the body does not go with the operands"))?;
    let outputs = graph.outputs.len().checked_sub(states).ok_or_else(|| refuse("the body has too few results"))?;
    let (axes, backwards) = (list("scan_input_axes"), list("scan_input_directions"));
    let mut walked = Vec::new();
    for (i, value) in inputs[states..].iter().enumerate() {
        let axis = axes.get(i).copied().unwrap_or(0);
        let axis = if axis < 0 { axis + value.rank() as i64 } else { axis };
        let axis =
            usize::try_from(axis).ok().filter(|a| *a < value.rank()).ok_or_else(|| refuse("a scan axis does not exist"))?;
        walked.push((value.clone(), axis, backwards.get(i).is_some_and(|d| *d != 0)));
    }
    let length = walked.iter().map(|(v, axis, _)| v.shape[*axis]).min().unwrap_or(0);
    within(node, length)?;
    let (axes, backwards) = (list("scan_output_axes"), list("scan_output_directions"));
    let outputs: Vec<(i64, bool)> =
        (0..outputs).map(|i| (axes.get(i).copied().unwrap_or(0), backwards.get(i).is_some_and(|d| *d != 0))).collect();
    let state = Scan { length, step: 0, inputs: walked, scans: vec![Vec::new(); outputs.len()], outputs, states };
    let first = inputs[..states].iter().cloned().map(passing).collect::<Traced<Vec<_>>>()?;
    go_on_scanning(frames, tracer, node, graph, state, first)
}

fn go_on_scanning(
    frames: &mut Frames,
    tracer: &mut Tracer,
    node: &Node,
    graph: Arc<Graph>,
    state: Scan,
    states: Vec<Value>,
) -> Traced<()> {
    if state.step == state.length {
        let mut results = states;
        for (i, (scan, (axis, backwards))) in state.scans.iter().zip(&state.outputs).enumerate() {
            results.push(match scan.first() {
                Some(first) => {
                    let rank = first.rank() as i64 + 1;
                    let at = usize::try_from(if *axis < 0 { axis + rank } else { *axis }).ok().filter(|a| (*a as i64) < rank);
                    let refuse =
                        || Stop::Error(Error::shape(node.label(), format!("the scan axis {axis} of a result does not exist")));
                    stack(tracer, scan, at.ok_or_else(refuse)?, *backwards)?
                }
                None => no_iterations(&graph, state.states + i)?,
            });
        }
        return yield_results(frames, node, results);
    }
    let mut scope = initializers(&graph);
    let mut values = states;
    for (value, axis, backwards) in &state.inputs {
        let at = if *backwards { value.shape[*axis] - 1 - state.step } else { state.step };
        let mut view = crate::ops::View::of(&value.shape);
        (view.axes[*axis].start, view.axes[*axis].len) = (at as i64, 1);
        let row = tracer.apply(view, &[value], &[value.ty])?;
        let mut shape = value.shape.clone();
        shape.remove(*axis);
        for row in &row {
            values.extend(tracer.apply(crate::ops::Reshape { shape: shape.clone() }, &[row], &[value.ty])?);
        }
    }
    scope.extend(graph.inputs.iter().map(|i| i.name.clone()).zip(values));
    frames.0.push(Frame { graph, next: 0, scope, kind: Kind::Scan(state) });
    Ok(())
}
