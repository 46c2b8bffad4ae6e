//! Products of two batches of matrices.

use wavelane::kernel::Expr;
use wavelane::ops::{BatchMatMul, Strided};
use wavelane::tensor::{Tensor, Weight};

use crate::harness::{Case, Operand, check, check_with, input};
use crate::random::Numbers;

/// `[M, N, K]` that hurt: single, odd, prime, a tile and one more, with whole quads and without.
const SIZES: [(usize, usize, usize); 17] = [
    (1, 1, 1),
    (1, 65, 7),
    (1, 68, 132),
    (2, 5, 64),
    (3, 4, 3),
    (5, 64, 17),
    (8, 33, 68),
    (9, 32, 16),
    (17, 67, 15),
    (33, 36, 9),
    (64, 64, 20),
    (66, 129, 31),
    (17, 132, 32),
    (33, 64, 48),
    (65, 196, 16),
    (8, 260, 12),
    (9, 261, 13),
];

fn integers(shape: &[usize], seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let n = shape.iter().product();
    Operand::Input(Tensor::i64(shape, (0..n).map(|_| numbers.below(511) as i64 - 255).collect()).unwrap())
}

fn dense(shape: &[usize], seed: u64) -> Operand {
    Operand::Weight(Weight::from_f32(shape, &Numbers::new(seed).units(shape.iter().product())).unwrap())
}

/// The product in one of the four layouts, with the shapes of its operands behind these batches.
fn product(
    layout: usize,
    a_batch: &[usize],
    b_batch: &[usize],
    (m, n, k): (usize, usize, usize),
) -> (BatchMatMul, [Vec<usize>; 2]) {
    let op = BatchMatMul { transpose_a: layout & 1 == 1, transpose_b: layout & 2 == 2, ..BatchMatMul::plain() };
    let a = if op.transpose_a { [k, m] } else { [m, k] };
    let b = if op.transpose_b { [n, k] } else { [k, n] };
    (op, [[a_batch, &a].concat(), [b_batch, &b].concat()])
}

#[test]
fn batched_products_match_in_every_layout() {
    let mut cases = Vec::new();
    for (i, size) in SIZES.into_iter().enumerate() {
        for layout in 0..4 {
            let (op, [a, b]) = product(layout, &[2], &[2], size);
            let seed = (i * 4 + layout) as u64;
            cases.push(Case::new(format!("{size:?} layout {layout}"), op.clone(), vec![input(&a, seed), input(&b, seed + 1)]));
            if i % 3 == 0 {
                let operands = vec![integers(&a, seed), integers(&b, seed + 1)];
                cases.push(Case::new(format!("integers {size:?} layout {layout}"), op, operands));
            }
        }
    }
    check(&cases);
}

