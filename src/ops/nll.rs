//! Negative log-likelihood of a target under the softmax of a row.

use super::softmax::largest_and_total;
use super::{Input, Lowering, Rule, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[r] = log(sum_j e^x[r, j]) - x[r, targets[r]]`. Inputs: `x` `[R, N]` f32, `targets` `[R]` u32. Output `[R]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Nll;

impl Rule for Nll {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, targets] = operands("Nll", inputs.to_vec())?;
        expect("Nll", "x", x, DType::F32, 2)?;
        expect("Nll", "targets", targets, DType::U32, 1)?;
        if targets.shape.0[0] != x.shape.0[0] {
            return Err(Error::shape("Nll", format!("'x' {x} and 'targets' {targets} do not agree")));
        }
        Ok(vec![TensorType::new(DType::F32, Shape(vec![x.shape.0[0].clone()]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, targets) = (inputs[0].tensor()?, inputs[1].tensor()?.as_u32()?);
        let rows = x.as_f32()?.chunks_exact(x.columns()).zip(targets);
        let out = rows.map(|(row, target)| {
            let target =
                row.get(*target as usize).ok_or_else(|| Error::shape("Nll", format!("target {target} of {:?}", x.shape())))?;
            let (largest, total) = largest_and_total(row);
            Ok(total.ln() as f32 + (largest - target))
        });
        Ok(vec![Tensor::f32(&[targets.len()], out.collect::<Result<_>>()?)?])
    }

    /// The sum's relative error is the logarithm's absolute one; WGSL's `log` adds 2^-21 near 1 or three units.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let sum = sum_error(inputs[0].tensor()?.columns()) + 50.0 * f32::EPSILON;
        Ok(vec![Tolerance::Absolute(outputs[0].as_f32()?.iter().map(|v| sum + 8.0 * f32::EPSILON * (v.abs() + 16.0)).collect())])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Apart
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, targets, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let kernel = cx.reduction(Kernel::new("nll"), cx.row_lanes(x.columns()));
        let params = vec![x.rows() as u32, x.columns() as u32];
        let grid = linear_grid(x.rows(), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).read(targets.value).write(out.value));
        Ok(())
    }

    fn example_index(&self, inputs: &[Vec<usize>], _: usize, element: usize) -> usize {
        element * 7919 % inputs[0][1]
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        4 * inputs[0].iter().product::<usize>() as u64
    }
}
