//! Matrix product with a weight, whatever its element type, with a fused norm before it and a fused elementwise tail.

mod kernels;

use std::borrow::Cow;

use rayon::prelude::*;

use self::kernels::choose;
pub(super) use self::kernels::{Choice, choose_of_bytes};
use super::tail::{self, Applied};
use super::{BatchMatMul, Input, Lowering, Operand, RmsNorm, Rule, Tolerance, expect, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Expr, Extremes, Kernel, LINEAR_WORKGROUP, Tail, linear_grid};
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
    /// Whether operands may be rounded to f16, and up to 16 products at a time summed in it.
    pub half: bool,
    /// What is applied to each sum (its operand 0) before it is stored.
    pub tail: Expr,
}

impl MatMul {
    /// A product without a norm or a tail.
    pub fn plain() -> Self {
        MatMul { norm: None, paired: false, half: false, tail: Expr::operand(0) }
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
        let sums = products(&x, weight, |x, w| x * w)?;
        let values = sums.chunks_exact(self.sums()).enumerate().map(|(i, sums)| tail.value_of(i, sums).float());
        Ok(vec![Tensor::f32(&shape, values.collect())?])
    }

    /// The error of a sum of K products is [`sum_error`] of the sum of their magnitudes (three roundings more for
    /// dequantising, two for a norm whose factor comes after the sum, which adds its own error), with that of `half_error`
    /// where products may be in f16; the tail passes it on.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (x, weight) = (self.left(inputs)?, inputs[1].weight()?);
        let shape = self.out_shape(&x, weight);
        let tail = Applied::new(&self.tail, &inputs[self.own_operands()..], &shape, shape.len() - 1)?;
        let sums = products(&x, weight, |x, w| x * w)?;
        let relative = match self.norm {
            Some(_) => sum_error(weight.columns() + 5) + RmsNorm::relative_error(weight.columns()),
            None => sum_error(weight.columns() + 3),
        };
        let half = self.half;
        let error = |x: f32, w: f32| relative * (x * w).abs() + if half { half_error(x, w) } else { 0.0 };
        let errors = products(&x, weight, error)?;
        let each = sums.chunks_exact(self.sums()).zip(errors.chunks_exact(self.sums()));
        Ok(vec![Tolerance::Absolute(each.enumerate().map(|(i, (sums, errors))| tail.bound_of(i, sums, errors)).collect())])
    }

    fn extremes(&self) -> Extremes {
        // Sums in f16 leave its range.
        if self.half { Extremes::Unspecified } else { Extremes::of(&self.tail).min(Extremes::Poisoned) }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let choice = choose(self, cx, &cx.weight(1)?);
        let mut x = cx.inputs[0].clone();
        if let (Some(norm), None) = (&self.norm, &choice.norm) {
            x = cx.scratch(DType::F32, &[x.rows(), x.columns()]);
            cx.emit(norm.dispatch(cx, &cx.inputs[0], &cx.inputs[2], &x));
        }
        lower_product(cx, &choice, &x, 1, self.sums(), &self.tail, self.own_operands())
    }

    fn halved(&self, inputs: &[Vec<usize>], output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let (axis, own) = (output.len() - 1, self.own_operands());
        let rows = output[axis].div_ceil(2);
        let mut shapes = [inputs[..own].to_vec(), tail::halved(&inputs[own..], output, axis, rows)].concat();
        shapes[1][0] = rows * self.sums();
        (rows < output[axis]).then_some(shapes)
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        2 * self.sums() as u64 * outputs[0].iter().product::<usize>() as u64 * inputs[1][1] as u64
    }
}

/// Emits the product of the rows `x` with the weight, which is the input `at`, and applies `tail` to every `sums` sums
/// beside each other; its operands are the inputs from `others` on.
pub(super) fn lower_product(
    cx: &mut Lowering<'_>,
    choice: &Choice,
    x: &Operand,
    at: usize,
    sums: usize,
    tail: &Expr,
    others: usize,
) -> Result<()> {
    let out = cx.outputs[0].clone();
    let others = &cx.inputs[others..];
    let tail = tail::lower_given(tail, sums as u32, others, &out, out.shape.len() - 1)?;
    if sums == 1 || choice.pairs {
        return multiply(cx, choice, x, at, &out, tail, others);
    }
    let parts = cx.scratch(DType::F32, &[out.rows(), cx.inputs[at].rows()]);
    multiply(cx, choice, x, at, &parts, Expr::operand(0).into(), &[])?;
    let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
    let params = vec![out.len() as u32, out.columns() as u32];
    let dispatch = Dispatch::new(Kernel::new("mat_mul_pairs").tail(tail), params, grid);
    cx.emit(tail::bind(dispatch.read(parts.value).write(out.value), others));
    Ok(())
}

