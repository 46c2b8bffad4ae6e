//! Elementwise expressions.

use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function, Kind, Operator};
use wavelane::ops::{Elementwise, Strided};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input};

#[test]
fn expressions_match_the_reference() {
    let ops = [Elementwise::add(), Elementwise::gated(Function::Silu), Elementwise::gated(Function::GeluTanh)];
    let mut cases = Vec::new();
    for op in ops {
        for shape in [&[1][..], &[63], &[65, 3], &[2, 7, 31]] {
            cases.push(Case::new(format!("{op:?} {shape:?}"), op.clone(), vec![input(shape, 1), input(shape, 2)]));
        }
    }
    check(&cases);
}

#[test]
fn gates_stay_finite_at_the_edges() {
    // Where e^x over- and underflows, and around zero.
    let edges = vec![-1e30, -200.0, -88.8, -20.0, -1e-20, -0.0, 0.0, 1e-20, 0.5, 11.0, 88.8, 200.0, 1e4];
    let n = edges.len();
    let gate = Operand::Input(Tensor::f32(&[n], edges).unwrap());
    let up = Operand::Input(Tensor::f32(&[n], vec![1.0; n]).unwrap());
    let case = |f| Case::new(format!("{f:?} at the edges"), Elementwise::gated(f), vec![gate.clone(), up.clone()]);
    check(&[case(Function::Silu), case(Function::GeluTanh)]);
}

#[test]
fn long_lines_fold_into_two_grid_dimensions() {
    // By elements, and by quads.
    let case = |n: usize| Case::new(format!("folded grid of {n}"), Elementwise::add(), vec![input(&[n], 3), input(&[n], 4)]);
    check_with(&[case(1001), case(2000)], |c| c.max_grid = 7);
}

/// Numbers of every size and sign, and what is no number.
fn floats() -> Vec<f32> {
    let sizes = [0.0, 1e-30, 1e-8, 0.001, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 7.25, 11.0, 30.0, 88.0, 1e4];
    let both = sizes.iter().flat_map(|x| [*x, -*x]);
    both.chain((0..100).map(|i| i as f32 * 0.0731 - 3.6)).collect()
}

