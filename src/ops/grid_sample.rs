//! Sampling images at given points.

use rayon::prelude::*;

use super::resample_taps::cubic;
use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::Tensor;

/// How the elements around a point become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridMode {
    /// The nearest; of equally near ones the one at an even place.
    Nearest,
    /// Neighbours by their distances, in every dimension.
    Linear,
    /// Four neighbours by cubic convolution (Keys 1981) with the slope -0.75, in every dimension.
    Cubic,
}

/// What lies beyond an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridPadding {
    /// Zeros.
    Zeros,
    /// The outermost elements.
    Border,
    /// The image, mirrored.
    Reflection,
}

/// `out[n, c, p] = x[n, c]` at the point `grid[n, p]`.
///
/// Inputs: `x` `[N, C, spatial..]` f32 of one to three spatial dimensions; `grid` `[N, points.., D]` f32, as many dimensions of
/// points as there are spatial ones, D of them, with the coordinate of the last dimension of `x` first. Coordinates from -1 to 1
/// lie inside. Output `[N, C, points..]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GridSample {
    /// How the elements around a point become one.
    pub mode: GridMode,
    /// What lies beyond `x`.
    pub padding: GridPadding,
    /// Whether -1 and 1 are the centres of the outermost elements, not their edges.
    pub align_corners: bool,
}

/// The elements of one dimension around a point.
#[derive(Clone, Copy)]
struct Taps {
    len: usize,
    first: i64,
    weights: [f32; 4],
    count: usize,
}

/// A dimension that `x` does not have.
const ABSENT: Taps = Taps { len: 1, first: 0, weights: [1.0, 0.0, 0.0, 0.0], count: 1 };

impl GridSample {
    /// Where a coordinate lies in a dimension.
    fn point(&self, coordinate: f32, len: usize) -> f32 {
        let n = len as f32;
        if self.align_corners { (coordinate + 1.0) * 0.5 * (n - 1.0) } else { ((coordinate + 1.0) * n - 1.0) * 0.5 }
    }

    /// The taps around a point that may lie outside.
    fn taps(&self, point: f32, len: usize) -> Taps {
        let point = if self.mode == GridMode::Nearest { point.round_ties_even() } else { point };
        let low = if self.align_corners { 0.0 } else { -0.5 };
        let high = len as f32 - 1.0 - low;
        let inside = match self.padding {
            _ if (low..=high).contains(&point) => point,
            GridPadding::Zeros => point,
            GridPadding::Border => point.clamp(0.0, (len as f32 - 1.0).max(0.0)),
            GridPadding::Reflection => reflect(point, low, high),
        };
        let below = inside.floor();
        let f = inside - below;
        let keys = |distance: f32| cubic(distance.into(), -0.75) as f32;
        // What is far outside is outside all the same.
        let place = below.clamp(-1e9, 1e9) as i64;
        match self.mode {
            GridMode::Nearest => Taps { len, first: place, ..ABSENT },
            GridMode::Linear => Taps { len, first: place, weights: [1.0 - f, f, 0.0, 0.0], count: 2 },
            GridMode::Cubic => Taps { len, first: place - 1, weights: [1.0 + f, f, 1.0 - f, 2.0 - f].map(keys), count: 4 },
        }
    }

    /// The place that is read for `place`; `None` for zero.
    fn place(&self, place: i64, len: usize) -> Option<usize> {
        let n = len as i64;
        let inside = match self.padding {
            GridPadding::Zeros => place,
            GridPadding::Border => place.min(n - 1).max(0),
            GridPadding::Reflection => {
                // At their edges the outermost elements are repeated, at their centres they are not.
                let repeated = i64::from(!self.align_corners);
                let period = (2 * (n - 1 + repeated)).max(1);
                let q = place.rem_euclid(period);
                (if q < n { q } else { period - repeated - q }).min(n - 1).max(0)
            }
        };
        usize::try_from(inside).ok().filter(|p| *p < len)
    }

    /// The value of `plane` by the taps of its three dimensions, and the sum of the magnitudes of the elements that were read.
    fn value(&self, plane: &[f32], [deep, down, across]: [Taps; 3]) -> (f32, f32) {
        let places = |t: Taps| (0..t.count).map(move |i| (t.weights[i], self.place(t.first + i as i64, t.len)));
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for (wz, z) in places(deep) {
            for (wy, y) in places(down) {
                let mut row = 0.0;
                for (wx, x) in places(across) {
                    let at = |z: usize| Some((z * down.len + y?) * across.len + x?);
                    let element = z.and_then(at).map_or(0.0, |at| plane[at]);
                    row += wx * element;
                    magnitude += element.abs();
                }
                sum += wz * wy * row;
            }
        }
        (sum, magnitude)
    }

