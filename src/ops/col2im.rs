//! Columns of blocks put back into the image that they came from.

use rayon::prelude::*;

use super::conv::geometry::{Axis, Window, constant};
use super::view::row_major;
use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// Most spatial dimensions of an image.
const MOST_DIMENSIONS: usize = 8;

/// `out[n, c, i] = sum x[n, c prod(block) + k, o]` over all places `k` of a block and all blocks `o` with
/// `i = o stride + k dilation - pads_begin`, by every spatial dimension.
///
/// Input: `x` `[N, C prod(block), L]` f32, with L the number of blocks. Output `[N, C, image..]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Col2Im {
    /// The image's size, by spatial dimension.
    pub image: Vec<usize>,
    /// The blocks' size, by spatial dimension.
    pub block: Vec<usize>,
    /// Places from one block to the next, by spatial dimension.
    pub strides: Vec<usize>,
    /// Places before the image, by spatial dimension.
    pub pads_begin: Vec<usize>,
    /// Places after the image, by spatial dimension.
    pub pads_end: Vec<usize>,
    /// Places from one element of a block to the next, by spatial dimension.
    pub dilations: Vec<usize>,
}

impl Col2Im {
    /// The spatial dimensions of a convolution whose windows are the blocks, and the image's channels.
    fn geometry(&self, x: &[usize]) -> Result<(Vec<Axis>, usize)> {
        let refuse = |what: String| Err(Error::shape("Col2Im", what));
        let rank = self.image.len();
        if !(1..=MOST_DIMENSIONS).contains(&rank) || self.block.len() != rank {
            return refuse(format!(
                "blocks {:?} of an image {:?}, expected 1 to {MOST_DIMENSIONS} dimensions",
                self.block, self.image
            ));
        }
        let (strides, dilations) = (&self.strides[..], &self.dilations[..]);
        let window = Window { strides, pads_begin: &self.pads_begin, pads_end: &self.pads_end, dilations };
        window.check("Col2Im", rank)?;
        let axis = |d: usize| window.axis("Col2Im", d, self.image[d], self.block[d]);
        let axes = (0..rank).map(axis).collect::<Result<Vec<Axis>>>()?;
        let all = |of: fn(&Axis) -> usize, by: usize| axes.iter().map(of).try_fold(by, usize::checked_mul);
        let (Some(taps), Some(blocks)) = (all(|a| a.kernel, 1), all(|a| a.output, 1)) else {
            return refuse(format!("blocks {:?} of an image {:?} are too many", self.block, self.image));
        };
        if x.len() != 3 || !x[1].is_multiple_of(taps) || x[2] != blocks {
            return refuse(format!("'x' is {x:?}, expected [N, C {taps}, {blocks}] for {self:?}"));
        }
        let channels = x[1] / taps;
        match x[0].checked_mul(channels).and_then(|n| all(|a| a.input, n.checked_mul(size_of::<u64>())?)) {
            Some(_) => Ok((axes, channels)),
            None => refuse(format!("an image {:?} has more elements than an address can name", self.image)),
        }
    }

    fn shape(&self, x: &[usize], channels: usize) -> Vec<usize> {
        [x[0], channels].iter().chain(&self.image).copied().collect()
    }
}

/// The image of every channel, each tap of a block added after the other.
fn gather(axes: &[Axis], x: &[f32]) -> Vec<f32> {
    let sizes = |of: fn(&Axis) -> usize| axes.iter().map(of).collect::<Vec<usize>>();
    let (image, block, blocks) = (sizes(|a| a.input), sizes(|a| a.kernel), sizes(|a| a.output));
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    let column = count(&block) * count(&blocks);
    let mut out = vec![0.0; x.len().checked_div(column).unwrap_or(0) * count(&image)];
    if out.is_empty() {
        return out;
    }
    let (image_strides, block_strides, blocks_strides) = (row_major(&image), row_major(&block), row_major(&blocks));
    out.par_chunks_mut(count(&image)).zip(x.par_chunks(column)).for_each(|(out, x)| {
        for (k, x) in x.chunks(count(&blocks)).enumerate() {
            // Pairs of the first elements of rows, in the column and in the image.
            let mut rows = vec![(0, 0)];
            for (d, axis) in axes.iter().enumerate() {
                let tap = k / block_strides[d] % axis.kernel;
                let place = |o: usize| (o * blocks_strides[d], axis.source(o, tap) * image_strides[d]);
                let with = |(from, to): (usize, usize)| axis.inside(tap).map(place).map(move |(f, t)| (from + f, to + t));
                rows = rows.into_iter().flat_map(with).collect();
            }
            rows.into_iter().for_each(|(from, to)| out[to] += x[from]);
        }
    });
    out
}

impl Rule for Col2Im {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Col2Im", inputs.to_vec())?;
        expect("Col2Im", "x", x, DType::F32, 3)?;
        let shape = constant("Col2Im", "x", &x.shape)?;
        let (_, channels) = self.geometry(&shape)?;
        Ok(vec![TensorType::new(DType::F32, Shape::from(&self.shape(&shape, channels)[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let (axes, channels) = self.geometry(x.shape())?;
        Ok(vec![Tensor::f32(&self.shape(x.shape(), channels), gather(&axes, x.as_f32()?))?])
    }

    /// [`sum_error`] of the sum of magnitudes.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].dense()?;
        let (axes, _) = self.geometry(x.shape())?;
        let magnitudes: Vec<f32> = x.as_f32()?.iter().map(|v| v.abs()).collect();
        let error = sum_error(self.block.iter().product());
        Ok(vec![Tolerance::Absolute(gather(&axes, &magnitudes).into_iter().map(|m| error * m).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let (axes, _) = self.geometry(&x.shape)?;
        let all = |of: fn(&Axis) -> usize| axes.iter().map(of).product::<usize>();
        let mut params: Vec<u32> = [out.len(), all(|a| a.kernel), x.shape[2], 0].map(|n| n as u32).into();
        params.extend(axes.iter().flat_map(Axis::words));
        let kernel = Kernel::new("col2im").constant("RANK", axes.len() as u32);
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        outputs[0].iter().chain(&self.block).product::<usize>() as u64
    }
}
