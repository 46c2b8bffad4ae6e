//! What will run: a plan is a value that one can print, compare, store and test without a GPU.
//!
//! [`passes::optimize`] rewrites a graph once per model; [`compile`] turns it into a plan for one set of shapes: it
//! lowers every node, cuts weights into row chunks and lays the activations out in one arena. Values keep the indices
//! of the graph, so that all plans of a model share its weights and states.

pub mod choices;
mod dump;
pub mod memory;
pub mod passes;
mod traffic;
mod weights;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::kernel::{Caps, Dispatch, Resource};
use crate::ops::Operand;
use crate::shape::Symbols;
pub use choices::Choices;
use choices::Problem;
pub use traffic::StepWork;

/// What a run is asked for: the shapes, and which of the graph's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// What the graph's symbols stand for.
    pub symbols: Symbols,
    /// Places in [`Graph::outputs`], in the order in which results are wanted.
    pub outputs: Vec<usize>,
}

/// Where a value lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Place {
    /// Nothing reads it.
    Unused,
    /// At a byte offset of the inputs, which one upload brings.
    Input(u64),
    /// At a byte offset of the arena.
    Arena(u64),
    /// In the storage of the state with that value index.
    State(usize),
    /// A weight in the forms that its readers need.
    Weight {
        /// Packed, in chunks of these rows, where some kernel reads it so; else empty.
        chunks: Vec<Range<usize>>,
        /// Also as plain f32, where some kernel reads it so.
        dense: bool,
    },
}

/// A value with its shape resolved and its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanValue {
    /// The graph's name, or that of the node whose scratch it is.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Where it lies.
    pub place: Place,
}

impl PlanValue {
    /// Bytes of the value where it is stored densely.
    pub fn bytes(&self) -> u64 {
        self.dtype.device_bytes(self.shape.iter().product())
    }
}

/// The dispatches of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Index of the graph's node.
    pub node: usize,
    /// The node's name.
    pub name: String,
    /// The op's name.
    pub op: String,
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
    /// Arithmetic operations, at most.
    pub flops: u64,
}

/// What will run for one set of shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the graph's symbols stand for.
    pub symbols: Symbols,
    /// All values, by the graph's indices, and after them the scratch values of single nodes.
    pub values: Vec<PlanValue>,
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// Bytes of the inputs' buffer.
    pub input_bytes: u64,
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Bytes that the arena would take if no two values shared storage.
    pub unshared_bytes: u64,
    /// Values that the caller gets, in the graph's order.
    pub outputs: Vec<usize>,
}

impl Plan {
    /// Dispatches of one run.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.steps.iter().flat_map(|s| &s.dispatches)
    }
}

/// Compiles an optimised graph for the shapes that `symbols` give, on a device with `caps` of which nothing else is known.
///
/// # Errors
/// As [`compile_with`].
pub fn compile(graph: &Graph, symbols: &Symbols, caps: &Caps) -> Result<Plan> {
    compile_with(graph, symbols, caps, &Choices::default())
}

/// Compiles an optimised graph for the shapes that `symbols` give, on a device with `caps`, heeding what was learnt about it.
///
/// # Errors
/// [`Error::Request`] for an unbound symbol; [`Error::Unsupported`] naming the value or node that does not fit the
/// device's limits; [`Error::Check`] for a node of which every kernel gave wrong results.
pub fn compile_with(graph: &Graph, symbols: &Symbols, caps: &Caps, choices: &Choices) -> Result<Plan> {
    let operands = resolve(graph, symbols, caps)?;
    let shares = memory::Shares::of(graph, &operands, caps);
    let mut steps = Vec::with_capacity(graph.nodes.len());
    let mut scratch = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let problem = problem(node, &operands);
        if shares.joined(node) {
            steps.push(Step {
                node: index,
                name: node.name.clone(),
                op: node.op.name().into(),
                dispatches: Vec::new(),
                flops: 0,
            });
            continue;
        }
        let lowered = choices.lower(&problem, caps, operands.len() + scratch.len()).map_err(|e| match e {
            Error::Unsupported(what) => Error::Unsupported(format!("{what}, in {} '{}'", node.op.name(), node.name)),
            Error::Check(what) => Error::Check(format!("{} '{}': {what}", node.op.name(), node.name)),
            other => other,
        })?;
        scratch.extend(lowered.scratch.into_iter().map(|operand| (index, operand)));
        let (name, op, flops) = (node.name.clone(), node.op.name().into(), problem.flops());
        steps.push(Step { node: index, name, op, dispatches: lowered.dispatches, flops });
    }
    let mut values: Vec<PlanValue> = (graph.values.iter().zip(operands))
        .map(|(v, o)| PlanValue { name: v.name.clone(), dtype: v.ty.dtype, shape: o.shape, place: weights::place(v, o.chunks) })
        .collect();
    let users: Vec<usize> = scratch.iter().map(|(node, _)| *node).collect();
    values.extend(scratch.into_iter().map(|(node, o)| {
        let name = format!("{} (scratch)", graph.nodes[node].name);
        PlanValue { name, dtype: o.dtype, shape: o.shape, place: Place::Unused }
    }));
    weights::note_forms(&mut values, &steps);
    check_bindings(&steps, &values, caps)?;
    place_states(graph, &mut values);
    let input_bytes = place_inputs(graph, &mut values, caps)?;
    let outputs: Vec<usize> = graph.outputs.iter().map(|id| id.0).collect();
    let (arena_bytes, unshared_bytes) = memory::place_activations(graph, &mut values, &shares, &users, caps)?;
    Ok(Plan { symbols: symbols.clone(), values, steps, input_bytes, arena_bytes, unshared_bytes, outputs })
}

