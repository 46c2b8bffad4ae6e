//! The long forms of norms of rows.

use wavelane::graph::{Graph, ValueId};
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::{Norm, Normalize, Op, Reduction};

use crate::{Model, count, optimized};

const N: usize = 24;

/// The graph of an input `[2, 5, N]` after all passes.
fn of(build: impl Fn(&mut Model, ValueId) -> ValueId) -> Graph {
    let mut m = Model::default();
    let x = m.input(&[2, 5, N]);
    let y = build(&mut m, x);
    optimized(m.finish(y), 2e-5)
}

/// The only node, which is a norm.
fn norm(graph: &Graph) -> &Normalize {
    match &graph.nodes[..] {
        [node] => match &node.op {
            Op::Normalize(op) => op,
            _ => panic!("{graph}"),
        },
        _ => panic!("{graph}"),
    }
}

fn is(graph: &Graph, kind: Norm, epsilon: f32, operands: usize) {
    let op = norm(graph);
    assert_eq!((op.kind, graph.nodes[0].inputs.len()), (kind, operands), "{graph}");
    assert!((op.epsilon / epsilon - 1.0).abs() < 1e-4, "{graph}");
}

/// `x - mean`, once.
fn centred(m: &mut Model, x: ValueId) -> ValueId {
    let mean = m.mean(x, 2, N);
    m.binary(O::Sub, x, mean)
}

#[test]
fn layer_norm_as_frameworks_export_it_is_found() {
    let plain = of(|m, x| {
        let d = centred(m, x);
        let square = m.with(O::Pow, d, 2.0);
        let variance = m.mean(square, 2, N);
        let y = m.with(O::Add, variance, 1e-6);
        let root = m.call(F::Sqrt, y);
        let y = m.binary(O::Div, d, root);
        let (gain, bias) = (m.weight(&[N], 1), m.weight(&[N], 2));
        let y = m.binary(O::Mul, y, gain);
        m.binary(O::Add, bias, y)
    });
    is(&plain, Norm::Layer, 1e-6, 3);
}

#[test]
fn layer_norm_with_every_part_spelt_otherwise_is_found() {
    let other = of(|m, x| {
        // The difference twice, squares by products, sums over n, a reciprocal on the left, no gain.
        let sum = m.reduce(Reduction::Sum, x, 2);
        let mean = m.with(O::Div, sum, N as f32);
        let d = m.binary(O::Sub, x, mean);
        let again = m.binary(O::Sub, x, mean);
        let square = m.binary(O::Mul, again, again);
        let sum = m.reduce(Reduction::Sum, square, 2);
        let variance = m.with(O::Div, sum, N as f32);
        let epsilon = m.number(1e-3);
        let y = m.binary(O::Add, epsilon, variance);
        let y = m.call(F::Sqrt, y);
        let share = m.call(F::Reciprocal, y);
        m.binary(O::Mul, share, d)
    });
    is(&other, Norm::Layer, 1e-3, 1);
    let squares = of(|m, x| {
        let d = centred(m, x);
        let sum = m.reduce(Reduction::SumSquares, d, 2);
        let variance = m.with(O::Mul, sum, 1.0 / N as f32);
        let y = m.with(O::Add, variance, 1e-5);
        let y = m.with(O::Pow, y, -0.5);
        m.binary(O::Mul, d, y)
    });
    is(&squares, Norm::Layer, 1e-5, 1);
}

/// The mean of squares less the square of the mean, with dimensions that go and come back; and gain and bias in one line.
fn by_moments(m: &mut Model, x: ValueId) -> ValueId {
    let mean = m.mean(x, 2, N);
    let mean = m.reshape(mean, &[2, 5]);
    let square = m.binary(O::Mul, x, x);
    let squares = m.mean(square, 2, N);
    let squares = m.reshape(squares, &[2, 5]);
    let y = m.binary(O::Mul, mean, mean);
    let y = m.binary(O::Sub, squares, y);
    let zero = m.number(0.0);
    let y = m.binary(O::Max, zero, y);
    let y = m.reshape(y, &[2, 5, 1]);
    let y = m.with(O::Add, y, 1e-6);
    let y = m.call(F::Sqrt, y);
    let share = m.call(F::Reciprocal, y);
    let (gain, bias) = (m.weight(&[N], 1), m.weight(&[N], 2));
    let factor = m.binary(O::Mul, share, gain);
    let mean = m.reshape(mean, &[2, 5, 1]);
    let y = m.binary(O::Mul, mean, factor);
    let term = m.binary(O::Sub, bias, y);
    let y = m.binary(O::Mul, x, factor);
    m.binary(O::Add, y, term)
}

