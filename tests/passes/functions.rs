//! The long forms of activations.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use wavelane::graph::{Graph, ValueId};
use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::Op;

use crate::{Model, optimized};

/// The graph of one input after all passes, which leave one node.
fn of(build: impl Fn(&mut Model, ValueId) -> ValueId) -> (Graph, Expr) {
    let mut m = Model::default();
    let x = m.input(&[4, 33]);
    let y = build(&mut m, x);
    let after = optimized(m.finish(y), 1e-5);
    let Op::Elementwise(op) = &after.nodes[0].op else { panic!("{after}") };
    let expr = op.expr.clone();
    (after, expr)
}

fn check(function: F, build: impl Fn(&mut Model, ValueId) -> ValueId) {
    let (after, expr) = of(build);
    assert_eq!(expr, Expr::call(function, Expr::operand(0)), "{after}");
}

fn erf_gate(m: &mut Model, x: ValueId, by: f32) -> ValueId {
    let y = m.with(O::Mul, x, by);
    let y = m.call(F::Erf, y);
    m.with(O::Add, y, 1.0)
}

fn tanh_gate(m: &mut Model, x: ValueId, cube: f32) -> ValueId {
    let y = m.with(O::Pow, x, 3.0);
    let y = m.with(O::Mul, y, cube);
    let y = m.binary(O::Add, x, y);
    let y = m.with(O::Mul, y, 0.797_884_6);
    let y = m.call(F::Tanh, y);
    m.with(O::Add, y, 1.0)
}

#[test]
fn gelu_is_found_in_its_spellings() {
    // x / sqrt 2, erf, + 1, * x, * 0.5.
    check(F::Gelu, |m, x| {
        let y = m.with(O::Div, x, SQRT_2);
        let y = m.call(F::Erf, y);
        let y = m.with(O::Add, y, 1.0);
        let y = m.binary(O::Mul, x, y);
        m.with(O::Mul, y, 0.5)
    });
    // (0.5 x) (1 + erf).
    check(F::Gelu, |m, x| {
        let gate = erf_gate(m, x, FRAC_1_SQRT_2);
        let half = m.with(O::Mul, x, 0.5);
        m.binary(O::Mul, gate, half)
    });
    // x (0.5 + 0.5 erf).
    check(F::Gelu, |m, x| {
        let y = m.with(O::Mul, x, 0.707_106_77);
        let y = m.call(F::Erf, y);
        let y = m.with(O::Mul, y, 0.5);
        let y = m.with(O::Add, y, 0.5);
        m.binary(O::Mul, y, x)
    });
}

#[test]
fn gelu_by_tanh_is_found_in_its_spellings() {
    check(F::GeluTanh, |m, x| {
        let gate = tanh_gate(m, x, 0.044715);
        let y = m.binary(O::Mul, x, gate);
        m.with(O::Mul, y, 0.5)
    });
    // x (0.7978 + 0.0356 x^2), by products.
    check(F::GeluTanh, |m, x| {
        let y = m.binary(O::Mul, x, x);
        let y = m.with(O::Mul, y, 0.035_677_41);
        let y = m.with(O::Add, y, 0.797_884_6);
        let y = m.binary(O::Mul, y, x);
        let y = m.call(F::Tanh, y);
        let y = m.with(O::Add, y, 1.0);
        let half = m.with(O::Mul, x, 0.5);
        m.binary(O::Mul, half, y)
    });
    // x sigmoid(2 ..).
    check(F::GeluTanh, |m, x| {
        let y = m.with(O::Pow, x, 3.0);
        let y = m.with(O::Mul, y, 0.044715);
        let y = m.binary(O::Add, x, y);
        let y = m.with(O::Mul, y, 1.595_769);
        let y = m.call(F::Sigmoid, y);
        m.binary(O::Mul, x, y)
    });
}

#[test]
fn silu_and_sigmoid_are_found() {
    check(F::Silu, |m, x| {
        let y = m.call(F::Sigmoid, x);
        m.binary(O::Mul, y, x)
    });
    check(F::Silu, |m, x| {
        let y = m.call(F::Neg, x);
        let y = m.call(F::Exp, y);
        let y = m.with(O::Add, y, 1.0);
        m.binary(O::Div, x, y)
    });
    check(F::Sigmoid, |m, x| {
        let y = m.with(O::Mul, x, -1.0);
        let y = m.call(F::Exp, y);
        let one = m.number(1.0);
        let y = m.binary(O::Add, one, y);
        m.binary(O::Div, one, y)
    });
}

#[test]
fn a_gate_of_a_computed_value_is_found() {
    // The scale is part of the argument, and another factor follows.
    let (after, expr) = of(|m, x| {
        let scale = m.weight(&[33], 5);
        let u = m.binary(O::Mul, x, scale);
        let gate = erf_gate(m, u, FRAC_1_SQRT_2);
        let y = m.binary(O::Mul, gate, u);
        let y = m.with(O::Mul, y, 0.5);
        m.binary(O::Mul, y, x)
    });
    let gelu = Expr::call(F::Gelu, Expr::product(Expr::operand(0), Expr::operand(1)));
    assert_eq!(expr, Expr::product(gelu, Expr::operand(0)), "{after}");
}

#[test]
fn what_is_nearly_an_activation_stays() {
    let long = |build: &dyn Fn(&mut Model, ValueId) -> ValueId| {
        let (after, expr) = of(build);
        assert!(!format!("{expr:?}").contains("lu"), "{after}");
    };
    // Another slope, other operands, another sum.
    long(&|m, x| {
        let gate = erf_gate(m, x, 0.7);
        let y = m.binary(O::Mul, x, gate);
        m.with(O::Mul, y, 0.5)
    });
    long(&|m, x| {
        let gate = tanh_gate(m, x, 0.05);
        m.binary(O::Mul, x, gate)
    });
    long(&|m, x| {
        let y = m.with(O::Mul, x, 1.702);
        let y = m.call(F::Sigmoid, y);
        m.binary(O::Mul, x, y)
    });
    long(&|m, x| {
        let y = m.call(F::Sigmoid, x);
        let w = m.weight(&[33], 3);
        m.binary(O::Mul, w, y)
    });
    long(&|m, x| {
        let gate = erf_gate(m, x, FRAC_1_SQRT_2);
        let gate = m.with(O::Add, gate, 0.5);
        m.binary(O::Mul, x, gate)
    });
}
