//! Removes nodes that neither an output nor a state depends on.

use crate::error::Result;
use crate::graph::Graph;

/// Returns the number of nodes removed.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let mut needed = vec![false; graph.values.len()];
    graph.outputs.iter().for_each(|id| needed[id.0] = true);
    let mut keep = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        // Updating a state is an effect: a later run may read it.
        keep[i] = !node.op.rule().updates().is_empty() || node.outputs.iter().any(|id| needed[id.0]);
        if keep[i] {
            node.inputs.iter().for_each(|id| needed[id.0] = true);
        }
    }
    let before = graph.nodes.len();
    let mut kept = keep.into_iter();
    graph.nodes.retain(|_| kept.next().unwrap_or(true));
    Ok(before - graph.nodes.len())
}
