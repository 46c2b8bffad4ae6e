//! Softmax of rows.

use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::{Dispatch, Extremes, Kernel, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out[r, i] = e^(x[r, i] - m) / sum_j e^(x[r, j] - m)` with m the row's greatest, or the logarithm of that, which is
/// `x[r, i] - m - log(sum_j e^(x[r, j] - m))`. Input: `x` `[.., N]` f32, its rows. Output: as `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// The logarithm.
    pub log: bool,
}

/// The row's greatest, and the sum of all `e^(x - greatest)`.
pub(super) fn largest_and_total(row: &[f32]) -> (f32, f64) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Summed in f64: f32 would drift, since each of many thousand terms of one sign is rounded to the sum's unit.
    (largest, row.iter().fold(0.0f64, |s, v| s + f64::from((v - largest).exp())))
}

impl Rule for Softmax {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Softmax", inputs.to_vec())?;
        expect("Softmax", "x", x, DType::F32, x.shape.rank().max(1))?;
        Ok(vec![x.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let mut out = x.as_f32()?.to_vec();
        for row in out.chunks_exact_mut(x.columns().max(1)) {
            let (largest, total) = largest_and_total(row);
            match self.log {
                true => row.iter_mut().for_each(|v| *v = *v - largest - total.ln() as f32),
                false => row.iter_mut().for_each(|v| *v = (*v - largest).exp() / total as f32),
            }
        }
        Ok(vec![Tensor::f32(x.shape(), out)?])
    }

    /// `exp` may be `3 + 2 |x|` units off, on either side, and `x - max` carries a rounding into the exponent; the
    /// sum is of one sign. Its relative error is the logarithm's absolute one; WGSL's `log` adds 2^-21 near 1 or three units.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].dense()?;
        let n = x.columns().max(1);
        let rows = x.as_f32()?.chunks_exact(n).zip(outputs[0].as_f32()?.chunks_exact(n));
        let bound = rows.flat_map(|(x, y)| {
            let (largest, _) = largest_and_total(x);
            let reach = |v: f32| (largest - v).min(100.0);
            let relative = |v: f32| (12.0 + 4.0 * reach(v)) * f32::EPSILON + sum_error(n);
            let log = |v: f32| sum_error(n) + 50.0 * f32::EPSILON + 8.0 * f32::EPSILON * (largest - v);
            let bound = |(v, y): (&f32, &f32)| if self.log { log(*v) } else { relative(*v) * y + f32::MIN_POSITIVE };
            x.iter().zip(y).map(bound).collect::<Vec<f32>>()
        });
        Ok(vec![Tolerance::Absolute(bound.collect())])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Apart
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let kernel = cx.reduction(Kernel::new("softmax").constant("LOG", self.log.into()), cx.row_lanes(x.columns()));
        let params = vec![x.rows() as u32, x.columns() as u32];
        cx.emit(Dispatch::new(kernel, params, linear_grid(x.rows(), cx.caps)).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        5 * outputs[0].iter().product::<usize>() as u64
    }
}
