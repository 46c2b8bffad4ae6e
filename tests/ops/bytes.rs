//! Integers packed as bytes, and their products.

use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function, Operator};
use wavelane::ops::pack_bytes::{pack, row_words, unpack};
use wavelane::ops::{ByteMatMul, ByteWindows, PackBytes};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input};
use crate::random::Numbers;

/// Words of rows of `k` bytes.
fn words(shape: &[usize], k: usize, byte: impl FnMut() -> i8) -> Operand {
    let rows: usize = shape.iter().product();
    let bytes: Vec<i8> = std::iter::repeat_with(byte).take(rows * k).collect();
    Operand::Input(Tensor::i64(&[shape, &[row_words(k)]].concat(), pack(&bytes, k)).unwrap())
}

fn random_words(shape: &[usize], k: usize, seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    words(shape, k, || (numbers.units(1)[0] * 128.0) as i8)
}

fn integers(shape: &[usize], seed: u64) -> Operand {
    let n = shape.iter().product();
    let values = Numbers::new(seed).units(n).into_iter().map(|x| (x * 300.0) as i64).collect();
    Operand::Input(Tensor::i64(shape, values).unwrap())
}

/// Rounded, moved by `zero` and held within a byte.
fn quantised(x: Expr, zero: f32) -> Expr {
    let moved = Expr::sum(Expr::call(Function::Round, x), Expr::float(zero));
    let held = Expr::binary(Operator::Max, Expr::binary(Operator::Min, moved, Expr::float(127.0)), Expr::float(-128.0));
    Expr::call(Function::ToInt, held)
}

#[test]
fn words_hold_the_bytes_of_a_row_and_zeros() {
    let bytes = [1, -2, 3, -128, 127, 6];
    let words = pack(&bytes, 3);
    assert_eq!(words.len(), 2 * row_words(3));
    assert_eq!(words[0], 0x0003_fe01);
    assert_eq!(unpack(&words).collect::<Vec<i8>>(), [&[1, -2, 3][..], &[0; 13], &[-128, 127, 6], &[0; 13]].concat());
}

#[test]
fn elements_are_packed_in_every_shape() {
    let mut cases = Vec::new();
    for shape in [&[1][..], &[5], &[3, 16], &[2, 3, 17], &[7, 64], &[65, 33], &[0, 4], &[1, 1, 1, 31]] {
        for axis in 0..shape.len() {
            let plain = PackBytes { axis, tail: Expr::operand(0) };
            cases.push(Case::new(format!("integers {shape:?} along {axis}"), plain, vec![integers(shape, 1)]));
        }
        let axis = shape.len() - 1;
        // Halves, so that ties show how they are rounded.
        let halves =
            Expr::product(Expr::call(Function::Round, Expr::product(Expr::operand(0), Expr::float(600.0))), Expr::float(0.5));
        let tail = quantised(halves, 3.0);
        cases.push(Case::new(format!("floats {shape:?}"), PackBytes { axis, tail }, vec![input(shape, 2)]));
        let quotient = Expr::binary(Operator::Quotient, Expr::operand(0), Expr::operand(1));
        let tail = quantised(Expr::sum(quotient, Expr::operand(2)), 0.0);
        let scale = Operand::Input(Tensor::f32(&[], vec![0.0173]).unwrap());
        let operands = vec![input(shape, 3), scale, input(&shape[shape.len() - 1..], 4)];
        cases.push(Case::new(format!("a quantisation {shape:?}"), PackBytes { axis, tail }, operands));
    }
    cases.retain(|c| !c.name.contains("[0"));
    check(&cases);
    check_with(&cases, |c| c.max_grid = 7);
}

#[test]
fn tails_of_bytes_see_the_place_along_their_axis() {
    let shape = [3, 19, 5];
    let tail = quantised(Expr::product(Expr::sum(Expr::operand(0), Expr::operand(1)), Expr::float(50.0)), -3.0);
    let operands = vec![input(&shape, 1), input(&[19, 1], 2)];
    check(&[Case::new("a bias by channel", PackBytes { axis: 1, tail }, operands)]);
}

