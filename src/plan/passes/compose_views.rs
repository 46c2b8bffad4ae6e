//! Makes one view of several, and none of those that leave all elements where they are.

use std::collections::HashMap;

use super::dead_code;
use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::ops::{Op, Reshape, Strided};
use crate::shape::Dim;

/// Returns the number of nodes that read something earlier now, or are gone.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let composed = compose_all(graph);
    for node in &mut graph.nodes {
        if let Some(op) = in_place(&graph.values, node) {
            node.op = op.into();
        }
    }
    let composed = composed + compose_all(graph) + skip_copies(graph);
    // What nobody reads any more would pass for a second reader of what it reads.
    dead_code::run(graph)?;
    Ok(composed)
}

/// Lets views and reshapes read what the view or reshape before them reads.
fn compose_all(graph: &mut Graph) -> usize {
    let uses = graph.uses();
    let mut composed = 0;
    let mut before: HashMap<ValueId, Node> = HashMap::new();
    for node in &mut graph.nodes {
        while let Some(next) = node.inputs.first().and_then(|id| compose(&graph.values, node, before.get(id)?, uses[id.0] == 1)) {
            *node = next;
            composed += 1;
        }
        if matches!(node.op, Op::View(_) | Op::Reshape(_)) {
            before.insert(node.outputs[0], node.clone());
        }
    }
    composed
}

/// `consumer` on the operand of `producer`, whose value nobody else reads if it is `alone`.
fn compose(values: &[Value], consumer: &Node, producer: &Node, alone: bool) -> Option<Node> {
    let op: Op = match (&consumer.op, &producer.op) {
        (Op::View(outer), Op::View(inner)) => Strided::of_view(inner)?.then(&Strided::of_view(outer)?)?.to_view()?.into(),
        // A view names elements by their places, whatever the shape is.
        (Op::View(outer), Op::Reshape(_)) => outer.clone().into(),
        // Where the view is needed as it is, this would be a second copy.
        (Op::Reshape(outer), Op::View(inner)) if alone => Strided::of_view(inner)?.reshaped(&outer.shape)?.to_view()?.into(),
        (Op::Reshape(outer), Op::Reshape(_)) => outer.clone().into(),
        _ => return None,
    };
    let ty = &values[producer.inputs[0].0].ty;
    op.rule().infer(&[ty]).ok()?;
    let name = format!("{} + {}", producer.name, consumer.name);
    Some(Node { name, op, inputs: producer.inputs.clone(), outputs: consumer.outputs.clone() })
}

/// The reshape that a view is which reads all elements of a computed value in their order.
fn in_place(values: &[Value], node: &Node) -> Option<Reshape> {
    let Op::View(view) = &node.op else { return None };
    let x = &values[node.inputs[0].0];
    let count = x.ty.shape.0.iter().map(Dim::constant).try_fold(1usize, |n, d| n.checked_mul(d?))?;
    // A weight lies where its upload brings it, and nothing else lies there.
    let all = is_all(&Strided::of_view(view)?, count) && !matches!(x.origin, Origin::Weight(_));
    all.then(|| Reshape { shape: view.shape() })
}

fn is_all(read: &Strided, count: usize) -> bool {
    read.start == 0
        && read.shape.iter().product::<usize>() == count
        && read.reshaped(&[count]).is_some_and(|r| count == 1 || r.steps == [1])
}

/// Lets the readers of reshapes that change nothing read what these read.
fn skip_copies(graph: &mut Graph) -> usize {
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    let outputs = graph.outputs.clone();
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(|id| *id = same.get(id).copied().unwrap_or(*id));
        let (from, to) = (node.inputs.first(), node.outputs[0]);
        let alike = |from: &ValueId| graph.values[from.0].ty == graph.values[to.0].ty;
        match from {
            Some(from) if matches!(node.op, Op::Reshape(_)) && alike(from) && !outputs.contains(&to) => {
                same.insert(to, *from);
            }
            _ => {}
        }
    }
    graph.nodes.retain(|node| !same.contains_key(&node.outputs[0]));
    same.len()
}