fn integers() -> Vec<i64> {
    (-9..10).chain([31, 32, 100, -100, 255, 65535, -65536, 46340, 1 << 30, i32::MAX.into(), i32::MIN.into()]).collect()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> Operand {
    Operand::Input(Tensor::f32(shape, values).unwrap())
}

fn int_tensor(values: Vec<i64>, shape: &[usize]) -> Operand {
    Operand::Input(Tensor::i64(shape, values).unwrap())
}

/// The arguments at which a function is defined by more than one driver's habit.
fn domain(function: Function) -> fn(f32) -> bool {
    match function {
        Function::Log | Function::Sqrt => |x| x > 0.0,
        Function::Asin | Function::Acos => |x| x.abs() <= 1.0,
        Function::Atanh => |x| x.abs() < 0.99,
        Function::Acosh => |x| x >= 1.0,
        Function::Reciprocal => |x| x.abs() > 1e-20,
        Function::Exp | Function::Sinh | Function::Cosh => |x| x.abs() < 80.0,
        // Beyond a few turns f32 does not know the angle; near the poles not the tangent.
        Function::Sin | Function::Cos => |x| x.abs() < 100.0,
        Function::Tan => |x| x.abs() < 1.4,
        _ => |_| true,
    }
}

#[test]
fn every_function_matches_the_reference() {
    let mut cases = Vec::new();
    for function in Function::ALL {
        if function.kind(Kind::Float).is_some() {
            let mut values: Vec<f32> = floats().into_iter().filter(|x| domain(function)(*x)).collect();
            if matches!(function, Function::IsNan | Function::IsInf | Function::BitsOfFloat) {
                values.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
            }
            let n = values.len();
            cases.push(Case::new(format!("{function:?} of floats"), Elementwise::unary(function), vec![tensor(values, &[n])]));
        }
        if function.kind(Kind::Int).is_some() {
            let values = match function {
                Function::FloatOfBits => vec![0, 0x3f80_0000, 0x4049_0fdb, -0x4080_0000],
                // Negative numbers are others on the host, though their bits are the same.
                Function::ToU32 => integers().into_iter().filter(|n| *n >= 0).collect(),
                _ => integers().into_iter().filter(|n| *n != i64::from(i32::MIN)).collect(),
            };
            let n = values.len();
            cases.push(Case::new(
                format!("{function:?} of integers"),
                Elementwise::unary(function),
                vec![int_tensor(values, &[n])],
            ));
        }
    }
    check(&cases);
}

#[test]
fn every_operator_matches_the_reference() {
    let mut cases = Vec::new();
    let small: Vec<f32> = floats().into_iter().filter(|x| x.abs() < 100.0 && x.abs() > 1e-3).collect();
    let few: Vec<i64> = integers().into_iter().filter(|n| n.abs() <= 100).collect();
    for operator in Operator::ALL {
        if operator.kind(Kind::Float).is_some() {
            let a: Vec<f32> = if operator == Operator::Pow { small.iter().map(|x| x.abs()).collect() } else { small.clone() };
            let b: Vec<f32> = vec![-2.0, -0.5, 0.25, 1.0, 3.0];
            // Where a quotient is nearly whole, the remainder jumps.
            let a: Vec<f32> =
                if matches!(operator, Operator::Mod | Operator::Rem) { a.iter().map(|x| x.trunc() + 0.1).collect() } else { a };
            let n = a.len();
            let operands = vec![tensor(a, &[n, 1]), tensor(b, &[5])];
            cases.push(Case::new(format!("{operator:?} of floats"), Elementwise::binary(operator), operands));
        }
        if operator.kind(Kind::Int).is_some() {
            let b = vec![-31, -3, -1, 0, 1, 2, 5, 35];
            let a = if operator == Operator::Pow { vec![-3, -2, -1, 0, 1, 2, 3] } else { few.clone() };
            let b: Vec<i64> = if operator == Operator::Pow { vec![0, 1, 2, 5, -1, -2, 9, 3] } else { b };
            // What overflows 32 bits differs from the host's 64 by design.
            let shift = matches!(operator, Operator::ShiftLeft);
            let (a, b) = if shift { (vec![0, 1, 5, 7], vec![0, 1, 2, 3, 8, 24, 27, 28]) } else { (a, b) };
            let n = a.len();
            let operands = vec![int_tensor(a, &[n, 1]), int_tensor(b, &[8])];
            cases.push(Case::new(format!("{operator:?} of integers"), Elementwise::binary(operator), operands));
        }
    }
    check(&cases);
}

/// Multiples of four are taken by quads: one, a run's end within an invocation's share, more than 16 workgroups of runs.
#[test]
fn quads_and_eights_match_the_reference() {
    let sum = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(0));
    let mut cases = Vec::new();
    for n in [4, 8, 12, 256, 260, 4096 * 4, 4099 * 4, 4099 * 8, 9001 * 4] {
        for other in [&[n][..], &[1]] {
            let operands = vec![input(&[n], 1), input(other, 2)];
            cases.push(Case::new(format!("quads of {n} and {other:?}"), Elementwise::from(sum.clone()), operands));
        }
    }
    let ints = |n: usize| int_tensor((0..n as i64).map(|i| i * 7919 % 1000 - 500).collect(), &[n]);
    cases.push(Case::new("quads of integers", Elementwise::from(sum.clone()), vec![ints(20), ints(20)]));
    cases.push(Case::new("eights of integers", Elementwise::from(sum), vec![ints(40), ints(40)]));
    check(&cases);
    check_with(&cases, |c| c.long = false);
}

