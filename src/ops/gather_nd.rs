//! Picking slices by tuples of indices.

use super::indexing::{dims, index_dims, pick, place, product};
use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[b.., t.., s..] = data[b.., indices[b.., t.., 0], .., indices[b.., t.., k - 1], s..]`.
///
/// Inputs: `data` f32 or i64; `indices` i64, whose last dimension k is the length of the tuples, and whose first `batch_dims`
/// dimensions are those of `data`; negative indices count from the end. Output: the shape of `indices` without its last
/// dimension, then the dimensions of `data` that no index names. The reference refuses indices outside, devices take the
/// nearest place.
#[derive(Clone, Debug, PartialEq)]
pub struct GatherNd {
    /// Leading dimensions that `data` and `indices` go through together.
    pub batch_dims: usize,
}

/// The place of the slice that a tuple of indices names among those of `dims`, in row-major order.
pub(super) fn slice_place(op: &str, tuple: &[i64], dims: &[usize]) -> Result<usize> {
    tuple.iter().zip(dims).try_fold(0, |at, (index, n)| Ok(at * n + place(op, *index, *n)?))
}

/// Sets what `tuple_place` of `shaders/index.wgsl` needs for tuples of indices into `dims`.
pub(super) fn tuples(kernel: Kernel, dims: &[usize]) -> Kernel {
    kernel.constant("TUPLE", dims.len() as u32).constant("WORDS", dims.len().div_ceil(4) as u32)
}

/// `first`, and then `dims` as whole vectors.
pub(super) fn tuple_params(first: [usize; 4], dims: &[usize]) -> Vec<u32> {
    let mut params: Vec<u32> = first.iter().chain(dims).map(|n| *n as u32).collect();
    params.resize(params.len().next_multiple_of(4), 0);
    params
}

impl Rule for GatherNd {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [data, indices] = operands("GatherNd", inputs.to_vec())?;
        let (shape, index_shape) = (dims("GatherNd", "data", data)?, index_dims("GatherNd", "indices", indices)?);
        let b = self.batch_dims;
        let fits = |(k, tuples): (&usize, &[usize])| {
            b < shape.len() && (1..=shape.len() - b).contains(k) && tuples.len() >= b && tuples[..b] == shape[..b]
        };
        let Some((k, tuples)) = index_shape.split_last().filter(|split| fits(*split)) else {
            return Err(Error::shape("GatherNd", format!("'indices' {indices} does not go with 'data' {data}, {b} batch dims")));
        };
        Ok(vec![TensorType::new(data.dtype, Shape::from(&[tuples, &shape[b + k..]].concat()[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (data, indices) = (inputs[0].dense()?, inputs[1].dense()?);
        let (k, b) = (indices.columns(), self.batch_dims);
        let (tuples, (picked, slice)) = (&indices.shape()[..indices.shape().len() - 1], data.shape()[b..].split_at(k));
        let (per_batch, inner) = (product(&tuples[b..]), product(slice));
        let mut sources = Vec::new();
        for (t, tuple) in indices.as_i64()?.chunks_exact(k).enumerate() {
            let at = t / per_batch * product(picked) + slice_place("GatherNd", tuple, picked)?;
            sources.extend(at * inner..(at + 1) * inner);
        }
        Ok(vec![pick(&data, &[tuples, slice].concat(), &sources)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (data, indices, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let (k, b) = (indices.columns(), self.batch_dims);
        let (picked, slice) = data.shape[b..].split_at(k);
        let per_batch = indices.rows() / product(&data.shape[..b]);
        let params = tuple_params([out.len(), product(slice), per_batch, product(picked)], picked);
        let kernel = tuples(Kernel::new("gather_nd"), picked);
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(data.value).read(indices.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (product(&outputs[0]) * (4 + 4 * inputs[1].last().copied().unwrap_or(1))) as u64
    }
}
