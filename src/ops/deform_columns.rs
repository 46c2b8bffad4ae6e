//! The inputs of a deformable convolution, sampled where its offsets say.

use rayon::prelude::*;

use super::conv::geometry::{Axis, Window, constant};
use super::{Input, Lowering, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[n, c taps + k, o] = mask[n, g taps + k, o] * x[n, c, at]`: the columns that a deformable convolution (Dai et al. 2017,
/// arXiv:1703.06211; with masks Zhu et al. 2018, arXiv:1811.11168) multiplies its weights by. `k` counts the `taps` places of the
/// kernel and `g` the group of channel `c`. The place `at = o stride + k dilation - pads_begin + offset` lies between inputs and takes
/// a part of each of the four around it, with zeros around `x`.
///
/// Inputs: `x` `[N, C, H, W]`, `offset` `[N, groups taps 2, oh, ow]` (of height, then of width), and where it is masked `mask`
/// `[N, groups taps, oh, ow]`, all f32. Output `[N, C taps, oh ow]`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeformColumns {
    /// Taps of the kernel along height and width.
    pub kernel: [usize; 2],
    /// Inputs from one output to the next.
    pub strides: [usize; 2],
    /// Zeros before the first input.
    pub pads_begin: [usize; 2],
    /// Zeros after the last input.
    pub pads_end: [usize; 2],
    /// Inputs from one tap to the next.
    pub dilations: [usize; 2],
    /// Groups of channels that share offsets.
    pub groups: usize,
}

impl DeformColumns {
    /// Height and width, for operands of these shapes.
    fn axes(&self, x: &[usize], offset: &[usize], mask: Option<&[usize]>) -> Result<[Axis; 2]> {
        let refuse = |what: String| Err(Error::shape("DeformColumns", what));
        let [n, channels, height, width] = x[..] else { return refuse(format!("'x' is {x:?}, expected [N, C, H, W]")) };
        let DeformColumns { strides, pads_begin, pads_end, dilations, .. } = self;
        let window = Window { strides, pads_begin, pads_end, dilations };
        window.check("DeformColumns", 2)?;
        let axis = |d: usize, input: usize| window.axis("DeformColumns", d, input, self.kernel[d]);
        let axes = [axis(0, height)?, axis(1, width)?];
        let taps = self.kernel[0].checked_mul(self.kernel[1]).and_then(|n| n.checked_mul(2 * self.groups));
        let (Some(twice), true) = (taps, self.groups > 0 && channels.is_multiple_of(self.groups.max(1))) else {
            return refuse(format!("{channels} channels in {} groups", self.groups));
        };
        let of = |channels: usize| [n, channels, axes[0].output, axes[1].output];
        if offset != of(twice) {
            return refuse(format!("'offset' is {offset:?}, expected {:?}", of(twice)));
        }
        match mask {
            Some(mask) if mask != of(twice / 2) => refuse(format!("'mask' is {mask:?}, expected {:?}", of(twice / 2))),
            _ if columns(x, &axes).iter().try_fold(size_of::<u64>(), |n, d| n.checked_mul(*d)).is_none() => {
                refuse(format!("'x' {x:?} makes more columns than an address can name"))
            }
            _ => Ok(axes),
        }
    }

    /// `f` of every output's four inputs, the part that it takes of each, and its mask.
    fn sample(&self, inputs: &[Input], f: impl Fn([f32; 4], [f32; 4], f32) -> f32 + Sync) -> Result<Tensor> {
        let (x, offset) = (inputs[0].dense()?, inputs[1].dense()?);
        let mask = inputs.get(2).map(Input::dense).transpose()?;
        let axes = self.axes(x.shape(), offset.shape(), mask.as_ref().map(|m| m.shape()))?;
        let shape = columns(x.shape(), &axes);
        let mut out = vec![0.0; shape.iter().product()];
        if out.is_empty() {
            return Tensor::f32(&shape, out);
        }
        let [height, width] = axes;
        let (channels, plane) = (x.shape()[1], height.input * width.input);
        let (taps, outputs) = (height.kernel * width.kernel, height.output * width.output);
        let (x, offset) = (x.as_f32()?, offset.as_f32()?);
        let mask = mask.as_ref().map(|m| m.as_f32()).transpose()?;
        out.par_chunks_mut(outputs).enumerate().for_each(|(row, out)| {
            let (image_channel, k) = (row / taps, row % taps);
            let (n, group) = (image_channel / channels, image_channel % channels / (channels / self.groups));
            let own = (n * self.groups + group) * taps + k;
            let x = &x[image_channel * plane..][..plane];
            for (o, out) in out.iter_mut().enumerate() {
                let along =
                    |axis: &Axis, d: usize, at: usize, tap: usize| start(axis, at, tap) + offset[(2 * own + d) * outputs + o];
                let row = along(&height, 0, o / width.output, k / width.kernel);
                let column = along(&width, 1, o % width.output, k % width.kernel);
                let (values, parts) = around(&axes, x, [row, column]);
                *out = f(values, parts, mask.map_or(1.0, |m| m[own * outputs + o]));
            }
        });
        Tensor::f32(&shape, out)
    }
}

/// The output's shape.
fn columns(x: &[usize], [height, width]: &[Axis; 2]) -> Vec<usize> {
    vec![x[0], x[1] * height.kernel * width.kernel, height.output * width.output]
}

/// The place of tap `k` of output `o` before its offset.
fn start(axis: &Axis, o: usize, k: usize) -> f32 {
    ((o * axis.stride + k * axis.dilation) as i64 - axis.pad as i64) as f32
}

/// The four inputs around a place, zeros outside, and how near it is to each.
fn around(axes: &[Axis; 2], x: &[f32], place: [f32; 2]) -> ([f32; 4], [f32; 4]) {
    let near = |d: usize| place[d] > -1.0 && place[d] < axes[d].input as f32;
    if !(near(0) && near(1)) {
        return ([0.0; 4], [0.0; 4]);
    }
    let first = place.map(f32::floor);
    let far = [place[0] - first[0], place[1] - first[1]];
    let corners = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let value = |(dy, dx): (i64, i64)| {
        let at = |d: usize, by: i64| usize::try_from(first[d] as i64 + by).ok().filter(|i| *i < axes[d].input);
        at(0, dy).zip(at(1, dx)).map_or(0.0, |(row, column)| x[row * axes[1].input + column])
    };
    let along = |d: usize, by: i64| if by == 0 { 1.0 - far[d] } else { far[d] };
    (corners.map(value), corners.map(|(dy, dx)| along(0, dy) * along(1, dx)))
}

impl Rule for DeformColumns {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        if !(2..=3).contains(&inputs.len()) {
            return Err(Error::shape("DeformColumns", format!("takes 2 or 3 operands, got {}", inputs.len())));
        }
        let mut shapes = Vec::new();
        for (name, ty) in ["x", "offset", "mask"].into_iter().zip(inputs) {
            expect("DeformColumns", name, ty, DType::F32, 4)?;
            shapes.push(constant("DeformColumns", name, &ty.shape)?);
        }
        let axes = self.axes(&shapes[0], &shapes[1], shapes.get(2).map(Vec::as_slice))?;
        Ok(vec![TensorType::new(DType::F32, Shape::from(&columns(&shapes[0], &axes)[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let sum = |values: [f32; 4], parts: [f32; 4]| values.iter().zip(parts).fold(0.0, |sum, (v, part)| sum + part * v);
        Ok(vec![self.sample(&inputs, |values, parts, mask| mask * sum(values, parts))?])
    }

    /// Places are exact but for one rounding, the same everywhere, unless a device adds otherwise: a place that is off by a unit
    /// of the largest one moves between the inputs by as much. Parts are rounded three times, and their sum and the mask once more.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let shape = inputs[0].dense()?.shape().to_vec();
        let unit = f32::EPSILON * shape[2..].iter().fold(1, |most, n| *n.max(&most)) as f32;
        let bound = |values: [f32; 4], parts: [f32; 4], mask: f32| {
            let sum: f32 = values.iter().zip(parts).map(|(v, part)| (part * v).abs()).sum();
            let slope: f32 = values.iter().map(|v| v.abs()).sum();
            mask.abs() * (sum_error(8) * sum + 2.0 * unit * slope)
        };
        Ok(vec![Tolerance::Absolute(self.sample(inputs, bound)?.as_f32()?.to_vec())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, offset, mask, out) = (&cx.inputs[0], &cx.inputs[1], cx.inputs.get(2), &cx.outputs[0]);
        let axes = self.axes(&x.shape, &offset.shape, mask.map(|m| &m.shape[..]))?;
        let mut params: Vec<u32> = [out.len(), x.shape[1], self.groups, 0].map(|n| n as u32).into();
        params.extend(axes.iter().flat_map(Axis::words));
        let kernel = Kernel::new("deform_columns").constant("MASKED", mask.is_some().into());
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        // Where there is no mask, its place is taken by the offsets.
        let mask = mask.unwrap_or(offset);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).read(offset.value).read(mask.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        24 * outputs[0].iter().product::<usize>() as u64
    }
}
