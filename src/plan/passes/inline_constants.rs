//! Writes constants of one element into the expressions that read them, and simplifies these.

use std::collections::HashMap;

use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::kernel::Expr;
use crate::ops::elementwise::broadcast;
use crate::ops::{Elementwise, Op};
use crate::tensor::Data;

/// Returns the number of nodes whose expressions became simpler.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    let mut changed = 0;
    let outputs = graph.outputs.clone();
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(|id| *id = same.get(id).copied().unwrap_or(*id));
        let Op::Elementwise(op) = &node.op else { continue };
        let Some(expr) = op.plain() else { continue };
        let simple = expr.substitute(&|i| operand(&graph.values, node, i)).simplified();
        let Some(next) = rebuilt(&graph.values, node, &simple) else { continue };
        if next.inputs != node.inputs || next.op != node.op {
            *node = next;
            changed += 1;
        }
        // A node that hands its operand on: its readers read that. A result of the graph keeps its own value.
        let ty = |id: ValueId| &graph.values[id.0].ty;
        let out = node.outputs[0];
        if simple_copy(node) && ty(node.inputs[0]) == ty(out) && !outputs.contains(&out) {
            same.insert(out, node.inputs[0]);
        }
    }
    Ok(changed)
}

fn simple_copy(node: &Node) -> bool {
    matches!(&node.op, Op::Elementwise(op) if op.plain() == Some(&Expr::operand(0))) && node.inputs.len() == 1
}

/// Operand `i` of an elementwise node, by the first place where its value stands among the operands; constants as numbers.
fn operand(values: &[Value], node: &Node, i: u32) -> Expr {
    let id = node.inputs[i as usize];
    let first = node.inputs.iter().position(|o| *o == id).map_or(i, |at| at as u32);
    constant(&values[id.0]).unwrap_or(Expr::operand(first))
}

/// The number that a constant of one element is, within the 32 bits of an expression's integers.
fn constant(value: &Value) -> Option<Expr> {
    let Origin::Weight(weight) = &value.origin else { return None };
    if !matches!(value.ty.dtype, DType::F32 | DType::I64) || weight.shape().iter().any(|d| *d != 1) {
        return None;
    }
    match weight.to_tensor().ok()?.data() {
        Data::F32(v) => v.first().map(|x| Expr::float(*x)),
        Data::I64(v) => v.first().and_then(|n| i32::try_from(*n).ok()).map(Expr::Int),
        _ => None,
    }
}

/// The node with an expression over its operands that may no longer name all of them; `None` where those that it names do not
/// make the shape of its output, or are none.
pub fn rebuilt(values: &[Value], node: &Node, expr: &Expr) -> Option<Node> {
    let mut used = vec![false; node.inputs.len()];
    mark(expr, &mut used);
    let places: Vec<usize> = used.iter().scan(0, |n, u| Some(std::mem::replace(n, *n + usize::from(*u)))).collect();
    let kept: Vec<ValueId> = node.inputs.iter().zip(&used).filter(|(_, u)| **u).map(|(id, _)| *id).collect();
    let shapes: Vec<_> = kept.iter().map(|id| &values[id.0].ty.shape).collect();
    let shape = broadcast("Elementwise", &shapes).ok()?;
    if kept.is_empty() || shape != values[node.outputs[0].0].ty.shape {
        return None;
    }
    let expr = expr.substitute(&|i| Expr::operand(places[i as usize] as u32));
    Some(Node { op: Elementwise::from(expr).into(), inputs: kept, ..node.clone() })
}

fn mark(expr: &Expr, used: &mut [bool]) {
    match expr {
        Expr::Operand(i) => used[*i as usize] = true,
        _ => expr.parts().for_each(|part| mark(part, used)),
    }
}
