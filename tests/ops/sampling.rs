//! Sampling of images: at points of a grid, and of regions.

use wavelane::ops::grid_sample::{GridMode, GridPadding};
use wavelane::ops::roi_align::RoiMode;
use wavelane::ops::{GridSample, RoiAlign};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input};
use crate::random::Numbers;

const MODES: [GridMode; 3] = [GridMode::Nearest, GridMode::Linear, GridMode::Cubic];
const PADDINGS: [GridPadding; 3] = [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection];

/// Points inside, at the edges, at elements, between them, beyond and far beyond.
fn grid(shape: &[usize], seed: u64) -> Operand {
    let edges = [-1.0, 1.0, 0.0, -1.5, 2.0, 5.25, -7.0, 0.5, 1.0 / 3.0, 0.999, -300.0, 1e12];
    let mut numbers = Numbers::new(seed);
    let n = shape.iter().product();
    let point = |i: usize| if i.is_multiple_of(3) { edges[i / 3 % edges.len()] } else { numbers.unit() * 1.4 };
    Operand::Input(Tensor::f32(shape, (0..n).map(point).collect()).unwrap())
}

#[test]
fn grid_samples_match_the_reference() {
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[1, 1, 1, 1], &[1, 5, 3, 2]),
        (&[2, 3, 4, 5], &[2, 7, 11, 2]),
        (&[1, 2, 2, 13], &[1, 1, 67, 2]),
        (&[2, 1, 3, 4, 5], &[2, 2, 3, 7, 3]),
        (&[1, 2, 1, 2, 7], &[1, 5, 1, 6, 3]),
        (&[2, 2, 9], &[2, 17, 1]),
    ];
    let mut cases = Vec::new();
    for (seed, (x, points)) in shapes.into_iter().enumerate() {
        for mode in MODES {
            for padding in PADDINGS {
                for align_corners in [false, true] {
                    let op = GridSample { mode, padding, align_corners };
                    let operands = vec![input(x, seed as u64), grid(points, seed as u64)];
                    cases.push(Case::new(format!("{op:?} {x:?} at {points:?}"), op, operands));
                }
            }
        }
    }
    check(&cases);
    let folded: Vec<Case> = cases.into_iter().filter(|c| c.name.contains("67")).collect();
    check_with(&folded, |c| c.max_grid = 1);
}

#[test]
fn regions_match_the_reference() {
    // Inside, at the edges, beyond, empty, the wrong way round, tiny, huge.
    let regions = [
        [0.0, 0.0, 9.0, 9.0],
        [1.5, 2.25, 14.0, 7.75],
        [-4.0, -3.0, 3.0, 30.0],
        [5.0, 5.0, 5.0, 5.0],
        [8.0, 8.0, 2.0, 3.0],
        [0.1, 0.2, 0.3, 0.4],
        [-40.0, 2.0, 90.0, 6.0],
    ];
    let images = Operand::Input(Tensor::i64(&[7], vec![0, 1, 1, 0, 1, -5, 99]).unwrap());
    let rois = Operand::Input(Tensor::f32(&[7, 4], regions.concat()).unwrap());
    let mut cases = Vec::new();
    for mode in [RoiMode::Average, RoiMode::Max] {
        for half_pixel in [false, true] {
            for (sampling_ratio, spatial_scale) in [(0, 1.0), (0, 0.3), (2, 0.5), (3, 1.0)] {
                for (output_height, output_width) in [(1, 1), (3, 5), (7, 2)] {
                    let op = RoiAlign { mode, output_height, output_width, sampling_ratio, spatial_scale, half_pixel };
                    let operands = vec![input(&[2, 3, 10, 13], 1), rois.clone(), images.clone()];
                    cases.push(Case::new(format!("{op:?}"), op, operands));
                }
            }
        }
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}
