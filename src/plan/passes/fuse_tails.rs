//! Fuses an elementwise node into the product that computes one of its operands, where nothing else reads that.

use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Graph, Node, Patch, ValueId};
use crate::kernel::Expr;
use crate::ops::{MatMul, Op, tail};

/// Further operands that a tail may have: together with the operands and planes of a product they stay within the
/// eight storage bindings that every device has.
const MOST_OPERANDS: usize = 3;

/// Returns the number of nodes fused.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let mut fused = 0;
    while let Some(patch) = find(graph) {
        patch.apply(graph);
        fused += 1;
    }
    Ok(fused)
}

fn find(graph: &Graph) -> Option<Patch> {
    let uses = graph.uses();
    let producer = |id: ValueId| graph.nodes.iter().position(|n| n.outputs.contains(&id));
    graph.nodes.iter().enumerate().find_map(|(at, consumer)| {
        let Op::Elementwise(elementwise) = &consumer.op else { return None };
        consumer.inputs.iter().enumerate().find_map(|(i, id)| {
            let from = producer(*id).filter(|_| uses[id.0] == 1)?;
            let Op::MatMul(product) = &graph.nodes[from].op else { return None };
            let shape = |id: &ValueId| &graph.value(*id).ty.shape;
            let out = shape(&consumer.outputs[0]);
            let fits = |id: &ValueId| tail::access(shape(id), out, out.rank() - 1).is_some();
            let float = graph.value(consumer.outputs[0]).ty.dtype == DType::F32;
            if shape(id) != out || !float || !consumer.inputs.iter().all(fits) {
                return None;
            }
            let (tail, others) = compose(product, &graph.nodes[from], &elementwise.expr, consumer, i);
            (others.len() <= MOST_OPERANDS).then(|| {
                let mut inputs = graph.nodes[from].inputs[..2].to_vec();
                inputs.extend(others);
                // The product moves to the consumer's place, where the consumer's other operands are ready.
                let name = format!("{} + {}", graph.nodes[from].name, consumer.name);
                let node = Node { name, op: MatMul { tail }.into(), inputs, outputs: consumer.outputs.clone() };
                Patch { at, node, remove: vec![from] }
            })
        })
    })
}

/// The consumer's expression with its operand `i` replaced by the product's tail, and the operands that it reads.
fn compose(product: &MatMul, node: &Node, expr: &Expr, consumer: &Node, i: usize) -> (Expr, Vec<ValueId>) {
    let mut others: Vec<ValueId> = node.inputs[2..].to_vec();
    let mut number = vec![0; consumer.inputs.len()];
    for (j, id) in consumer.inputs.iter().enumerate().filter(|(j, _)| *j != i) {
        let place = others.iter().position(|o| o == id).unwrap_or_else(|| {
            others.push(*id);
            others.len() - 1
        });
        number[j] = place as u32 + 1;
    }
    let with = |j: u32| if j as usize == i { product.tail.clone() } else { Expr::operand(number[j as usize]) };
    (expr.substitute(&with), others)
}
