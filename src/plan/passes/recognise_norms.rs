//! Finds norms of rows in reductions and elementwise nodes: layer norm and root mean square norm, with whatever becomes of them.
//!
//! However they are spelt, both are `gain * (x - mean) / root + rest` with `root^2 = c (mean square) + ...` as sums of products.

use super::algebra::{Atom, Sum, Term};
use super::rows::{Rows, producers};
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::kernel::Expr;
use crate::ops::{Norm, Normalize, Op, tail};

/// How far a factor may be from the formula's, relatively: it is a quotient of rounded numbers.
const NEAR: f64 = 1e-5;
/// Operands beside the rows that fit into the eight storage bindings that every device has.
const MOST_OPERANDS: usize = 6;
/// Functions and operators of a tail at most.
const MOST_WORK: usize = 32;

/// Returns the number of norms found.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let producers = producers(graph);
    let mut found = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        if !matches!(node.op, Op::Elementwise(_)) {
            continue;
        }
        let candidates = Rows::candidates(graph, &producers, node);
        let rows = |x: &ValueId| Rows::new(graph, &producers, *x).map(|rows| (*x, rows));
        let found_here = candidates.iter().filter_map(rows).filter_map(|(x, rows)| normalized(graph, &rows, x, node));
        // A layer norm is also a root mean square norm of what is already centred.
        let layer = |node: &Node| matches!(&node.op, Op::Normalize(op) if op.kind == Norm::Layer);
        if let Some(norm) = found_here.max_by_key(layer) {
            graph.nodes[at] = norm;
            found += 1;
        }
    }
    Ok(found)
}

/// The node as a norm of the rows of `x`.
fn normalized(graph: &Graph, rows: &Rows<'_>, x: ValueId, node: &Node) -> Option<Node> {
    let Op::Elementwise(op) = &node.op else { return None };
    let expr = op.plain()?;
    if graph.value(x).ty != graph.value(node.outputs[0]).ty {
        return None;
    }
    let (part, found) = parts(expr).into_iter().find_map(|e| Some((e, Affine::of(&rows.expr(e, node, 0)?, rows.n)?)))?;
    let mut inputs = vec![x];
    let affine = found.expr(&mut |id| place(&mut inputs, id));
    let tail = replaced(expr, part, &affine, &mut |i| place(&mut inputs, *node.inputs.get(i as usize)?))?;
    let shape = &graph.value(x).ty.shape;
    let fits = |id: &ValueId| tail::access(&graph.value(*id).ty.shape, shape, shape.rank() - 1).is_some();
    if inputs.len() > MOST_OPERANDS + 1 || tail.size() > MOST_WORK || !inputs[1..].iter().all(fits) {
        return None;
    }
    let op = Normalize { kind: found.kind, epsilon: found.epsilon as f32, tail };
    Some(Node { name: node.name.clone(), op: op.into(), inputs, outputs: node.outputs.clone() })
}

/// The place of a value among the operands of a norm, after the rows, which its tail numbers from 1; 0 is the normalised element.
fn place(inputs: &mut Vec<ValueId>, id: ValueId) -> Option<Expr> {
    let at = inputs[1..].iter().position(|o| *o == id).unwrap_or_else(|| {
        inputs.push(id);
        inputs.len() - 2
    });
    Some(Expr::operand(at as u32 + 1))
}

/// The expression and what it is made of, larger ones first.
fn parts(expr: &Expr) -> Vec<&Expr> {
    let mut all = vec![expr];
    let mut at = 0;
    while let Some(next) = all.get(at).copied() {
        all.extend(next.parts());
        at += 1;
    }
    all.retain(|e| e.size() > 0);
    all
}

/// `expr` with `with` in the place of `part`, and operands as `operand` says.
fn replaced(expr: &Expr, part: &Expr, with: &Expr, operand: &mut impl FnMut(u32) -> Option<Expr>) -> Option<Expr> {
    if expr == part {
        return Some(with.clone());
    }
    Some(match expr {
        Expr::Operand(i) => operand(*i)?,
        Expr::Float(_) | Expr::Int(_) => expr.clone(),
        Expr::Call(f, a) => Expr::call(*f, replaced(a, part, with, operand)?),
        Expr::Binary(o, a, b) => Expr::binary(*o, replaced(a, part, with, operand)?, replaced(b, part, with, operand)?),
        Expr::Select(c, a, b) => {
            let mut of = |e| replaced(e, part, with, operand);
            Expr::select(of(c)?, of(a)?, of(b)?)
        }
    })
}

/// `gain * normalised + rest`.
struct Affine {
    kind: Norm,
    epsilon: f64,
    gain: Vec<Term>,
    rest: Vec<Term>,
}

