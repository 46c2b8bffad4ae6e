//! Transposed convolutions over one, two or three spatial dimensions.

use rayon::prelude::*;

use super::conv::geometry::{Axis, Geometry, Window, constant, rows, three};
use super::tail::{self, Applied};
use super::{Input, Lowering, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// The transpose of a convolution as a linear map: `out[n, m, i] = tail(sum weight[c, m, k] * x[n, c, o], others...)` over all
/// channels `c` of the group of `m` and all `o` and `k` with `i = o stride + k dilation - pads_begin`.
///
/// Inputs: `x` `[N, C, spatial..]`, `weight` `[C, M/groups, kernel..]`, both f32, then the tail's further operands: of the output's
/// shape, by channel (`[M, 1..]`), or single numbers. Output `[N, M, spatial..]` with `(in - 1) stride + (kernel - 1) dilation + 1 +
/// output_padding - pads_begin - pads_end` places for `in`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose {
    /// Outputs from one input to the next, by spatial dimension.
    pub strides: Vec<usize>,
    /// Outputs that are cut off at the beginning, by spatial dimension.
    pub pads_begin: Vec<usize>,
    /// Outputs that are cut off at the end, by spatial dimension.
    pub pads_end: Vec<usize>,
    /// Outputs from one tap of the kernel to the next, by spatial dimension.
    pub dilations: Vec<usize>,
    /// Outputs that are added at the end, by spatial dimension.
    pub output_padding: Vec<usize>,
    /// Groups into which channels and filters are cut; filters see the channels of their own group.
    pub groups: usize,
    /// What is applied to each sum (its operand 0) before it is stored.
    pub tail: Expr,
}

impl ConvTranspose {
    /// A transposed convolution over `rank` spatial dimensions with stride 1, no padding, one group and no tail.
    pub fn plain(rank: usize) -> Self {
        let (ones, zeros) = (vec![1; rank], vec![0; rank]);
        ConvTranspose {
            strides: ones.clone(),
            pads_begin: zeros.clone(),
            pads_end: zeros.clone(),
            dilations: ones,
            output_padding: zeros,
            groups: 1,
            tail: Expr::operand(0),
        }
    }

    fn window(&self) -> Window<'_> {
        Window { strides: &self.strides, pads_begin: &self.pads_begin, pads_end: &self.pads_end, dilations: &self.dilations }
    }

    /// The convolution of which this is the transpose: its inputs are the outputs here, its channels the filters.
    fn geometry(&self, x: &[usize], weight: &[usize]) -> Result<Geometry> {
        let refuse = |what: String| Err(Error::shape("ConvTranspose", what));
        let rank = x.len().saturating_sub(2);
        if !(1..=3).contains(&rank) || weight.len() != x.len() {
            return refuse(format!(
                "'x' {x:?} and 'weight' {weight:?}, expected [N, C, ..] and [C, M/groups, ..] with 1 to 3 more"
            ));
        }
        self.window().check("ConvTranspose", rank)?;
        if self.groups == 0 || weight[0] != x[1] || !x[1].is_multiple_of(self.groups) || self.output_padding.len() != rank {
            return refuse(format!("'x' {x:?} and 'weight' {weight:?} do not go together in {self:?}"));
        }
        let axes = (0..rank).map(|d| self.axis(d, x[d + 2], weight[d + 2])).collect::<Result<Vec<Axis>>>()?;
        let outputs = axes.iter().map(|a| a.input);
        if outputs.chain([x[0], weight[1], self.groups, size_of::<u64>()]).try_fold(1usize, usize::checked_mul).is_none() {
            return refuse(format!("'x' {x:?} and 'weight' {weight:?} make more elements than an address can name"));
        }
        let groups = self.groups;
        Ok(Geometry { batch: x[0], groups, channels: weight[1], filters: x[1] / groups, axes: three(&axes) })
    }

    fn axis(&self, d: usize, input: usize, kernel: usize) -> Result<Axis> {
        let (stride, dilation, pad) = (self.strides[d], self.dilations[d], self.pads_begin[d]);
        let refuse = || Error::shape("ConvTranspose", format!("spatial dimension {d} of {input} inputs would have no outputs"));
        let last = input.checked_sub(1).and_then(|n| n.checked_mul(stride));
        let span = kernel.checked_sub(1).and_then(|n| n.checked_mul(dilation)?.checked_add(1));
        let all = last.and_then(|n| n.checked_add(span?)?.checked_add(self.output_padding[d]));
        let output = all.and_then(|n| n.checked_sub(pad + self.pads_end[d])).filter(|n| *n > 0).ok_or_else(refuse)?;
        // Places are i32 in shaders, those that are cut off too.
        if all.is_none_or(|n| n > i32::MAX as usize / 2) {
            return Err(Error::shape("ConvTranspose", format!("spatial dimension {d} would have {output} outputs")));
        }
        Ok(Axis { input: output, kernel, output: input, stride, dilation, pad })
    }

    fn shape(x: &[usize], g: &Geometry) -> Vec<usize> {
        let spatial = g.axes.iter().skip(5 - x.len()).map(|a| a.input);
        [g.batch, g.groups * g.channels].into_iter().chain(spatial).collect()
    }
}

