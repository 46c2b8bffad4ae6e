//! Matrix product of quantised activations with a quantised weight, in integers within each group.

use super::mat_mul::{choose_of_bytes, lower_product, products};
use super::tail::{self, Applied};
use super::{Input, Lowering, ROUNDING, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Expr, Extremes};
use crate::quant::GROUP;
use crate::shape::{Dim, TensorType};
use crate::tensor::{Tensor, Weight};

/// `out[t, n] = tail(sum_k scales[t, k / 32] * bytes[t, k] * weight[n, k], others...)`.
///
/// Inputs: `bytes` `[.., K / 4]` u32 and `scales` `[.., K / 32]` f32 as [`QuantizeRows`](super::QuantizeRows) makes them, `weight`
/// `[N, K]` of a block format, then the tail's further operands. Rows in pairs, the tail and the output are as in
/// [`MatMul`](super::MatMul).
///
/// A product of codes by four bytes is one operation on many devices. Against the product of unquantised activations the sum is
/// off by at most `sum_k scales[t, k / 32] / 2 * |weight[n, k]|`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedMatMul {
    /// Whether rows 2n and 2n + 1 of the weight make two sums for output n.
    pub paired: bool,
    /// What is applied to each sum or two before they are stored.
    pub tail: Expr,
}

/// The activations that `bytes` and `scales` stand for, `[.., K]`.
fn activations(bytes: &Tensor, scales: &Tensor) -> Result<Tensor> {
    let bytes = bytes.as_u32()?.iter().flat_map(|word| word.to_le_bytes().map(|b| f32::from(b as i8)));
    let k = scales.columns() * GROUP;
    let scaled = scales.as_f32()?.iter().flat_map(|scale| [*scale; GROUP]).zip(bytes).map(|(scale, byte)| scale * byte);
    Tensor::f32(&[scales.len() / scales.columns().max(1), k], scaled.collect())
}

impl QuantizedMatMul {
    fn sums(&self) -> usize {
        1 + usize::from(self.paired)
    }

    fn out_shape(&self, scales: &Tensor, weight: &Weight) -> Vec<usize> {
        let mut shape = scales.shape().to_vec();
        shape.pop();
        shape.push(weight.rows() / self.sums());
        shape
    }
}

impl Rule for QuantizedMatMul {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [bytes, scales, weight, others @ ..] = inputs else {
            let what = format!("takes 3 operands and those of its tail, got {}", inputs.len());
            return Err(Error::shape("QuantizedMatMul", what));
        };
        expect("QuantizedMatMul", "bytes", bytes, DType::U32, scales.shape.rank().max(1))?;
        expect("QuantizedMatMul", "scales", scales, DType::F32, scales.shape.rank().max(1))?;
        let (rows, [groups]) =
            scales.shape.0.split_last_chunk().ok_or_else(|| Error::shape("QuantizedMatMul", "no dimensions"))?;
        let columns = groups.constant().map(|g| (g * GROUP / 4, g * GROUP));
        let fits = columns.is_some_and(|(words, k)| {
            bytes.shape.0.split_last() == Some((&Dim::Const(words), rows)) && weight.shape.columns() == Some(k)
        });
        let n = weight.shape.0.first().and_then(Dim::constant);
        let n = n.filter(|n| n.is_multiple_of(self.sums()) && weight.shape.rank() == 2);
        let (true, Some(n)) = (fits && weight.dtype.block().0 > 1, n) else {
            let what = format!("'bytes' {bytes}, 'scales' {scales} and 'weight' {weight} do not go together");
            return Err(Error::shape("QuantizedMatMul", what));
        };
        let mut shape = scales.shape.clone();
        shape.0.pop();
        shape.0.push(Dim::Const(n / self.sums()));
        tail::check_given("QuantizedMatMul", &self.tail, self.sums(), others, &shape, shape.rank() - 1)?;
        Ok(vec![TensorType::new(DType::F32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (bytes, scales, weight) = (inputs[0].tensor()?, inputs[1].tensor()?, inputs[2].weight()?);
        let shape = self.out_shape(scales, weight);
        let tail = Applied::new(&self.tail, &inputs[3..], &shape, shape.len() - 1)?;
        let sums = products(&activations(bytes, scales)?, weight, |x, w| x * w)?;
        let values = sums.chunks_exact(self.sums()).enumerate().map(|(i, sums)| tail.value_of(i, sums).float());
        Ok(vec![Tensor::f32(&shape, values.collect())?])
    }

    /// Sums of codes by bytes are exact where integers are multiplied; where floats are, four roundings more make the two operands
    /// of a product. What is rounded are, per group or half of one, `scale * sum` and for some formats
    /// `offset * sum of bytes`; no offset passes eight times the row's largest weight. The sum over groups is [`sum_error`] of the
    /// magnitudes; the tail passes it on.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (bytes, scales, weight) = (inputs[0].tensor()?, inputs[1].tensor()?, inputs[2].weight()?);
        let shape = self.out_shape(scales, weight);
        let tail = Applied::new(&self.tail, &inputs[3..], &shape, shape.len() - 1)?;
        let x = activations(bytes, scales)?;
        let sums = products(&x, weight, |x, w| x * w)?;
        let magnitudes = products(&x, weight, |x, w| (x * w).abs())?;
        let offsets = offset_magnitudes(&x, weight)?;
        let error = sum_error(weight.columns() + 4);
        let offset_error = 4.0 * ROUNDING + sum_error(weight.columns() / GROUP);
        let errors: Vec<f32> = magnitudes.iter().zip(&offsets).map(|(m, o)| error * m + offset_error * o).collect();
        let each = sums.chunks_exact(self.sums()).zip(errors.chunks_exact(self.sums()));
        Ok(vec![Tolerance::Absolute(each.enumerate().map(|(i, (sums, errors))| tail.bound_of(i, sums, errors)).collect())])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Poisoned
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (bytes, scales) = (cx.inputs[0].clone(), cx.inputs[1].clone());
        let choice = choose_of_bytes(cx, &cx.weight(2)?, scales.rows(), self.paired, scales.value);
        lower_product(cx, &choice, &bytes, 2, self.sums(), &self.tail, 3)
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        2 * self.sums() as u64 * outputs[0].iter().product::<usize>() as u64 * inputs[2][1] as u64
    }
}

/// A bound of the sum over groups of `|offset * sum of activations|`, `[T, N]`.
fn offset_magnitudes(x: &Tensor, weight: &Weight) -> Result<Vec<f32>> {
    let mut row = vec![0.0; weight.columns()];
    let largest = |r: usize| {
        weight.row(r, &mut row)?;
        Ok::<_, Error>(row.iter().fold(0.0f32, |most, w| most.max(w.abs())))
    };
    let largest = (0..weight.rows()).map(largest).collect::<Result<Vec<f32>>>()?;
    let group = |x: &[f32]| x.iter().sum::<f32>().abs();
    let sums = x.as_f32()?.chunks_exact(weight.columns().max(1)).map(|x| x.chunks(GROUP).map(group).sum::<f32>());
    Ok(sums.flat_map(|sum| largest.iter().map(move |w| 8.0 * w * sum).collect::<Vec<_>>()).collect())
}
