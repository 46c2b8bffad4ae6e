//! Attention that stores no scores.

use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function, Operator};
use wavelane::ops::{DenseAttention, Strided};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input};
use crate::random::Numbers;

/// `[Q, K, D, E]` that hurt: single, odd, prime, a tile and one more, with whole quads and without.
const SIZES: [[usize; 4]; 11] = [
    [1, 1, 1, 1],
    [1, 65, 4, 8],
    [2, 3, 5, 7],
    [7, 4, 8, 4],
    [31, 5, 36, 33],
    [32, 64, 32, 32],
    [33, 129, 17, 65],
    [37, 67, 64, 64],
    [64, 31, 100, 36],
    [65, 63, 128, 128],
    [97, 130, 12, 96],
];

/// Whether a query sees a key.
type Seen = fn(usize, usize) -> bool;

fn plain(scale: f32) -> DenseAttention {
    DenseAttention { scale, score: Expr::operand(0), views: Vec::new() }
}

fn with(score: Expr) -> DenseAttention {
    DenseAttention { score, ..plain(0.5) }
}

fn numbers(shape: &[usize], values: Vec<f32>) -> Operand {
    Operand::Input(Tensor::f32(shape, values).unwrap())
}

/// Queries, keys and values behind these batches.
fn operands(batches: [&[usize]; 3], [queries, keys, depth, width]: [usize; 4]) -> Vec<Operand> {
    let [q, k, v] = batches;
    let scaled = |shape: &[usize], seed| {
        // Scores far enough apart for weights that differ.
        let n = shape.iter().product();
        numbers(shape, Numbers::new(seed).units(n).iter().map(|x| x * 2.0).collect())
    };
    vec![
        scaled(&[q, &[queries, depth]].concat(), 1),
        scaled(&[k, &[keys, depth]].concat(), 2),
        input(&[v, &[keys, width]].concat(), 3),
    ]
}

#[test]
fn dense_attention_matches_in_sizes_that_hurt() {
    let of = |size: [usize; 4]| Case::new(format!("{size:?}"), plain(0.7), operands([&[2], &[2], &[2]], size));
    check(&SIZES.map(of));
}

