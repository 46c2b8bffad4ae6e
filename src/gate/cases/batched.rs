//! Graphs of products of batches of matrices, and of attention made of these.

use crate::dtype::DType;
use crate::graph::Graph;
use crate::kernel::Expr;
use crate::kernel::expr::Operator;
use crate::ops::{BatchMatMul, DenseAttention};

use super::support::one;

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    for dtype in [DType::F32, DType::I64] {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            for m in [1, 2, 3, 8, 9, 17] {
                for (k, n) in [(4, 8), (5, 4), (8, 7), (3, 5)] {
                    let op = BatchMatMul { transpose_a, transpose_b, ..BatchMatMul::plain() };
                    let a = if transpose_a { [2, 1, k, m] } else { [2, 1, m, k] };
                    let b = if transpose_b { [1, 3, n, k] } else { [1, 3, k, n] };
                    graphs.push(one(op, |builder| vec![builder.input("a", dtype, &a[..]), builder.input("b", dtype, &b[..])]));
                }
            }
        }
    }
    // Tiles of each size and one more, and depths that end with one.
    for (m, n, k) in [
        (17, 68, 16),
        (40, 64, 32),
        (40, 132, 16),
        (33, 68, 20),
        (40, 67, 7),
        (129, 65, 33),
        (260, 68, 20),
        (130, 132, 16),
        (260, 67, 7),
        (499, 67, 29),
    ] {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false)] {
            let op = BatchMatMul { transpose_a, transpose_b, ..BatchMatMul::plain() };
            let a = if transpose_a { [k, m] } else { [m, k] };
            let b = if transpose_b { [n, k] } else { [k, n] };
            graphs.push(one(op, |builder| vec![builder.input("a", DType::F32, &a[..]), builder.input("b", DType::F32, &b[..])]));
        }
    }
    // Few rows by a matrix beyond caches.
    for (dtype, m, n, k) in
        [(DType::F32, 1, 4096, 4096), (DType::F32, 2, 4096, 518), (DType::F32, 3, 16, 131_072), (DType::I64, 4, 4096, 513)]
    {
        let shapes = [("a", vec![m, k]), ("b", vec![k, n])];
        graphs.push(one(BatchMatMul::plain(), |builder| shapes.map(|(name, s)| builder.input(name, dtype, &s[..])).to_vec()));
    }
    // Rows by columns of whole eights: one row, and as many columns as make enough workgroups of few.
    for (m, n, k) in [(1, 37, 64), (1, 257, 1024), (5, 577, 40), (13, 577, 40)] {
        let op = BatchMatMul { transpose_b: true, ..BatchMatMul::plain() };
        graphs.push(one(op, |builder| {
            [("a", m), ("b", n)].map(|(name, rows)| builder.input(name, DType::F32, &[rows, k][..])).to_vec()
        }));
    }
    let tail = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    graphs.push(one(BatchMatMul { scale: 0.5, tail, ..BatchMatMul::plain() }, |builder| {
        let shapes = [("a", &[2, 9, 4][..]), ("b", &[4, 8]), ("c", &[8]), ("d", &[2, 9, 8])];
        shapes.map(|(name, shape)| builder.input(name, DType::F32, shape)).to_vec()
    }));
    graphs.extend(attention());
    graphs
}

fn attention() -> Vec<Graph> {
    let mut graphs = Vec::new();
    for [queries, keys, depth, width] in
        [[1, 3, 4, 4], [33, 65, 64, 64], [32, 5, 7, 6], [100, 70, 128, 128], [9, 9, 33, 97], [499, 67, 32, 32]]
    {
        let biased = Expr::product(Expr::sum(Expr::operand(0), Expr::operand(1)), Expr::operand(4));
        let seen = Expr::binary(Operator::LessEqual, Expr::operand(2), Expr::operand(3));
        for score in [Expr::operand(0), Expr::select(seen, biased, Expr::float(f32::MIN))] {
            let masks = score.operands() as usize - 1;
            let op = DenseAttention { scale: 0.5, score, views: Vec::new() };
            graphs.push(one(op, |builder| {
                let operands: [(_, _, &[usize]); 3] = [
                    ("q", DType::F32, &[2, 3, queries, depth]),
                    ("k", DType::F32, &[2, 1, keys, depth]),
                    ("v", DType::F32, &[2, 1, keys, width]),
                ];
                let four: [(_, _, &[usize]); 4] = [
                    ("bias", DType::F32, &[3, queries, keys]),
                    ("places", DType::I64, &[keys]),
                    ("rows", DType::I64, &[queries, 1]),
                    ("number", DType::F32, &[]),
                ];
                let all = operands.into_iter().chain(four.into_iter().take(masks));
                all.map(|(name, dtype, shape)| builder.input(name, dtype, shape)).collect()
            }));
        }
    }
    graphs
}
