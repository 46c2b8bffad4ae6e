//! The index of the largest element of each row.

use super::{Input, Lowering, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::{Dispatch, Kernel, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[r] = argmax_j x[r, j]`, the lowest index among equals; NaN never wins (a row of NaN yields 0).
///
/// Input: `x` `[R, N]` f32. Output `[R]` u32.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgMax;

impl Rule for ArgMax {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("ArgMax", inputs.to_vec())?;
        expect("ArgMax", "x", x, DType::F32, 2)?;
        Ok(vec![TensorType::new(DType::U32, Shape(vec![x.shape.0[0].clone()]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].tensor()?;
        let best = |row: &[f32]| {
            let first = (f32::NEG_INFINITY, 0u32);
            row.iter().enumerate().fold(first, |best, (i, v)| if *v > best.0 { (*v, i as u32) } else { best }).1
        };
        let out: Vec<u32> = x.as_f32()?.chunks_exact(x.columns()).map(best).collect();
        Ok(vec![Tensor::u32(&[out.len()], out)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let kernel = Kernel::new("arg_max").constant("LANES", cx.row_lanes(x.columns()));
        let params = vec![x.rows() as u32, x.columns() as u32];
        cx.emit(Dispatch::new(kernel, params, linear_grid(x.rows(), cx.caps)).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        inputs[0].iter().product::<usize>() as u64
    }
}
