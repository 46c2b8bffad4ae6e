//! Ops that pick, place and draw elements.

use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::gpu::{Runner, WeightStore};
use wavelane::graph::{GraphBuilder, ValueId, interpreter};
use wavelane::kernel::Expr;
use wavelane::ops::random::Distribution;
use wavelane::ops::scatter::Update;
use wavelane::ops::*;
use wavelane::plan::Request;
use wavelane::shape::Symbols;
use wavelane::tensor::{Tensor, Weight};

use crate::harness::{Case, Operand, check, check_with, devices, families, input};
use crate::random::Numbers;

const REDUCTIONS: [Update; 5] = [Update::Replace, Update::Add, Update::Mul, Update::Max, Update::Min];

/// Integers of -n .. n: the indices of n places, counted from either end.
fn indices(shape: &[usize], n: usize, seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let values = (0..shape.iter().product()).map(|_| numbers.below(2 * n as u64) as i64 - n as i64).collect();
    Operand::Input(Tensor::i64(shape, values).unwrap())
}

/// Integers of either sign.
fn integers(shape: &[usize], seed: u64) -> Operand {
    indices(shape, 1000, seed)
}

/// The operand as a constant of the graph.
fn constant(operand: &Operand) -> Operand {
    let Operand::Input(tensor) = operand else { panic!("only inputs become constants") };
    Operand::Weight(Weight::from_tensor(tensor.clone()).unwrap())
}

/// Tuples of indices into the dimensions `dims`.
fn tuples(shape: &[usize], dims: &[usize], seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let mut index = |i: usize| numbers.below(2 * dims[i % dims.len()] as u64) as i64 - dims[i % dims.len()] as i64;
    let values = (0..shape.iter().product::<usize>() * dims.len()).map(&mut index).collect();
    Operand::Input(Tensor::i64(&[shape, &[dims.len()]].concat(), values).unwrap())
}

/// Parts that are computed where they are joined, also within one another, and such as cannot be: used twice in one, in two, an input, a
/// constant, a part of rows, of a size that leaves the next one unaligned.
#[test]
fn parts_are_computed_in_their_place() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, &[1, 64][..]);
    let narrow = b.input("narrow", DType::F32, &[1, 3][..]);
    let constant = b.weight("constant", Weight::from_f32(&[1, 64], &[0.5; 64]).unwrap());
    let mut numbers = 0;
    let mut plus = |b: &mut GraphBuilder, x| {
        numbers += 1;
        let sum = Expr::sum(Expr::operand(0), Expr::float(numbers as f32));
        b.one(format!("sum {numbers}"), Elementwise::from(sum), &[x]).unwrap()
    };
    let join = |b: &mut GraphBuilder, parts: &[ValueId]| b.one("joined", Concat { axis: 1 }, parts).unwrap();
    let (first, second) = (plus(&mut b, x), plus(&mut b, x));
    let pair = join(&mut b, &[first, second]);
    let third = plus(&mut b, first);
    let four = join(&mut b, &[pair, third]);
    let fourth = plus(&mut b, second);
    let turned = b.one("rows", Reshape { shape: vec![64, 1] }, &[fourth]).unwrap();
    let rows = b.one("row", Reshape { shape: vec![1, 64] }, &[turned]).unwrap();
    let (odd, last) = (plus(&mut b, narrow), plus(&mut b, x));
    let others =
        [vec![third, third], vec![third, fourth], vec![x, last], vec![last, constant], vec![odd, last], vec![rows, last]];
    let mut joined = vec![pair, four, fourth];
    joined.extend(others.map(|parts| join(&mut b, &parts)));
    joined.into_iter().for_each(|value| b.output(value));
    let graph = Arc::new(b.finish().unwrap());
    let numbers = |n| Tensor::f32(&[1, n], (0..n).map(|i| i as f32).collect()).unwrap();
    let inputs = || vec![numbers(64), numbers(3)];
    let expected = interpreter::run(&graph, &Symbols::new(), inputs(), &mut interpreter::States::default()).unwrap();
    for gpu in devices().iter().flat_map(families) {
        let request = Request { symbols: Symbols::new(), outputs: (0..graph.outputs.len()).collect() };
        let mut runner = Runner::new(&gpu, graph.clone(), WeightStore::new(&gpu)).unwrap();
        let plan = runner.prepare(&request, &mut |_, _| {}).unwrap();
        let copies: Vec<usize> = plan.steps.iter().filter(|s| s.op == "Concat").map(|s| s.dispatches.len()).collect();
        assert_eq!(copies, [0, 0, 2, 2, 2, 2, 2, 2]);
        assert_eq!(runner.run(&request, &inputs()).unwrap(), expected);
    }
}

