//! Picking rows of a dense value, for example the tokens whose logits are wanted.

use super::{Input, Lowering, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[r, :] = x[rows[r], :]`. Inputs: `x` `[T, d]` f32, `rows` `[R]` u32. Output `[R, d]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GatherRows;

impl Rule for GatherRows {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, rows] = operands("GatherRows", inputs.to_vec())?;
        expect("GatherRows", "x", x, DType::F32, 2)?;
        expect("GatherRows", "rows", rows, DType::U32, 1)?;
        Ok(vec![TensorType::new(DType::F32, Shape(vec![rows.shape.0[0].clone(), x.shape.0[1].clone()]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, rows) = (inputs[0].tensor()?, inputs[1].tensor()?.as_u32()?);
        let d = x.columns();
        let mut out = Vec::with_capacity(rows.len() * d);
        for row in rows {
            let at = *row as usize * d;
            let found = x.as_f32()?.get(at..at + d);
            out.extend_from_slice(found.ok_or_else(|| Error::shape("GatherRows", format!("row {row} of {:?}", x.shape())))?);
        }
        Ok(vec![Tensor::f32(&[rows.len(), d], out)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, rows, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let params = vec![out.rows() as u32, out.columns() as u32, x.rows() as u32];
        cx.emit(Dispatch::new(Kernel::new("gather_rows"), params, grid).read(x.value).read(rows.value).write(out.value));
        Ok(())
    }

    fn example_index(&self, inputs: &[Vec<usize>], _: usize, element: usize) -> usize {
        element * 7919 % inputs[0][0]
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        outputs[0].iter().product::<usize>() as u64
    }
}
