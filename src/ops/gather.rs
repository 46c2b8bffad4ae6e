//! Picking slices along an axis by indices.

use super::indexing::{dims, expect_axis, index_dims, pick, place, product, slices_at};
use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::Result;
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[o.., j.., s..] = data[o.., indices[j..], s..]`, where `o` are the dimensions before `axis` and `s` those after it.
///
/// Inputs: `data` f32 or i64, `indices` i64 of any shape; negative indices count from the end. Output: the shape of `data` with
/// that of `indices` in the place of dimension `axis`. The reference refuses indices outside, devices take the nearest place.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// The dimension of `data` that indices run along.
    pub axis: usize,
}

impl Gather {
    fn shape(&self, data: &[usize], indices: &[usize]) -> Vec<usize> {
        [&data[..self.axis], indices, &data[self.axis + 1..]].concat()
    }
}

impl Rule for Gather {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [data, indices] = operands("Gather", inputs.to_vec())?;
        let (shape, index_shape) = (dims("Gather", "data", data)?, index_dims("Gather", "indices", indices)?);
        expect_axis("Gather", self.axis, &shape)?;
        Ok(vec![TensorType::new(data.dtype, Shape::from(&self.shape(&shape, &index_shape)[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (data, indices) = (inputs[0].dense()?, inputs[1].dense()?);
        let shape = self.shape(data.shape(), indices.shape());
        let n = data.shape()[self.axis];
        let places = indices.as_i64()?.iter().map(|i| place("Gather", *i, n)).collect::<Result<Vec<_>>>()?;
        Ok(vec![pick(&data, &shape, &slices_at(data.shape(), self.axis, &places))?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (data, indices, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let inner = product(&data.shape[self.axis + 1..]);
        let params = [out.len(), indices.len(), data.shape[self.axis], inner].map(|n| n as u32).to_vec();
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(Kernel::new("gather"), params, grid).read(data.value).read(indices.value).write(out.value));
        Ok(())
    }

    fn example_index(&self, inputs: &[Vec<usize>], _: usize, element: usize) -> usize {
        element * 7919 % inputs[0][self.axis]
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        4 * product(&outputs[0]) as u64
    }
}
