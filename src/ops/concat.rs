//! Tensors one after another along an axis.

use super::indexing::{dims, expect_axis, product};
use super::lowering::NARROW_ITERATIONS;
use super::{Input, Lowering, Operand, Rule, Tolerance};
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Caps, Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// The operands one after another along `axis`. Inputs: one or more tensors of one element type, f32 or i64, whose shapes
/// differ only in dimension `axis`. Output: that shape with the sum of those dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// The dimension that grows.
    pub axis: usize,
}

/// Lanes that share a copy on a narrow device.
const NARROW_LANES: usize = 1024;

impl Rule for Concat {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let Some(first) = inputs.first() else { return Err(Error::shape("Concat", "takes at least one operand, got none")) };
        let mut out = dims("Concat", "0", first)?;
        expect_axis("Concat", self.axis, &out)?;
        for (i, input) in inputs.iter().enumerate().skip(1) {
            let shape = dims("Concat", &i.to_string(), input)?;
            let fits = |(d, (a, b)): (usize, (&usize, &usize))| a == b || d == self.axis;
            if input.dtype != first.dtype || shape.len() != out.len() || !shape.iter().zip(&out).enumerate().all(fits) {
                let what = format!("operand '{i}' is {input}, operand '0' {first}: they may differ in dimension {}", self.axis);
                return Err(Error::shape("Concat", what));
            }
            let sum = out[self.axis].checked_add(shape[self.axis]);
            out[self.axis] = sum.ok_or_else(|| Error::shape("Concat", format!("dimension {} is too large", self.axis)))?;
        }
        Ok(vec![TensorType::new(first.dtype, Shape::from(&out[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let inputs = inputs.iter().map(Input::dense).collect::<Result<Vec<_>>>()?;
        let mut shape = inputs[0].shape().to_vec();
        shape[self.axis] = inputs.iter().map(|x| x.shape()[self.axis]).sum();
        let rows = product(&shape[..self.axis]);
        let blocks = inputs.iter().map(|x| product(&x.shape()[self.axis..]));
        let data = match inputs[0].data() {
            Data::F32(_) => Data::F32(interleave(rows, blocks.zip(inputs.iter().map(|x| x.as_f32())))?),
            _ => Data::I64(interleave(rows, blocks.zip(inputs.iter().map(|x| x.as_i64())))?),
        };
        Ok(vec![Tensor::new(&shape, data)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let out = &cx.outputs[0];
        let row = product(&out.shape[self.axis..]);
        let mut offset = 0;
        for x in cx.inputs {
            let block = product(&x.shape[self.axis..]);
            cx.emit(copy(x, out, [block, row, offset], cx.caps));
            offset += block;
        }
        Ok(())
    }

    fn joins(&self) -> Option<usize> {
        Some(self.axis)
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        2 * product(&outputs[0]) as u64
    }
}

/// For each of `rows`, the next block of each operand, in turn.
fn interleave<'a, T: Copy + 'a>(rows: usize, operands: impl Iterator<Item = (usize, Result<&'a [T]>)>) -> Result<Vec<T>> {
    let operands = operands.map(|(block, values)| Ok((block, values?))).collect::<Result<Vec<_>>>()?;
    let blocks = (0..rows).flat_map(|r| operands.iter().map(move |(n, values)| &values[r * n..(r + 1) * n]));
    Ok(blocks.flatten().copied().collect())
}

/// A dispatch that copies the words of `x`, in runs of `block`, to `offset` in each row of `row` words of `out`.
pub(super) fn copy(x: &Operand, out: &Operand, [block, row, offset]: [usize; 3], caps: &Caps) -> Dispatch {
    if [block, row, offset].iter().all(|n| n.is_multiple_of(4)) {
        return copy_quads(x, out, [block / 4, row / 4, offset / 4], caps);
    }
    let params = [x.len(), block, row, offset].map(|n| n as u32).to_vec();
    let grid = linear_grid(x.len().div_ceil(LINEAR_WORKGROUP as usize), caps);
    Dispatch::new(Kernel::new("concat"), params, grid).read(x.value).write(out.value)
}

/// [`copy`] of quads. On narrow devices a lane has a run of its own: measured on lavapipe, as for elementwise ops.
fn copy_quads(x: &Operand, out: &Operand, [block, row, offset]: [usize; 3], caps: &Caps) -> Dispatch {
    let quads = x.len() / 4;
    let run = match caps.width {
        Width::Narrow => quads.div_ceil(NARROW_LANES).clamp(1, NARROW_ITERATIONS).min(block),
        Width::Wide => 1,
    };
    let runs = block.div_ceil(run.max(1));
    let count = quads / block.max(1) * runs;
    let params = [count, block, row, offset, run, runs, 0, 0].map(|n| n as u32).to_vec();
    let grid = linear_grid(count.div_ceil(LINEAR_WORKGROUP as usize), caps);
    Dispatch::new(Kernel::new("concat_quads"), params, grid).read(x.value).write(out.value)
}
