//! Reductions and what else works along a dimension.

use std::collections::BTreeSet;
use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::kernel::Expr;
use wavelane::kernel::expr::Function;
use wavelane::ops::{ArgReduce, Cumulative, Input, Norm, Normalize, Op, Reduce, Reduction, Softmax, TopElements};
use wavelane::shape::TensorType;
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input, vector};
use crate::random::Numbers;

/// Shapes with one dimension to work along: few and many columns, apart and side by side, short, odd and long.
const SHAPES: [(&[usize], usize); 12] = [
    (&[1], 0),
    (&[7], 0),
    (&[4099], 0),
    (&[3, 2], 1),
    (&[67, 65], 1),
    (&[300, 257], 1),
    (&[2, 5, 3], 1),
    (&[1, 1031, 3], 1),
    (&[2, 31, 65], 1),
    (&[1, 3, 130], 1),
    (&[33, 2, 33], 2),
    (&[129, 4, 5], 0),
];

/// Integers in -`most` ..= `most`.
fn integers(shape: &[usize], most: u64, seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let values = (0..shape.iter().product()).map(|_| numbers.below(2 * most + 1) as i64 - most as i64).collect();
    Operand::Input(Tensor::i64(shape, values).unwrap())
}

fn ints(shape: &[usize], values: &[i64]) -> Operand {
    Operand::Input(Tensor::i64(shape, values.to_vec()).unwrap())
}

/// Floats with ties, zeros of both signs, infinities and NaN.
fn awkward(shape: &[usize], seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-42, 0.25];
    let mut value = || match numbers.below(10) {
        0 => special[numbers.below(7) as usize],
        1..5 => (numbers.below(9) as f32 - 4.0) * 0.5,
        _ => numbers.unit(),
    };
    let values = (0..shape.iter().product()).map(|_| value()).collect();
    Operand::Input(Tensor::f32(shape, values).unwrap())
}

fn floats(shape: &[usize], values: Vec<f32>) -> Operand {
    Operand::Input(Tensor::f32(shape, values).unwrap())
}

/// What the reference makes of `x`.
fn reference(op: impl Into<Op>, x: Tensor) -> Vec<Tensor> {
    op.into().rule().reference(vec![Input::Tensor(Arc::new(x))]).unwrap()
}

#[test]
fn reductions_match_the_reference() {
    let mut cases = Vec::new();
    for kind in Reduction::ALL {
        let mut case = |name: &str, axes, x| cases.push(Case::new(format!("{kind:?} {name}"), Reduce { kind, axes }, vec![x]));
        for (shape, axis) in SHAPES {
            case(&format!("of {shape:?} along {axis}"), axis..axis + 1, input(shape, 1));
        }
        case("of all", 0..3, input(&[5, 7, 11], 2));
        case("of none", 1..1, input(&[5, 7], 3));
        case("of a scalar", 0..0, input(&[], 4));
        case("of a constant", 0..1, vector(70, 8));
        case("of two dimensions", 1..3, input(&[2, 3, 5, 7], 5));
        case("of integers in rows", 1..2, integers(&[3, 70], if kind == Reduction::Product { 1 } else { 1000 }, 6));
        case("of integers side by side", 0..1, integers(&[9, 70], if kind == Reduction::Product { 5 } else { 1000 }, 7));
    }
    check(&cases);
    check_with(&cases[..12], |c| c.max_grid = 7);
}

#[test]
fn the_greatest_and_the_least_are_exact() {
    let mut cases = Vec::new();
    for kind in [Reduction::Max, Reduction::Min] {
        let reduce = |axes| Reduce { kind, axes };
        cases.push(Case::new("rows", reduce(1..2), vec![awkward(&[65, 40], 1)]));
        cases.push(Case::new("side by side", reduce(0..1), vec![awkward(&[6, 99], 2)]));
        cases.push(Case::new("one NaN", reduce(0..1), vec![floats(&[4], vec![1.0, f32::NAN, -3.0, 2.0])]));
        cases.push(Case::new("a negative NaN", reduce(0..1), vec![floats(&[2], vec![-f32::NAN, -3.0])]));
        let ends = ints(&[4], &[i32::MIN.into(), i32::MAX.into(), 0, -1]);
        cases.push(Case::new("ends", reduce(0..1), vec![ends]));
    }
    check(&cases);
}

