//! What is particular to Winograd's minimal filtering F(2 x 2, 3 x 3) (Lavin and Gray 2015, arXiv:1509.09308): 16 products of
//! transformed weights and inputs make 4 outputs, not 36.

use super::geometry::{Axis, Geometry};
use super::reference::convolve;

/// How weights (G), inputs (B) and sums (A) are transformed along one dimension; an element of a transform is a row here.
const WEIGHTS: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const INPUTS: [[f32; 4]; 4] = [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
const SUMS: [[f32; 2]; 4] = [[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, -1.0]];

/// Roundings that the transforms add to those of a sum over channels: two for inputs, four for weights and four for sums, each along
/// two dimensions.
pub const ROUNDINGS: usize = 20;

/// Whether a device may convolve so: 3 x 3 taps side by side, with channels and filters enough to be worth it.
pub fn suits(g: &Geometry) -> bool {
    let [depth, height, width] = g.axes;
    let dense = |a: &Axis| a.kernel == 3 && a.stride == 1 && a.dilation == 1;
    depth == Axis::ONE && dense(&height) && dense(&width) && g.channels >= 16 && g.filters >= 32
}

/// The sum of magnitudes that makes each output, of which the terms are products of transforms: `x` and `weight` are magnitudes.
///
/// Without signs the transforms are linear maps of magnitudes, so each of the four outputs of a tile is a convolution by 4 x 4
/// taps, two inputs further for each tile.
pub fn magnitudes(g: &Geometry, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let [_, height, width] = g.axes;
    let tiles = |a: Axis| Axis { kernel: 4, stride: 2, output: a.output.div_ceil(2), ..a };
    let tiled = Geometry { axes: [Axis::ONE, tiles(height), tiles(width)], ..g.clone() };
    let mut out = vec![0.0; g.batch * g.groups * g.filters * g.outputs()];
    for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let weight: Vec<f32> = weight.chunks_exact(9).flat_map(|taps| tile_taps(taps, dy, dx)).collect();
        let sums = convolve(&tiled, x, &weight);
        let rows = out.chunks_exact_mut(width.output).enumerate();
        for (row, out) in rows.filter(|(row, _)| row % height.output % 2 == dy) {
            let (plane, y) = (row / height.output, row % height.output / 2);
            let sums = &sums[(plane * tiled.axes[1].output + y) * tiled.axes[2].output..];
            out.iter_mut().skip(dx).step_by(2).zip(sums).for_each(|(out, sum)| *out = *sum);
        }
    }
    out
}

/// The 4 x 4 taps by which magnitudes of a tile's inputs make the magnitude of its output `(dy, dx)`.
fn tile_taps(taps: &[f32], dy: usize, dx: usize) -> [f32; 16] {
    let mut all = [0.0; 16];
    for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
        let weight: f32 = taps.iter().enumerate().map(|(k, w)| (WEIGHTS[i][k / 3] * WEIGHTS[j][k % 3]).abs() * w).sum();
        let weight = weight * (SUMS[i][dy] * SUMS[j][dx]).abs();
        all.iter_mut().enumerate().for_each(|(k, tap)| *tap += weight * (INPUTS[i][k / 4] * INPUTS[j][k % 4]).abs());
    }
    all
}
