//! Graphs of reductions and of what else works along a dimension.

use crate::dtype::DType;
use crate::graph::{Graph, GraphBuilder};
use crate::kernel::Expr;
use crate::ops::*;

use super::support::one;

/// Shapes that share workgroups out in every way, along dimension 1.
const SHAPES: [[usize; 3]; 6] = [[1, 1, 1], [2, 5, 1], [71, 257, 1], [2, 7, 3], [1, 499, 41], [101, 9, 97]];

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    for dtype in [DType::F32, DType::I64] {
        for shape in SHAPES {
            for kind in Reduction::ALL {
                graphs.push(one(Reduce { kind, axes: 1..2 }, |b| vec![b.input("x", dtype, &shape[..])]));
                let cumulative = Cumulative { kind, axis: 1, exclusive: false, reverse: false };
                graphs.push(one(cumulative, |b| vec![b.input("x", dtype, &shape[..])]));
            }
            for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
                let x = |graph: &mut GraphBuilder| vec![graph.input("x", dtype, &shape[..])];
                graphs.push(one(ArgReduce { largest: a, last: b, axis: 1 }, x));
                graphs.push(one(Cumulative { kind: Reduction::Sum, axis: 1, exclusive: a, reverse: b }, x));
                graphs.push(one(TopElements { k: if a { shape[1] } else { 1 }, axis: 1, largest: b }, x));
            }
        }
        for (k, largest) in [(1024, true), (1025, true), (3000, false)] {
            graphs.push(one(TopElements { k, axis: 0, largest }, |b| vec![b.input("x", dtype, &[3000, 2][..])]));
        }
    }
    let affine = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    for (kind, tail) in [Norm::Layer, Norm::Rms].into_iter().flat_map(|kind| [(kind, Expr::operand(0)), (kind, affine.clone())]) {
        for n in [1, 33, 4099] {
            graphs.push(one(Normalize { kind, epsilon: 1e-5, tail: tail.clone() }, |b| {
                let operands = (1..tail.operands()).map(|i| b.input(format!("{i}"), DType::F32, &[n][..])).collect::<Vec<_>>();
                [vec![b.input("x", DType::F32, &[2, 3, n][..])], operands].concat()
            }));
        }
    }
    graphs
}
