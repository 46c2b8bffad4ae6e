//! Normalisation of rows.

use super::tail::{self, Applied};
use super::{Input, Lowering, ROUNDING, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Expr, Extremes, Kernel, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// What rows are normalised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Less their mean, over their standard deviation (Ba et al. 2016, arXiv:1607.06450).
    Layer,
    /// Over their root mean square (Zhang and Sennrich 2019, arXiv:1910.07467).
    Rms,
}

/// `out[r, i] = tail((x[r, i] - m) / sqrt(mean_j((x[r, j] - m)^2) + epsilon), others...)`, where m is the row's mean for
/// [`Norm::Layer`] and 0 for [`Norm::Rms`].
///
/// Inputs: `x` `[.., N]` f32, then the tail's further operands: of that shape, `[N]` or single numbers. Output: as `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    /// What rows are normalised by.
    pub kind: Norm,
    /// Added to the mean square.
    pub epsilon: f32,
    /// What is applied to each element (its operand 0) before it is stored.
    pub tail: Expr,
}

/// What a row is normalised with.
struct Moments {
    mean: f64,
    /// One over the root of the mean square.
    scale: f64,
}

impl Normalize {
    fn moments(&self, row: &[f32]) -> Moments {
        let n = row.len() as f64;
        let mean = match self.kind {
            Norm::Layer => row.iter().map(|v| f64::from(*v)).sum::<f64>() / n,
            Norm::Rms => 0.0,
        };
        let square = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        Moments { mean, scale: 1.0 / (square + f64::from(self.epsilon)).sqrt() }
    }
}

impl Rule for Normalize {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, operands @ ..] = inputs else {
            return Err(Error::shape("Normalize", "takes an operand and those of its tail, got none"));
        };
        expect("Normalize", "x", x, DType::F32, x.shape.rank().max(1))?;
        tail::check("Normalize", &self.tail, operands, &x.shape, x.shape.rank() - 1)?;
        Ok(vec![(*x).clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let tail = Applied::new(&self.tail, &inputs[1..], x.shape(), x.shape().len() - 1)?;
        let mut out = x.as_f32()?.to_vec();
        let n = x.columns().max(1);
        for (r, row) in out.chunks_exact_mut(n).enumerate() {
            let Moments { mean, scale } = self.moments(row);
            let value = |(i, v): (usize, &mut f32)| *v = tail.value(r * n + i, ((f64::from(*v) - mean) * scale) as f32);
            row.iter_mut().enumerate().for_each(value);
        }
        Ok(vec![Tensor::f32(x.shape(), out)?])
    }

    /// The mean is off by [`sum_error`] of the mean magnitude and a division. So is each difference, which rounds; their mean
    /// square by [`sum_error`] of itself and the square of the mean's error, its root by half of that; `inverseSqrt` may be
    /// two units off, and a product rounds. The tail passes it on.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].dense()?;
        let tail = Applied::new(&self.tail, &inputs[1..], x.shape(), x.shape().len() - 1)?;
        let n = x.columns().max(1);
        let sum = f64::from(sum_error(n));
        let mut bounds = Vec::with_capacity(x.len());
        for (r, row) in x.as_f32()?.chunks_exact(n).enumerate() {
            let Moments { mean, scale } = self.moments(row);
            let magnitude = row.iter().map(|v| f64::from(v.abs())).sum::<f64>() / n as f64;
            let off = if self.kind == Norm::Layer { (sum + 6.0 * f64::from(ROUNDING)) * magnitude } else { 0.0 };
            let relative = 0.5 * (sum + (off * scale).powi(2)) + 12.0 * f64::from(ROUNDING);
            bounds.extend(row.iter().enumerate().map(|(i, v)| {
                let value = (f64::from(*v) - mean) * scale;
                let error = off * scale * (1.0 + relative) + relative * value.abs() + f64::from(f32::MIN_POSITIVE);
                tail.bound(r * n + i, value as f32, error as f32)
            }));
        }
        Ok(vec![Tolerance::Absolute(bounds)])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Poisoned
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let tail = tail::lower(&self.tail, &cx.inputs[1..], out, out.shape.len() - 1)?;
        let kernel = Kernel::new("normalize").constant("CENTERED", (self.kind == Norm::Layer).into());
        let kernel = cx.reduction(kernel, cx.row_lanes(x.columns())).tail(tail);
        let params = vec![x.rows() as u32, x.columns() as u32, self.epsilon.to_bits()];
        let dispatch = Dispatch::new(kernel, params, linear_grid(x.rows(), cx.caps)).read(x.value).write(out.value);
        cx.emit(tail::bind(dispatch, &cx.inputs[1..]));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (8 + self.tail.size() as u64) * outputs[0].iter().product::<usize>() as u64
    }
}
