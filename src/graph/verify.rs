//! The rules that every graph keeps, written down once and checked after each pass.

use super::{Graph, Origin};
use crate::error::{Error, Result};

/// Checks that
/// * every node stands after the producers of its operands, so there are no cycles,
/// * every value has one producer and node outputs are marked as such,
/// * the types of outputs are those that the op infers,
/// * no dimension is the constant 0,
/// * inputs and outputs of the graph exist, and there is an output,
/// * a state is updated by at most one node at a time: what reads it after an update reads the updated value.
///
/// # Errors
/// [`Error::Invalid`] naming `stage` and the first rule that is broken.
pub fn verify(graph: &Graph, stage: &str) -> Result<()> {
    let refuse = |what: String| Err(Error::invalid(stage, what));
    if let Some(value) = graph.values.iter().find(|v| v.ty.shape.0.iter().any(|d| d.constant() == Some(0))) {
        return refuse(format!("'{}' is {} and would have no elements", value.name, value.ty));
    }
    let mut ready: Vec<bool> = graph.values.iter().map(|v| !matches!(v.origin, Origin::Node)).collect();
    let mut superseded = vec![false; graph.values.len()];
    for node in &graph.nodes {
        let label = format!("{} '{}'", node.op.name(), node.name);
        for id in &node.inputs {
            match ready.get(id.0) {
                Some(true) if !superseded[id.0] => {}
                Some(true) => return refuse(format!("{label} reads '{}' after its update", graph.value(*id).name)),
                Some(false) => return refuse(format!("{label} reads '{}' before it is computed", graph.value(*id).name)),
                None => return refuse(format!("{label} reads value {}, which does not exist", id.0)),
            }
        }
        let inputs: Vec<_> = node.inputs.iter().map(|id| &graph.value(*id).ty).collect();
        let inferred = node.op.rule().infer(&inputs)?;
        if inferred.len() != node.outputs.len() {
            return refuse(format!("{label} has {} outputs, its op {}", node.outputs.len(), inferred.len()));
        }
        for (id, ty) in node.outputs.iter().zip(&inferred) {
            match graph.values.get(id.0) {
                Some(value) if !matches!(value.origin, Origin::Node) || ready[id.0] => {
                    return refuse(format!("{label} computes '{}', which has another producer", value.name));
                }
                Some(value) if value.ty != *ty => {
                    return refuse(format!("{label} computes {ty}, but '{}' is {}", value.name, value.ty));
                }
                Some(_) => ready[id.0] = true,
                None => return refuse(format!("{label} computes value {}, which does not exist", id.0)),
            }
        }
        for (_, input) in node.op.rule().updates() {
            superseded[node.inputs[*input].0] = true;
        }
    }
    if graph.outputs.is_empty() {
        return refuse("there are no outputs".into());
    }
    for id in graph.inputs.iter().chain(&graph.outputs) {
        if !ready.get(id.0).copied().unwrap_or(false) {
            return refuse(format!("value {} is an input or output of the graph but is never computed", id.0));
        }
    }
    Ok(())
}
