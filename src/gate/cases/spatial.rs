//! Graphs of ops over images: pooling, resampling.

use crate::dtype::DType;
use crate::graph::Graph;
use crate::ops::grid_sample::{GridMode, GridPadding};
use crate::ops::pool::{IndexOrder, PoolAxis, PoolKind};
use crate::ops::roi_align::RoiMode;
use crate::ops::{GridSample, Pool, Resample, RoiAlign};

use super::support::one;

pub fn graphs() -> Vec<Graph> {
    [pools(), resamples(), samples(), regions()].concat()
}

fn resamples() -> Vec<Graph> {
    let graph = |taps| {
        one(Resample { axis: 1, taps, length: 6, outside: 0.0 }, |b| {
            let x = b.input("x", DType::F32, &[2, 3, 4][..]);
            vec![x, b.input("index", DType::I64, &[6 * taps][..]), b.input("weight", DType::F32, &[6 * taps][..])]
        })
    };
    [1, 2].map(graph).to_vec()
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

fn samples() -> Vec<Graph> {
    let mut graphs = Vec::new();
    for mode in [GridMode::Nearest, GridMode::Linear, GridMode::Cubic] {
        for padding in [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection] {
            for align_corners in [false, true] {
                for spatial in [&[9][..], &[4, 5], &[3, 4, 5]] {
                    let x = [&[2, 3], spatial].concat();
                    let grid = [&[2], spatial, &[spatial.len()]].concat();
                    graphs.push(one(GridSample { mode, padding, align_corners }, |b| {
                        vec![b.input("x", DType::F32, &x[..]), b.input("grid", DType::F32, &grid[..])]
                    }));
                }
            }
        }
    }
    graphs
}

fn regions() -> Vec<Graph> {
    let graph = |mode| {
        let size = RoiAlign { mode, output_height: 3, output_width: 2, sampling_ratio: 0, spatial_scale: 0.5, half_pixel: true };
        one(size, |b| {
            let (x, rois) = (b.input("x", DType::F32, &[2, 3, 5, 6][..]), b.input("rois", DType::F32, &[7, 4][..]));
            vec![x, rois, b.input("batch_indices", DType::I64, &[7][..])]
        })
    };
    [RoiMode::Average, RoiMode::Max].map(graph).to_vec()
}
