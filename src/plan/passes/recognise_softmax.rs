//! Finds softmax of rows, and its logarithm, in reductions and elementwise nodes.

use super::algebra::{Atom, Power, Sum};
use super::rows::{Rows, producers};
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::kernel::expr::Function;
use crate::ops::{Op, Softmax};

/// Returns the number of softmaxes found.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let producers = producers(graph);
    let mut found = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        let Op::Elementwise(op) = &node.op else { continue };
        let candidates = Rows::candidates(graph, &producers, node);
        let log = |x: &ValueId| {
            let rows = Rows::new(graph, &producers, *x).filter(|_| graph.value(*x).ty == graph.value(node.outputs[0]).ty)?;
            Some((*x, of(&rows.expr(op.plain()?, node, 0)?)?))
        };
        if let Some((x, log)) = candidates.iter().find_map(log) {
            let (name, outputs) = (node.name.clone(), node.outputs.clone());
            graph.nodes[at] = Node { name, op: Softmax { log }.into(), inputs: vec![x], outputs };
            found += 1;
        }
    }
    Ok(found)
}

/// Whether `sum` is the softmax of the rows, and if so, whether it is its logarithm. The rows' greatest element is taken away in
/// the exponents as it is in the op: what overflows or comes out as no number is then the same.
fn of(sum: &Sum) -> Option<bool> {
    let less = Sum::atom(Atom::X).plus(&Sum::atom(Atom::Largest), -1.0)?;
    let power: Power = (Atom::Call(Function::Exp, less.clone()), 2);
    let total = Atom::Total(vec![power.clone()]);
    let log = less.plus(&Sum::atom(Atom::Call(Function::Log, Sum::atom(total.clone()))), -1.0)?;
    let alike = |t: &super::algebra::Term, by: f64| sum.0.iter().any(|s| s.by == by && s.is_like(t));
    if sum.0.len() == log.0.len() && log.0.iter().all(|t| alike(t, t.by)) {
        return Some(true);
    }
    match &sum.0[..] {
        [term] if term.by == 1.0 && term.powers.len() == 2 && term.exponent(&power.0) == 2 && term.exponent(&total) == -2 => {
            Some(false)
        }
        _ => None,
    }
}