impl Affine {
    /// What `sum` is in terms of a norm of rows of `n` elements.
    fn of(sum: &Sum, n: usize) -> Option<Affine> {
        let n = n as f64;
        let mean = Atom::Total(vec![(Atom::X, 2)]);
        let under = |t: &Term| {
            t.powers.iter().find_map(|(atom, e)| matches!(atom, Atom::Sum(_)).then_some(atom).filter(|_| *e == -1)).cloned()
        };
        let root = sum.0.iter().find_map(under)?;
        let Atom::Sum(square) = &root else { return None };
        let Moments { kind, epsilon, scale } = Moments::of(square, n)?;
        let (over, rest): (Vec<&Term>, Vec<&Term>) = sum.0.iter().partition(|t| t.exponent(&root) == -1);
        let (of_x, of_mean): (Vec<&Term>, Vec<&Term>) = over.into_iter().partition(|t| t.exponent(&Atom::X) == 2);
        let gain: Vec<Term> = of_x.iter().map(|t| (*t).clone().times(&Atom::X, -2).times(&root, 1)).collect();
        // What is taken away is the mean times the same gain.
        let means: Vec<Term> = of_mean.iter().map(|t| (*t).clone().times(&mean, -2).times(&root, 1)).collect();
        let less = |g: &Term| means.iter().any(|m| m.is_like(g) && near(m.by * n, -g.by));
        let balanced = match kind {
            Norm::Layer => means.len() == gain.len() && gain.iter().all(less),
            Norm::Rms => means.is_empty(),
        };
        let plain = |t: &Term| t.powers.iter().all(|(a, e)| matches!(a, Atom::Value(_)) && matches!(e, 2 | 4));
        let rest: Vec<Term> = rest.into_iter().filter(|t| t.by != 0.0).cloned().collect();
        if gain.is_empty() || !balanced || !gain.iter().chain(&rest).all(plain) {
            return None;
        }
        let gain = gain.into_iter().map(|t| Term { by: t.by / scale.sqrt(), ..t }).collect();
        Some(Affine { kind, epsilon, gain, rest })
    }

    /// The tail that makes it of the normalised element, with `operand` for values.
    fn expr(&self, operand: &mut impl FnMut(ValueId) -> Option<Expr>) -> Expr {
        let gain = self.gain.iter().map(|t| product(Expr::operand(0), t, operand)).collect::<Vec<_>>();
        let rest = self.rest.iter().map(|t| product(Expr::float(1.0), t, operand));
        gain.into_iter().chain(rest).reduce(Expr::sum).unwrap_or(Expr::operand(0)).simplified()
    }
}

/// `start` times the term.
fn product(start: Expr, term: &Term, operand: &mut impl FnMut(ValueId) -> Option<Expr>) -> Expr {
    let mut value = if near(term.by, 1.0) { start } else { Expr::product(start, Expr::float(term.by as f32)) };
    for (atom, halves) in &term.powers {
        let Atom::Value(id) = atom else { continue };
        for _ in 0..halves / 2 {
            value = operand(*id).into_iter().fold(value, Expr::product);
        }
    }
    value
}

/// What is under the root: `scale` times the variance or the mean square, and `epsilon`.
struct Moments {
    kind: Norm,
    epsilon: f64,
    scale: f64,
}

impl Moments {
    fn of(sum: &Sum, n: f64) -> Option<Moments> {
        // A variance that is held above 0 is one that rounding has made negative.
        let mut held = Sum::default();
        for t in &sum.0 {
            held = match &t.powers[..] {
                [(Atom::Positive(inner), 2)] => held.plus(inner, t.by)?,
                _ => held.plus(&Sum(vec![t.clone()]), 1.0)?,
            };
        }
        let (mut squares, mut means, mut epsilon) = (0.0, 0.0, 0.0);
        for t in &held.0 {
            match &t.powers[..] {
                [] => epsilon = t.by,
                [(Atom::Total(of), 2)] if of[..] == [(Atom::X, 4)] => squares = t.by * n,
                [(Atom::Total(of), 4)] if of[..] == [(Atom::X, 2)] => means = t.by * n * n,
                _ => return None,
            }
        }
        let kind = match means {
            0.0 => Norm::Rms,
            m if near(m, -squares) => Norm::Layer,
            _ => return None,
        };
        let epsilon = epsilon / squares;
        let sound = squares > 0.0 && epsilon > 0.0 && epsilon.is_finite();
        sound.then_some(Moments { kind, epsilon, scale: squares })
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= NEAR * a.abs().max(b.abs())
}
