//! Rows as bytes with a scale for every group: the activations of products in integers.

use super::{Input, Lowering, ROUNDING, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::quant::GROUP;
use crate::shape::{Dim, TensorType};
use crate::tensor::Tensor;

/// `bytes[.., i] = round(x[.., i] / scales[.., i / 32])`, where a group's scale takes its largest magnitude to 126 or 127.
///
/// Input: `x` `[.., K]` f32, K a multiple of 32. Outputs: `bytes` `[.., K / 4]` u32, four i8 a word with the first in the lowest
/// bits, and `scales` `[.., K / 32]` f32. `|x - scale * byte| <= scale / 2`.
///
/// Groups of magnitudes below 2^-111 become zeros. The scale of a group with a number that is not finite is NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeRows;

/// Least exponent field of a largest magnitude: below, inverses of scales leave the range of f32.
const LEAST_EXPONENT: u32 = 16;

/// A group's bytes and scale. All devices agree in the bytes: with M the largest magnitude's 24 bits and E its exponent field,
/// `steps = floor(127 * 2^24 / M)` is a number of 8 bits, `steps * 2^(126 - E)` is exact, and with it a byte is one product and
/// one rounding. No magnitude passes 127, and the largest loses less than one step by the floor.
fn quantize(x: &[f32]) -> (Vec<i8>, f32) {
    let largest = x.iter().map(|x| x.to_bits() & 0x7fff_ffff).max().unwrap_or(0);
    let exponent = largest >> 23;
    if !(LEAST_EXPONENT..255).contains(&exponent) {
        return (vec![0; x.len()], if exponent == 255 { f32::NAN } else { 0.0 });
    }
    let steps = (127 << 24) / ((largest & 0x7f_ffff) | 0x80_0000);
    let inverse = f32::from_bits((steps as f32).to_bits().wrapping_add(126u32.wrapping_sub(exponent) << 23));
    (x.iter().map(|x| (x * inverse).round_ties_even() as i8).collect(), 1.0 / inverse)
}

impl Rule for QuantizeRows {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("QuantizeRows", inputs.to_vec())?;
        expect("QuantizeRows", "x", x, DType::F32, x.shape.rank().max(1))?;
        let k = x.shape.columns().filter(|k| k.is_multiple_of(GROUP));
        let k = k.ok_or_else(|| Error::shape("QuantizeRows", format!("the rows of 'x' {x} are no groups of {GROUP}")))?;
        let rows = |dtype, columns| {
            let mut shape = x.shape.clone();
            shape.0.pop();
            shape.0.push(Dim::Const(columns));
            TensorType::new(dtype, shape)
        };
        Ok(vec![rows(DType::U32, k / 4), rows(DType::F32, k / GROUP)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].tensor()?;
        let (bytes, scales): (Vec<Vec<i8>>, Vec<f32>) = x.as_f32()?.chunks(GROUP).map(quantize).unzip();
        let word = |b: &[i8; 4]| u32::from_le_bytes(b.map(|b| b as u8));
        let words = bytes.concat().as_chunks().0.iter().map(word).collect();
        let shape = |columns: usize| [&x.shape()[..x.shape().len() - 1], &[columns]].concat();
        Ok(vec![Tensor::u32(&shape(x.columns() / 4), words)?, Tensor::f32(&shape(x.columns() / GROUP), scales)?])
    }

    /// The bytes are exact; a scale is a division, which WGSL grants 2.5 units.
    fn tolerance(&self, _: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let scales = outputs[1].as_f32()?.iter().map(|scale| 6.0 * ROUNDING * scale).collect();
        Ok(vec![Tolerance::Exact, Tolerance::Absolute(scales)])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, bytes, scales) = (&cx.inputs[0], &cx.outputs[0], &cx.outputs[1]);
        let grid = linear_grid(scales.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(Kernel::new("quantize_rows"), vec![scales.len() as u32], grid);
        cx.emit(dispatch.read(x.value).write(bytes.value).write(scales.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        3 * inputs[0].iter().product::<usize>() as u64
    }
}
