//! Regions of images, resampled to one size.

use rayon::prelude::*;

use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::Tensor;

/// Most samples of a bin along one dimension: data must not choose how long a kernel runs, and an invocation's loops end
/// early on llvmpipe from 65535 iterations on (see [`NARROW_ITERATIONS`](super::lowering::NARROW_ITERATIONS)), of which the square of this is most.
const MOST_SAMPLES: usize = 240;

/// What the samples of a bin become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoiMode {
    /// Their mean.
    Average,
    /// The greatest of the four weighted elements of any sample, as ONNX defines it.
    Max,
}

/// RoIAlign (He et al. 2017, arXiv:1703.06870): regions of images, each cut into bins and sampled between elements.
///
/// Inputs: `x` `[N, C, H, W]` f32; `rois` `[R, 4]` f32, left, top, right and bottom; `batch_indices` `[R]` i64, held within the
/// images. Output `[R, C, output_height, output_width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RoiAlign {
    /// What the samples of a bin become.
    pub mode: RoiMode,
    /// Bins of a region, from top to bottom.
    pub output_height: usize,
    /// Bins of a region, from left to right.
    pub output_width: usize,
    /// Samples of a bin along each dimension; 0 for as many as it has elements, rounded up.
    pub sampling_ratio: usize,
    /// From the coordinates of regions to those of elements.
    pub spatial_scale: f32,
    /// Whether regions count from the edges of elements; else from their centres, and are at least one element large.
    pub half_pixel: bool,
}

/// A region along one dimension.
#[derive(Clone, Copy)]
struct Extent {
    len: usize,
    start: f32,
    length: f32,
    bins: usize,
    samples: usize,
}

impl Extent {
    /// How far roundings may move a sample.
    fn off(&self) -> f32 {
        16.0 * f32::EPSILON * (self.start.abs() + self.length.abs() + 1.0)
    }

    /// The samples of bin `bin`, moved by `off`: the elements around each with their shares, `None` outside.
    fn samples(self, bin: usize, off: f32) -> impl Iterator<Item = Option<[(usize, f32); 2]>> + Clone {
        let size = self.length / self.bins as f32;
        let start = self.start + bin as f32 * size;
        (0..self.samples).map(move |sample| {
            let point = start + (sample as f32 + 0.5) * size / self.samples as f32 + off;
            if self.len == 0 || !(-1.0..=self.len as f32).contains(&point) {
                return None;
            }
            let held = point.clamp(0.0, (self.len - 1) as f32);
            let low = held as usize;
            let share = held - low as f32;
            Some([(low, 1.0 - share), ((low + 1).min(self.len - 1), share)])
        })
    }
}

impl RoiAlign {
    fn offset(&self) -> f32 {
        if self.half_pixel { 0.5 } else { 0.0 }
    }

    /// The least length of a region.
    fn least(&self) -> f32 {
        if self.half_pixel { f32::MIN } else { 1.0 }
    }

    fn extent(&self, low: f32, high: f32, len: usize, bins: usize) -> Extent {
        let start = low * self.spatial_scale - self.offset();
        let length = (high * self.spatial_scale - self.offset() - start).max(self.least());
        Extent { len, start, length, bins, samples: self.samples(length, bins) }
    }

    /// Samples of each of the bins of a region of this length.
    fn samples(&self, length: f32, bins: usize) -> usize {
        if self.sampling_ratio > 0 {
            return self.sampling_ratio;
        }
        ((length / bins as f32).ceil().max(0.0) as usize).min(MOST_SAMPLES)
    }

    /// A bin of `plane` with the samples moved by `off`, and the sum or the greatest of the magnitudes in it.
    fn value(&self, plane: &[f32], [down, across]: [Extent; 2], bin: (usize, usize), off: [f32; 2]) -> (f32, f32) {
        let (mut sum, mut greatest, mut magnitude, mut largest) = (0.0, f32::MIN, 0.0f32, 0.0f32);
        for y in down.samples(bin.0, off[0]) {
            for x in across.samples(bin.1, off[1]) {
                let mut part = f32::MIN;
                if let (Some(y), Some(x)) = (y, x) {
                    for (row, wy) in y {
                        for (column, wx) in x {
                            let element = plane[row * across.len + column];
                            sum += wy * wx * element;
                            part = part.max(wy * wx * element);
                            magnitude += (wy * wx * element).abs();
                            largest = largest.max(element.abs());
                        }
                    }
                } else {
                    part = 0.0;
                }
                greatest = greatest.max(part);
            }
        }
        let samples = down.samples * across.samples;
        match self.mode {
            RoiMode::Average => (sum / samples.max(1) as f32, magnitude / samples.max(1) as f32),
            RoiMode::Max if samples == 0 => (0.0, 0.0),
            RoiMode::Max => (greatest, largest),
        }
    }

