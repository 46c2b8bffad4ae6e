//! Rows, normalised or not, as bytes with a scale for every group: the activations of products in integers.

use std::borrow::Cow;

use super::{Input, Lowering, ROUNDING, RmsNorm, Rule, Tolerance, expect};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::quant::GROUP;
use crate::shape::{Dim, TensorType};
use crate::tensor::Tensor;

/// `bytes[.., i] = round(y[.., i] / scales[.., i / 32])`, where a group's scale takes its largest magnitude to 126 or 127, and `y` is
/// `x` or what the norm makes of its rows.
///
/// Inputs: `x` `[.., K]` f32, K a multiple of 32, `[T, K]` where there is a norm, and then the norm's `gain` `[K]`. Outputs: `bytes`
/// `[.., K / 4]` u32, four i8 a word with the first in the lowest bits, and `scales` `[.., K / 32]` f32. `|y - scale * byte| <= scale / 2`.
///
/// Groups of magnitudes below 2^-111 become zeros. The scale of a group with a number that is not finite is NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizeRows {
    /// The norm that rows go through first.
    pub norm: Option<RmsNorm>,
}

/// Least exponent field of a largest magnitude: below, inverses of scales leave the range of f32.
const LEAST_EXPONENT: u32 = 16;

/// What the numbers of a group with that largest magnitude are multiplied with to become bytes; 0 where they become zeros, NaN
/// where it is not finite. All devices agree in it: with M the magnitude's 24 bits and E its exponent field,
/// `steps = floor(127 * 2^24 / M)` is a number of 8 bits, and `steps * 2^(126 - E)` is exact. No magnitude passes 127, and the largest
/// loses less than one step by the floor.
fn inverse_scale(largest: f32) -> f32 {
    let bits = largest.to_bits();
    let exponent = bits >> 23;
    if !(LEAST_EXPONENT..255).contains(&exponent) {
        return if exponent == 255 { f32::NAN } else { 0.0 };
    }
    let steps = (127 << 24) / ((bits & 0x7f_ffff) | 0x80_0000);
    f32::from_bits((steps as f32).to_bits().wrapping_add(126u32.wrapping_sub(exponent) << 23))
}

/// The largest magnitude of a group; of such as are not finite the one with the greatest bits.
fn largest(x: &[f32]) -> f32 {
    f32::from_bits(x.iter().map(|x| x.abs().to_bits()).max().unwrap_or(0))
}

/// What a number becomes: one product and one rounding.
fn byte(x: f32, inverse: f32) -> i8 {
    // Whatever the product is that of something not finite, it becomes 0.
    if inverse > 0.0 { (x * inverse).round_ties_even() as i8 } else { 0 }
}

/// The scale beside an inverse.
fn scale(inverse: f32) -> f32 {
    if inverse == 0.0 { 0.0 } else { 1.0 / inverse }
}

/// How far the bytes and the scale of a group may be off where its numbers are off by `relative`: as far as those of numbers at both
/// ends, with the inverses of both ends. A whole step lies between neighbouring inverses, and far more between two steps than there is
/// between the ends.
fn bounds(x: &[f32], relative: f32) -> (Vec<f32>, f32) {
    let (most, ends) = (largest(x), [1.0 - relative, 1.0 + relative]);
    let own = inverse_scale(most);
    let inverses = ends.map(|end| inverse_scale(most * end));
    let corners = |x: f32| inverses.into_iter().flat_map(move |inverse| ends.map(|end| byte(x * end, inverse)));
    let off = |x: &f32| corners(*x).map(|b| (f32::from(b) - f32::from(byte(*x, own))).abs()).fold(0.0, f32::max);
    let scales = inverses.map(|inverse| (scale(inverse) - scale(own)).abs());
    (x.iter().map(off).collect(), scales.into_iter().fold(0.0, f32::max))
}

impl QuantizeRows {
    /// The numbers that become bytes.
    fn numbers<'a>(&self, inputs: &'a [Input]) -> Result<Cow<'a, Tensor>> {
        let Some(norm) = &self.norm else { return inputs[0].tensor().map(Cow::Borrowed) };
        let mut out = norm.reference(inputs.to_vec())?;
        out.pop().map(Cow::Owned).ok_or_else(|| Error::invalid("QuantizeRows", "the norm has no output"))
    }
}

