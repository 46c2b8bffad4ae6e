//! Lets batched products, attention and elementwise nodes read their operands through the views before them, without copies. It is the last
//! to look at elementwise nodes: those that read so are fused no further.

use super::merge;
use crate::error::Result;
use crate::graph::{Graph, Node, Value};
use crate::ops::{Op, Strided};
use crate::shape::Dim;

/// Returns the number of views that went.
pub fn run(graph: &mut Graph) -> Result<usize> {
    Ok(merge::run(graph, absorb))
}

fn absorb(values: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node> {
    let id = consumer.inputs[i];
    // One input that is two operands would need two views.
    if consumer.inputs.iter().filter(|other| **other == id).count() != 1 {
        return None;
    }
    let mut op = consumer.op.clone();
    let view = match &mut op {
        Op::BatchMatMul(product) => product.views.get_mut(i)?,
        Op::DenseAttention(attention) => {
            attention.views.resize(consumer.inputs.len(), None);
            attention.views.get_mut(i)?
        }
        Op::Elementwise(elementwise) => {
            elementwise.views.resize(consumer.inputs.len(), None);
            elementwise.views.get_mut(i)?
        }
        _ => return None,
    };
    let shape = values[id.0].ty.shape.0.iter().map(Dim::constant).collect::<Option<Vec<_>>>()?;
    let seen = view.clone().unwrap_or_else(|| Strided::of(&shape));
    let Op::View(copied) = &producer.op else { return None };
    let read = Strided::of_view(copied)?.then(&seen)?;
    // A matrix that is contiguous in neither direction would be read element by element, and again for every tile.
    let again = matches!(consumer.op, Op::BatchMatMul(_)) || matches!(consumer.op, Op::DenseAttention(_)) && i < 3;
    if again && !read.steps.iter().rev().take(2).any(|step| *step == 1) {
        return None;
    }
    *view = Some(read);
    let mut inputs = consumer.inputs.clone();
    inputs[i] = producer.inputs[0];
    let types: Vec<_> = inputs.iter().map(|id| &values[id.0].ty).collect();
    let known: Vec<_> = consumer.outputs.iter().map(|id| &values[id.0].ty).collect();
    let inferred = op.rule().infer(&types).ok()?;
    let name = format!("{} + {}", producer.name, consumer.name);
    (inferred.iter().collect::<Vec<_>>() == known).then(|| Node { name, op, inputs, outputs: consumer.outputs.clone() })
}