#[test]
fn batched_products_broadcast_their_batches() {
    let batches: [(&[usize], &[usize]); 8] = [
        (&[], &[]),
        (&[3], &[]),
        (&[], &[5]),
        (&[2, 1], &[1, 3]),
        (&[2, 3], &[3]),
        (&[2, 3, 1, 2], &[3, 5, 1]),
        (&[1, 2, 1, 3, 1], &[2, 1, 2, 1, 3]),
        (&[4, 2], &[1, 1]),
    ];
    let mut cases = Vec::new();
    for (i, (a_batch, b_batch)) in batches.into_iter().enumerate() {
        for (layout, size) in [(0, (3, 4, 8)), (2, (9, 5, 4)), (1, (1, 7, 5))] {
            let (op, [a, b]) = product(layout, a_batch, b_batch, size);
            let name = format!("{a_batch:?} with {b_batch:?} layout {layout}");
            // Either operand may be a constant.
            let operands = match i % 3 {
                0 => vec![input(&a, 1), input(&b, 2)],
                1 => vec![input(&a, 1), dense(&b, 2)],
                _ => vec![dense(&a, 1), input(&b, 2)],
            };
            cases.push(Case::new(name, op, operands));
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 7);
}

#[test]
fn batched_products_are_scaled_and_go_through_tails() {
    let tail = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    let mut cases = Vec::new();
    for size @ (m, n, _) in [(1, 5, 8), (3, 64, 7), (35, 66, 12)] {
        let (op, [a, b]) = product(2, &[2, 3], &[2, 3], size);
        let op = BatchMatMul { scale: -0.37, tail: tail.clone(), ..op };
        let operands = vec![input(&a, 1), input(&b, 2), dense(&[n], 3), input(&[2, 3, m, n], 4)];
        cases.push(Case::new(format!("tail {size:?}"), op, operands));
    }
    check(&cases);
}

#[test]
fn batched_products_may_be_longer_than_loops() {
    let mut cases = Vec::new();
    for layout in [0, 2] {
        let (op, [a, b]) = product(layout, &[], &[], (2, 5, 300_003));
        cases.push(Case::new(format!("long, layout {layout}"), op, vec![input(&a, 1), input(&b, 2)]));
    }
    check(&cases);
}

#[test]
fn few_rows_by_a_long_matrix_match() {
    let tail = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    let mut cases = Vec::new();
    let sizes =
        [(1, 2048, 1024), (3, 1040, 288), (2, 4100, 513), (3, 1044, 2054), (4, 16, 131_074), (1, 16_404, 128), (4, 20, 131_072)];
    for (i, size @ (m, n, k)) in sizes.into_iter().enumerate() {
        // However the rows of a lie.
        let (op, [a, b]) = product(i % 2, &[], &[], size);
        if k < 1000 {
            cases.push(Case::new(format!("integers {size:?}"), op.clone(), vec![integers(&a, 1), integers(&b, 2)]));
        }
        let op = BatchMatMul { scale: -0.37, tail: tail.clone(), ..op };
        let operands = vec![input(&a, 1), input(&b, 2), dense(&[n], 3), input(&[m, n], 4)];
        cases.push(Case::new(format!("{size:?}"), op, operands));
    }
    // One matrix after another, and the same again.
    let (op, [a, b]) = product(0, &[2, 3], &[3], (2, 1000, 700));
    cases.push(Case::new("batches", op, vec![input(&a, 1), input(&b, 2)]));
    check(&cases);
    check_with(&cases[cases.len() - 1..], |c| c.max_grid = 7);
}

/// One row and columns of whole runs of 64 depths, and many rows and columns of whole eights, which narrow devices load in words of 64
/// bits: tiles and one more, primes, several batches, tails.
#[test]
fn rows_by_columns_of_eights_match() {
    let tail = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    let mut cases = Vec::new();
    for size @ (m, n, _) in [(1, 1, 64), (1, 37, 192), (1, 257, 320), (9, 577, 40), (17, 131, 8), (97, 67, 24), (33, 260, 136)] {
        let (op, [a, b]) = product(2, &[3], &[3], size);
        cases.push(Case::new(format!("{size:?}"), op.clone(), vec![input(&a, 1), input(&b, 2)]));
        let op = BatchMatMul { scale: -0.37, tail: tail.clone(), ..op };
        let operands = vec![input(&a, 1), input(&b[1..], 2), dense(&[n], 3), input(&[3, m, n], 4)];
        cases.push(Case::new(format!("tail {size:?}"), op, operands));
    }
    check(&cases);
    check_with(&cases, |c| c.long = false);
    check_with(&cases[..2], |c| c.max_grid = 2);
}

#[test]
fn operands_are_read_through_views() {
    let view = |shape: &[usize], start, steps: &[usize]| Some(Strided { shape: shape.to_vec(), start, steps: steps.to_vec() });
    let mut cases = Vec::new();
    for (rows, size) in [(7, 4), (33, 8), (40, 15), (9, 64)] {
        // Heads beside each other in rows of queries, keys and values.
        let row = 3 * 2 * size;
        let part = |i: usize| view(&[2, 2, rows, size], i * 2 * size, &[rows * row, size, row, 1]);
        let turned = view(&[2, 2, size, rows], 2 * size, &[rows * row, size, 1, row]);
        let x = || input(&[2, rows, row], size as u64);
        for (name, transpose_b, b) in [("rows", true, part(1)), ("columns", false, turned)] {
            let op = BatchMatMul { transpose_b, views: [part(0), b], ..BatchMatMul::plain() };
            cases.push(Case::new(format!("heads of {size} by {name}, {rows} rows"), op, vec![x(), x()]));
        }
        let weights = input(&[2, 2, rows, rows], 5);
        cases.push(Case::new(
            format!("values of {size}, {rows} rows"),
            BatchMatMul { views: [None, part(2)], ..BatchMatMul::plain() },
            vec![weights, x()],
        ));
    }
    // One matrix for all batches; starts that are no whole quads; every second column.
    let repeated = view(&[3, 5, 8], 3, &[0, 9, 1]);
    let second = view(&[8, 12], 1, &[24, 2]);
    let op = BatchMatMul { views: [repeated, second], ..BatchMatMul::plain() };
    cases.push(Case::new("odd", op, vec![input(&[48], 1), input(&[8, 24], 2)]));
    check(&cases);
}
