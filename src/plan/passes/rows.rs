//! What values are in terms of the rows of one value: the walk that recognisers of norms and softmax share.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::algebra::{Atom, Power, Sum, Term};
use crate::dtype::DType;
use crate::graph::{Graph, Node, ValueId};
use crate::kernel::Expr;
use crate::kernel::expr::{Function as F, Operator as O};
use crate::ops::{Op, Reduce, Reduction};
use crate::shape::{Dim, Shape};

/// Nodes between a value and the rows at most.
const MOST_DEPTH: usize = 12;

/// The node that computes each value.
pub fn producers(graph: &Graph) -> HashMap<ValueId, usize> {
    let of = |(at, node): (usize, &Node)| node.outputs.iter().map(move |id| (*id, at)).collect::<Vec<_>>();
    graph.nodes.iter().enumerate().flat_map(of).collect()
}

/// A graph seen from the rows of `x`, of which the last dimension is a constant.
pub struct Rows<'a> {
    graph: &'a Graph,
    producers: &'a HashMap<ValueId, usize>,
    x: ValueId,
    /// Elements of a row.
    pub n: usize,
    /// What is known of values already.
    known: RefCell<HashMap<ValueId, Option<Sum>>>,
}

impl<'a> Rows<'a> {
    /// `None` where `x` is not f32 or its last dimension is no constant above 1.
    pub fn new(graph: &'a Graph, producers: &'a HashMap<ValueId, usize>, x: ValueId) -> Option<Self> {
        let ty = &graph.value(x).ty;
        let n = ty.shape.columns().filter(|n| *n > 1 && ty.dtype == DType::F32)?;
        Some(Rows { graph, producers, x, n, known: RefCell::default() })
    }

