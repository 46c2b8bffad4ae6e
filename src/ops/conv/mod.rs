//! Convolutions over one, two or three spatial dimensions.

pub mod geometry;
mod kernels;
mod reference;
mod winograd;

use self::geometry::{Axis, Geometry, Window, constant, three};
use self::reference::convolve;
use super::tail::{self, Applied};
use super::{Input, Lowering, Rule, Tolerance, kind_of, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Expr, Extremes};
use crate::shape::{Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// `out[n, m, o] = tail(sum_c sum_k weight[m, c, k] * x[n, g C/G + c, o stride + k dilation - pads_begin], others...)` with `o` and
/// `k` over all spatial dimensions, `g` the group of filter `m`, and zeros around `x`.
///
/// Inputs: `x` `[N, C, spatial..]`, `weight` `[M, C/groups, kernel..]`, both f32 or both i64, then the tail's further operands: of the
/// output's shape, by channel (`[M, 1..]`), or single numbers. Output `[N, M, spatial..]`. Integers take no tail; devices add
/// their products up in 32 bits, where they wrap.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Inputs from one output to the next, by spatial dimension.
    pub strides: Vec<usize>,
    /// Zeros before the first input, by spatial dimension.
    pub pads_begin: Vec<usize>,
    /// Zeros after the last input, by spatial dimension.
    pub pads_end: Vec<usize>,
    /// Inputs from one tap of the kernel to the next, by spatial dimension.
    pub dilations: Vec<usize>,
    /// Groups into which channels and filters are cut; filters see the channels of their own group.
    pub groups: usize,
    /// What is applied to each sum (its operand 0) before it is stored.
    pub tail: Expr,
}

impl Conv {
    /// A convolution over `rank` spatial dimensions with stride 1, no padding, one group and no tail.
    pub fn plain(rank: usize) -> Self {
        let (ones, zeros) = (vec![1; rank], vec![0; rank]);
        let (strides, dilations) = (ones.clone(), ones);
        Conv { strides, pads_begin: zeros.clone(), pads_end: zeros, dilations, groups: 1, tail: Expr::operand(0) }
    }

    fn window(&self) -> Window<'_> {
        Window { strides: &self.strides, pads_begin: &self.pads_begin, pads_end: &self.pads_end, dilations: &self.dilations }
    }

    /// The geometry for operands of these shapes.
    fn geometry(&self, x: &[usize], weight: &[usize]) -> Result<Geometry> {
        let refuse = |what: String| Err(Error::shape("Conv", what));
        let rank = x.len().saturating_sub(2);
        if !(1..=3).contains(&rank) || weight.len() != x.len() {
            return refuse(format!(
                "'x' {x:?} and 'weight' {weight:?}, expected [N, C, ..] and [M, C/groups, ..] with 1 to 3 more"
            ));
        }
        self.window().check("Conv", rank)?;
        let groups = self.groups;
        if groups == 0 || weight[1].checked_mul(groups) != Some(x[1]) || !weight[0].is_multiple_of(groups) {
            return refuse(format!("'x' {x:?} and 'weight' {weight:?} do not go together in {groups} groups"));
        }
        let axis = |d: usize| self.window().axis("Conv", d, x[d + 2], weight[d + 2]);
        let axes = (0..rank).map(axis).collect::<Result<Vec<Axis>>>()?;
        let outputs = axes.iter().map(|a| a.output);
        if outputs.chain([x[0], weight[0], size_of::<u64>()]).try_fold(1usize, usize::checked_mul).is_none() {
            return refuse(format!("'x' {x:?} and 'weight' {weight:?} make more elements than an address can name"));
        }
        Ok(Geometry { batch: x[0], groups, channels: weight[1], filters: weight[0] / groups, axes: three(&axes) })
    }

    /// The output's shape.
    fn shape(x: &[usize], g: &Geometry) -> Vec<usize> {
        let spatial = g.axes.iter().skip(5 - x.len()).map(|a| a.output);
        [g.batch, g.groups * g.filters].into_iter().chain(spatial).collect()
    }
}

