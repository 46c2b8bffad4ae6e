//! Fuses chains of elementwise nodes into one: an expression takes the place of the operand that it computes.

use super::merge;
use crate::error::Result;
use crate::graph::{Graph, Node, Value, ValueId};
use crate::kernel::Expr;
use crate::ops::{Elementwise, Op};

/// Operands of one kernel beside its output, within the eight storage bindings that every device has.
pub const MOST_OPERANDS: usize = 7;
/// Functions and operators of one kernel: further ones are cheaper in a kernel of their own than read twice.
pub const MOST_WORK: usize = 48;

/// Returns the number of nodes fused.
pub fn run(graph: &mut Graph) -> Result<usize> {
    Ok(merge::run(graph, fuse))
}

fn fuse(values: &[Value], consumer: &Node, i: usize, producer: &Node) -> Option<Node> {
    let (Op::Elementwise(outer), Op::Elementwise(inner)) = (&consumer.op, &producer.op) else { return None };
    let (outer, inner) = (outer.plain()?, inner.plain()?);
    let shape = |id: ValueId| &values[id.0].ty.shape;
    // A value that is broadcast is computed once, not for every place that it goes to.
    if shape(consumer.inputs[i]) != shape(consumer.outputs[0]) {
        return None;
    }
    let (expr, inputs) = substitute(outer, &consumer.inputs, consumer.inputs[i], inner, &producer.inputs, 0);
    if inputs.len() > MOST_OPERANDS || expr.size() > MOST_WORK {
        return None;
    }
    let name = format!("{} + {}", producer.name, consumer.name);
    Some(Node { name, op: Elementwise::from(expr).into(), inputs, outputs: consumer.outputs.clone() })
}

/// `outer` with `inner` in the place of the operand `value`, and the operands of both without doubles; the first `given` numbers
/// of the operands of `inner` are not operands but values that its kernel hands over, and keep their numbers.
pub fn substitute(
    outer: &Expr,
    outer_inputs: &[ValueId],
    value: ValueId,
    inner: &Expr,
    inner_inputs: &[ValueId],
    given: u32,
) -> (Expr, Vec<ValueId>) {
    let mut inputs: Vec<ValueId> = inner_inputs.to_vec();
    let mut places = Vec::with_capacity(outer_inputs.len());
    for id in outer_inputs {
        let place = inputs.iter().position(|o| o == id);
        places.push(match place {
            _ if *id == value => 0,
            Some(place) => place as u32 + given,
            None => {
                inputs.push(*id);
                inputs.len() as u32 - 1 + given
            }
        });
    }
    let with = |j: u32| match outer_inputs.get(j as usize) {
        Some(id) if *id == value => inner.clone(),
        _ => Expr::operand(places.get(j as usize).copied().unwrap_or(j)),
    };
    (outer.substitute(&with), inputs)
}