#[test]
fn concatenations_match_the_reference() {
    let mut cases = Vec::new();
    for (axis, shapes) in [
        (0, &[&[1][..], &[65]][..]),
        (0, &[&[3, 5], &[1, 5], &[7, 5]]),
        (1, &[&[2, 1, 3], &[2, 64, 3], &[2, 7, 3]]),
        (2, &[&[3, 5, 2], &[3, 5, 1]]),
        (3, &[&[1, 2, 3, 67]]),
        (1, &[&[3, 8], &[3, 4], &[3, 12]]),
        (0, &[&[1, 8, 520], &[3, 8, 520]]),
    ] {
        let named = |kind| format!("{kind} {shapes:?} along {axis}");
        let floats: Vec<Operand> = shapes.iter().enumerate().map(|(i, s)| input(s, i as u64)).collect();
        cases.push(Case::new(named("constants"), Concat { axis }, floats.iter().map(constant).collect()));
        cases.push(Case::new(named("floats"), Concat { axis }, floats));
        let ints = shapes.iter().enumerate().map(|(i, s)| integers(s, i as u64)).collect();
        cases.push(Case::new(named("integers"), Concat { axis }, ints));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn gathered_slices_match_the_reference() {
    let mut cases = Vec::new();
    let shapes =
        [(0, &[1][..], &[][..]), (0, &[7, 3], &[65]), (1, &[2, 5], &[3, 2]), (1, &[3, 4, 17], &[1]), (2, &[2, 1, 9], &[2, 3, 4])];
    for (axis, shape, of) in shapes {
        let at = indices(of, shape[axis], 1);
        let named = |kind| format!("{of:?} of {kind} {shape:?} along {axis}");
        cases.push(Case::new(named("floats"), Gather { axis }, vec![input(shape, 2), at.clone()]));
        cases.push(Case::new(named("constants"), Gather { axis }, vec![constant(&input(shape, 2)), constant(&at)]));
        cases.push(Case::new(named("integers"), Gather { axis }, vec![integers(shape, 3), at]));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn gathered_elements_match_the_reference() {
    let mut cases = Vec::new();
    let shapes = [
        (0, &[1][..], &[1][..]),
        (0, &[7], &[65]),
        (0, &[3, 5], &[4, 5]),
        (1, &[3, 5], &[2, 9]),
        (1, &[2, 3, 5, 7], &[1, 4, 5, 6]),
        (3, &[2, 3, 5, 7], &[2, 3, 5, 11]),
    ];
    for (axis, shape, of) in shapes {
        let at = indices(of, shape[axis], 1);
        let named = |kind| format!("{of:?} of {kind} {shape:?} along {axis}");
        cases.push(Case::new(named("floats"), GatherElements { axis }, vec![input(shape, 2), at.clone()]));
        cases.push(Case::new(named("integers"), GatherElements { axis }, vec![constant(&integers(shape, 3)), at]));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn slices_gathered_by_tuples_match_the_reference() {
    let mut cases = Vec::new();
    let shapes = [
        (0, &[1][..], &[][..], 1),
        (0, &[7, 3], &[65], 1),
        (0, &[7, 3], &[5, 2], 2),
        (1, &[3, 4, 5], &[3, 7], 1),
        (1, &[3, 4, 5], &[3], 2),
        (2, &[2, 3, 4, 5], &[2, 3, 11], 1),
        (0, &[2, 3, 2, 3, 2, 3], &[9], 5),
    ];
    for (batch_dims, shape, of, k) in shapes {
        let at = tuples(of, &shape[batch_dims..batch_dims + k], 1);
        let named = |kind| format!("{of:?} tuples of {k} of {kind} {shape:?}, {batch_dims} batch dims");
        cases.push(Case::new(named("floats"), GatherNd { batch_dims }, vec![input(shape, 2), at.clone()]));
        cases.push(Case::new(named("integers"), GatherNd { batch_dims }, vec![integers(shape, 3), constant(&at)]));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

/// Floats with zeros of both signs, infinities and NaN among them.
fn awkward(shape: &[usize], seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0];
    let mut value = || if numbers.below(8) == 0 { special[numbers.below(6) as usize] } else { numbers.unit() * 3.0 };
    let values = (0..shape.iter().product()).map(|_| value()).collect();
    Operand::Input(Tensor::f32(shape, values).unwrap())
}

/// Integers whose products stay within 32 bits.
fn small(shape: &[usize], seed: u64) -> Operand {
    indices(shape, 2, seed)
}

#[test]
fn scattered_elements_match_the_reference() {
    let mut cases = Vec::new();
    let shapes = [
        (0, &[1][..], &[1][..]),
        (0, &[7], &[20]),
        (0, &[3, 5], &[9, 5]),
        (1, &[67, 5], &[65, 7]),
        (1, &[2, 3, 5, 7], &[1, 4, 5, 6]),
        (3, &[2, 3, 5, 7], &[2, 3, 4, 11]),
    ];
    for reduction in REDUCTIONS {
        for (axis, shape, of) in shapes {
            let at = indices(of, shape[axis], 1);
            let op = ScatterElements { axis, reduction };
            let named = |kind| format!("{reduction:?} of {of:?} {kind} into {shape:?} along {axis}");
            let floats = vec![awkward(shape, 2), at.clone(), awkward(of, 3)];
            cases.push(Case::new(named("floats"), op.clone(), floats));
            cases.push(Case::new(named("integers"), op, vec![constant(&small(shape, 4)), at, small(of, 5)]));
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 1);
}

#[test]
fn slices_scattered_by_tuples_match_the_reference() {
    let mut cases = Vec::new();
    let shapes = [
        (&[1][..], &[][..], 1),
        (&[7, 3], &[20], 1),
        (&[7, 3], &[5, 2], 2),
        (&[3, 65], &[7], 1),
        (&[67, 2], &[1000], 2),
        (&[2, 3, 2, 3, 2, 3], &[19], 5),
    ];
    for reduction in REDUCTIONS {
        for (shape, of, k) in shapes {
            let at = tuples(of, &shape[..k], 1);
            let updates = [of, &shape[k..]].concat();
            let op = ScatterNd { reduction };
            let named = |kind| format!("{reduction:?} of {kind} at {of:?} tuples of {k} into {shape:?}");
            cases.push(Case::new(named("floats"), op.clone(), vec![awkward(shape, 2), at.clone(), awkward(&updates, 3)]));
            cases.push(Case::new(named("integers"), op, vec![small(shape, 4), constant(&at), small(&updates, 5)]));
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn reversed_rows_match_the_reference() {
    let mut cases = Vec::new();
    let shapes = [(0, 1, &[1, 1][..]), (0, 1, &[5, 4]), (1, 0, &[65, 3, 2]), (2, 0, &[7, 3, 5]), (1, 3, &[2, 7, 3, 5, 2])];
    for (batch_axis, time_axis, shape) in shapes {
        // Every length in turn, from the whole down to none.
        let lengths = (0..shape[batch_axis] as i64).map(|i| (shape[time_axis] as i64 - i).max(0)).collect();
        let lengths = Operand::Input(Tensor::i64(&[shape[batch_axis]], lengths).unwrap());
        let op = ReverseRows { batch_axis, time_axis };
        let named = |kind| format!("{kind} {shape:?}, sequences along {batch_axis}, time along {time_axis}");
        cases.push(Case::new(named("floats"), op.clone(), vec![awkward(shape, 1), lengths.clone()]));
        cases.push(Case::new(named("integers"), op, vec![integers(shape, 2), constant(&lengths)]));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn random_numbers_match_the_reference() {
    let mut cases = Vec::new();
    for (seed, shape) in [(0, &[1][..]), (1, &[65]), (u32::MAX, &[3, 5, 7]), (7, &[10_001])] {
        let shape = shape.to_vec();
        for (low, high) in [(0.0, 1.0), (-3.0, 7.5)] {
            let distribution = Distribution::Uniform { low, high };
            cases.push(Case::new(
                format!("{distribution:?} {seed}"),
                Random { distribution, seed, shape: shape.clone() },
                vec![],
            ));
        }
        for (mean, scale) in [(0.0, 1.0), (5.0, 0.25)] {
            let distribution = Distribution::Normal { mean, scale };
            cases.push(Case::new(
                format!("{distribution:?} {seed}"),
                Random { distribution, seed, shape: shape.clone() },
                vec![],
            ));
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn determinants_match_the_reference() {
    let mut cases = Vec::new();
    for shape in [&[1, 1][..], &[2, 2], &[3, 1, 1], &[70, 3, 3], &[2, 3, 5, 5], &[2, 17, 17], &[40, 40]] {
        cases.push(Case::new(format!("{shape:?}"), Determinant, vec![input(shape, 1)]));
    }
    // A permutation, of which every column needs an exchange; rank 1; zero; rows of very different sizes.
    let matrices = [
        [0., 1., 0., 0., 0., 1., 1., 0., 0.],
        [1., 2., 3., 2., 4., 6., 3., 6., 9.],
        [0.; 9],
        [1e-8, 1., 2., 3e4, 1e4, -2e4, 0.5, 0.25, 1e-6],
    ];
    let matrices = Operand::Input(Tensor::f32(&[4, 3, 3], matrices.concat()).unwrap());
    cases.push(Case::new("awkward", Determinant, vec![constant(&matrices)]));
    cases.push(Case::new("awkward", Determinant, vec![matrices]));
    check(&cases);
    check_with(&cases, |c| c.max_grid = 1);
}
