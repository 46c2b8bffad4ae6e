//! Graphs of products of two batches of matrices.

use wavelane::dtype::DType;
use wavelane::graph::Graph;
use wavelane::kernel::Expr;
use wavelane::ops::BatchMatMul;

use crate::support::one;

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
    // Tiles of each size, and depths that end with one.
    for (m, n, k) in [(17, 68, 16), (40, 64, 32), (40, 132, 16), (33, 68, 20), (40, 67, 7)] {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false)] {
            let op = BatchMatMul { transpose_a, transpose_b, ..BatchMatMul::plain() };
            let a = if transpose_a { [k, m] } else { [m, k] };
            let b = if transpose_b { [n, k] } else { [k, n] };
            graphs.push(one(op, |builder| vec![builder.input("a", DType::F32, &a[..]), builder.input("b", DType::F32, &b[..])]));
        }
    }
    let tail = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    graphs.push(one(BatchMatMul { scale: 0.5, tail, ..BatchMatMul::plain() }, |builder| {
        let shapes = [("a", &[2, 9, 4][..]), ("b", &[4, 8]), ("c", &[8]), ("d", &[2, 9, 8])];
        shapes.map(|(name, shape)| builder.input(name, DType::F32, shape)).to_vec()
    }));
    graphs
}
