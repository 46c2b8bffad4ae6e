//! Makes a number by which an operand of a batched product is multiplied part of the product's own factor.

use super::merge;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Graph, Node, Value};
use crate::kernel::Expr;
use crate::kernel::expr::Operator;
use crate::ops::Op;

/// Factors between this and its inverse neither overflow nor vanish where the operand did not.
const MOST: f32 = 65536.0;

/// Returns the number of factors moved.
pub fn run(graph: &mut Graph) -> Result<usize> {
    Ok(merge::run(graph, fold))
}

fn fold(values: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node> {
    let (Op::BatchMatMul(product), Op::Elementwise(inner)) = (&consumer.op, &producer.op) else { return None };
    let by = factor(inner.plain()?).filter(|by| (1.0 / MOST..=MOST).contains(&by.abs()))?;
    // The value may not be a further operand as well.
    let once = consumer.inputs.iter().filter(|id| **id == consumer.inputs[i]).count() == 1;
    let float = values[consumer.outputs[0].0].ty.dtype == DType::F32;
    if i > 1 || !once || !float || values[producer.inputs[0].0].ty != values[producer.outputs[0].0].ty {
        return None;
    }
    let mut product = product.clone();
    product.scale *= by;
    let mut inputs = consumer.inputs.clone();
    inputs[i] = producer.inputs[0];
    Some(Node {
        name: format!("{} + {}", producer.name, consumer.name),
        op: product.into(),
        inputs,
        outputs: consumer.outputs.clone(),
    })
}

/// `c` of `c * x`. A zero that is added would only turn -0 into 0, and sums of products begin with 0.
fn factor(expr: &Expr) -> Option<f32> {
    let Expr::Binary(operator, x, by) = expr else { return None };
    let by = by.literal()?.float();
    match (operator, &**x) {
        (Operator::Add | Operator::Sub, scaled) if by == 0.0 => factor(scaled),
        (Operator::Mul, Expr::Operand(0)) => Some(by),
        (Operator::Div, Expr::Operand(0)) => Some(1.0 / by),
        _ => None,
    }
}
