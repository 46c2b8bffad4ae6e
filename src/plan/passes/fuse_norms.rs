//! Fuses an RMS norm into the product that alone reads it.

use super::merge;
use crate::error::Result;
use crate::graph::{Graph, Node, Value};
use crate::ops::Op;

/// Returns the number of nodes fused.
pub fn run(graph: &mut Graph) -> Result<usize> {
    Ok(merge::run(graph, fuse))
}

fn fuse(_: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node> {
    let (Op::MatMul(product), Op::RmsNorm(norm)) = (&consumer.op, &producer.op) else { return None };
    let ([x, gain], [_, weight, others @ ..]) = (&producer.inputs[..], &consumer.inputs[..]) else { return None };
    if i != 0 || product.norm.is_some() {
        return None;
    }
    let mut op = product.clone();
    op.norm = Some(norm.clone());
    let inputs = [*x, *weight, *gain].into_iter().chain(others.iter().copied()).collect();
    let name = format!("{} + {}", producer.name, consumer.name);
    Some(Node { name, op: op.into(), inputs, outputs: consumer.outputs.clone() })
}
