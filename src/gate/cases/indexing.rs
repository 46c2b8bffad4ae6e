//! Graphs of ops that pick, place and draw elements.

use crate::dtype::DType;
use crate::graph::Graph;
use crate::ops::random::Distribution;
use crate::ops::scatter::Update;
use crate::ops::*;

use super::support::one;

const REDUCTIONS: [Update; 5] = [Update::Replace, Update::Add, Update::Mul, Update::Max, Update::Min];

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    for dtype in [DType::F32, DType::I64] {
        graphs.push(one(Concat { axis: 1 }, |b| vec![b.input("a", dtype, &[13, 67][..]), b.input("b", dtype, &[13, 31][..])]));
        graphs.push(one(Concat { axis: 1 }, |b| vec![b.input("a", dtype, &[2, 8][..]), b.input("b", dtype, &[2, 4][..])]));
        graphs.push(one(Gather { axis: 1 }, |b| {
            vec![b.input("data", dtype, &[5, 67, 3][..]), b.input("indices", DType::I64, &[2, 7][..])]
        }));
        for (data, indices) in [(&[4][..], &[7][..]), (&[3, 4], &[2, 5]), (&[2, 3, 4, 5], &[1, 2, 7, 4])] {
            graphs.push(one(GatherElements { axis: data.len() / 2 }, |b| {
                vec![b.input("data", dtype, data), b.input("indices", DType::I64, indices)]
            }));
        }
        for (batch_dims, k) in [(0, 1), (0, 3), (1, 2), (0, 5)] {
            graphs.push(one(GatherNd { batch_dims }, |b| {
                vec![b.input("data", dtype, &[2, 3, 4, 5, 6][..]), b.input("indices", DType::I64, &[2, 7, k][..])]
            }));
        }
        for reduction in REDUCTIONS {
            for (data, indices) in [(&[4][..], &[7][..]), (&[3, 4], &[2, 5]), (&[2, 3, 4, 5], &[1, 2, 7, 4])] {
                graphs.push(one(ScatterElements { axis: data.len() / 2, reduction }, |b| {
                    let updates = b.input("updates", dtype, indices);
                    vec![b.input("data", dtype, data), b.input("indices", DType::I64, indices), updates]
                }));
            }
            for k in [1, 3, 5] {
                let shape = [2, 3, 4, 5, 6];
                graphs.push(one(ScatterNd { reduction }, |b| {
                    let updates = b.input("updates", dtype, &[&[7], &shape[k..]].concat()[..]);
                    vec![b.input("data", dtype, &shape[..]), b.input("indices", DType::I64, &[7, k][..]), updates]
                }));
            }
        }
        graphs.push(one(ReverseRows { batch_axis: 1, time_axis: 0 }, |b| {
            vec![b.input("x", dtype, &[5, 3, 2][..]), b.input("lengths", DType::I64, &[3][..])]
        }));
    }
    for distribution in [Distribution::Uniform { low: 0.0, high: 1.0 }, Distribution::Normal { mean: 0.0, scale: 1.0 }] {
        graphs.push(one(Random { distribution, seed: 1, shape: vec![3, 5] }, |_| Vec::new()));
    }
    graphs.push(one(Determinant, |b| vec![b.input("x", DType::F32, &[2, 3, 3][..])]));
    graphs
}
