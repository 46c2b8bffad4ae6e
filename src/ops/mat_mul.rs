//! Matrix product with a weight, whatever its element type, with a fused norm before it and a fused elementwise tail.

use std::borrow::Cow;

use rayon::prelude::*;

use super::tail::{self, Applied};
use super::{Input, Lowering, Operand, RmsNorm, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Expr, Kernel, LINEAR_WORKGROUP, Tail, linear_grid};
use crate::ops::lowering::PackedWeight;
use crate::quant::GROUP;
use crate::shape::{Dim, TensorType};
use crate::tensor::{Tensor, Weight};

/// `out[t, n] = tail(sum_k x[t, k] * weight[n, k], others...)`.
///
/// Inputs: `x` `[.., K]` f32, `weight` `[N, K]`, the norm's `gain` `[K]` where there is a norm, then the tail's further operands:
/// of the output's shape, `[N]` or single numbers (with leading dimensions of 1 or without). Output `[.., N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// The norm that rows of `x` go through first.
    pub norm: Option<RmsNorm>,
    /// Whether the weight is `[2 N, K]` and its rows 2n and 2n + 1 make two sums for output n, operands 0 and 1 of the tail:
    /// a gated unit in one product (Shazeer 2020, arXiv:2002.05202).
    pub paired: bool,
    /// What is applied to each sum (its operand 0) before it is stored.
    pub tail: Expr,
}

impl MatMul {
    /// A product without a norm or a tail.
    pub fn plain() -> Self {
        MatMul { norm: None, paired: false, tail: Expr::operand(0) }
    }

    /// The operands before those of the tail.
    pub fn own_operands(&self) -> usize {
        2 + usize::from(self.norm.is_some())
    }

    /// Sums that one output is made of.
    pub fn sums(&self) -> usize {
        1 + usize::from(self.paired)
    }

    /// The rows that are multiplied with the weight.
    fn left<'a>(&self, inputs: &'a [Input]) -> Result<Cow<'a, Tensor>> {
        let x = inputs[0].tensor()?;
        let Some(norm) = &self.norm else { return Ok(Cow::Borrowed(x)) };
        let mut out = norm.reference(vec![inputs[0].clone(), inputs[2].clone()])?;
        out.pop().map(Cow::Owned).ok_or_else(|| Error::invalid("MatMul", "the norm has no output"))
    }

    fn out_shape(&self, x: &Tensor, weight: &Weight) -> Vec<usize> {
        let mut shape = x.shape().to_vec();
        shape.pop();
        shape.push(weight.rows() / self.sums());
        shape
    }
}

