//! Makes an elementwise node, a quantisation above all, part of the packing of its integers as bytes.

use super::fuse_elementwise::substitute;
use super::merge;
use crate::error::Result;
use crate::graph::{Graph, Node, Value, ValueId};
use crate::kernel::Expr;
use crate::ops::{Op, PackBytes};

/// Operands beside the one that is packed and the words, within the eight storage bindings that every device has.
const MOST_OTHERS: usize = 6;
/// Functions and operators of a byte at most.
const MOST_WORK: usize = 48;

/// Returns the number of nodes fused.
pub fn run(graph: &mut Graph) -> Result<usize> {
    Ok(merge::run(graph, fuse))
}

fn fuse(values: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node> {
    let (Op::PackBytes(pack), Op::Elementwise(inner), 0) = (&consumer.op, &producer.op, i) else { return None };
    let value = consumer.inputs[0];
    let shape = &values[value.0].ty.shape;
    let (expr, mut inputs) = substitute(&pack.tail, &consumer.inputs, value, inner.plain()?, &producer.inputs, 0);
    // One operand has an element for every byte, and the kernel hands it over.
    let given = inputs.iter().position(|id| values[id.0].ty.shape == *shape)?;
    inputs.swap(0, given);
    let moved = |o: u32| match o as usize {
        0 => Expr::operand(given as u32),
        o if o == given => Expr::operand(0),
        _ => Expr::operand(o),
    };
    let pack = PackBytes { tail: expr.substitute(&moved), axis: pack.axis };
    let frame = pack.frame(&values[inputs[0].0].ty).ok()?;
    let fits = |id: &ValueId| frame.access(&values[id.0].ty.shape).is_some();
    if inputs.len() > MOST_OTHERS + 1 || pack.tail.size() > MOST_WORK || !inputs.iter().all(fits) {
        return None;
    }
    let name = format!("{} + {}", producer.name, consumer.name);
    Some(Node { name, op: pack.into(), inputs, outputs: consumer.outputs.clone() })
}