impl Rule for QuantizeRows {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let (norm, given) = (usize::from(self.norm.is_some()), inputs.len());
        let [x, gain @ ..] = inputs else { return Err(Error::shape("QuantizeRows", "takes an operand, got none")) };
        if gain.len() != norm {
            return Err(Error::shape("QuantizeRows", format!("takes {} operands, got {given}", 1 + norm)));
        }
        if let Some(norm) = &self.norm {
            norm.infer(inputs)?;
        }
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
        let x = self.numbers(&inputs)?;
        let quantize = |x: &[f32]| {
            let inverse = inverse_scale(largest(x));
            (x.iter().map(|x| byte(*x, inverse)).collect(), scale(inverse))
        };
        let (bytes, scales): (Vec<Vec<i8>>, Vec<f32>) = x.as_f32()?.chunks(GROUP).map(quantize).unzip();
        let word = |b: &[i8; 4]| u32::from_le_bytes(b.map(|b| b as u8));
        let words = bytes.concat().as_chunks().0.iter().map(word).collect();
        let shape = |columns: usize| [&x.shape()[..x.shape().len() - 1], &[columns]].concat();
        Ok(vec![Tensor::u32(&shape(x.columns() / 4), words)?, Tensor::f32(&shape(x.columns() / GROUP), scales)?])
    }

    /// A scale is a division, which WGSL grants 2.5 units. The bytes are exact, but where a norm's results are not: then a number
    /// beside a half may be rounded to either side, and a largest magnitude beside a whole step have either scale.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let division = outputs[1].as_f32()?.iter().map(|scale| 6.0 * ROUNDING * scale);
        if self.norm.is_none() {
            return Ok(vec![Tolerance::Exact, Tolerance::Absolute(division.collect())]);
        }
        let x = self.numbers(inputs)?;
        let relative = RmsNorm::relative_error(x.columns());
        let (bytes, scales): (Vec<Vec<f32>>, Vec<f32>) = x.as_f32()?.chunks(GROUP).map(|x| bounds(x, relative)).unzip();
        let scales = scales.iter().zip(division).map(|(off, division)| off + division).collect();
        Ok(vec![Tolerance::Bytes(bytes.concat()), Tolerance::Absolute(scales)])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, bytes, scales) = (&cx.inputs[0], &cx.outputs[0], &cx.outputs[1]);
        let dispatch = match &self.norm {
            None => {
                let grid = linear_grid(scales.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
                Dispatch::new(Kernel::new("quantize_rows"), vec![scales.len() as u32], grid).read(x.value)
            }
            Some(norm) => {
                let kernel = cx.reduction(Kernel::new("quantize_rows_normed"), cx.row_lanes(x.columns()));
                let params = vec![x.rows() as u32, scales.columns() as u32, norm.epsilon.to_bits()];
                Dispatch::new(kernel, params, linear_grid(x.rows(), cx.caps)).read(x.value).constant(cx.inputs[1].value)
            }
        };
        cx.emit(dispatch.write(bytes.value).write(scales.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        let each = if self.norm.is_some() { 7 } else { 3 };
        each * inputs[0].iter().product::<usize>() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::example::Numbers;

    /// Nearly all bytes are held to be exact after a norm; where one is not, a number lies beside a half or a scale beside a step.
    #[test]
    fn bytes_after_a_norm_have_narrow_bounds() {
        let (numbers, relative) = (Numbers::new(1).units(GROUP * 1000), RmsNorm::relative_error(576));
        let found: Vec<(Vec<f32>, f32)> = numbers.chunks(GROUP).map(|x| bounds(x, relative)).collect();
        let (exact, all) = (found.iter().flat_map(|f| &f.0).filter(|off| **off == 0.0).count(), numbers.len());
        assert!(exact * 100 > all * 98, "{exact} of {all} bytes are exact");
        assert!(found.iter().flat_map(|f| &f.0).all(|off| *off <= 2.0));
        // 127 / 128 of a power of two is the edge between 128 and 127 steps.
        let edge = [2.0 * 127.0 / 128.0, 1.0];
        assert!(bounds(&edge, 1e-6).1 > 0.0 && bounds(&[1.9, 1.0], 1e-6).1 == 0.0);
        assert_eq!(bounds(&[0.0; 2], 1e-6), (vec![0.0; 2], 0.0));
    }
}
