//! The largest element of each row and its index.

use super::{Input, Lowering, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::{Dispatch, Extremes, Kernel, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[r] = argmax_j x[r, j]`, the lowest index among equals; NaN never wins (a row of NaN yields 0).
///
/// Input: `x` `[R, N]` f32. Outputs: indices `[R]` u32, and the elements themselves `[R]` f32, minus infinity for a row
/// without a number.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgMax;

impl Rule for ArgMax {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("ArgMax", inputs.to_vec())?;
        expect("ArgMax", "x", x, DType::F32, 2)?;
        let shape = Shape(vec![x.shape.0[0].clone()]);
        Ok(vec![TensorType::new(DType::U32, shape.clone()), TensorType::new(DType::F32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].tensor()?;
        let best = |row: &[f32]| {
            let first = (0u32, f32::NEG_INFINITY);
            row.iter().enumerate().fold(first, |best, (i, v)| if *v > best.1 { (i as u32, *v) } else { best })
        };
        let (indices, values): (Vec<u32>, Vec<f32>) = x.as_f32()?.chunks_exact(x.columns()).map(best).unzip();
        Ok(vec![Tensor::u32(&[indices.len()], indices)?, Tensor::f32(&[values.len()], values)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact, Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, indices, values) = (&cx.inputs[0], &cx.outputs[0], &cx.outputs[1]);
        let kernel = Kernel::new("arg_max").constant("LANES", cx.row_lanes(x.columns()));
        let params = vec![x.rows() as u32, x.columns() as u32];
        let grid = linear_grid(x.rows(), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).write(indices.value).write(values.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        inputs[0].iter().product::<usize>() as u64
    }
}