#[test]
fn a_long_sum_does_not_drift() {
    let ones = Tensor::f32(&[1 << 25], vec![1.0; 1 << 25]).unwrap();
    let sum = reference(Reduce { kind: Reduction::Sum, axes: 0..1 }, ones);
    assert_eq!(sum[0].as_f32().unwrap(), [33554432.0]);
}

/// llvmpipe leaves loops, without a word, after 65535 iterations of an invocation.
#[test]
fn long_lines_are_not_cut_short() {
    let near_one = |n, seed| Numbers::new(seed).units(n).iter().map(|v| 1.0 + 0.5 * v).collect();
    let sum = Reduce { kind: Reduction::Sum, axes: 0..1 };
    let running = Cumulative { kind: Reduction::Sum, axis: 0, exclusive: false, reverse: false };
    let mut increasing: Vec<f32> = (0..1_000_000).map(|i| i as f32).collect();
    increasing[999_990] = 1e9;
    let increasing = floats(&[1_000_000], increasing);
    let cases = [
        Case::new("sum of one line", sum.clone(), vec![floats(&[1 << 20], near_one(1 << 20, 8))]),
        Case::new("sum of lines side by side", sum, vec![floats(&[70_000, 9], near_one(630_000, 9))]),
        Case::new("running", running, vec![floats(&[300_000], near_one(300_000, 10))]),
        Case::new("place", ArgReduce { largest: true, last: false, axis: 0 }, vec![increasing.clone()]),
        Case::new("top", TopElements { k: 20, axis: 0, largest: true }, vec![increasing]),
        Case::new("softmax", Softmax { log: true }, vec![floats(&[300_000], near_one(300_000, 11))]),
    ];
    check(&cases);
}

#[test]
fn nothing_reduces_to_the_total_of_nothing() {
    let all = |kind, shape: &[usize], axes| {
        let x = Tensor::f32(shape, Vec::new()).unwrap();
        reference(Reduce { kind, axes }, x)[0].as_f32().unwrap().to_vec()
    };
    assert_eq!(all(Reduction::Sum, &[2, 0], 1..2), [0.0, 0.0]);
    assert_eq!(all(Reduction::Product, &[2, 0], 1..2), [1.0, 1.0]);
    assert_eq!(all(Reduction::Max, &[1, 0], 1..2), [f32::NEG_INFINITY]);
    assert_eq!(all(Reduction::Sum, &[0, 3], 1..2), [0.0; 0]);
    assert_eq!(all(Reduction::Sum, &[3, 0], 0..1), [0.0; 0]);
}

#[test]
fn places_of_the_greatest_and_the_least_are_exact() {
    let mut cases = Vec::new();
    for (largest, last) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut case = |name: String, axis, x| cases.push(Case::new(name, ArgReduce { largest, last, axis }, vec![x]));
        for (shape, axis) in SHAPES {
            case(format!("largest {largest} last {last} of {shape:?} along {axis}"), axis, awkward(shape, 1));
        }
        case("equals".into(), 0, floats(&[200], vec![2.5; 200]));
        case("NaN".into(), 1, floats(&[1, 70], vec![f32::NAN; 70]));
        case("integers".into(), 1, integers(&[5, 70], 9, 2));
        case("ends of integers".into(), 0, ints(&[5], &[0, i32::MAX.into(), i32::MIN.into(), i32::MAX.into(), i32::MIN.into()]));
    }
    check(&cases);
    check_with(&cases[..12], |c| c.max_grid = 7);
}

#[test]
fn a_nan_is_ahead_of_numbers_and_equals_are_told_apart() {
    let index = |largest, last, values: &[f32]| {
        let op = ArgReduce { largest, last, axis: 0 };
        reference(op, Tensor::f32(&[values.len()], values.to_vec()).unwrap())[0].as_i64().unwrap()[0]
    };
    let nan = f32::NAN;
    for (largest, last, place) in [(true, false, 1), (true, true, 2), (false, false, 1), (false, true, 2)] {
        assert_eq!(index(largest, last, &[1.0, nan, nan, f32::INFINITY]), place);
    }
    assert_eq!(index(true, false, &[1.0, 3.0, 0.0, 3.0]), 1);
    assert_eq!(index(true, true, &[1.0, 3.0, 0.0, 3.0]), 3);
    assert_eq!(index(false, false, &[0.0, 3.0, -0.0, 3.0]), 0);
    assert_eq!(index(false, true, &[0.0, 3.0, -0.0, 3.0]), 2);
}