impl Rule for MatMul {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let own = self.own_operands();
        if inputs.len() < own {
            return Err(Error::shape("MatMul", format!("takes {own} operands and those of its tail, got {}", inputs.len())));
        }
        let (x, weight) = (inputs[0], inputs[1]);
        expect("MatMul", "x", x, DType::F32, x.shape.rank().max(1))?;
        let (Some(k), [Dim::Const(rows), Dim::Const(columns)]) = (x.shape.columns(), &weight.shape.0[..]) else {
            return Err(Error::shape("MatMul", format!("operands are {x} and {weight}, expected [.., K] and [N, K]")));
        };
        if k != *columns || !rows.is_multiple_of(self.sums()) {
            return Err(Error::shape("MatMul", format!("'x' {x} and 'weight' {weight} do not agree in K, or rows are no pairs")));
        }
        if self.norm.is_some() && inputs[2].shape.0[..] != [Dim::Const(k)] {
            return Err(Error::shape("MatMul", format!("operand 'gain' is {}, 'x' is {x}", inputs[2])));
        }
        let mut shape = x.shape.clone();
        shape.0.pop();
        shape.0.push(Dim::Const(rows / self.sums()));
        tail::check_given("MatMul", &self.tail, self.sums(), &inputs[own..], &shape, shape.rank() - 1)?;
        Ok(vec![TensorType::new(DType::F32, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, weight) = (self.left(&inputs)?, inputs[1].weight()?);
        let shape = self.out_shape(&x, weight);
        let tail = Applied::new(&self.tail, &inputs[self.own_operands()..], &shape, shape.len() - 1)?;
        let sums = products(&x, weight, |product| product)?;
        let values = sums.chunks_exact(self.sums()).enumerate().map(|(i, sums)| tail.value_of(i, sums).float());
        Ok(vec![Tensor::f32(&shape, values.collect())?])
    }

    /// The error of a sum of K products is [`sum_error`] of the sum of their magnitudes (three roundings more for
    /// dequantising, two for a norm whose factor comes after the sum, which adds its own error); the tail passes it on.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (x, weight) = (self.left(inputs)?, inputs[1].weight()?);
        let shape = self.out_shape(&x, weight);
        let tail = Applied::new(&self.tail, &inputs[self.own_operands()..], &shape, shape.len() - 1)?;
        let sums = products(&x, weight, |product| product)?;
        let magnitudes = products(&x, weight, f32::abs)?;
        let of_norm = if self.norm.is_some() { RmsNorm::relative_error(weight.columns()) } else { 0.0 };
        let error = sum_error(weight.columns() + 5) + of_norm;
        let errors: Vec<f32> = magnitudes.iter().map(|m| error * m).collect();
        let each = sums.chunks_exact(self.sums()).zip(errors.chunks_exact(self.sums()));
        Ok(vec![Tolerance::Absolute(each.enumerate().map(|(i, (sums, errors))| tail.bound_of(i, sums, errors)).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let choice = choose(self, cx, &cx.weight(1)?);
        let (rows, k) = (cx.inputs[0].rows(), cx.inputs[0].columns());
        let mut x = cx.inputs[0].clone();
        if let (Some(norm), false) = (&self.norm, choice.fused) {
            x = cx.scratch(DType::F32, &[rows, k]);
            cx.emit(norm.dispatch(cx, &cx.inputs[0], &cx.inputs[2], &x));
        }
        let out = cx.outputs[0].clone();
        let others = &cx.inputs[self.own_operands()..];
        let tail = tail::lower_given(&self.tail, self.sums() as u32, others, &out, out.shape.len() - 1)?;
        if self.paired && !choice.fused {
            let sums = cx.scratch(DType::F32, &[rows, cx.inputs[1].rows()]);
            emit(cx, &choice, &x, &sums, Tail::from(Expr::operand(0)), &[], self)?;
            let kernel = Kernel::new("mat_mul_pairs").tail(tail);
            let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
            let dispatch = Dispatch::new(kernel, vec![out.len() as u32, out.columns() as u32], grid);
            cx.emit(tail::bind(dispatch.read(sums.value).write(out.value), others));
            return Ok(());
        }
        emit(cx, &choice, &x, &out, tail, others, self)
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        2 * self.sums() as u64 * outputs[0].iter().product::<usize>() as u64 * inputs[1][1] as u64
    }
}

/// Emits the product of `x` with each chunk of the weight, which leave `out` complete.
fn emit(
    cx: &mut Lowering<'_>,
    choice: &Choice,
    x: &Operand,
    out: &Operand,
    tail: Tail,
    others: &[Operand],
    op: &MatMul,
) -> Result<()> {
    let weight = cx.weight(1)?;
    let mut dispatches = Vec::new();
    for (chunk, rows) in weight.operand.chunks.iter().enumerate() {
        let mut params = [x.rows(), x.columns(), rows.len(), rows.start, out.columns(), weight.groups].map(|n| n as u32).to_vec();
        let across = rows.len().div_ceil(choice.rows);
        let down = x.rows().div_ceil(choice.tokens);
        if across.max(down) > cx.caps.max_grid as usize {
            let what = format!("a product of {} tokens with {} rows in one binding", x.rows(), rows.len());
            return Err(Error::Unsupported(what));
        }
        let norm = op.norm.as_ref().filter(|_| choice.fused);
        params.extend(norm.map(|norm| norm.epsilon.to_bits()));
        let kernel = choice.kernel.clone().tail(tail.clone());
        let mut dispatch = Dispatch::new(kernel, params, [across as u32, down as u32, 1]).read(x.value).write(out.value);
        if norm.is_some() {
            dispatch = dispatch.constant(cx.inputs[2].value);
        }
        dispatches.push(tail::bind(dispatch.weight(weight.operand.value, chunk, weight.planes()), others));
    }
    dispatches.into_iter().for_each(|d| cx.emit(d));
    Ok(())
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
    /// Rows of the weight.
    rows: usize,
    tokens: usize,
    /// Whether the kernel does the op's norm and pairs by itself.
    fused: bool,
}

/// Chooses the kernel of a product.
fn choose(op: &MatMul, cx: &Lowering<'_>, weight: &PackedWeight<'_>) -> Choice {
    let (tokens, k) = (cx.inputs[0].rows(), cx.inputs[0].columns());
    let whole_groups = k.is_multiple_of(GROUP);
    let x_provider = if whole_groups { "load/x_quads" } else { "load/x_scalars" };
    match cx.caps.width {
        // Measured on lavapipe: barriers and workgroup memory lose; a lane that owns whole rows wins. For one token four
        // rows a lane decode a quarter faster than one.
        Width::Narrow => {
            let broadcast = whole_groups && cx.caps.subgroup_at_least(8);
            let x_provider = if broadcast { "load/x_broadcast" } else { x_provider };
            let kernel = |shader| Kernel::new(shader).provider(weight.provider());
            if tokens == 1 {
                // A dispatch costs as much as 300 000 weights there, so norms and pairs are worth having in one.
                let whole_pairs = weight.operand.chunks.iter().all(|rows| rows.start % 2 + rows.len() % 2 == 0);
                let fused = whole_groups && (whole_pairs || !op.paired);
                let x_provider = match x_provider {
                    "load/x_broadcast" if fused && op.norm.is_some() => "load/x_broadcast_normed",
                    "load/x_quads" if fused && op.norm.is_some() => "load/x_quads_normed",
                    plain => plain,
                };
                let sums = if fused && op.paired { "mat_vec/paired" } else { "mat_vec/single" };
                return Choice { kernel: kernel("mat_vec_rows").provider(x_provider).provider(sums), rows: 32, tokens: 1, fused };
            }
            let cols = tokens.next_power_of_two().min(8);
            let kernel = kernel("mat_mul_rows").provider(x_provider).constant("COLS", cols as u32);
            Choice { kernel, rows: 8, tokens: cols, fused: false }
        }
        // By reasoning: up to eight tokens the weights' bytes bound the time and each should be read once.
        Width::Wide if tokens <= 8 => {
            let cols = tokens.next_power_of_two().max(1);
            let rows = if cols > 4 { 2 } else { 4 };
            let lanes = (weight.groups.next_power_of_two() as u32).clamp(8, 32);
            let kernel = Kernel::new("mat_vec").provider(weight.provider()).provider(x_provider);
            let kernel = kernel.constant("COLS", cols as u32).constant("ROWS", rows as u32);
            Choice { kernel: cx.reduction(kernel, lanes), rows, tokens: cols, fused: false }
        }
        Width::Wide => {
            let kernel = Kernel::new("mat_mul").provider(weight.provider()).provider(x_provider);
            Choice { kernel, rows: 64, tokens: 64, fused: false }
        }
    }
}
