//! Writing single elements along an axis by indices.

use super::concat::copy;
use super::elementwise::collapse;
use super::gather_elements::{expect_within, strides_beside};
use super::indexing::{dims, index_dims, offset, place, product};
use super::scatter::{Update, expect_updates, walk_flops};
use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::Result;
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out = data`, and then `out[c with indices[c] in the place of c_axis] = reduction(there, updates[c])` for all c of
/// `indices`, in row-major order.
///
/// Inputs: `data` f32 or i64; `indices` i64 of the same rank, whose other dimensions are at most those of `data`; `updates` of
/// the type of `data` and the shape of `indices`. Negative indices count from the end. Output: the shape of `data`. The
/// reference refuses indices outside, devices take the nearest place.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterElements {
    /// The dimension of `data` that indices run along.
    pub axis: usize,
    /// How updates meet elements.
    pub reduction: Update,
}

impl Rule for ScatterElements {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [data, indices, updates] = operands("ScatterElements", inputs.to_vec())?;
        let index_shape = index_dims("ScatterElements", "indices", indices)?;
        expect_within("ScatterElements", self.axis, &dims("ScatterElements", "data", data)?, &index_shape)?;
        expect_updates("ScatterElements", data, updates, &index_shape)?;
        Ok(vec![data.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (data, indices, updates) = (inputs[0].dense()?, inputs[1].dense()?, inputs[2].dense()?);
        let (strides, along) = strides_beside(data.shape(), self.axis);
        let n = data.shape()[self.axis];
        let target = |(i, index): (usize, &i64)| {
            Ok((offset(i, indices.shape(), &strides) + place("ScatterElements", *index, n)? * along, i))
        };
        let targets = indices.as_i64()?.iter().enumerate().map(target);
        Ok(vec![self.reduction.apply(&data, &updates, targets)?])
    }

    fn tolerance(&self, _: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![self.reduction.tolerance(&outputs[0])])
    }

    fn extremes(&self) -> Extremes {
        self.reduction.extremes()
    }

    /// A copy of `data`, and then one lane for each line of `indices` along the axis: lines meet different elements, so that
    /// the order within them is all that matters.
    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let ([data, indices, updates], out) = (operands("ScatterElements", cx.inputs.iter().collect())?, &cx.outputs[0]);
        cx.emit(copy(data, out, [data.len(), data.len(), 0], cx.caps));
        let (mut across, along) = strides_beside(&data.shape, self.axis);
        let (mut index_across, index_along) = strides_beside(&indices.shape, self.axis);
        let mut lines = indices.shape.clone();
        let n = lines.remove(self.axis);
        across.remove(self.axis);
        index_across.remove(self.axis);
        let count = product(&lines);
        let mut lists = [across, index_across];
        let lines = collapse(&lines, &mut lists);
        let mut params = [count, n, data.shape[self.axis], along, index_along, 0, 0, 0].map(|n| n as u32).to_vec();
        for ((len, stride), index_stride) in lines.iter().zip(&lists[0]).zip(&lists[1]) {
            params.extend([*len, *stride, *index_stride, 0].map(|n| n as u32));
        }
        let kernel = Kernel::new("scatter_elements").constant("RANK", lines.len() as u32);
        let grid = linear_grid(count.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(self.reduction.link(kernel, data.dtype), params, grid);
        cx.emit(dispatch.read(indices.value).read(updates.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        let updates = inputs[1].get(self.axis).copied().unwrap_or(1);
        product(&inputs[0]) as u64 + walk_flops(product(&inputs[1]) / updates.max(1), updates, 8)
    }
}
