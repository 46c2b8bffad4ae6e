//! Fuses an elementwise node into the product, convolution or normalisation that computes one of its operands.

use super::fuse_elementwise::substitute;
use super::merge;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Graph, Node, Value, ValueId};
use crate::kernel::Expr;
use crate::ops::tail::Frame;
use crate::ops::{ByteMatMul, Op};
use crate::shape::Shape;

/// Functions and operators of a tail at most: it runs in the registers that the sums leave.
const MOST_WORK: usize = 32;

/// Returns the number of nodes fused.
pub fn run(graph: &mut Graph) -> Result<usize> {
    Ok(merge::run(graph, fuse))
}

/// An op's tail: its expression, the op's own operands, where further ones lie, and how many fit into the eight storage bindings
/// that every device has.
fn tail_of<'a>(op: &'a mut Op, own: &[&Shape], out: &Shape) -> Option<(&'a mut Expr, usize, Frame, usize)> {
    let last = || Some(Frame::floats(out.clone(), out.rank().checked_sub(1)?));
    let second = || Frame::floats(out.clone(), 1);
    match op {
        // The packed weight may have three planes, and a norm has its gain.
        Op::MatMul(op) => {
            let own = op.own_operands();
            Some((&mut op.tail, own, last()?, 5 - own))
        }
        Op::BatchMatMul(op) => Some((&mut op.tail, 2, last()?, 5)),
        Op::ByteMatMul(op) => Some((&mut op.tail, 2, ByteMatMul::frame(own.first()?, own.get(1)?).ok()?, 5)),
        Op::Conv(op) => Some((&mut op.tail, 2, second(), 5)),
        Op::ConvTranspose(op) => Some((&mut op.tail, 2, second(), 5)),
        Op::Normalize(op) => Some((&mut op.tail, 1, last()?, 6)),
        _ => None,
    }
}

fn fuse(values: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node> {
    let Op::Elementwise(elementwise) = &consumer.op else { return None };
    let outer = elementwise.plain()?;
    let value = consumer.inputs[i];
    let (from, out) = (&values[value.0].ty, &values[consumer.outputs[0].0].ty);
    // Sums of bytes may become integers again; all other tails are of floats.
    let kinds = matches!(producer.op, Op::ByteMatMul(_)) || from.dtype == DType::F32 && out.dtype == DType::F32;
    if from.shape != out.shape || !kinds {
        return None;
    }
    let mut op = producer.op.clone();
    let given = if let Op::MatMul(op) = &op { op.sums() as u32 } else { 1 };
    let shapes: Vec<&Shape> = producer.inputs.iter().map(|id| &values[id.0].ty.shape).collect();
    let (expr, own, frame, most) = tail_of(&mut op, &shapes, &out.shape)?;
    let fits = |id: &ValueId| frame.access(&values[id.0].ty.shape).is_some();
    if !consumer.inputs.iter().all(fits) {
        return None;
    }
    let (fused, others) = substitute(outer, &consumer.inputs, value, expr, &producer.inputs[own..], given);
    if others.len() > most || fused.size() > MOST_WORK {
        return None;
    }
    *expr = fused;
    let inputs = producer.inputs[..own].iter().copied().chain(others).collect();
    let name = format!("{} + {}", producer.name, consumer.name);
    Some(Node { name, op, inputs, outputs: consumer.outputs.clone() })
}
