//! Graphs of integers packed as bytes, and of their products.

use crate::dtype::DType;
use crate::graph::Graph;
use crate::kernel::Expr;
use crate::kernel::expr::Function;
use crate::ops::{ByteMatMul, ByteWindows, PackBytes};

use super::support::one;

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    let rounded = Expr::call(Function::ToInt, Expr::call(Function::Round, Expr::product(Expr::operand(0), Expr::operand(1))));
    graphs.push(one(PackBytes { axis: 0, tail: Expr::operand(0) }, |b| vec![b.input("x", DType::I64, &[3, 17][..])]));
    graphs.push(one(PackBytes { axis: 1, tail: rounded }, |b| {
        vec![b.input("x", DType::F32, &[3, 17][..]), b.input("scale", DType::F32, &[17][..])]
    }));
    let (strides, pads_begin, pads_end, dilations) = (vec![2; 2], vec![1; 2], vec![0; 2], vec![1; 2]);
    let windows = ByteWindows { kernel: vec![3; 2], strides, pads_begin, pads_end, dilations, outside: 1 };
    graphs.push(one(windows, |b| vec![b.input("x", DType::I64, &[2, 5, 5, 8][..])]));
    for m in [1, 2, 3, 8, 9, 65] {
        graphs.push(one(ByteMatMul::plain(), |b| {
            vec![b.input("a", DType::I64, &[2, m, 8][..]), b.input("b", DType::I64, &[33, 8][..])]
        }));
        let float = Expr::call(Function::ToFloat, Expr::sum(Expr::operand(0), Expr::operand(1)));
        let tail = Expr::sum(Expr::product(float, Expr::operand(2)), Expr::operand(3));
        graphs.push(one(ByteMatMul { tail }, |b| {
            let words = [("a", &[m, 8][..]), ("b", &[2, 33, 8])].map(|(name, shape)| b.input(name, DType::I64, shape));
            let others = [("scale", &[33][..]), ("bias", &[2, m, 33])].map(|(name, shape)| b.input(name, DType::F32, shape));
            [&words[..], &[b.input("rows", DType::I64, &[m, 1][..])], &others].concat()
        }));
    }
    graphs
}