#[test]
fn running_totals_match_the_reference() {
    let mut cases = Vec::new();
    for (exclusive, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut case = |kind, axis, x| {
            let op = Cumulative { kind, axis, exclusive, reverse };
            cases.push(Case::new(format!("{op:?}"), op, vec![x]));
        };
        for (shape, axis) in SHAPES {
            case(Reduction::Sum, axis, input(shape, 1));
        }
        let defined = |kind: &Reduction| !exclusive || !matches!(kind, Reduction::Max | Reduction::Min);
        for kind in Reduction::ALL.into_iter().filter(defined) {
            let most = if kind == Reduction::Product { 1 } else { 1000 };
            case(kind, 0, input(&[71], 2));
            case(kind, 1, input(&[2, 9, 40], 3));
            case(kind, 1, integers(&[3, 300], most, 4));
            case(kind, 0, integers(&[9, 70], most, 5));
        }
        if defined(&Reduction::Max) {
            case(Reduction::Max, 1, awkward(&[3, 300], 6));
        }
    }
    check(&cases);
    check_with(&cases[..12], |c| c.max_grid = 7);
}

#[test]
fn running_totals_are_those_of_numpy() {
    let of = |exclusive, reverse| {
        let op = Cumulative { kind: Reduction::Sum, axis: 1, exclusive, reverse };
        reference(op, Tensor::i64(&[2, 3], vec![1, 2, 3, 4, 5, 6]).unwrap())[0].as_i64().unwrap().to_vec()
    };
    assert_eq!(of(false, false), [1, 3, 6, 4, 9, 15]);
    assert_eq!(of(true, false), [0, 1, 3, 0, 4, 9]);
    assert_eq!(of(false, true), [6, 5, 3, 15, 11, 6]);
    assert_eq!(of(true, true), [5, 3, 0, 11, 6, 0]);
    let empty = Tensor::f32(&[2, 0], Vec::new()).unwrap();
    let op = Cumulative { kind: Reduction::Sum, axis: 1, exclusive: true, reverse: false };
    assert!(reference(op, empty)[0].is_empty());
}

#[test]
fn top_elements_come_in_order() {
    let mut cases = Vec::new();
    for largest in [true, false] {
        let mut case = |k, axis, x| {
            let op = TopElements { k, axis, largest };
            cases.push(Case::new(format!("{op:?}"), op, vec![x]));
        };
        for (shape, axis) in SHAPES {
            for k in BTreeSet::from([1, shape[axis].min(3), shape[axis]]) {
                case(k, axis, awkward(shape, 1));
            }
        }
        // Workgroup memory ends between these two.
        case(1024, 0, awkward(&[3000], 2));
        case(1025, 0, awkward(&[3000], 2));
        case(1500, 1, awkward(&[2, 2000, 3], 3));
        case(9, 0, floats(&[200], vec![2.5; 200]));
        case(70, 1, integers(&[5, 70], 9, 4));
        case(1300, 0, integers(&[1300, 2], i32::MAX as u64, 5));
        case(5, 0, ints(&[5], &[0, i32::MAX.into(), i32::MIN.into(), i32::MAX.into(), i32::MIN.into()]));
    }
    check(&cases);
}

#[test]
fn a_long_line_is_sorted() {
    let case = |n| Case::new(format!("{n}"), TopElements { k: n, axis: 0, largest: false }, vec![awkward(&[n], 6)]);
    check(&[case(16384), case(70_000)]);
}

#[test]
fn sorted_lines_have_nan_at_the_great_end() {
    let of = |k, largest| {
        let op = TopElements { k, axis: 0, largest };
        let found = reference(op, Tensor::f32(&[4], vec![2.0, f32::NAN, 2.0, -1.0]).unwrap());
        found[1].as_i64().unwrap().to_vec()
    };
    assert_eq!(of(4, true), [1, 0, 2, 3]);
    assert_eq!(of(4, false), [3, 0, 2, 1]);
    assert_eq!(of(2, true), [1, 0]);
    assert_eq!(of(0, true), [0i64; 0]);
}

