//! Graphs of elementwise ops, views and reshapes.

use crate::dtype::DType;
use crate::graph::Graph;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Kind, Operator};
use crate::ops::view::Border;
use crate::ops::*;

use super::support::one;

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    let kinds = [(DType::F32, Kind::Float), (DType::I64, Kind::Int)];
    for (dtype, kind) in kinds {
        for function in Function::ALL.into_iter().filter(|f| f.kind(kind).is_some()) {
            graphs.push(one(Elementwise::unary(function), |b| vec![b.input("x", dtype, &[67, 61][..])]));
        }
        for operator in Operator::ALL.into_iter().filter(|o| o.kind(kind).is_some()) {
            graphs.push(one(Elementwise::binary(operator), |b| {
                vec![b.input("a", dtype, &[2, 1, 61][..]), b.input("b", dtype, &[67, 1][..])]
            }));
        }
        // By quads: as the output lies, and single numbers.
        let sum = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(0));
        for other in [&[3, 8][..], &[1]] {
            graphs.push(one(Elementwise::from(sum.clone()), |b| {
                vec![b.input("a", dtype, &[3, 8][..]), b.input("b", dtype, other)]
            }));
        }
        for border in [Border::None, Border::Float(0.0), Border::Edge, Border::Wrap, Border::Reflect] {
            for shape in [&[1][..], &[3, 4], &[2, 3, 4, 5, 6]] {
                let view = View { border, ..View::of(shape) };
                graphs.push(one(view, |b| vec![b.input("x", dtype, shape)]));
            }
        }
        graphs.push(one(Reshape { shape: vec![15] }, |b| vec![b.input("x", dtype, &[3, 5][..])]));
    }
    graphs
}
