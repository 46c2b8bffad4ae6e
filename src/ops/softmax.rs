//! Softmax of rows.

use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::{Dispatch, Kernel, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out[r, i] = e^(x[r, i] - max_j x[r, j]) / sum_j e^(x[r, j] - max)`. Input: `x` `[.., N]` f32, its rows. Output: as `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax;

impl Rule for Softmax {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Softmax", inputs.to_vec())?;
        expect("Softmax", "x", x, DType::F32, x.shape.rank().max(1))?;
        Ok(vec![x.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].tensor()?;
        let mut out = x.as_f32()?.to_vec();
        for row in out.chunks_exact_mut(x.columns()) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|v| *v = (*v - largest).exp());
            // Summed in f64: f32 would drift, since each of many thousand terms of one sign is rounded to the sum's unit.
            let total = row.iter().fold(0.0f64, |s, v| s + f64::from(*v)) as f32;
            row.iter_mut().for_each(|v| *v /= total);
        }
        Ok(vec![Tensor::f32(x.shape(), out)?])
    }

    /// `exp` may be `3 + 2 |x|` units off, on either side, and `x - max` carries a rounding into the exponent; the
    /// sum is of one sign.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].tensor()?;
        let rows = x.as_f32()?.chunks_exact(x.columns()).zip(outputs[0].as_f32()?.chunks_exact(x.columns()));
        let bound = rows.flat_map(|(x, y)| {
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let reach = |v: f32| (largest - v).min(100.0);
            let relative = |v: f32| (12.0 + 4.0 * reach(v)) * f32::EPSILON + sum_error(x.len());
            x.iter().zip(y).map(|(v, y)| relative(*v) * y + f32::MIN_POSITIVE).collect::<Vec<f32>>()
        });
        Ok(vec![Tolerance::Absolute(bound.collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let kernel = cx.reduction(Kernel::new("softmax"), cx.row_lanes(x.columns()));
        let params = vec![x.rows() as u32, x.columns() as u32];
        cx.emit(Dispatch::new(kernel, params, linear_grid(x.rows(), cx.caps)).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        5 * outputs[0].iter().product::<usize>() as u64
    }
}
