//! Reversing the first elements of sequences of different lengths.

use super::indexing::{dims, index_dims, pick, product};
use super::view::row_major;
use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out[c] = x[c with lengths[b] - 1 - t in the place of t]` where t, the coordinate along `time_axis`, is less than
/// `lengths[b]`, b being the coordinate along `batch_axis`; elsewhere `out[c] = x[c]`.
///
/// Inputs: `x` f32 or i64, `lengths` i64 of one dimension, that of `batch_axis`, from 0 to the dimension of `time_axis`.
/// Output: the shape of `x`. The reference refuses other lengths, devices take the nearest.
#[derive(Clone, Debug, PartialEq)]
pub struct ReverseRows {
    /// The dimension that counts sequences.
    pub batch_axis: usize,
    /// The dimension along which they run.
    pub time_axis: usize,
}

impl Rule for ReverseRows {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, lengths] = operands("ReverseRows", inputs.to_vec())?;
        let (shape, length_shape) = (dims("ReverseRows", "x", x)?, index_dims("ReverseRows", "lengths", lengths)?);
        let (b, t) = (self.batch_axis, self.time_axis);
        if b == t || b >= shape.len() || t >= shape.len() || length_shape != [shape[b]] {
            let what = format!("'x' {x} and 'lengths' {lengths} do not go with the axes {b} of sequences and {t} of time");
            return Err(Error::shape("ReverseRows", what));
        }
        Ok(vec![x.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, lengths) = (inputs[0].dense()?, inputs[1].dense()?);
        let (batch, time) = (x.shape()[self.batch_axis], x.shape()[self.time_axis]);
        let strides = row_major(x.shape());
        let length = |n: &i64| {
            let length = usize::try_from(*n).ok().filter(|n| *n <= time);
            length.ok_or_else(|| Error::shape("ReverseRows", format!("length {n} is outside of 0 ..= {time}")))
        };
        let lengths = lengths.as_i64()?.iter().map(length).collect::<Result<Vec<_>>>()?;
        let source = |i: usize| {
            let t = i / strides[self.time_axis] % time;
            let n = lengths[i / strides[self.batch_axis] % batch];
            if t < n { i - t * strides[self.time_axis] + (n - 1 - t) * strides[self.time_axis] } else { i }
        };
        let sources: Vec<usize> = (0..x.len()).map(source).collect();
        Ok(vec![pick(&x, x.shape(), &sources)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, lengths, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let strides = row_major(&x.shape);
        let (b, t) = (self.batch_axis, self.time_axis);
        let params = [x.len(), x.shape[b], strides[b], x.shape[t], strides[t]].map(|n| n as u32).to_vec();
        let grid = linear_grid(x.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(Kernel::new("reverse_rows"), params, grid).read(x.value).read(lengths.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        8 * product(&outputs[0]) as u64
    }
}