/// What each node of a graph is lowered from, in the order of a plan's steps.
///
/// # Errors
/// As [`compile_with`].
pub fn problems<'a>(graph: &'a Graph, symbols: &Symbols, caps: &Caps) -> Result<Vec<Problem<'a>>> {
    let operands = resolve(graph, symbols, caps)?;
    Ok(graph.nodes.iter().map(|node| problem(node, &operands)).collect())
}

/// What a node is lowered from.
fn problem<'a>(node: &'a Node, operands: &[Operand]) -> Problem<'a> {
    let pick = |ids: &[ValueId]| ids.iter().map(|id| operands[id.0].clone()).collect();
    Problem { op: &node.op, inputs: pick(&node.inputs), outputs: pick(&node.outputs) }
}

/// Every value's shape under `symbols`, and the chunks of weights.
fn resolve(graph: &Graph, symbols: &Symbols, caps: &Caps) -> Result<Vec<Operand>> {
    let operand = |(value, v): (usize, &crate::graph::Value)| {
        let shape = v.ty.shape.resolve(symbols)?;
        let chunks = match &v.origin {
            Origin::Weight(weight) => weights::chunks(&v.name, weight, caps)?,
            _ => Vec::new(),
        };
        Ok(Operand { value, dtype: v.ty.dtype, shape, chunks })
    };
    graph.values.iter().enumerate().map(operand).collect()
}

/// An update leaves its result in the storage of the state that it updates.
fn place_states(graph: &Graph, values: &mut [PlanValue]) {
    for (i, value) in graph.values.iter().enumerate() {
        if matches!(value.origin, Origin::State) {
            values[i].place = Place::State(i);
        }
    }
    for node in &graph.nodes {
        for (output, input) in node.op.rule().updates() {
            values[node.outputs[*output].0].place = values[node.inputs[*input].0].place.clone();
        }
    }
}

/// Lays the inputs out one after another; returns their bytes.
fn place_inputs(graph: &Graph, values: &mut [PlanValue], caps: &Caps) -> Result<u64> {
    let mut end = 0u64;
    for id in &graph.inputs {
        let offset = end.next_multiple_of(u64::from(caps.storage_align));
        values[id.0].place = Place::Input(offset);
        check_binding(&values[id.0], caps)?;
        end = offset + values[id.0].bytes();
    }
    Ok(end)
}

/// Refuses an op that takes nothing but a weight where it got a computed value, and a weight too large to be bound densely.
fn check_bindings(steps: &[Step], values: &[PlanValue], caps: &Caps) -> Result<()> {
    for step in steps {
        for binding in step.dispatches.iter().flat_map(|d| &d.bindings) {
            let Resource::Value(i) = binding.resource else { continue };
            let value = &values[i];
            let weight = matches!(value.place, Place::Weight { .. });
            if binding.constant && !weight {
                let what = format!("'{}' is computed, {} '{}' takes a weight", value.name, step.op, step.name);
                return Err(Error::Unsupported(what));
            }
            if weight {
                check_binding(&PlanValue { dtype: dense_type(value.dtype), ..value.clone() }, caps)?;
            }
        }
    }
    Ok(())
}

/// The element type of a weight that is bound densely.
pub fn dense_type(dtype: DType) -> DType {
    if dtype == DType::I64 { DType::I64 } else { DType::F32 }
}

/// Refuses a value that no single binding can hold.
fn check_binding(value: &PlanValue, caps: &Caps) -> Result<()> {
    if value.bytes() <= caps.max_binding {
        return Ok(());
    }
    let PlanValue { name, dtype, shape, .. } = value;
    let (bytes, limit) = (value.bytes(), caps.max_binding);
    Err(Error::Unsupported(format!("'{name}' {dtype}{shape:?} takes {bytes} bytes, a binding of this device holds {limit}")))
}

/// Whether a dispatch binds `value` as a whole.
fn binds_value(dispatch: &Dispatch, value: usize) -> bool {
    dispatch.bindings.iter().any(|b| b.resource == Resource::Value(value))
}
