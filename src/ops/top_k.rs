//! The k largest elements of each row, in order.

use std::cmp::Ordering;

use super::columns::Columns;
use super::lowering::NARROW_ITERATIONS;
use super::{Input, Lowering, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Extremes, Kernel, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// The `k` largest of each row, largest first; among equals the lower index first; NaN counts as the smallest.
///
/// Input: `x` `[R, N]` f32, `k <= N`. Outputs: values `[R, k]` f32, indices `[R, k]` u32.
#[derive(Clone, Debug, PartialEq)]
pub struct TopK {
    /// How many, at most [`TopK::MOST`].
    pub k: usize,
}

impl TopK {
    /// The largest `k`: the kernel sorts that many pairs in the 16 KiB of workgroup memory that every device has.
    pub const MOST: usize = 1024;
}

impl Rule for TopK {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("TopK", inputs.to_vec())?;
        expect("TopK", "x", x, DType::F32, 2)?;
        if self.k == 0 || self.k > TopK::MOST || x.shape.columns().is_none_or(|n| n < self.k) {
            return Err(Error::shape("TopK", format!("cannot take {} of {x}", self.k)));
        }
        let shape = Shape(vec![x.shape.0[0].clone(), self.k.into()]);
        Ok(vec![TensorType::new(DType::F32, shape.clone()), TensorType::new(DType::U32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].tensor()?;
        let (mut values, mut indices) = (Vec::new(), Vec::new());
        for row in x.as_f32()?.chunks_exact(x.columns()) {
            let key = |i: &u32| if row[*i as usize].is_nan() { f32::NEG_INFINITY } else { row[*i as usize] };
            let mut order: Vec<u32> = (0..row.len() as u32).collect();
            order.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap_or(Ordering::Equal).then(a.cmp(b)));
            values.extend(order[..self.k].iter().map(&key));
            indices.extend_from_slice(&order[..self.k]);
        }
        let shape = [x.shape()[0], self.k];
        Ok(vec![Tensor::f32(&shape, values)?, Tensor::u32(&shape, indices)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact, Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let columns = Columns { count: cx.inputs[0].rows(), len: cx.inputs[0].columns(), stride: 1 };
        // NaN has the key of minus infinity.
        lower(cx, &columns, self.k, Kernel::new("top_k").constant("LARGEST", 1).constant("NAN_KEY", 0x007f_ffff))
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        8 * inputs[0].iter().product::<usize>() as u64
    }
}

/// Emits the kernel that selects `k` of each column; `kernel` says what comes first.
///
/// # Errors
/// [`Error::Unsupported`] for more than the loops of a narrow device can do.
pub(super) fn lower(cx: &mut Lowering<'_>, columns: &Columns, k: usize, kernel: Kernel) -> Result<()> {
    let (x, values, indices) = (&cx.inputs[0], &cx.outputs[0], &cx.outputs[1]);
    let kernel = kernel.constant("FLOAT", (x.dtype == DType::F32).into());
    let places = k.next_power_of_two().max(2);
    let in_memory = k <= TopK::MOST;
    // A workgroup's iterations: of the six walks through the column, and of the sort.
    let depth = places.ilog2() as usize;
    let work = 6 * columns.len + places / 2 * depth * (depth + 1) / 2;
    let (narrow, most) = (cx.caps.width == Width::Narrow, 3 * NARROW_ITERATIONS);
    if cx.short_loops && work / 256 > most {
        return Err(Error::Unsupported(format!("{k} of a line of {} elements in order on a narrow device", columns.len)));
    }
    // By reasoning: the more there is to sort, the more lanes are worth their barriers.
    let lanes = if work / 64 <= most && (narrow || in_memory) { 64 } else { 256 };
    let kernel = kernel.constant("PLACES", places as u32).constant("LANES", lanes);
    let kernel = kernel.provider(if in_memory { "places/workgroup" } else { "places/storage" });
    let params = [columns.params(), vec![k as u32]].concat();
    let grid = linear_grid(columns.count, cx.caps);
    cx.emit(Dispatch::new(kernel, params, grid).read(x.value).write(values.value).write(indices.value));
    Ok(())
}
