//! Graphs of convolutions and of all that is made like them.

use crate::dtype::DType;
use crate::graph::Graph;
use crate::kernel::Expr;
use crate::ops::*;

use super::support::one;

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    let bias = Expr::sum(Expr::operand(0), Expr::operand(1));
    for (x, weight, groups) in CONVOLUTIONS {
        let conv = Conv { groups, ..Conv::plain(x.len() - 2) };
        let operands =
            |dtype| move |b: &mut crate::graph::GraphBuilder| vec![b.input("x", dtype, x), b.input("w", dtype, weight)];
        graphs.push(one(conv.clone(), operands(DType::F32)));
        graphs.push(one(conv.clone(), operands(DType::I64)));
        graphs.push(one(Conv { tail: bias.clone(), ..conv }, |b| {
            let shape = [&[weight[0]][..], &vec![1; x.len() - 2]].concat();
            [operands(DType::F32)(b), vec![b.input("bias", DType::F32, &shape[..])]].concat()
        }));
    }
    for (x, weight) in [(&[1, 4, 9][..], &[4, 2, 3][..]), (&[1, 4, 5, 5], &[4, 2, 2, 2]), (&[1, 2, 3, 3, 3], &[2, 1, 2, 2, 2])] {
        let conv = ConvTranspose { groups: 2, ..ConvTranspose::plain(x.len() - 2) };
        graphs.push(one(conv, |b| vec![b.input("x", DType::F32, x), b.input("w", DType::F32, weight)]));
    }
    for rank in [1, 2, 3] {
        let all = |n: usize| vec![n; rank];
        let (image, block, strides, dilations) = (all(4), all(2), all(2), all(1));
        let col2im = Col2Im { image, block, strides, pads_begin: all(0), pads_end: all(0), dilations };
        graphs.push(one(col2im, |b| vec![b.input("x", DType::F32, &[1, 3 << rank, 1 << rank][..])]));
    }
    let (pads, ones) = ([1, 1], [1, 1]);
    let deform = DeformColumns { kernel: [3, 3], strides: ones, pads_begin: pads, pads_end: pads, dilations: ones, groups: 2 };
    for masked in [false, true] {
        graphs.push(one(deform.clone(), |b| {
            let ids = vec![b.input("x", DType::F32, &[1, 4, 5, 5][..]), b.input("o", DType::F32, &[1, 36, 5, 5][..])];
            let mask = masked.then(|| b.input("m", DType::F32, &[1, 18, 5, 5][..]));
            ids.into_iter().chain(mask).collect()
        }));
    }
    for (stride, pad) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        for size in [8, 9] {
            let (strides, pads) = (vec![stride; 2], vec![pad; 2]);
            let conv = Conv { strides, pads_begin: pads.clone(), pads_end: pads, groups: 4, ..Conv::plain(2) };
            graphs.push(one(conv, |b| {
                vec![b.input("x", DType::F32, &[1, 4, 9, size][..]), b.input("w", DType::F32, &[4, 1, 3, 3][..])]
            }));
        }
    }
    for (size, filters) in [(56, 8), (56, 16), (28, 16), (14, 16), (7, 16), (66, 16), (68, 16)] {
        let conv = Conv { pads_begin: vec![1; 2], pads_end: vec![1; 2], ..Conv::plain(2) };
        graphs.push(one(conv, |b| {
            vec![b.input("x", DType::F32, &[1, 4, size, size][..]), b.input("w", DType::F32, &[filters, 4, 3, 3][..])]
        }));
    }
    graphs
}

/// `x`, `weight` and groups.
const CONVOLUTIONS: [(&[usize], &[usize], usize); 34] = [
    (&[1, 3, 9], &[4, 3, 3], 1),
    (&[2, 4, 9, 9], &[6, 2, 3, 3], 2),
    (&[1, 4, 9, 9], &[4, 1, 5, 5], 4),
    (&[1, 64, 14, 14], &[64, 64, 3, 3], 1),
    (&[1, 17, 14, 14], &[32, 17, 3, 3], 1),
    (&[1, 8, 28, 28], &[8, 8, 3, 3], 1),
    (&[1, 8, 28, 28], &[16, 8, 3, 3], 1),
    (&[1, 8, 13, 13], &[8, 8, 3, 3], 1),
    (&[1, 8, 13, 13], &[24, 8, 3, 3], 1),
    (&[1, 8, 13, 13], &[8, 8, 3, 2], 1),
    (&[1, 8, 13, 13], &[5, 8, 2, 2], 1),
    (&[1, 8, 13, 13], &[17, 8, 2, 2], 1),
    (&[1, 3, 15, 14], &[16, 3, 7, 7], 1),
    (&[1, 8, 8, 8], &[16, 8, 3, 3], 1),
    (&[1, 8, 9, 9], &[16, 8, 5, 5], 1),
    (&[1, 64, 14, 14], &[64, 64, 1, 1], 1),
    (&[1, 7, 7, 7], &[24, 7, 1, 1], 1),
    (&[1, 2, 5, 5, 5], &[3, 2, 2, 2, 2], 1),
    (&[1, 7, 8, 8], &[24, 7, 1, 1], 1),
    (&[1, 12, 7, 7], &[40, 12, 1, 1], 1),
    (&[1, 16, 7, 7], &[40, 16, 1, 1], 1),
    (&[1, 16, 14, 14], &[24, 16, 5, 5], 1),
    (&[1, 32, 5, 5, 5], &[48, 32, 2, 2, 2], 1),
    (&[1, 3, 5, 5, 5], &[48, 3, 2, 2, 2], 1),
    (&[1, 8, 32, 32], &[8, 8, 1, 1], 1),
    (&[1, 8, 32, 32], &[16, 8, 1, 1], 1),
    (&[1, 8, 33, 31], &[24, 8, 1, 1], 1),
    (&[1, 8, 36, 36], &[64, 8, 1, 1], 1),
    (&[8, 5, 7, 7], &[24, 5, 1, 1], 1),
    (&[9, 4, 8, 8], &[32, 4, 1, 1], 1),
    (&[1, 3, 64, 64], &[32, 3, 7, 7], 1),
    (&[1, 4, 40, 40], &[32, 4, 2, 2], 1),
    (&[1, 16, 31, 33], &[33, 16, 3, 3], 1),
    (&[1, 8, 15, 14], &[72, 8, 3, 2], 1),
];