    /// For each element of the output `f` of its plane, and of the lengths and coordinates of its point's dimensions, the last
    /// dimension last.
    fn map(&self, inputs: &[Input], f: impl Fn(&[f32], &[(usize, f32)]) -> f32 + Sync) -> Result<Tensor> {
        let (x, grid) = (inputs[0].dense()?, inputs[1].dense()?);
        let (values, coordinates) = (x.as_f32()?, grid.as_f32()?);
        let (spatial, points) = (&x.shape()[2..], &grid.shape()[1..grid.shape().len() - 1]);
        let shape = [&x.shape()[..2], points].concat();
        let (channels, dims) = (x.shape()[1], spatial.len());
        let (plane_len, count): (usize, usize) = (spatial.iter().product(), points.iter().product());
        let element = |i: usize| {
            let (plane, point) = (i / count, i % count);
            let at = (plane / channels * count + point) * dims;
            let point = spatial.iter().copied().zip(coordinates[at..at + dims].iter().rev().copied());
            f(&values[plane * plane_len..][..plane_len], &point.collect::<Vec<_>>())
        };
        let len = shape.iter().product();
        Tensor::f32(&shape, (0..len).into_par_iter().map(element).collect())
    }

    /// The taps of all three dimensions, with the points moved by `off(d)` in dimension `d` of those there are.
    fn all_taps(&self, point: &[(usize, f32)], off: impl Fn(usize) -> f32) -> [Taps; 3] {
        let mut taps = [ABSENT; 3];
        let present = taps.iter_mut().skip(3 - point.len());
        for (d, (taps, (len, coordinate))) in present.zip(point).enumerate() {
            *taps = self.taps(self.point(*coordinate, *len) + off(d), *len);
        }
        taps
    }
}

/// A point mirrored at the ends until it lies between them.
fn reflect(point: f32, low: f32, high: f32) -> f32 {
    let extent = high - low;
    let (beyond, from, to) = if point < low { (low - point, low, 1.0) } else { (point - high, high, -1.0) };
    let turns = (beyond / extent.max(0.5)).floor();
    let rest = (beyond - turns * extent).min(extent);
    if turns.rem_euclid(2.0) == 0.0 { from + to * rest } else { (low + high - from) - to * rest }
}

impl Rule for GridSample {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, grid] = operands("GridSample", inputs.to_vec())?;
        let rank = x.shape.rank();
        expect("GridSample", "x", x, DType::F32, rank.clamp(3, 5))?;
        expect("GridSample", "grid", grid, DType::F32, rank)?;
        // Points count places in single precision and in 31 bits.
        let short = |d: &Dim| d.constant().is_some_and(|n| n <= 1 << 24);
        let fits = x.shape.0[0] == grid.shape.0[0] && grid.shape.columns() == Some(rank - 2);
        if !fits || !x.shape.0[2..].iter().all(short) {
            return Err(Error::shape("GridSample", format!("'x' {x} and 'grid' {grid} do not go together")));
        }
        let points = &grid.shape.0[1..rank - 1];
        Ok(vec![TensorType::new(DType::F32, Shape([&x.shape.0[..2], points].concat()))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        Ok(vec![self.map(&inputs, |plane, point| self.value(plane, self.all_taps(point, |_| 0.0)).0)?])
    }

    /// The value may be that of any point as far away as roundings of the coordinate reach, which is found at the corners of
    /// that box; sums and weights add their own roundings, those of cubic weights of terms up to 12.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let bound = |plane: &[f32], point: &[(usize, f32)]| {
            let off = |d: usize| 4.0 * f32::EPSILON * (point[d].1.abs() + 2.0) * point[d].0 as f32;
            if (0..point.len()).any(|d| !off(d).is_finite() || off(d) > 0.25) {
                return plane.iter().fold(0.0, |m: f32, v| m.max(v.abs())) * 8.0;
            }
            let (value, magnitude) = self.value(plane, self.all_taps(point, |_| 0.0));
            let moved = (0..3usize.pow(point.len() as u32)).map(|corner| {
                let side = |d: usize| (corner / 3usize.pow(d as u32) % 3) as f32 - 1.0;
                self.value(plane, self.all_taps(point, |d| side(d) * off(d))).0
            });
            let terms = match self.mode {
                GridMode::Nearest => return moved.fold(0.0, |m, v| m.max((v - value).abs())),
                GridMode::Linear => 8,
                GridMode::Cubic => 64,
            };
            moved.fold(0.0, |m: f32, v| m.max((v - value).abs())) + sum_error(terms) * magnitude
        };
        Ok(vec![Tolerance::Absolute(self.map(inputs, bound)?.to_f32())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, grid, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let mut dims = [1; 3];
        let spatial = &x.shape[2..];
        dims[3 - spatial.len()..].copy_from_slice(spatial);
        let points: usize = out.shape[2..].iter().product();
        let params = [&[out.len(), x.shape[1], points], &dims[..]].concat();
        let (mode, taps) = match self.mode {
            GridMode::Nearest => (0, 1),
            GridMode::Linear => (1, 2),
            GridMode::Cubic => (2, 4),
        };
        let kernel = Kernel::new("grid_sample").constant("MODE", mode).constant("TAPS", taps);
        let kernel = kernel.constant("PADDING", self.padding as u32).constant("ALIGNED", self.align_corners.into());
        let kernel = kernel.constant("DIMS", spatial.len() as u32);
        let words = params.into_iter().map(|n| n as u32).collect();
        let line = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, words, line).read(x.value).read(grid.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let taps = 4u64.pow(inputs[0].len().saturating_sub(2) as u32);
        outputs[0].iter().product::<usize>() as u64 * (30 + 2 * taps)
    }
}
