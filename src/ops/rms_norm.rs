//! Root-mean-square normalisation of rows.

use super::{Input, Lowering, Operand, ROUNDING, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out[t, i] = x[t, i] / sqrt(mean_i(x[t, i]^2) + epsilon) * gain[i]` (Zhang and Sennrich 2019, arXiv:1910.07467).
///
/// Inputs: `x` `[T, d]` f32, `gain` `[d]`. Output `[T, d]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub epsilon: f32,
}

impl RmsNorm {
    /// Computes `out` of `x` and `gain`.
    pub(super) fn dispatch(&self, cx: &Lowering<'_>, x: &Operand, gain: &Operand, out: &Operand) -> Dispatch {
        let kernel = cx.reduction(Kernel::new("rms_norm"), cx.row_lanes(x.columns()));
        let params = vec![x.rows() as u32, x.columns() as u32, self.epsilon.to_bits()];
        let grid = linear_grid(x.rows(), cx.caps);
        Dispatch::new(kernel, params, grid).read(x.value).constant(gain.value).write(out.value)
    }

    /// The relative error of a device's results of rows of `columns` elements: all squares have one sign, so the mean is off by
    /// [`sum_error`] of itself, its root by half of that; `inverseSqrt` may be two units off, and two products round.
    pub(super) fn relative_error(columns: usize) -> f32 {
        sum_error(columns) + 8.0 * ROUNDING
    }
}

impl Rule for RmsNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, gain] = operands("RmsNorm", inputs.to_vec())?;
        expect("RmsNorm", "x", x, DType::F32, 2)?;
        if gain.shape.rank() != 1 || gain.shape.0[0] != x.shape.0[1] {
            return Err(Error::shape("RmsNorm", format!("operand 'gain' is {gain}, 'x' is {x}")));
        }
        Ok(vec![x.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, gain) = (inputs[0].tensor()?, inputs[1].to_f32()?);
        let mut out = x.as_f32()?.to_vec();
        for row in out.chunks_exact_mut(x.columns()) {
            let mean = row.iter().fold(0.0, |sum, v| sum + v * v) / row.len() as f32;
            let scale = 1.0 / (mean + self.epsilon).sqrt();
            row.iter_mut().zip(&gain).for_each(|(v, g)| *v = *v * scale * g);
        }
        Ok(vec![Tensor::f32(x.shape(), out)?])
    }

    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let relative = RmsNorm::relative_error(inputs[0].tensor()?.columns());
        Ok(vec![Tolerance::Absolute(outputs[0].as_f32()?.iter().map(|v| relative * v.abs() + f32::MIN_POSITIVE).collect())])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Poisoned
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, gain, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        cx.emit(self.dispatch(cx, x, gain, out));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        4 * outputs[0].iter().product::<usize>() as u64
    }
}