    /// For each element of the output `f` of its plane, its region's extents and its bin.
    fn map(&self, inputs: &[Input], f: impl Fn(&[f32], [Extent; 2], (usize, usize)) -> f32 + Sync) -> Result<Tensor> {
        let (x, rois, images) = (inputs[0].dense()?, inputs[1].dense()?, inputs[2].dense()?);
        let (values, rois, images) = (x.as_f32()?, rois.as_f32()?, images.as_i64()?);
        let [n, channels, height, width] = x.shape()[..] else { return Err(Error::shape("RoiAlign", "'x' is no image")) };
        let (bins_down, bins_across) = (self.output_height, self.output_width);
        let shape = [images.len(), channels, bins_down, bins_across];
        let element = |i: usize| {
            let (row, plane) = (i / bins_across, i / bins_across / bins_down);
            let region = plane / channels;
            let [left, top, right, bottom] = std::array::from_fn(|k| rois[region * 4 + k]);
            let image = usize::try_from(images[region]).unwrap_or(0).min(n.saturating_sub(1));
            let at = (image * channels + plane % channels) * height * width;
            // There is no plane where there is no image.
            let plane = values.get(at..at + height * width).unwrap_or_default();
            let (height, width) = if plane.is_empty() { (0, 0) } else { (height, width) };
            let extents = [self.extent(top, bottom, height, bins_down), self.extent(left, right, width, bins_across)];
            f(plane, extents, (row % bins_down, i % bins_across))
        };
        let count = shape.iter().product();
        Tensor::f32(&shape, (0..count).into_par_iter().map(element).collect())
    }
}

impl Rule for RoiAlign {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, rois, images] = operands("RoiAlign", inputs.to_vec())?;
        expect("RoiAlign", "x", x, DType::F32, 4)?;
        expect("RoiAlign", "rois", rois, DType::F32, 2)?;
        expect("RoiAlign", "batch_indices", images, DType::I64, 1)?;
        // Kernels find places in single precision.
        let short = |d: &Dim| d.constant().is_none_or(|n| n <= 1 << 24);
        let fits = rois.shape.columns() == Some(4) && rois.shape.0[0] == images.shape.0[0] && x.shape.0[2..].iter().all(short);
        if !fits || self.sampling_ratio > MOST_SAMPLES {
            let what = format!("{self:?} of 'x' {x}, 'rois' {rois} and 'batch_indices' {images}");
            return Err(Error::shape("RoiAlign", what));
        }
        let bins = [self.output_height, self.output_width].map(Dim::Const);
        let [height, width] = bins;
        let shape = Shape(vec![images.shape.0[0].clone(), x.shape.0[1].clone(), height, width]);
        Ok(vec![TensorType::new(DType::F32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        Ok(vec![self.map(&inputs, |plane, extents, bin| self.value(plane, extents, bin, [0.0; 2]).0)?])
    }

    /// Roundings may move all samples a little, and may change their number where a bin is about a whole number of elements
    /// long: the value may be any in between. The sum and the weights add their own roundings.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let bound = |plane: &[f32], extents: [Extent; 2], bin: (usize, usize)| {
            let (value, magnitude) = self.value(plane, extents, bin, [0.0; 2]);
            let sides = [-1.0, 0.0, 1.0];
            let mut moved = 0.0f32;
            for side in (0..81).map(|i| [i % 3, i / 3 % 3, i / 9 % 3, i / 27].map(|k| sides[k])) {
                let counted = |e: Extent, side: f32| Extent { samples: self.samples(e.length + side * e.off(), e.bins), ..e };
                let offs = [side[0] * extents[0].off(), side[1] * extents[1].off()];
                let extents = [counted(extents[0], side[2]), counted(extents[1], side[3])];
                moved = moved.max((self.value(plane, extents, bin, offs).0 - value).abs());
            }
            moved + sum_error(4 * extents[0].samples * extents[1].samples + 8) * magnitude
        };
        Ok(vec![Tolerance::Absolute(self.map(inputs, bound)?.to_f32())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, rois, images, out) = (&cx.inputs[0], &cx.inputs[1], &cx.inputs[2], &cx.outputs[0]);
        let [n, channels, height, width] = x.shape[..] else { return Err(Error::shape("RoiAlign", "'x' is no image")) };
        let numbers = [out.len(), channels, n, height, width, self.output_height, self.output_width];
        let mut params = numbers.map(|n| n as u32).to_vec();
        params.extend([self.sampling_ratio as u32, MOST_SAMPLES as u32]);
        params.extend([self.spatial_scale, self.offset(), self.least()].map(f32::to_bits));
        let kernel = Kernel::new("roi_align").constant("MAXIMUM", (self.mode == RoiMode::Max).into());
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).read(rois.value).read(images.value).write(out.value));
        Ok(())
    }

    /// Regions are taken for whole images where samples are not counted.
    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let samples = |d: usize| match self.sampling_ratio {
            0 => inputs[0][d].div_ceil(outputs[0][d].max(1)).min(MOST_SAMPLES) as u64,
            ratio => ratio as u64,
        };
        outputs[0].iter().product::<usize>() as u64 * samples(2) * samples(3) * 16
    }
}
