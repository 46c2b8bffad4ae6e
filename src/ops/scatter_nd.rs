//! Writing slices by tuples of indices.

use super::concat::copy;
use super::gather_nd::{slice_place, tuple_params, tuples};
use super::indexing::{dims, index_dims, product};
use super::scatter::{Update, expect_updates, walk_flops};
use super::{Input, Lowering, Operand, Rule, Tolerance, operands};
use crate::error::{Error, Result};
use crate::kernel::{Caps, Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out = data`, and then `out[indices[t.., 0], .., indices[t.., k - 1], s..] = reduction(there, updates[t.., s..])` for all t,
/// in row-major order.
///
/// Inputs: `data` f32 or i64; `indices` i64, whose last dimension k is the length of the tuples; `updates` of the type of
/// `data`, with the shape of `indices` without its last dimension, then the dimensions of `data` that no index names. Negative
/// indices count from the end. Output: the shape of `data`. The reference refuses indices outside, devices take the nearest
/// place.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterNd {
    /// How updates meet elements.
    pub reduction: Update,
}

impl Rule for ScatterNd {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [data, indices, updates] = operands("ScatterNd", inputs.to_vec())?;
        let (shape, index_shape) = (dims("ScatterNd", "data", data)?, index_dims("ScatterNd", "indices", indices)?);
        let Some((k, tuples)) = index_shape.split_last().filter(|(k, _)| (1..=shape.len()).contains(*k)) else {
            return Err(Error::shape("ScatterNd", format!("operand 'indices' {indices} does not go with 'data' {data}")));
        };
        expect_updates("ScatterNd", data, updates, &[tuples, &shape[*k..]].concat())?;
        Ok(vec![data.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (data, indices, updates) = (inputs[0].dense()?, inputs[1].dense()?, inputs[2].dense()?);
        let (picked, slice) = data.shape().split_at(indices.columns());
        let inner = product(slice);
        let places = indices.as_i64()?.chunks_exact(picked.len()).map(|tuple| slice_place("ScatterNd", tuple, picked));
        let places = places.collect::<Result<Vec<usize>>>()?;
        let targets = places.iter().enumerate().flat_map(|(t, p)| (0..inner).map(move |s| Ok((p * inner + s, t * inner + s))));
        Ok(vec![self.reduction.apply(&data, &updates, targets)?])
    }

    fn tolerance(&self, _: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![self.reduction.tolerance(&outputs[0])])
    }

    fn extremes(&self) -> Extremes {
        self.reduction.extremes()
    }

    /// Without a reduction, the last of the tuples that name a slice is found first, by an atomic maximum, and then every
    /// element of the output by itself takes what is its own. With one, order matters, and each lane walks all tuples for one
    /// element of the slices.
    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let ([data, indices, updates], out) = (operands("ScatterNd", cx.inputs.iter().collect())?, &cx.outputs[0]);
        if self.reduction == Update::Replace {
            replace(data, indices, updates, out, cx.caps).into_iter().for_each(|d| cx.emit(d));
            return Ok(());
        }
        cx.emit(copy(data, out, [data.len(), data.len(), 0], cx.caps));
        let (picked, slice) = data.shape.split_at(indices.columns());
        let kernel = self.reduction.link(tuples(Kernel::new("scatter_nd_walk"), picked), data.dtype);
        let params = tuple_params([product(slice), indices.rows(), 0, 0], picked);
        let grid = linear_grid(product(slice).div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(indices.value).read(updates.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let k = inputs[1].last().copied().unwrap_or(1);
        let tuples = product(&inputs[1]) / k.max(1);
        let walk = match self.reduction {
            Update::Replace => 4 * (k * tuples) as u64,
            _ => walk_flops(product(&inputs[0][k.min(inputs[0].len())..]), tuples, 4 + 4 * k),
        };
        4 * product(&outputs[0]) as u64 + walk
    }
}

/// The dispatches that replace slices. Until the end, the first word of every slice of the output holds which tuple was the
/// last to name the slice, counted from 1, and 0 where none did.
fn replace(data: &Operand, indices: &Operand, updates: &Operand, out: &Operand, caps: &Caps) -> Vec<Dispatch> {
    let (picked, slice) = data.shape.split_at(indices.columns());
    let (slices, slice) = (product(picked), product(slice));
    let grid = |count: usize| linear_grid(count.div_ceil(LINEAR_WORKGROUP as usize), caps);
    let mark = |clear: bool, count: usize| {
        let kernel = tuples(Kernel::new("scatter_nd_mark"), picked).constant("CLEAR", clear.into());
        Dispatch::new(kernel, tuple_params([count, slice, 0, 0], picked), grid(count)).read(indices.value).write(out.value)
    };
    let pick = |begin: usize, width: usize| {
        let params = [slices * width, slice, begin, width].map(|n| n as u32).to_vec();
        let dispatch = Dispatch::new(Kernel::new("scatter_nd_pick"), params, grid(slices * width));
        dispatch.read(data.value).read(updates.value).write(out.value)
    };
    let mut dispatches = vec![mark(true, slices), mark(false, indices.rows())];
    if slice > 1 {
        dispatches.push(pick(1, slice - 1));
    }
    dispatches.push(pick(0, 1));
    dispatches
}
