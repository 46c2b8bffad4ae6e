//! Graphs of ops over images: pooling, resampling.

use wavelane::dtype::DType;
use wavelane::graph::Graph;
use wavelane::ops::Pool;
use wavelane::ops::pool::{IndexOrder, PoolAxis, PoolKind};

use crate::support::one;

pub fn graphs() -> Vec<Graph> {
    pools()
}

fn pools() -> Vec<Graph> {
    let axis = PoolAxis { windows: 3, kernel: 3, stride: 2, dilation: 1, begin: 1, end: 1 };
    let max = |indices| (PoolKind::Max { indices }, [DType::F32, DType::I64]);
    let mut kinds = [None, Some(IndexOrder::RowMajor), Some(IndexOrder::ColumnMajor)].map(max).to_vec();
    kinds.extend([true, false].map(|count_include_pad| (PoolKind::Average { count_include_pad }, [DType::F32; 2])));
    kinds.extend([1, 2, 3].map(|p| (PoolKind::Lp { p }, [DType::F32; 2])));
    let graph = |kind, dtype| one(Pool { kind, axes: vec![axis; 2] }, |b| vec![b.input("x", dtype, &[2, 3, 5, 5][..])]);
    kinds.into_iter().flat_map(|(kind, dtypes)| dtypes.map(|dtype| graph(kind, dtype))).collect()
}