/// Emits the decoding of the weight, and the plain product with it.
fn emit_decoded(cx: &mut Lowering<'_>, x: &Operand, out: &Operand, tail: Tail, others: &[Operand]) -> Result<()> {
    let plain = match cx.inputs[1].dtype {
        // Its dense form is bound as it is.
        DType::F32 => cx.inputs[1].clone(),
        _ => emit_decoding(cx)?,
    };
    let matrix = |o: &Operand| Operand { shape: vec![o.rows(), o.columns()], ..o.clone() };
    let product = BatchMatMul { transpose_b: true, ..BatchMatMul::plain() };
    product.emit(cx, &matrix(x), &plain, &matrix(out), Some(tail), others)
}

/// Emits the decoding of the weight into scratch.
fn emit_decoding(cx: &mut Lowering<'_>) -> Result<Operand> {
    let plain = cx.scratch(DType::F32, &cx.inputs[1].shape);
    let weight = cx.weight(1)?;
    let kernel = Kernel::new("mat_mul_decode").provider(weight.provider());
    let groups = plain.rows() * weight.groups;
    let params = [plain.rows(), plain.columns(), weight.groups].map(|n| n as u32).to_vec();
    let dispatch = Dispatch::new(kernel, params, linear_grid(groups.div_ceil(LINEAR_WORKGROUP as usize), cx.caps));
    let dispatch = dispatch.write(plain.value).weight(weight.operand.value, 0, weight.planes());
    cx.emit(dispatch);
    Ok(plain)
}

/// Emits the products with each chunk of the weight, which leave `out` complete.
fn multiply(
    cx: &mut Lowering<'_>,
    choice: &Choice,
    x: &Operand,
    at: usize,
    out: &Operand,
    tail: Tail,
    others: &[Operand],
) -> Result<()> {
    if choice.decoded {
        return emit_decoded(cx, x, out, tail, others);
    }
    let weight = cx.weight(at)?;
    let (tokens, columns) = (out.rows(), weight.operand.columns());
    let mut dispatches = Vec::new();
    for (chunk, rows) in weight.operand.chunks.iter().enumerate() {
        let mut params = [tokens, columns, rows.len(), rows.start, out.columns(), weight.groups].map(|n| n as u32).to_vec();
        let (across, down) = (rows.len().div_ceil(choice.rows), tokens.div_ceil(choice.tokens));
        if across.max(down) > cx.caps.max_grid as usize {
            let what = format!("a product of {tokens} tokens with {} rows in one binding", rows.len());
            return Err(Error::Unsupported(what));
        }
        params.extend(choice.norm.as_ref().map(|(norm, _)| norm.epsilon.to_bits()));
        let dispatch = Dispatch::new(choice.kernel.clone().tail(tail.clone()), params, [across as u32, down as u32, 1]);
        let mut dispatch = dispatch.read(x.value).write(out.value);
        if let Some((_, gain)) = choice.norm {
            dispatch = dispatch.constant(gain);
        }
        if let Some(scales) = choice.scales {
            dispatch = dispatch.read(scales);
        }
        dispatches.push(tail::bind(dispatch.weight(weight.operand.value, chunk, weight.planes()), others));
    }
    dispatches.into_iter().for_each(|d| cx.emit(d));
    Ok(())
}

/// What a product in f16 may be off besides, in a sum of 16: both operands and up to 17 sums are rounded to 11 bits, and either
/// operand or the sum may become zero below the normal numbers.
fn half_error(x: f32, w: f32) -> f32 {
    const ROUNDING: f32 = 1.0 / 2048.0;
    const LEAST: f32 = 1.0 / 16384.0;
    19.0 * ROUNDING * (x * w).abs() + LEAST * (x.abs() + w.abs() + 1.0)
}

/// Rows of a weight that are dequantised together: those of a transposed one share cache lines.
const ROWS: usize = 16;

/// `sum_k f(x[t, k], weight[n, k])` for every `[t, n]`; each weight row is dequantised once.
pub(super) fn products(x: &Tensor, weight: &Weight, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<Vec<f32>> {
    let (k, n) = (weight.columns(), weight.rows());
    let tokens = x.len() / k.max(1);
    let x = x.as_f32()?;
    let sum = |x: &[f32], w: &[f32]| x.iter().zip(w).fold(0.0, |sum, (x, w)| sum + f(*x, *w));
    let mut by_row = vec![0.0; tokens * n];
    by_row.par_chunks_mut(ROWS * tokens.max(1)).enumerate().try_for_each_init(
        || vec![0.0; ROWS * k],
        |w, (chunk, out)| {
            let (first, rows) = (chunk * ROWS, out.len() / tokens.max(1));
            let w = &mut w[..rows * k];
            weight.dequantize_rows(first..first + rows, w)?;
            for (w, out) in w.chunks_exact(k).zip(out.chunks_exact_mut(tokens.max(1))) {
                out.iter_mut().zip(x.chunks_exact(k)).for_each(|(out, x)| *out = sum(x, w));
            }
            Ok::<_, Error>(())
        },
    )?;
    let mut out = vec![0.0; tokens * n];
    for (row, values) in by_row.chunks_exact(tokens.max(1)).enumerate() {
        values.iter().enumerate().for_each(|(t, v)| out[t * n + row] = *v);
    }
    Ok(out)
}
