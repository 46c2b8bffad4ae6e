//! The long forms of softmax.

use wavelane::graph::{Graph, ValueId};
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::{Op, Reduction};

use crate::{Model, count, optimized};

fn of(build: impl Fn(&mut Model, ValueId) -> ValueId) -> Graph {
    let mut m = Model::default();
    let x = m.input(&[2, 3, 17]);
    let y = build(&mut m, x);
    optimized(m.finish(y), 1e-5)
}

fn exponents(m: &mut Model, x: ValueId, axis: usize) -> ValueId {
    let largest = m.reduce(Reduction::Max, x, axis);
    m.binary(O::Sub, x, largest)
}

fn is_softmax(graph: &Graph, log: bool) -> bool {
    matches!(&graph.nodes[..], [node] if matches!(&node.op, Op::Softmax(op) if op.log == log))
}

#[test]
fn softmax_is_found() {
    let plain = of(|m, x| {
        let less = exponents(m, x, 2);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::Sum, e, 2);
        m.binary(O::Div, e, sum)
    });
    assert!(is_softmax(&plain, false), "{plain}");
    // The greatest is held above minus infinity, the quotient is a product, dimensions are dropped and come back.
    let other = of(|m, x| {
        let largest = m.reduce(Reduction::Max, x, 2);
        let largest = m.reshape(largest, &[2, 3]);
        let low = m.number(f32::NEG_INFINITY);
        let largest = m.binary(O::Max, low, largest);
        let largest = m.reshape(largest, &[2, 3, 1]);
        let less = m.binary(O::Sub, x, largest);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::Sum, e, 2);
        let sum = m.reshape(sum, &[2, 3]);
        let sum = m.reshape(sum, &[2, 3, 1]);
        let share = m.call(F::Reciprocal, sum);
        m.binary(O::Mul, share, e)
    });
    assert!(is_softmax(&other, false), "{other}");
}

#[test]
fn its_logarithm_is_found() {
    let log = of(|m, x| {
        let less = exponents(m, x, 2);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::Sum, e, 2);
        let log = m.call(F::Log, sum);
        m.binary(O::Sub, less, log)
    });
    assert!(is_softmax(&log, true), "{log}");
}

#[test]
fn what_is_nearly_softmax_stays() {
    let stays = |graph: Graph| assert_eq!(count(&graph, "Softmax"), 0, "{graph}");
    // Along another dimension.
    stays(of(|m, x| {
        let less = exponents(m, x, 1);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::Sum, e, 1);
        m.binary(O::Div, e, sum)
    }));
    // The greatest along another dimension, which may be less than elements of the row.
    stays(of(|m, x| {
        let less = exponents(m, x, 1);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::Sum, e, 2);
        m.binary(O::Div, e, sum)
    }));
    // Nothing taken away: it may overflow.
    stays(of(|m, x| {
        let e = m.call(F::Exp, x);
        let sum = m.reduce(Reduction::Sum, e, 2);
        m.binary(O::Div, e, sum)
    }));
    // The sum of something else, and one more.
    stays(of(|m, x| {
        let less = exponents(m, x, 2);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::SumSquares, e, 2);
        m.binary(O::Div, e, sum)
    }));
    stays(of(|m, x| {
        let less = exponents(m, x, 2);
        let e = m.call(F::Exp, less);
        let sum = m.reduce(Reduction::Sum, e, 2);
        let sum = m.with(O::Add, sum, 1.0);
        m.binary(O::Div, e, sum)
    }));
}