#[test]
fn windows_are_copied_with_what_stands_around_them() {
    let window = |kernel: &[usize], stride: usize, pads: [usize; 2], dilation: usize| {
        let all = |n: usize| vec![n; kernel.len()];
        let [begin, end] = pads.map(all);
        let (strides, dilations) = (all(stride), all(dilation));
        ByteWindows { kernel: kernel.to_vec(), strides, pads_begin: begin, pads_end: end, dilations, outside: -7 }
    };
    let mut cases = Vec::new();
    for (spatial, op) in [
        (&[1][..], window(&[1], 1, [0, 0], 1)),
        (&[9], window(&[3], 2, [1, 1], 1)),
        (&[5, 7], window(&[3, 3], 1, [1, 1], 1)),
        (&[8, 5], window(&[3, 2], 2, [0, 1], 2)),
        (&[2, 3], window(&[5, 4], 3, [4, 2], 1)),
        (&[3, 4, 5], window(&[2, 3, 1], 1, [1, 0], 1)),
    ] {
        for (n, channels) in [(1, 3), (2, 33)] {
            let operands = vec![random_words(&[&[n], spatial].concat(), channels, 3)];
            cases.push(Case::new(format!("{op:?} over {spatial:?} of {channels}"), op.clone(), operands));
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 3);
}

/// `[M, N, K]` that hurt: single, odd, prime, a tile (64), a quad of bytes (16) and one more.
const SIZES: [[usize; 3]; 13] = [
    [1, 1, 1],
    [1, 7, 3],
    [2, 65, 16],
    [3, 64, 17],
    [5, 13, 64],
    [8, 67, 31],
    [9, 66, 65],
    [65, 129, 100],
    [64, 64, 128],
    [1, 33, 1040],
    [4, 3, 1029],
    [17, 5, 2000],
    [70, 1, 4],
];

#[test]
fn sums_are_exact() {
    let mut cases = Vec::new();
    for (i, [m, n, k]) in SIZES.into_iter().enumerate() {
        let seed = 10 * i as u64;
        let operands = vec![random_words(&[m], k, seed), random_words(&[n], k, seed + 1)];
        cases.push(Case::new(format!("M={m} N={n} K={k}"), ByteMatMul::plain(), operands));
    }
    for (a, b) in [(&[3, 5][..], &[6][..]), (&[5], &[3, 6]), (&[2, 3, 9], &[2, 3, 4]), (&[2, 1, 70], &[3]), (&[2], &[2, 2, 65])] {
        let operands = vec![random_words(a, 37, 1), random_words(b, 37, 2)];
        cases.push(Case::new(format!("{a:?} by {b:?}"), ByteMatMul::plain(), operands));
    }
    check(&cases);
    let folded: Vec<Case> = cases.into_iter().filter(|c| !c.name.contains("K=1029") && !c.name.contains("K=2000")).collect();
    check_with(&folded, |c| c.max_grid = 3);
}

#[test]
fn the_greatest_sums_stay_exact() {
    let mut cases = Vec::new();
    for (x, y) in [(-128, -128), (-128, 127), (127, 127)] {
        for (m, n, k) in [(1, 2, 131056), (9, 3, 20000), (3, 5, 1024), (2, 2, 1025)] {
            let operands = vec![words(&[m], k, || x), words(&[n], k, || y)];
            cases.push(Case::new(format!("{x} * {y} * {k}, M={m}"), ByteMatMul::plain(), operands));
        }
    }
    check(&cases);
}

#[test]
fn tails_make_floats_and_integers_of_sums() {
    let sum = Expr::operand(0);
    let float = |x: Expr| Expr::call(Function::ToFloat, x);
    // Zero points by column and by row in integers, then a scale by column, a bias of the output's shape.
    let centred = Expr::binary(Operator::Sub, Expr::sum(sum.clone(), Expr::operand(1)), Expr::operand(2));
    let scaled = Expr::sum(Expr::product(float(centred), Expr::operand(3)), Expr::operand(4));
    let requantised = quantised(Expr::product(scaled.clone(), Expr::float(0.01)), 5.0);
    let mut cases = Vec::new();
    for (m, n, k) in [(1, 5, 30), (7, 65, 16), (66, 130, 33)] {
        for (name, tail) in [("floats", &scaled), ("integers", &requantised)] {
            for batch in [None, Some(3)] {
                let lead: Vec<usize> = batch.into_iter().collect();
                let with = |dims: &[usize]| [&lead[..], dims].concat();
                let operands = vec![
                    random_words(&with(&[m]), k, 1),
                    random_words(&[n], k, 2),
                    integers(&[n], 3),
                    integers(&with(&[m, 1]), 4),
                    input(&[n], 5),
                    input(&with(&[m, n]), 6),
                ];
                cases.push(Case::new(format!("{name} {lead:?} M={m} N={n}"), ByteMatMul { tail: tail.clone() }, operands));
                // Filters at the left: one matrix for all batches, with a number for each row.
                let operands = vec![
                    random_words(&[m], k, 1),
                    random_words(&with(&[n]), k, 2),
                    integers(&[m, 1], 3),
                    integers(&[n], 4),
                    input(&[m, 1], 5),
                    input(&with(&[m, n]), 6),
                ];
                cases.push(Case::new(
                    format!("filters, {name} {lead:?} M={m} N={n}"),
                    ByteMatMul { tail: tail.clone() },
                    operands,
                ));
            }
        }
    }
    check(&cases);
}