#[test]
fn impossible_dimensions_are_refused() {
    let ty = |shape: &[usize]| TensorType::new(DType::F32, shape);
    let refused = |op: Op, shape: &[usize]| {
        let error = op.rule().infer(&[&ty(shape)]).unwrap_err().to_string();
        assert!(error.contains(op.name()) && error.contains("f32["), "{error}");
    };
    let cumulative = |axis| Cumulative { kind: Reduction::Sum, axis, exclusive: false, reverse: false };
    refused(Reduce { kind: Reduction::Sum, axes: 1..3 }.into(), &[2, 3]);
    #[allow(clippy::reversed_empty_ranges)]
    refused(Reduce { kind: Reduction::Sum, axes: 2..1 }.into(), &[2, 3]);
    refused(ArgReduce { largest: true, last: false, axis: 2 }.into(), &[2, 3]);
    refused(ArgReduce { largest: true, last: false, axis: 1 }.into(), &[2, 0]);
    refused(cumulative(0).into(), &[]);
    refused(Cumulative { kind: Reduction::Max, exclusive: true, ..cumulative(0) }.into(), &[3]);
    refused(TopElements { k: 4, axis: 1, largest: true }.into(), &[9, 3]);
    refused(TopElements { k: 1, axis: 2, largest: true }.into(), &[9, 3]);
}

#[test]
fn normalised_rows_match_the_reference() {
    let operand = Expr::operand;
    let affine = Expr::sum(Expr::product(operand(0), operand(1)), operand(2));
    let residual = Expr::sum(Expr::call(Function::Silu, operand(0)), operand(1));
    let mut cases = Vec::new();
    for kind in [Norm::Layer, Norm::Rms] {
        let norm = |tail: &Expr| Normalize { kind, epsilon: 1e-5, tail: tail.clone() };
        for shape in [&[1][..], &[2], &[3, 31], &[2, 64], &[2, 3, 65], &[1, 257], &[7, 576], &[2, 4099]] {
            let n = shape[shape.len() - 1];
            let x = input(shape, 1);
            cases.push(Case::new(format!("{kind:?} {shape:?}"), norm(&operand(0)), vec![x.clone()]));
            let parameters = vec![x.clone(), vector(n, 2), input(&[n], 3)];
            cases.push(Case::new(format!("{kind:?} affine {shape:?}"), norm(&affine), parameters));
            cases.push(Case::new(format!("{kind:?} residual {shape:?}"), norm(&residual), vec![x, input(shape, 4)]));
        }
        // Far from zero a variance of squares less a square of means would have no digits left.
        let far = Numbers::new(5).units(3 * 300).iter().map(|v| 1000.0 + v).collect();
        cases.push(Case::new(format!("{kind:?} far"), norm(&operand(0)), vec![floats(&[3, 300], far)]));
        cases.push(Case::new(format!("{kind:?} equal"), norm(&operand(0)), vec![floats(&[2, 40], vec![0.5; 80])]));
    }
    check(&cases);
    check_with(&cases[..9], |c| c.max_grid = 2);
}

#[test]
fn normalised_rows_have_mean_0_and_variance_1() {
    let row = Tensor::f32(&[1, 4], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let norm = |kind| Normalize { kind, epsilon: 0.0, tail: Expr::operand(0) };
    let found = reference(norm(Norm::Layer), row.clone());
    let expected = [-1.5, -0.5, 0.5, 1.5].map(|v: f32| v / 1.25f32.sqrt());
    found[0].as_f32().unwrap().iter().zip(expected).for_each(|(a, b)| approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-6));
    let found = reference(norm(Norm::Rms), row);
    let expected = [1.0, 2.0, 3.0, 4.0].map(|v: f32| v / 7.5f32.sqrt());
    found[0].as_f32().unwrap().iter().zip(expected).for_each(|(a, b)| approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-6));
    assert!(reference(norm(Norm::Layer), Tensor::f32(&[2, 0], Vec::new()).unwrap())[0].is_empty());
}
