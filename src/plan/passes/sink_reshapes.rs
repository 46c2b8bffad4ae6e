//! Moves reshapes behind the elementwise nodes that read them, so that these can be fused into what computes the elements.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::ops::{Op, Reshape};
use crate::shape::{Dim, TensorType};

/// Returns the number of reshapes moved.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let uses = graph.uses();
    let mut made = Made { producers: HashMap::new(), nodes: Vec::new() };
    let mut moved = 0;
    for node in std::mem::take(&mut graph.nodes) {
        match made.reshaped(&graph.values, &uses, &node) {
            Some((i, from)) => {
                made.sink(&mut graph.values, node, i, from);
                moved += 1;
            }
            None => made.push(node),
        }
    }
    graph.nodes = made.nodes;
    Ok(moved)
}

/// The nodes so far, and the one that computes each value.
struct Made {
    producers: HashMap<ValueId, usize>,
    nodes: Vec<Node>,
}

impl Made {
    fn push(&mut self, node: Node) {
        self.producers.extend(node.outputs.iter().map(|id| (*id, self.nodes.len())));
        self.nodes.push(node);
    }

    fn producer(&self, id: ValueId) -> Option<&Node> {
        self.producers.get(&id).map(|at| &self.nodes[*at])
    }

    /// The operand of an elementwise node that is a reshape which can go behind it, and what it is a reshape of.
    fn reshaped(&self, values: &[Value], uses: &[usize], node: &Node) -> Option<(usize, ValueId)> {
        let Op::Elementwise(op) = &node.op else { return None };
        op.plain()?;
        let to = dims(values, node.outputs[0])?;
        node.inputs.iter().enumerate().find_map(|(i, id)| {
            let reshape = self.producer(*id).filter(|n| matches!(n.op, Op::Reshape(_)))?;
            let x = reshape.inputs[0];
            let (from, own) = (dims(values, x)?, dims(values, *id)?);
            // Values made here have one reader.
            let alone = [*id, x].iter().all(|v| uses.get(v.0).is_none_or(|n| *n == 1));
            let others = || node.inputs.iter().filter(|o| *o != id);
            let goes = |o: &ValueId| dims(values, *o).and_then(|o| like(&o, &to, &from)).is_some();
            (alone && own == to && self.fuses(x) && others().all(goes)).then_some((i, x))
        })
    }

    /// Whether the node that computes `id` takes an elementwise node in.
    fn fuses(&self, id: ValueId) -> bool {
        let of = |op: &Op| {
            matches!(
                op,
                Op::MatMul(_)
                    | Op::BatchMatMul(_)
                    | Op::ByteMatMul(_)
                    | Op::Conv(_)
                    | Op::ConvTranspose(_)
                    | Op::Normalize(_)
                    | Op::Elementwise(_)
            )
        };
        self.producer(id).is_some_and(|node| of(&node.op))
    }

    /// Adds the node on what operand `i` is a reshape of, and the reshape behind it.
    fn sink(&mut self, values: &mut Vec<Value>, node: Node, i: usize, x: ValueId) {
        let (Some(to), Some(from)) = (dims(values, node.outputs[0]), dims(values, x)) else { return };
        let mut inputs = node.inputs.clone();
        inputs[i] = x;
        for (o, id) in inputs.iter_mut().enumerate().filter(|(o, _)| *o != i) {
            let shape = dims(values, *id).and_then(|own| Some((like(&own, &to, &from)?, own)));
            let Some((shape, _)) = shape.filter(|(shape, own)| shape != own) else { continue };
            let name = format!("{} operand {o}", node.name);
            *id = self.with_shape(values, *id, shape, name);
        }
        let dtype = values[node.outputs[0].0].ty.dtype;
        values.push(Value { name: node.name.clone(), ty: TensorType::new(dtype, &from[..]), origin: Origin::Node });
        let inner = ValueId(values.len() - 1);
        let name = node.name.clone();
        self.push(Node { name: node.name, op: node.op, inputs, outputs: vec![inner] });
        self.push(Node { name, op: Reshape { shape: to }.into(), inputs: vec![inner], outputs: node.outputs });
    }

    /// The same elements under another shape.
    fn with_shape(&mut self, values: &mut Vec<Value>, id: ValueId, shape: Vec<usize>, name: String) -> ValueId {
        // What is a reshape of that shape already is read directly.
        let under = self.producer(id).filter(|n| matches!(n.op, Op::Reshape(_))).map(|n| n.inputs[0]);
        if let Some(x) = under.filter(|x| dims(values, *x).as_ref() == Some(&shape)) {
            return x;
        }
        let ty = TensorType::new(values[id.0].ty.dtype, &shape[..]);
        let weight = match &values[id.0].origin {
            Origin::Weight(weight) => weight.reshaped(&shape).ok(),
            _ => None,
        };
        values.push(Value { name: name.clone(), ty, origin: weight.map_or(Origin::Node, Origin::Weight) });
        let made = ValueId(values.len() - 1);
        if matches!(values[made.0].origin, Origin::Node) {
            self.push(Node { name, op: Reshape { shape }.into(), inputs: vec![id], outputs: vec![made] });
        }
        made
    }
}

fn dims(values: &[Value], id: ValueId) -> Option<Vec<usize>> {
    values[id.0].ty.shape.0.iter().map(Dim::constant).collect()
}

/// The shape under which an operand of shape `own` goes with the elements of a tensor of shape `from` as it does with their reshape
/// to `to`: as many elements, one, or its own where `from` and `to` differ in dimensions of 1 alone.
fn like(own: &[usize], to: &[usize], from: &[usize]) -> Option<Vec<usize>> {
    if own == to {
        return Some(from.to_vec());
    }
    if own.iter().all(|d| *d == 1) {
        return Some(vec![1; own.len().min(from.len())]);
    }
    // Trailing dimensions that are the same for both.
    let core: Vec<usize> = own.iter().copied().skip_while(|d| *d == 1).collect();
    if core.len() <= from.len() && from.ends_with(to.get(to.len().checked_sub(core.len())?..)?) {
        return Some(core);
    }
    let long = |shape: &[usize]| shape.iter().copied().filter(|d| *d != 1).collect::<Vec<_>>();
    if long(from) != long(to) {
        return None;
    }
    let skipped = to.len() - own.len();
    let mut kept = to.iter().enumerate().filter(|(_, n)| **n != 1).map(|(d, _)| d.checked_sub(skipped).map_or(1, |d| own[d]));
    Some(from.iter().map(|n| if *n == 1 { 1 } else { kept.next().unwrap_or(1) }).collect())
}