impl Rule for Conv {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, weight, others @ ..] = inputs else {
            return Err(Error::shape("Conv", format!("takes 2 operands and those of its tail, got {}", inputs.len())));
        };
        let (shape, kernel) = (constant("Conv", "x", &x.shape)?, constant("Conv", "weight", &weight.shape)?);
        let geometry = self.geometry(&shape, &kernel)?;
        kind_of("Conv", x)?;
        if x.dtype != weight.dtype {
            return Err(Error::shape("Conv", format!("'x' is {x}, 'weight' is {weight}, expected elements of one type")));
        }
        let out = Shape::from(&Conv::shape(&shape, &geometry)[..]);
        match x.dtype {
            DType::F32 => tail::check("Conv", &self.tail, others, &out, 1)?,
            _ if self.tail == Expr::operand(0) && others.is_empty() => {}
            _ => return Err(Error::shape("Conv", format!("integers take no tail, got '{}'", self.tail))),
        }
        Ok(vec![TensorType::new(x.dtype, out)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, weight) = (inputs[0].dense()?, inputs[1].dense()?);
        let geometry = self.geometry(x.shape(), weight.shape())?;
        let shape = Conv::shape(x.shape(), &geometry);
        if let (Data::I64(x), Data::I64(weight)) = (x.data(), weight.data()) {
            return Ok(vec![Tensor::i64(&shape, convolve(&geometry, x, weight))?]);
        }
        let mut out = convolve(&geometry, x.as_f32()?, weight.as_f32()?);
        Applied::new(&self.tail, &inputs[2..], &shape, 1)?.apply(&mut out);
        Ok(vec![Tensor::f32(&shape, out)?])
    }

    /// The error of a sum of products is [`sum_error`] of the sum of their magnitudes; the tail passes it on. Where a device may
    /// sum products of transforms instead, their magnitudes count.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (x, weight) = (inputs[0].dense()?, inputs[1].dense()?);
        if x.dtype() == DType::I64 {
            return Ok(vec![Tolerance::Exact]);
        }
        let geometry = self.geometry(x.shape(), weight.shape())?;
        let (x, weight) = (x.as_f32()?, weight.as_f32()?);
        let sums = convolve(&geometry, x, weight);
        let magnitude = |v: &[f32]| v.iter().map(|v| v.abs()).collect::<Vec<f32>>();
        let (x, weight) = (magnitude(x), magnitude(weight));
        let (magnitudes, roundings) = match winograd::suits(&geometry) {
            true => (winograd::magnitudes(&geometry, &x, &weight), geometry.channels + winograd::ROUNDINGS),
            false => (convolve(&geometry, &x, &weight), 0),
        };
        let error = sum_error(geometry.depth().max(roundings));
        let tail = Applied::new(&self.tail, &inputs[2..], outputs[0].shape(), 1)?;
        Ok(vec![Tolerance::Absolute(tail.bounds(&sums, |i| error * magnitudes[i]))])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Finite
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let geometry = self.geometry(&cx.inputs[0].shape, &cx.inputs[1].shape)?;
        kernels::lower(cx, &geometry, &self.tail)
    }

    /// Half of the lines of the first spatial dimension.
    fn halved(&self, inputs: &[Vec<usize>], output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let lines = output[2].div_ceil(2);
        let taps = self.dilations.first()? * (inputs[1][2] - 1) + 1;
        let pads = self.pads_begin.first()? + self.pads_end.first()?;
        let needed = ((lines - 1) * self.strides.first()? + taps).checked_sub(pads).filter(|n| *n > 0)?;
        let mut shapes = [inputs[..2].to_vec(), tail::halved(&inputs[2..], output, 2, lines)].concat();
        shapes[0][2] = needed;
        (lines < output[2]).then_some(shapes)
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let depth: usize = inputs[1].iter().skip(1).product();
        2 * outputs[0].iter().product::<usize>() as u64 * depth as u64
    }
}