    /// The values of which `id` may be a formula of rows: operands of reductions of rows above it, and what those are made of.
    pub fn candidates(graph: &Graph, producers: &HashMap<ValueId, usize>, node: &Node) -> Vec<ValueId> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut open: Vec<(ValueId, usize)> = node.inputs.iter().map(|id| (*id, 0)).collect();
        while let Some((id, depth)) = open.pop() {
            let Some(above) = producers.get(&id).map(|at| &graph.nodes[*at]) else { continue };
            let reduces = matches!(above.op, Op::Reduce(_));
            if !seen.insert(id) || depth > MOST_DEPTH || !(reduces || matches!(above.op, Op::Elementwise(_) | Op::Reshape(_))) {
                continue;
            }
            open.extend(above.inputs.iter().map(|id| (*id, depth + 1)));
            if reduces && !found.contains(&above.inputs[0]) {
                found.push(above.inputs[0]);
                let shape = |id: &ValueId| &graph.value(*id).ty.shape;
                let inner = producers.get(&above.inputs[0]).map(|at| &graph.nodes[*at]);
                let inner = inner.filter(|node| matches!(node.op, Op::Elementwise(_)));
                let alike = inner.into_iter().flat_map(|n| &n.inputs).filter(|id| shape(id) == shape(&above.inputs[0]));
                found.extend(alike.copied().collect::<Vec<_>>());
            }
        }
        found
    }

    /// The shape of one number for each row.
    fn row_shape(&self) -> Shape {
        let mut shape = self.graph.value(self.x).ty.shape.clone();
        shape.0.iter_mut().next_back().into_iter().for_each(|d| *d = Dim::Const(1));
        shape
    }

    /// The expression of `node`, or a part of it, in terms of the rows.
    pub fn expr(&self, expr: &Expr, node: &Node, depth: usize) -> Option<Sum> {
        let of = |e: &Expr| self.expr(e, node, depth);
        match expr {
            Expr::Operand(i) => {
                let id = *node.inputs.get(*i as usize)?;
                Some(self.value(id, depth).unwrap_or(Sum::atom(Atom::Value(id))))
            }
            Expr::Float(bits) => Some(Sum::number(f32::from_bits(*bits).into())).filter(|_| f32::from_bits(*bits).is_finite()),
            Expr::Int(_) | Expr::Select(..) => None,
            Expr::Call(F::Neg, a) => Sum::default().plus(&of(a)?, -1.0),
            Expr::Call(F::Sqrt, a) => of(a)?.power(1),
            Expr::Call(F::Reciprocal, a) => of(a)?.power(-2),
            Expr::Call(f @ (F::Exp | F::Log), a) => Some(Sum::atom(Atom::Call(*f, of(a)?))),
            Expr::Call(..) => None,
            Expr::Binary(O::Add, a, b) => of(a)?.plus(&of(b)?, 1.0),
            Expr::Binary(O::Sub, a, b) => of(a)?.plus(&of(b)?, -1.0),
            Expr::Binary(O::Mul, a, b) => of(a)?.multiplied(&of(b)?),
            Expr::Binary(O::Div, a, b) => of(a)?.multiplied(&of(b)?.power(-2)?),
            Expr::Binary(O::Pow, a, n) => {
                let halves = of(n)?.literal().map(|n| n * 2.0).filter(|n| n.fract() == 0.0 && n.abs() <= 4.0)?;
                of(a)?.power(halves as i32)
            }
            Expr::Binary(O::Max, a, b) => match (of(a)?, of(b)?) {
                (a, zero) if zero.literal() == Some(0.0) => Some(Sum::atom(Atom::Positive(a))),
                (zero, b) if zero.literal() == Some(0.0) => Some(Sum::atom(Atom::Positive(b))),
                _ => None,
            },
            Expr::Binary(..) => None,
        }
    }

    /// A value in terms of the rows; `None` where it has nothing to do with them, or lies otherwise.
    fn value(&self, id: ValueId, depth: usize) -> Option<Sum> {
        if id == self.x {
            return Some(Sum::atom(Atom::X));
        }
        if let Some(known) = self.known.borrow().get(&id) {
            return known.clone();
        }
        let sum = self.computed(id, depth);
        self.known.borrow_mut().insert(id, sum.clone());
        sum
    }

    fn computed(&self, id: ValueId, depth: usize) -> Option<Sum> {
        let node = &self.graph.nodes[*self.producers.get(&id)?];
        if depth >= MOST_DEPTH {
            return None;
        }
        let sum = match &node.op {
            Op::Elementwise(op) => self.expr(op.plain()?, node, depth + 1)?,
            Op::Reduce(op) => self.reduced(op, node, depth + 1)?,
            Op::Reshape(_) => self.value(node.inputs[0], depth + 1).filter(made_of_rows)?,
            _ => return None,
        };
        self.fits(id, &sum).then_some(sum)
    }

    /// Whether elements of `id` stand where the elements, or the rows, do that `sum` speaks of. Rows may have lost dimensions of 1
    /// as long as nothing else is with them.
    fn fits(&self, id: ValueId, sum: &Sum) -> bool {
        let shape = &self.graph.value(id).ty.shape;
        if *shape == self.graph.value(self.x).ty.shape {
            return true;
        }
        let long = |s: &Shape| s.0.iter().filter(|d| d.constant() != Some(1)).cloned().collect::<Vec<Dim>>();
        let along_rows = sum.0.iter().flat_map(|t| &t.powers).all(|(a, _)| !varies(a));
        along_rows && (*shape == self.row_shape() || made_of_rows(sum) && long(shape) == long(&self.row_shape()))
    }

    /// A reduction of rows.
    fn reduced(&self, op: &Reduce, node: &Node, depth: usize) -> Option<Sum> {
        let shape = &self.graph.value(node.inputs[0]).ty.shape;
        if op.axes != (shape.rank().checked_sub(1)?..shape.rank()) || *shape != self.graph.value(self.x).ty.shape {
            return None;
        }
        let sum = self.value(node.inputs[0], depth)?;
        match op.kind {
            Reduction::Sum => Some(self.total(&sum)),
            Reduction::SumSquares => Some(self.total(&sum.multiplied(&sum)?)),
            Reduction::Max if sum == Sum::atom(Atom::X) => Some(Sum::atom(Atom::Largest)),
            _ => None,
        }
    }

    /// The sum along a row: what does not vary along it stands before the totals of what does.
    fn total(&self, sum: &Sum) -> Sum {
        let term = |t: &Term| {
            let (inner, outer): (Vec<Power>, Vec<Power>) = t.powers.iter().cloned().partition(|(a, _)| varies(a));
            match inner.is_empty() {
                true => Term { by: t.by * self.n as f64, powers: outer },
                false => Term { by: t.by, powers: outer }.times(&Atom::Total(inner), 2),
            }
        };
        let totals = Sum(sum.0.iter().map(term).collect());
        Sum::default().plus(&totals, 1.0).unwrap_or(totals)
    }
}

/// Whether an atom varies along a row, or may do so.
pub fn varies(atom: &Atom) -> bool {
    match atom {
        Atom::X | Atom::Value(_) => true,
        Atom::Largest | Atom::Total(_) => false,
        Atom::Call(_, sum) | Atom::Sum(sum) | Atom::Positive(sum) => sum.0.iter().flat_map(|t| &t.powers).any(|(a, _)| varies(a)),
    }
}

/// Whether a sum speaks of nothing but whole rows.
fn made_of_rows(sum: &Sum) -> bool {
    sum.0.iter().flat_map(|t| &t.powers).all(|(a, _)| !varies(a))
}
