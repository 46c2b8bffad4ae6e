//! Embedding: rows of a weight, dequantised, picked by token id.

use super::{Input, Lowering, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::quant::GROUP;
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[t, :] = weight[tokens[t], :]`. Inputs: `tokens` `[T]` u32, `weight` `[V, d]`. Output `[T, d]` f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed;

impl Rule for Embed {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [tokens, weight] = operands("Embed", inputs.to_vec())?;
        expect("Embed", "tokens", tokens, DType::U32, 1)?;
        match (weight.shape.rank(), weight.shape.columns()) {
            (2, Some(d)) => Ok(vec![TensorType::new(DType::F32, Shape(vec![tokens.shape.0[0].clone(), d.into()]))]),
            _ => Err(Error::shape("Embed", format!("operand 'weight' is {weight}, expected [V, d]"))),
        }
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (tokens, weight) = (inputs[0].tensor()?.as_u32()?, inputs[1].weight()?);
        let d = weight.columns();
        let mut out = vec![0.0; tokens.len() * d];
        for (row, token) in out.chunks_exact_mut(d).zip(tokens) {
            weight.row(*token as usize, row)?;
        }
        Ok(vec![Tensor::f32(&[tokens.len(), d], out)?])
    }

    /// The same product of the same numbers, in a device's rounding.
    fn tolerance(&self, _: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![dequantisation_tolerance(outputs[0].as_f32()?, outputs[0].columns())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (tokens, out) = (cx.inputs[0].value, &cx.outputs[0]);
        let weight = cx.weight(1)?;
        let quads_per_row = weight.groups * (GROUP / 4);
        let quads = out.rows() * quads_per_row;
        let kernel = Kernel::new("embed").provider(weight.provider());
        let grid = linear_grid(quads.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let mut dispatches = Vec::new();
        for (chunk, rows) in weight.operand.chunks.iter().enumerate() {
            let params = [out.rows(), out.columns(), weight.groups, rows.start, rows.end].map(|n| n as u32).to_vec();
            let dispatch = Dispatch::new(kernel.clone(), params, grid).read(tokens).write(out.value);
            dispatches.push(dispatch.weight(weight.operand.value, chunk, weight.planes()));
        }
        dispatches.into_iter().for_each(|d| cx.emit(d));
        Ok(())
    }

    fn example_index(&self, inputs: &[Vec<usize>], _: usize, element: usize) -> usize {
        element * 7919 % inputs[1][0]
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        outputs[0].iter().product::<usize>() as u64
    }
}

/// Dequantising is `d * q + m` with at most four roundings on either side, of terms no larger than the largest value
/// of a row times eight (a scale's offset may cancel against the product).
fn dequantisation_tolerance(values: &[f32], columns: usize) -> Tolerance {
    let largest = |row: &[f32]| row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let rows = values.chunks(columns.max(1));
    Tolerance::Absolute(rows.flat_map(|row| vec![8.0 * 8.0 * super::ROUNDING * largest(row); row.len()]).collect())
}
