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
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let weight = cx.weight(1)?;
        let tail = tail::lower(&self.tail, &cx.inputs[2..], out, out.shape.len() - 1)?;
        let choice = choose(cx, x.rows(), x.columns(), &weight);
        let mut dispatches = Vec::new();
        for (chunk, rows) in weight.operand.chunks.iter().enumerate() {
            let params = [x.rows(), x.columns(), rows.len(), rows.start, out.columns(), weight.groups].map(|n| n as u32).to_vec();
            let across = rows.len().div_ceil(choice.rows);
            let down = x.rows().div_ceil(choice.tokens);
            if across.max(down) > cx.caps.max_grid as usize {
                return Err(Error::Unsupported(format!(
                    "a product of {} tokens with {} rows in one binding",
                    x.rows(),
                    rows.len()
                )));
            }
            let grid = [across as u32, down as u32, 1];
            let dispatch = Dispatch::new(choice.kernel.clone().tail(tail.clone()), params, grid);
            let dispatch = dispatch.read(x.value).write(out.value).weight(weight.operand.value, chunk, weight.planes());
            let dispatch = tail::bind(dispatch, &cx.inputs[2..]);
            dispatches.push(dispatch);
        }
        dispatches.into_iter().for_each(|d| cx.emit(d));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        2 * outputs[0].iter().product::<usize>() as u64 * inputs[1][1] as u64
    }
}

fn out_shape(x: &Tensor, weight: &Weight) -> Vec<usize> {
    let mut shape = x.shape().to_vec();
    shape.pop();
    shape.push(weight.rows());
    shape
}

/// `sum_k f(x[t, k] * weight[n, k])` for every `[t, n]`; each weight row is dequantised once.
fn products(x: &Tensor, weight: &Weight, f: impl Fn(f32) -> f32 + Sync) -> Result<Vec<f32>> {
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
struct Choice {
    kernel: Kernel,
    rows: usize,
    tokens: usize,
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
        // By reasoning: up to eight tokens the weights' bytes bound the time and each should be read once.
        Width::Wide if tokens <= 8 => {
            let cols = tokens.next_power_of_two().max(1);
            let rows = if cols > 4 { 2 } else { 4 };
            let lanes = (weight.groups.next_power_of_two() as u32).clamp(8, 32);
            let kernel = Kernel::new("mat_vec").provider(weight.provider()).provider(x_provider);
            let kernel = kernel.constant("COLS", cols as u32).constant("ROWS", rows as u32);
            Choice { kernel: cx.reduction(kernel, lanes), rows, tokens: cols }
        }
        // By reasoning: few tokens would leave half of a tile of 64 empty.
        Width::Wide => {
            let down = if tokens <= 32 { 1 } else { 2 };
            let kernel = Kernel::new("mat_mul").provider(weight.provider()).provider(x_provider);
            let kernel = kernel.provider("product/float").provider("product/tiles");
            let kernel = kernel.constant("ACROSS", 2).constant("DOWN", down);
            Choice { kernel, rows: 128, tokens: 32 * down as usize }
        }
    }
}