#[test]
fn operands_are_broadcast() {
    let expr = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    let shapes: [[&[usize]; 3]; 7] = [
        [&[3, 5], &[5], &[1]],
        [&[3, 1], &[1, 5], &[3, 5]],
        [&[2, 3, 5, 7], &[3, 1, 1], &[2, 1, 5, 1]],
        [&[7], &[2, 1, 3, 1], &[]],
        [&[1], &[1, 1], &[]],
        [&[2, 1, 2, 1, 2, 1, 2], &[3, 1, 3, 1, 3, 1], &[1]],
        [&[130, 65], &[130, 1], &[65]],
    ];
    let case = |s: [&[usize]; 3]| {
        Case::new(format!("{s:?}"), Elementwise::from(expr.clone()), vec![input(s[0], 1), input(s[1], 2), input(s[2], 3)])
    };
    check(&shapes.map(case));
}

#[test]
fn selections_read_truth_values() {
    let less = Expr::binary(Operator::Less, Expr::operand(0), Expr::float(0.25));
    let expr = Expr::select(less, Expr::call(Function::ToFloat, Expr::operand(1)), Expr::float(f32::INFINITY));
    let operands = vec![input(&[61], 5), int_tensor((0..61).collect(), &[61])];
    check(&[Case::new("select", Elementwise::from(expr), operands)]);
}

#[test]
fn quotients_are_rounded_correctly() {
    // Mantissas of all kinds, and quotients on both sides of powers of two; then what has no exact quotient: signs, zeros,
    // infinities, and exponents at both ends.
    let mantissas = [1.0f32, 1.5, 1.999_999_9, 1.000_000_1, 1.333_333_4, 1.1, 1.777, 1.249_999_9, 3e5 / 262_144.0];
    let mut rng = mantissas.to_vec();
    rng.extend((0..40u32).map(|i| f32::from_bits(0x3f80_0000 | (i.wrapping_mul(0x9e37_79b9) >> 9))));
    let a: Vec<f32> = rng.iter().enumerate().map(|(i, m)| m * 2f32.powi(i as i32 % 60 - 30) * [1.0, -1.0][i % 2]).collect();
    let b: Vec<f32> = rng.iter().rev().map(|m| m * 0.003_9).chain([1.0, 255.0, -3.0, 2f32.powi(30)]).collect();
    let (n, m) = (a.len(), b.len());
    let case = |a, b, shapes: [usize; 2]| {
        Case::new("quotients", Elementwise::binary(Operator::Quotient), vec![tensor(a, &[shapes[0], 1]), tensor(b, &[shapes[1]])])
    };
    let ends = vec![0.0, 1e-30, 1e30, -1e30];
    check(&[case(a, b, [n, m]), case(ends, vec![2.0, -0.5, 1e30], [4, 3])]);
}

#[test]
fn operands_are_read_through_views() {
    let view = |shape: &[usize], start, steps: &[usize]| Some(Strided { shape: shape.to_vec(), start, steps: steps.to_vec() });
    let expr = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    let views = [
        // A transpose, a slice that begins later, one element.
        [view(&[5, 3], 0, &[1, 5]), view(&[5, 3], 4, &[7, 1]), view(&[], 11, &[])],
        // Broadcast along a dimension that is there, and one that is not; every second.
        [view(&[5, 3], 2, &[0, 1]), view(&[3], 30, &[2]), None],
        [view(&[67, 2, 3], 1, &[6, 3, 1]), view(&[2, 1], 5, &[4, 1]), view(&[67, 1, 3], 0, &[1, 9, 67])],
    ];
    let case = |views: [Option<Strided>; 3]| {
        let last = if views[2].is_none() { input(&[5, 1], 3) } else { input(&[201], 3) };
        let op = Elementwise { expr: expr.clone(), views: views.to_vec() };
        Case::new(format!("{views:?}"), op, vec![input(&[403], 1), input(&[40], 2), last])
    };
    check(&views.map(case));
}
