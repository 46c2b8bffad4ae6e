//! Resampling along one axis: each place of the output is a weighted sum of places of the input.

use rayon::prelude::*;

use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, TensorType};
use crate::tensor::Tensor;

/// `out[.., j, ..] = sum_t weight[j, t] * x[.., index[j, t], ..]`; the index -1 means the number `outside`.
///
/// Inputs: `x` f32 of any rank; `index` `[length * taps]` i64 and `weight` `[length * taps]` f32, as
/// [`taps`](super::resample_taps::taps) makes them. Output: as `x`, with `length` places along `axis`. One tap of weight 1 is an
/// exact copy. Indices are held within `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    /// The dimension of `x`.
    pub axis: usize,
    /// Terms of each sum.
    pub taps: usize,
    /// Places of the output.
    pub length: usize,
    /// What the index -1 stands for.
    pub outside: f32,
}

impl Resample {
    /// For each element of the output `sum_t f(weight * x)`.
    fn sums(&self, inputs: &[Input], f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
        let (x, index, weight) = (inputs[0].dense()?, inputs[1].dense()?, inputs[2].dense()?);
        let (values, index, weight) = (x.as_f32()?, index.as_i64()?, weight.as_f32()?);
        let len = x.shape()[self.axis];
        let inner: usize = x.shape()[self.axis + 1..].iter().product();
        let mut shape = x.shape().to_vec();
        shape[self.axis] = self.length;
        let value = |i: usize| {
            let (row, column) = (i / inner, i % inner);
            let base = row / self.length * len * inner + column;
            let taps = row % self.length * self.taps..(row % self.length + 1) * self.taps;
            let term = |t: usize| match usize::try_from(index[t]) {
                Ok(place) if len > 0 => (weight[t], values[base + place.min(len - 1) * inner]),
                _ => (weight[t], self.outside),
            };
            match taps.clone().map(term).next() {
                Some((1.0, x)) if self.taps == 1 => f(x),
                _ => taps.map(term).fold(0.0, |sum, (w, x)| sum + f(w * x)),
            }
        };
        let count = shape.iter().product();
        Tensor::f32(&shape, (0..count).into_par_iter().map(value).collect())
    }
}

impl Rule for Resample {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, index, weight] = operands("Resample", inputs.to_vec())?;
        expect("Resample", "x", x, DType::F32, x.shape.rank())?;
        expect("Resample", "index", index, DType::I64, 1)?;
        expect("Resample", "weight", weight, DType::F32, 1)?;
        let count = self.length.checked_mul(self.taps).filter(|n| *n > 0 || self.length == 0);
        let fits = |t: &TensorType| count.is_some() && t.shape.columns() == count;
        if self.axis >= x.shape.rank() || !fits(index) || !fits(weight) {
            let what = format!("{self:?} of 'x' {x} with 'index' {index} and 'weight' {weight}");
            return Err(Error::shape("Resample", what));
        }
        let mut shape = x.shape.clone();
        shape.0[self.axis] = Dim::Const(self.length);
        Ok(vec![TensorType::new(DType::F32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        Ok(vec![self.sums(&inputs, |term| term)?])
    }

    /// The error of a sum of products is [`sum_error`] of the sum of their magnitudes.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        if self.taps == 1 && inputs[2].to_f32()?.iter().all(|w| *w == 1.0) {
            return Ok(vec![Tolerance::Exact]);
        }
        let magnitudes = self.sums(inputs, f32::abs)?;
        let bound = magnitudes.as_f32()?.iter().map(|m| sum_error(self.taps) * m);
        Ok(vec![Tolerance::Absolute(bound.collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, index, weight, out) = (&cx.inputs[0], &cx.inputs[1], &cx.inputs[2], &cx.outputs[0]);
        cx.check_iterations(self.taps)?;
        let inner: usize = x.shape[self.axis + 1..].iter().product();
        let mut params = [out.len(), inner, x.shape[self.axis], self.length, self.taps].map(|n| n as u32).to_vec();
        params.push(self.outside.to_bits());
        let kernel = Kernel::new("resample").constant("SINGLE", (self.taps == 1).into());
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).read(index.value).read(weight.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (outputs[0].iter().product::<usize>() as u64).saturating_mul(2 * self.taps as u64)
    }
}