#[test]
fn layer_norm_by_moments_is_found() {
    is(&of(by_moments), Norm::Layer, 1e-6, 3);
}

#[test]
fn what_follows_becomes_the_tail() {
    let followed = of(|m, x| {
        let y = by_moments(m, x);
        let y = m.call(F::Tanh, y);
        m.binary(O::Add, y, x)
    });
    is(&followed, Norm::Layer, 1e-6, 4);
}

#[test]
fn root_mean_square_norm_is_found() {
    let rms = |m: &mut Model, x: ValueId| {
        let square = m.with(O::Pow, x, 2.0);
        let y = m.mean(square, 2, N);
        let y = m.with(O::Add, y, 1e-5);
        m.call(F::Sqrt, y)
    };
    let plain = of(|m, x| {
        let root = rms(m, x);
        let y = m.binary(O::Div, x, root);
        let gain = m.weight(&[N], 1);
        m.binary(O::Mul, gain, y)
    });
    is(&plain, Norm::Rms, 1e-5, 2);
    // Over the root of the sum of squares: the same with another factor.
    let length = of(|m, x| {
        let sum = m.reduce(Reduction::SumSquares, x, 2);
        let y = m.with(O::Add, sum, 1e-4);
        let y = m.call(F::Sqrt, y);
        m.binary(O::Div, x, y)
    });
    is(&length, Norm::Rms, 1e-4 / N as f32, 1);
}

#[test]
fn what_is_nearly_a_norm_stays() {
    let stays = |build: &dyn Fn(&mut Model, ValueId) -> ValueId| {
        let graph = of(build);
        let layer = graph.nodes.iter().any(|n| matches!(&n.op, Op::Normalize(op) if op.kind == Norm::Layer));
        assert!(!layer, "{graph}");
    };
    let finish = |m: &mut Model, d: ValueId, variance: ValueId| {
        let y = m.with(O::Add, variance, 1e-5);
        let y = m.call(F::Sqrt, y);
        m.binary(O::Div, d, y)
    };
    // Along another dimension.
    stays(&|m, x| {
        let mean = m.mean(x, 1, 5);
        let d = m.binary(O::Sub, x, mean);
        let square = m.binary(O::Mul, d, d);
        let variance = m.mean(square, 1, 5);
        finish(m, d, variance)
    });
    // A mean that is none.
    stays(&|m, x| {
        let mean = m.mean(x, 2, N + 1);
        let d = m.binary(O::Sub, x, mean);
        let square = m.binary(O::Mul, d, d);
        let variance = m.mean(square, 2, N);
        finish(m, d, variance)
    });
    // The variance of something else.
    stays(&|m, x| {
        let d = centred(m, x);
        let square = m.call(F::Abs, d);
        let variance = m.mean(square, 2, N);
        finish(m, d, variance)
    });
    // Epsilon outside of the root.
    stays(&|m, x| {
        let d = centred(m, x);
        let square = m.binary(O::Mul, d, d);
        let variance = m.mean(square, 2, N);
        let y = m.call(F::Sqrt, variance);
        let y = m.with(O::Add, y, 1e-5);
        m.binary(O::Div, d, y)
    });
    // Another value is divided.
    stays(&|m, x| {
        let d = centred(m, x);
        let square = m.binary(O::Mul, d, d);
        let variance = m.mean(square, 2, N);
        let w = m.weight(&[N], 4);
        let d = m.binary(O::Add, d, w);
        let d = m.call(F::Tanh, d);
        finish(m, d, variance)
    });
}

#[test]
fn a_norm_whose_gain_fits_no_tail_stays() {
    let graph = of(|m, x| {
        let d = centred(m, x);
        let square = m.binary(O::Mul, d, d);
        let variance = m.mean(square, 2, N);
        let y = m.with(O::Add, variance, 1e-5);
        let y = m.call(F::Sqrt, y);
        let y = m.binary(O::Div, d, y);
        let gain = m.weight(&[5, 1], 4);
        m.binary(O::Mul, y, gain)
    });
    // The elementwise node behind it is one with it and has an operand by row.
    assert!(count(&graph, "Elementwise") > 0, "{graph}");
}
