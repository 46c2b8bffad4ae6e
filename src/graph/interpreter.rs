//! Runs a graph on the CPU, node after node, with the reference of each op: the oracle, and the device `cpu`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Graph, Node, Origin, ValueId};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::Input;
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// The states of a graph between runs.
#[derive(Debug, Default)]
pub struct States(BTreeMap<ValueId, Arc<Tensor>>);

impl States {
    /// All states of `graph`, zero.
    ///
    /// # Errors
    /// [`Error::Request`] when a state's shape depends on a symbol.
    pub fn zeros(graph: &Graph) -> Result<Self> {
        let states = graph.values.iter().enumerate().filter(|(_, v)| matches!(v.origin, Origin::State));
        let zero = |(i, v): (usize, &super::Value)| {
            Ok((ValueId(i), Arc::new(Tensor::zeros(v.ty.dtype, &v.ty.shape.resolve(&Symbols::new())?)?)))
        };
        Ok(States(states.map(zero).collect::<Result<_>>()?))
    }
}

/// Runs `graph` once: `inputs` in the order of [`Graph::inputs`], results in the order of [`Graph::outputs`].
///
/// # Errors
/// [`Error::Shape`] when an input has another shape or element type than the graph says under `symbols`; errors of ops.
pub fn run(graph: &Graph, symbols: &Symbols, inputs: Vec<Tensor>, states: &mut States) -> Result<Vec<Tensor>> {
    check_inputs(graph, symbols, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
    let mut values: Vec<Option<Arc<Tensor>>> = vec![None; graph.values.len()];
    graph.inputs.iter().zip(inputs).for_each(|(id, tensor)| values[id.0] = Some(Arc::new(tensor)));
    let lost =
        graph.values.iter().enumerate().find(|(i, v)| matches!(v.origin, Origin::State) && !states.0.contains_key(&ValueId(*i)));
    if let Some((_, value)) = lost {
        return Err(Error::Request(format!("the state '{}' was lost when an earlier run failed", value.name)));
    }
    // A state is moved into the run, so that the node that updates it is its only holder; its updates move it back.
    let mut holder: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for (id, tensor) in std::mem::take(&mut states.0) {
        values[id.0] = Some(tensor);
        holder.insert(id, id);
    }
    let mut uses = graph.uses();
    let result = graph.nodes.iter().try_for_each(|node| run_node(graph, node, &mut values, &mut uses, &mut holder));
    for (state, at) in holder {
        if let Some(tensor) = values[at.0].clone() {
            states.0.insert(state, tensor);
        }
    }
    result?;
    let output = |id: &ValueId| values[id.0].clone().map(Arc::unwrap_or_clone);
    graph.outputs.iter().map(|id| output(id).ok_or_else(|| Error::invalid("run", "an output was not computed"))).collect()
}

/// Refuses inputs, by their element types and shapes, that are not what the graph says.
///
/// # Errors
/// [`Error::Shape`] naming the input.
pub fn check_inputs<'a>(
    graph: &Graph,
    symbols: &Symbols,
    inputs: impl ExactSizeIterator<Item = (DType, &'a [usize])>,
) -> Result<()> {
    if inputs.len() != graph.inputs.len() {
        return Err(Error::shape("run", format!("the graph takes {} inputs, got {}", graph.inputs.len(), inputs.len())));
    }
    for (id, (dtype, shape)) in graph.inputs.iter().zip(inputs) {
        let value = graph.value(*id);
        if dtype != value.ty.dtype || shape != value.ty.shape.resolve(symbols)? {
            let what = format!("input '{}' is {}, got {dtype}{shape:?}", value.name, value.ty);
            return Err(Error::shape("run", what));
        }
    }
    Ok(())
}

fn run_node(
    graph: &Graph,
    node: &Node,
    values: &mut [Option<Arc<Tensor>>],
    uses: &mut [usize],
    holder: &mut BTreeMap<ValueId, ValueId>,
) -> Result<()> {
    let updates = node.op.rule().updates();
    let updated = |id: &ValueId| updates.iter().any(|(_, input)| node.inputs[*input] == *id);
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for id in &node.inputs {
        uses[id.0] -= 1;
        // The last reader takes the value along, and whoever updates a state takes it whatever reads it had.
        let last = uses[id.0] == 0 && !holder.values().any(|at| at == id) || updated(id);
        let tensor = if last { values[id.0].take() } else { values[id.0].clone() };
        inputs.push(match (&graph.value(*id).origin, tensor) {
            (Origin::Weight(weight), _) => Input::Weight(weight.clone()),
            (_, Some(tensor)) => Input::Tensor(tensor),
            (_, None) => return Err(Error::invalid("run", format!("'{}' was not computed", graph.value(*id).name))),
        });
    }
    let outputs = node.op.rule().reference(inputs).map_err(|e| match e {
        Error::Shape { op, what } => Error::Shape { op: format!("{op} '{}'", node.name), what },
        other => other,
    })?;
    for (id, tensor) in node.outputs.iter().zip(outputs) {
        values[id.0] = Some(Arc::new(tensor));
    }
    for (output, input) in updates {
        holder.values_mut().filter(|at| **at == node.inputs[*input]).for_each(|at| *at = node.outputs[*output]);
    }
    Ok(())
}
