//! Matrix product with a weight, whatever its element type, with a fused elementwise tail.

use rayon::prelude::*;

use super::tail::{self, Applied};
use super::{Input, Lowering, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Expr, Kernel};
use crate::ops::lowering::PackedWeight;
use crate::quant::GROUP;
use crate::shape::TensorType;
use crate::tensor::{Tensor, Weight};

/// `out[t, n] = tail(sum_k x[t, k] * weight[n, k], others...)`.
///
/// Inputs: `x` `[.., K]` f32, `weight` `[N, K]`, then the tail's further operands: of the output's shape, `[N]` or single numbers
/// (with leading dimensions of 1 or without). Output `[.., N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// What is applied to each sum (its operand 0) before it is stored.
    pub tail: Expr,
}

impl MatMul {
    /// A product without a tail.
    pub fn plain() -> Self {
        MatMul { tail: Expr::operand(0) }
    }
}

impl Rule for MatMul {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        if inputs.len() < 2 {
            return Err(Error::shape("MatMul", format!("takes 2 operands and those of its tail, got {}", inputs.len())));
        }
        let (x, weight) = (inputs[0], inputs[1]);
        expect("MatMul", "x", x, DType::F32, x.shape.rank().max(1))?;
        let (Some(k), Some(columns), 2) = (x.shape.columns(), weight.shape.columns(), weight.shape.rank()) else {
            return Err(Error::shape("MatMul", format!("operands are {x} and {weight}, expected [.., K] and [N, K]")));
        };
        if k != columns {
            return Err(Error::shape("MatMul", format!("'x' {x} and 'weight' {weight} do not agree in K")));
        }
        let mut shape = x.shape.clone();
        shape.0.pop();
        shape.0.push(weight.shape.0[0].clone());
        tail::check("MatMul", &self.tail, &inputs[2..], &shape, shape.rank() - 1)?;
        Ok(vec![TensorType::new(DType::F32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, weight) = (inputs[0].tensor()?, inputs[1].weight()?);
        let shape = out_shape(x, weight);
        let tail = Applied::new(&self.tail, &inputs[2..], &shape, shape.len() - 1)?;
        let mut out = products(x, weight, |product| product)?;
        out.iter_mut().enumerate().for_each(|(i, value)| *value = tail.value(i, *value));
        Ok(vec![Tensor::f32(&shape, out)?])
    }

    /// The error of a sum of K products is [`sum_error`] of the sum of their magnitudes (three roundings more for
    /// dequantising); the tail passes it on.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (x, weight) = (inputs[0].tensor()?, inputs[1].weight()?);
        let shape = out_shape(x, weight);
        let tail = Applied::new(&self.tail, &inputs[2..], &shape, shape.len() - 1)?;
        let sums = products(x, weight, |product| product)?;
        let magnitudes = products(x, weight, f32::abs)?;
        let error = sum_error(weight.columns() + 3);
        let bounds = sums.iter().zip(&magnitudes).enumerate().map(|(i, (sum, m))| tail.bound(i, *sum, error * m));
        Ok(vec![Tolerance::Absolute(bounds.collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let x = &cx.inputs[0];
        let choice = choose(cx, x.rows(), x.columns(), &cx.weight(1)?);
        lower_chunks(cx, 1, &self.tail, choice)
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        2 * outputs[0].iter().product::<usize>() as u64 * inputs[1][1] as u64
    }
}

/// Emits a product for every chunk of the weight's rows: its operands are those before the weight at `at`, the weight, and those
/// of the tail.
pub(super) fn lower_chunks(cx: &mut Lowering<'_>, at: usize, tail: &Expr, choice: Choice) -> Result<()> {
    let (out, others) = (&cx.outputs[0], &cx.inputs[at + 1..]);
    let weight = cx.weight(at)?;
    let (tokens, columns) = (out.rows(), weight.operand.columns());
    let tail = tail::lower(tail, others, out, out.shape.len() - 1)?;
    let mut dispatches = Vec::new();
    for (chunk, rows) in weight.operand.chunks.iter().enumerate() {
        let params = [tokens, columns, rows.len(), rows.start, out.columns(), weight.groups].map(|n| n as u32).to_vec();
        let (across, down) = (rows.len().div_ceil(choice.rows), tokens.div_ceil(choice.tokens));
        if across.max(down) > cx.caps.max_grid as usize {
            let what = format!("a product of {tokens} tokens with {} rows in one binding", rows.len());
            return Err(Error::Unsupported(what));
        }
        let dispatch = Dispatch::new(choice.kernel.clone().tail(tail.clone()), params, [across as u32, down as u32, 1]);
        let dispatch = cx.inputs[..at].iter().fold(dispatch, |dispatch, input| dispatch.read(input.value));
        let dispatch = dispatch.write(out.value).weight(weight.operand.value, chunk, weight.planes());
        dispatches.push(tail::bind(dispatch, others));
    }
    dispatches.into_iter().for_each(|d| cx.emit(d));
    Ok(())
}

fn out_shape(x: &Tensor, weight: &Weight) -> Vec<usize> {
    let mut shape = x.shape().to_vec();
    shape.pop();
    shape.push(weight.rows());
    shape
}

/// `sum_k f(x[t, k] * weight[n, k])` for every `[t, n]`; each weight row is dequantised once.
pub(super) fn products(x: &Tensor, weight: &Weight, f: impl Fn(f32) -> f32 + Sync) -> Result<Vec<f32>> {
    let (k, n) = (weight.columns(), weight.rows());
    let tokens = x.len() / k.max(1);
    let x = x.as_f32()?;
    let sum = |x: &[f32], w: &[f32]| x.iter().zip(w).fold(0.0, |sum, (x, w)| sum + f(x * w));
    let mut by_row = vec![0.0; tokens * n];
    by_row.par_chunks_mut(tokens.max(1)).enumerate().try_for_each_init(
        || vec![0.0; k],
        |w, (row, out)| {
            weight.row(row, w)?;
            out.iter_mut().zip(x.chunks_exact(k)).for_each(|(out, x)| *out = sum(x, w));
            Ok::<_, Error>(())
        },
    )?;
    let mut out = vec![0.0; tokens * n];
    for (row, values) in by_row.chunks_exact(tokens.max(1)).enumerate() {
        values.iter().enumerate().for_each(|(t, v)| out[t * n + row] = *v);
    }
    Ok(out)
}

/// A kernel and what one of its workgroups covers.
pub(super) struct Choice {
    pub kernel: Kernel,
    pub rows: usize,
    pub tokens: usize,
}

/// What a lane takes of a weight's row at a time, by the provider that loads it, and how many of these a row has.
pub(super) fn spans(weight: &PackedWeight<'_>) -> (&'static str, usize) {
    match weight.format.shares_scales() && weight.groups.is_multiple_of(2) {
        true => ("load/pairs", weight.groups / 2),
        false => ("load/groups", weight.groups),
    }
}

/// Lanes that share `n` pieces of a row: as many as there are, up to a whole subgroup, so that none of its lanes idle.
pub(super) fn shared_lanes(cx: &Lowering<'_>, n: usize) -> u32 {
    let subgroup = cx.caps.subgroup.map_or(32, |(_, max)| max.clamp(32, 64));
    (n.next_power_of_two() as u32).clamp(8, subgroup)
}

/// Chooses the kernel of a product of `tokens` rows of length `k`.
fn choose(cx: &Lowering<'_>, tokens: usize, k: usize, weight: &PackedWeight<'_>) -> Choice {
    let whole_groups = k.is_multiple_of(GROUP);
    let x_provider = if whole_groups { "load/x_quads" } else { "load/x_scalars" };
    match cx.caps.width {
        // Measured on lavapipe: barriers and workgroup memory lose; a lane that owns whole rows wins. For one token four
        // rows a lane decode a quarter faster than one.
        Width::Narrow => {
            let broadcast = whole_groups && cx.caps.subgroup_at_least(8);
            let x_provider = if broadcast { "load/x_broadcast" } else { x_provider };
            let link = |shader| Kernel::new(shader).provider(weight.provider()).provider(x_provider);
            if tokens == 1 {
                return Choice { kernel: link("mat_vec_rows"), rows: 32, tokens: 1 };
            }
            let cols = tokens.next_power_of_two().min(8);
            Choice { kernel: link("mat_mul_rows").constant("COLS", cols as u32), rows: 8, tokens: cols }
        }
        // By reasoning: up to eight tokens the weights' bytes bound the time and each should be read once. Activations are
        // loaded once for four rows, unless too few workgroups were left to fill a device.
        Width::Wide if tokens == 1 => {
            let rows = if weight.operand.rows() >= 2048 { 4 } else { 2 };
            let (span, spans) = spans(weight);
            let kernel = Kernel::new("mat_vec").provider(weight.provider()).provider(span).provider(x_provider);
            let kernel = kernel.constant("ROWS", rows as u32);
            Choice { kernel: cx.reduction(kernel, shared_lanes(cx, spans)), rows, tokens: 1 }
        }
        Width::Wide if tokens <= 8 => {
            let cols = tokens.next_power_of_two();
            // Four rows of f32 or f16 would take all registers.
            let rows = if weight.format.quants > 32 && weight.format.unit == GROUP { 2 } else { 4 };
            let kernel = Kernel::new("mat_vec_few").provider(weight.provider()).provider(x_provider);
            let kernel = kernel.constant("COLS", cols as u32).constant("ROWS", rows as u32);
            Choice { kernel: cx.reduction(kernel, shared_lanes(cx, weight.groups)), rows, tokens: cols }
        }
        Width::Wide => {
            let kernel = Kernel::new("mat_mul").provider(weight.provider()).provider(x_provider);
            Choice { kernel, rows: 64, tokens: 64 }
        }
    }
}