/// The sums, one product after another: each weight adds all inputs of a channel to the outputs that they reach.
fn spread(g: &Geometry, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let (plane, channels) = (g.inputs(), g.groups * g.channels);
    let mut out = vec![0.0; g.batch * channels * plane];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(plane).enumerate().for_each(|(i, out)| {
        let (n, m) = (i / channels, i % channels);
        for c in m / g.channels * g.filters..(m / g.channels + 1) * g.filters {
            let x = &x[(n * g.groups * g.filters + c) * g.outputs()..][..g.outputs()];
            let weight = &weight[(c * g.channels + m % g.channels) * g.taps()..][..g.taps()];
            add_channel(&g.axes, x, weight, out);
        }
    });
    out
}

fn add_channel(axes: &[Axis; 3], x: &[f32], weight: &[f32], out: &mut [f32]) {
    let stride = axes[2].stride;
    for (k, w) in weight.iter().enumerate() {
        let (len, rows) = rows(axes, k);
        for (from, to) in rows {
            let (x, out) = (&x[from..from + len], &mut out[to..]);
            out.iter_mut().step_by(stride).zip(x).for_each(|(out, x)| *out += w * x);
        }
    }
}

impl Rule for ConvTranspose {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, weight, others @ ..] = inputs else {
            return Err(Error::shape("ConvTranspose", format!("takes 2 operands and those of its tail, got {}", inputs.len())));
        };
        expect("ConvTranspose", "x", x, DType::F32, x.shape.rank())?;
        expect("ConvTranspose", "weight", weight, DType::F32, x.shape.rank())?;
        let shape = constant("ConvTranspose", "x", &x.shape)?;
        let geometry = self.geometry(&shape, &constant("ConvTranspose", "weight", &weight.shape)?)?;
        let out = Shape::from(&ConvTranspose::shape(&shape, &geometry)[..]);
        tail::check("ConvTranspose", &self.tail, others, &out, 1)?;
        Ok(vec![TensorType::new(DType::F32, out)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, weight) = (inputs[0].dense()?, inputs[1].dense()?);
        let geometry = self.geometry(x.shape(), weight.shape())?;
        let shape = ConvTranspose::shape(x.shape(), &geometry);
        let mut out = spread(&geometry, x.as_f32()?, weight.as_f32()?);
        Applied::new(&self.tail, &inputs[2..], &shape, 1)?.apply(&mut out);
        Ok(vec![Tensor::f32(&shape, out)?])
    }

    /// The error of a sum of products is [`sum_error`] of the sum of their magnitudes; the tail passes it on.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (x, weight) = (inputs[0].dense()?, inputs[1].dense()?);
        let geometry = self.geometry(x.shape(), weight.shape())?;
        let (x, weight) = (x.as_f32()?, weight.as_f32()?);
        let magnitude = |v: &[f32]| v.iter().map(|v| v.abs()).collect::<Vec<f32>>();
        let magnitudes = spread(&geometry, &magnitude(x), &magnitude(weight));
        let sums = spread(&geometry, x, weight);
        let error = sum_error(geometry.filters * geometry.taps());
        let tail = Applied::new(&self.tail, &inputs[2..], outputs[0].shape(), 1)?;
        Ok(vec![Tolerance::Absolute(tail.bounds(&sums, |i| error * magnitudes[i]))])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, weight, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let g = self.geometry(&x.shape, &weight.shape)?;
        let mut params: Vec<u32> = [out.len(), g.filters, g.channels, g.groups].map(|n| n as u32).into();
        params.extend(g.axes.iter().flat_map(Axis::words));
        let kernel = Kernel::new("conv_transpose").tail(tail::lower(&self.tail, &cx.inputs[2..], out, 1)?);
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, params, grid).read(x.value).read(weight.value).write(out.value);
        cx.emit(tail::bind(dispatch, &cx.inputs[2..]));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        let filter: usize = inputs[1].iter().skip(1).product();
        2 * inputs[0].iter().product::<usize>() as u64 * filter as u64
    }
}