#[test]
fn dense_attention_broadcasts_its_batches() {
    let batches: [[&[usize]; 3]; 6] = [
        [&[], &[], &[]],
        [&[3], &[], &[]],
        [&[], &[2], &[3, 2]],
        // Four heads that share two of keys, of two sequences.
        [&[2, 2, 2], &[2, 2, 1], &[2, 2, 1]],
        [&[2, 1, 3], &[2, 2, 1], &[1, 3]],
        [&[1, 2, 1, 3], &[2, 1, 2, 1], &[1]],
    ];
    let mut cases = Vec::new();
    for batches in batches {
        for size in [[3, 5, 8, 4], [35, 9, 7, 6]] {
            cases.push(Case::new(format!("{batches:?} {size:?}"), plain(1.0), operands(batches, size)));
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 7);
}

#[test]
fn scores_are_made_of_products_and_masks() {
    let sum = Expr::sum(Expr::operand(0), Expr::operand(1));
    let mut cases = Vec::new();
    for size @ [queries, keys, ..] in [[1, 7, 4, 4], [5, 64, 9, 3], [34, 66, 16, 8]] {
        let batched = |masks: Vec<Operand>| [operands([&[2, 3], &[2, 3], &[2, 3]], size), masks].concat();
        for shape in [vec![2, 3, queries, keys], vec![2, 1, 1, keys], vec![3, queries, 1], vec![keys], vec![1], vec![]] {
            cases.push(Case::new(format!("{shape:?} on {size:?}"), with(sum.clone()), batched(vec![input(&shape, 4)])));
        }
        // A key is seen up to the query's own place; the place of a query is an integer.
        let places =
            |shape: &[usize]| Operand::Input(Tensor::i64(shape, (0..shape.iter().product::<usize>() as i64).collect()).unwrap());
        let seen = Expr::binary(Operator::LessEqual, Expr::operand(2), Expr::operand(1));
        let causal = Expr::select(seen, Expr::operand(0), Expr::float(f32::MIN));
        let capped = Expr::product(Expr::float(3.0), Expr::call(Function::Tanh, causal.clone()));
        for (name, score) in [("causal", causal), ("capped", capped)] {
            cases.push(Case::new(format!("{name} {size:?}"), with(score), batched(vec![places(&[queries, 1]), places(&[keys])])));
        }
        let many = (2..=4).fold(sum.clone(), |sum, i| Expr::sum(sum, Expr::operand(i)));
        let masks = [vec![keys], vec![queries, 1], vec![2, 1, 1, 1], vec![3, queries, keys]];
        let masks = masks.iter().enumerate().map(|(i, shape)| input(shape, 5 + i as u64)).collect();
        cases.push(Case::new(format!("four masks {size:?}"), with(many), batched(masks)));
    }
    check(&cases);
}

#[test]
fn rows_that_see_little_or_nothing_come_out_as_those_of_softmax() {
    let (queries, keys) = (9, 70);
    let bias = |seen: Seen, unseen: f32| {
        let value = |i: usize| if seen(i / keys, i % keys) { 0.25 } else { unseen };
        numbers(&[queries, keys], (0..queries * keys).map(value).collect())
    };
    let sum = Expr::sum(Expr::operand(0), Expr::operand(1));
    let mut cases = Vec::new();
    for (name, unseen) in [("minus infinity", f32::NEG_INFINITY), ("the least number", f32::MIN), ("-10000", -1e4)] {
        let seen: [(&str, Seen); 4] = [
            ("no key", |_, _| false),
            ("the last key", |_, key| key == 69),
            ("the first key", |_, key| key == 0),
            ("some rows no key", |row, key| row % 3 > 0 && key % 5 == row % 5),
        ];
        for (who, seen) in seen {
            let all = [operands([&[2], &[2], &[2]], [queries, keys, 8, 8]), vec![bias(seen, unseen)]].concat();
            cases.push(Case::new(format!("{who}, else {name}"), with(sum.clone()), all));
        }
    }
    // What is no number, or infinite, among the scores.
    for odd in [f32::NAN, f32::INFINITY] {
        let value = |i: usize| if i == 71 { odd } else { 0.0 };
        let mask = numbers(&[queries, keys], (0..queries * keys).map(value).collect());
        let all = [operands([&[2], &[2], &[2]], [queries, keys, 8, 8]), vec![mask]].concat();
        cases.push(Case::new(format!("{odd} among scores"), with(sum.clone()), all));
    }
    check(&cases);
}

#[test]
fn dense_attention_reads_through_views() {
    let view = |shape: &[usize], start, steps: &[usize]| Some(Strided { shape: shape.to_vec(), start, steps: steps.to_vec() });
    let mut cases = Vec::new();
    for (rows, size) in [(7, 4), (33, 8), (40, 15), (9, 64)] {
        // Heads beside each other in rows of queries, keys and values.
        let row = 3 * 2 * size;
        let part = |i: usize| view(&[2, 2, rows, size], i * 2 * size, &[rows * row, size, row, 1]);
        let x = || input(&[2, rows, row], size as u64);
        let op = DenseAttention { views: vec![part(0), part(1), part(2)], ..plain(0.3) };
        cases.push(Case::new(format!("heads of {size}, {rows} rows"), op, vec![x(), x(), x()]));
        // Keys whose columns lie apart, one mask for all heads, which lies the other way.
        let turned = view(&[2, 2, rows, size], 0, &[2 * size * rows, size * rows, 1, rows]);
        let mask = view(&[2, 1, rows, rows], 0, &[rows * rows, 0, 1, rows]);
        let op = DenseAttention { views: vec![None, turned, None, mask], ..with(Expr::sum(Expr::operand(0), Expr::operand(1))) };
        let heads = |seed| input(&[2, 2, rows, size], seed);
        let all = vec![heads(1), input(&[2, 2, size, rows], 2), heads(3), input(&[2, rows, rows], 4)];
        cases.push(Case::new(format!("turned keys of {size}, {rows} rows"), op, all));
    }
    // Starts that are no whole quads.
    let from = view(&[2, 5, 8], 3, &[41, 8, 1]);
    let op = DenseAttention { views: vec![from.clone(), from.clone(), from], ..plain(1.0) };
    cases.push(Case::new("odd starts", op, vec![input(&[90], 1), input(&[90], 2), input(&[90], 3)]));
    check(&cases);
}
