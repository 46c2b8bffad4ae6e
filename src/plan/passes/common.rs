//! Computes once what several nodes compute alike.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Graph, ValueId};

/// Returns the number of nodes whose readers now read another's outputs.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    let mut known: HashMap<(String, Vec<ValueId>), Vec<ValueId>> = HashMap::new();
    let mut found = 0;
    let outputs = graph.outputs.clone();
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(|id| *id = same.get(id).copied().unwrap_or(*id));
        // A result of the graph keeps its own value, and an update of a state is an effect.
        if !node.op.rule().updates().is_empty() || node.outputs.iter().any(|id| outputs.contains(id)) {
            continue;
        }
        match known.get(&(node.op.to_string(), node.inputs.clone())) {
            Some(others) => {
                same.extend(node.outputs.iter().copied().zip(others.iter().copied()));
                found += 1;
            }
            None => {
                known.insert((node.op.to_string(), node.inputs.clone()), node.outputs.clone());
            }
        }
    }
    Ok(found)
}
