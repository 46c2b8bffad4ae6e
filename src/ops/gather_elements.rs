//! Picking single elements along an axis by indices.

use super::elementwise::collapse;
use super::indexing::{dims, expect_axis, index_dims, offset, pick, place, product};
use super::view::row_major;
use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[c] = data[c with indices[c] in the place of c_axis]`.
///
/// Inputs: `data` f32 or i64, `indices` i64 of the same rank, whose other dimensions are at most those of `data`; negative
/// indices count from the end. Output: the shape of `indices`. The reference refuses indices outside, devices take the nearest
/// place.
#[derive(Clone, Debug, PartialEq)]
pub struct GatherElements {
    /// The dimension of `data` that indices run along.
    pub axis: usize,
}

/// Refuses `indices` whose rank is not that of `data`, and which are larger than it in a dimension other than `axis`.
pub(super) fn expect_within(op: &str, axis: usize, data: &[usize], indices: &[usize]) -> Result<()> {
    expect_axis(op, axis, data)?;
    let within = |(d, (i, n)): (usize, (&usize, &usize))| i <= n || d == axis;
    if indices.len() == data.len() && indices.iter().zip(data).enumerate().all(within) {
        return Ok(());
    }
    Err(Error::shape(
        op,
        format!("operand 'indices' of the shape {indices:?} leaves 'data' {data:?} along other axes than {axis}"),
    ))
}

/// The strides of a tensor of `shape`, that of `axis` apart: with 0 in its place.
pub(super) fn strides_beside(shape: &[usize], axis: usize) -> (Vec<usize>, usize) {
    let mut strides = row_major(shape);
    let along = std::mem::take(&mut strides[axis]);
    (strides, along)
}

impl Rule for GatherElements {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [data, indices] = operands("GatherElements", inputs.to_vec())?;
        let index_shape = index_dims("GatherElements", "indices", indices)?;
        expect_within("GatherElements", self.axis, &dims("GatherElements", "data", data)?, &index_shape)?;
        Ok(vec![TensorType::new(data.dtype, Shape::from(&index_shape[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (data, indices) = (inputs[0].dense()?, inputs[1].dense()?);
        let (strides, along) = strides_beside(data.shape(), self.axis);
        let n = data.shape()[self.axis];
        let source =
            |(i, index): (usize, &i64)| Ok(offset(i, indices.shape(), &strides) + place("GatherElements", *index, n)? * along);
        let sources = indices.as_i64()?.iter().enumerate().map(source).collect::<Result<Vec<_>>>()?;
        Ok(vec![pick(&data, indices.shape(), &sources)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (data, indices, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let (strides, along) = strides_beside(&data.shape, self.axis);
        let mut lists = [strides];
        let dims = collapse(&out.shape, &mut lists);
        let mut params = [out.len(), data.shape[self.axis], along, 0].map(|n| n as u32).to_vec();
        for (n, stride) in dims.iter().zip(&lists[0]) {
            params.extend([*n as u32, *stride as u32, 0, 0]);
        }
        let kernel = Kernel::new("gather_elements").constant("RANK", dims.len() as u32);
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(data.value).read(indices.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (product(&outputs[0]) * (2 + 4 * outputs[0].len())) as u64
    }
}
