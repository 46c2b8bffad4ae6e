//! Graphs of convolutions and of all that is made like them.

use wavelane::dtype::DType;
use wavelane::graph::Graph;
use wavelane::kernel::Expr;
use wavelane::ops::*;

use crate::support::one;

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    let bias = Expr::sum(Expr::operand(0), Expr::operand(1));
    for (x, weight, groups) in CONVOLUTIONS {
        let conv = Conv { groups, ..Conv::plain(x.len() - 2) };
        let operands =
            |dtype| move |b: &mut wavelane::graph::GraphBuilder| vec![b.input("x", dtype, x), b.input("w", dtype, weight)];
        graphs.push(one(conv.clone(), operands(DType::F32)));
        graphs.push(one(conv.clone(), operands(DType::I64)));
        graphs.push(one(Conv { tail: bias.clone(), ..conv }, |b| {
            let shape = [&[weight[0]][..], &vec![1; x.len() - 2]].concat();
            [operands(DType::F32)(b), vec![b.input("bias", DType::F32, &shape[..])]].concat()
        }));
    }
    graphs
}

/// `x`, `weight` and groups.
const CONVOLUTIONS: [(&[usize], &[usize], usize); 8] = [
    (&[1, 3, 9], &[4, 3, 3], 1),
    (&[2, 4, 9, 9], &[6, 2, 3, 3], 2),
    (&[1, 4, 9, 9], &[4, 1, 3, 3], 4),
    (&[1, 64, 14, 14], &[64, 64, 3, 3], 1),
    (&[1, 3, 15, 14], &[16, 3, 7, 7], 1),
    (&[1, 64, 14, 14], &[64, 64, 1, 1], 1),
    (&[1, 7, 7, 7], &[24, 7, 1, 1], 1),
    (&[1, 2, 5, 5, 5], &[3, 2, 2, 2, 2], 1),
];
