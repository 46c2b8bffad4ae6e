//! Merging a node into the only node that reads its value: the walk that fusing passes share.

use std::collections::HashMap;

use crate::graph::{Graph, Node, Value, ValueId};

/// What takes the place of `consumer` when `producer`, whose first output is its input `i`, is merged into it. It stands where
/// the consumer stood and computes the consumer's outputs.
pub type Merge = fn(values: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node>;

/// Merges wherever `merge` can and nobody else reads the value; returns how often.
pub fn run(graph: &mut Graph, merge: Merge) -> usize {
    let mut uses = graph.uses();
    let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    let mut producers: HashMap<ValueId, usize> = HashMap::new();
    let mut merged = 0;
    for at in 0..nodes.len() {
        while let Some((from, node)) = find(&graph.values, &nodes, &producers, &uses, at, merge) {
            let old = [nodes[from].take(), nodes[at].take()];
            old.iter().flatten().flat_map(|n| &n.inputs).for_each(|id| uses[id.0] -= 1);
            node.inputs.iter().for_each(|id| uses[id.0] += 1);
            nodes[at] = Some(node);
            merged += 1;
        }
        if let Some(node) = &nodes[at] {
            producers.extend(node.outputs.iter().map(|id| (*id, at)));
        }
    }
    graph.nodes = nodes.into_iter().flatten().collect();
    merged
}

fn find(
    values: &[Value],
    nodes: &[Option<Node>],
    producers: &HashMap<ValueId, usize>,
    uses: &[usize],
    at: usize,
    merge: Merge,
) -> Option<(usize, Node)> {
    let consumer = nodes[at].as_ref()?;
    consumer.inputs.iter().enumerate().find_map(|(i, id)| {
        let from = *producers.get(id)?;
        let producer = nodes[from].as_ref()?;
        let here = consumer.inputs.iter().filter(|other| *other == id).count();
        let alone = uses[id.0] == here && producer.outputs.iter().all(|o| o == id || uses[o.0] == 0);
        (alone && producer.outputs.first() == Some(id)).then(|| merge(values, consumer, i, producer)).flatten().map(|n| (from, n))
    })
}
