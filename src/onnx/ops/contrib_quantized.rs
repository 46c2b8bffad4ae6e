//! Operators on quantised values that ONNX Runtime adds to the standard ones.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::pool::pool;
use super::qlinear::{by_column, centred, product, ratio, requantized, single};
use super::quantize::{dynamically, integer, value};
use super::reduce::fold;
use super::{Operator, contrib};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::pool::PoolKind;
use crate::ops::{Concat, Reduction};

pub const OPERATORS: &[Operator] = &[
    contrib("DynamicQuantizeMatMul", |cx| {
        let (a, b, b_scale, b_zero, bias) = (cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.optional(3), cx.optional(4));
        let [quantized, a_scale, a_zero] = dynamically(cx, &a)?;
        let sums = product(cx, (&quantized, Some(a_zero)), (&b, b_zero))?;
        scaled(cx, &sums, &a_scale, &b_scale, bias, a.ty)
    }),
    contrib("MatMulIntegerToFloat", |cx| {
        let (a, b, a_scale, b_scale) = (cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.input(3)?);
        let (a_zero, b_zero, bias) = (cx.optional(4), cx.optional(5), cx.optional(6));
        // More than one would go by column of the left matrix, which no integer product can take out of its sums.
        let a_zero = a_zero.map(|z| single(cx, &z)).transpose()?;
        let sums = product(cx, (&a, a_zero), (&b, b_zero))?;
        scaled(cx, &sums, &a_scale, &b_scale, bias, a_scale.ty)
    }),
    contrib("QLinearAdd", |cx| {
        let operands = Pair::of(cx)?;
        let [a_scale, b_scale, scale] = &operands.scales;
        let (a_share, b_share) = (ratio(cx, &[a_scale], scale)?, ratio(cx, &[b_scale], scale)?);
        operands.combined(cx, &[&a_share, &b_share], |[a, b], share| {
            Expr::sum(Expr::product(float(a), share(0)), Expr::product(float(b), share(1)))
        })
    }),
    contrib("QLinearAveragePool", |cx| {
        let count_include_pad = cx.int("count_include_pad", 0) != 0;
        let x = dequantized(cx, 0)?;
        let x = channels_first(cx, x)?;
        let mut means = pool(cx, &x, PoolKind::Average { count_include_pad })?;
        let mean = means.pop().ok_or_else(|| cx.error("a pooling without a result"))?;
        let mean = channels_last(cx, mean)?;
        Ok(vec![quantized(cx, &mean, 3, Expr::operand(0))?])
    }),
    contrib("QLinearConcat", concat),
    contrib("QLinearGlobalAveragePool", global_average_pool),
    contrib("QLinearLeakyRelu", |cx| {
        let (x, alpha) = (Expr::operand(0), Expr::float(cx.float("alpha", 0.01)));
        let below = Expr::product(x.clone(), alpha);
        activation(cx, Expr::select(Expr::binary(Op::Less, x.clone(), Expr::float(0.0)), below, x))
    }),
    contrib("QLinearMul", |cx| {
        let operands = Pair::of(cx)?;
        let [a_scale, b_scale, scale] = &operands.scales;
        let share = ratio(cx, &[a_scale, b_scale], scale)?;
        operands.combined(cx, &[&share], |[a, b], share| Expr::product(float(Expr::product(a, b)), share(0)))
    }),
    contrib("QLinearSigmoid", |cx| activation(cx, Expr::call(Function::Sigmoid, Expr::operand(0)))),
];

fn float(x: Expr) -> Expr {
    Expr::call(Function::ToFloat, x)
}

/// Sums of products of integers as floats of type `ty`: times both scales, and a bias by column.
fn scaled(
    cx: &mut Context,
    sums: &Value,
    a_scale: &Value,
    b_scale: &Value,
    bias: Option<Value>,
    ty: ElementType,
) -> Traced<Vec<Value>> {
    let (a_scale, b_scale) = (single(cx, a_scale)?, by_column(cx, b_scale)?);
    let scale = cx.binary(Op::Mul, &a_scale, &b_scale)?;
    let product = Expr::product(float(Expr::operand(0)), Expr::operand(1));
    let expr = if bias.is_some() { Expr::sum(product, Expr::operand(2)) } else { product };
    let operands: Vec<&Value> = [sums, &scale].into_iter().chain(&bias).collect();
    Ok(vec![cx.elementwise(expr, &operands, ty)?])
}

/// Two quantised operands that are broadcast to each other, and what quantises the result.
struct Pair {
    values: [Value; 2],
    /// Of both operands and the result.
    scales: [Value; 3],
    zero_points: [Option<Value>; 3],
}

impl Pair {
    fn of(cx: &mut Context) -> Traced<Self> {
        let values = [cx.input(0)?, cx.input(3)?];
        let (a, b, c) = (cx.input(1)?, cx.input(4)?, cx.input(6)?);
        let scales = [single(cx, &a)?, single(cx, &b)?, single(cx, &c)?];
        let mut zero_points = [cx.optional(2), cx.optional(5), cx.optional(7)];
        for zero in zero_points.iter_mut().flatten() {
            *zero = single(cx, zero)?;
        }
        Ok(Pair { values, scales, zero_points })
    }

    /// The quantised result for what `combine` makes of both operands, less their zero points, and of `shares`, in units of
    /// the result's scale.
    fn combined(
        self,
        cx: &mut Context,
        shares: &[&Value],
        combine: impl FnOnce([Expr; 2], &dyn Fn(u32) -> Expr) -> Expr,
    ) -> Traced<Vec<Value>> {
        let mut operands: Vec<&Value> = self.values.iter().chain(shares.iter().copied()).collect();
        let zeros = self.zero_points.each_ref().map(|zero| {
            operands.extend(zero);
            zero.as_ref().map(|_| Expr::operand(operands.len() as u32 - 1))
        });
        let [a_zero, b_zero, zero] = zeros;
        let less = |x: u32, zero: Option<Expr>| match zero {
            Some(zero) => Expr::binary(Op::Sub, Expr::operand(x), zero),
            None => Expr::operand(x),
        };
        let quotient = combine([less(0, a_zero), less(1, b_zero)], &|i| Expr::operand(2 + i));
        // ONNX Runtime rounds the sum with the zero point, where other operators round before: ties show it.
        let moved = match zero {
            Some(zero) => Expr::sum(quotient, float(zero)),
            None => quotient,
        };
        let ty = self.values[0].ty;
        Ok(vec![cx.elementwise(integer(moved, None, ty), &operands, ty)?])
    }
}

/// Operand `i` as floats; its scale and zero point come after it.
fn dequantized(cx: &mut Context, i: usize) -> Traced<Value> {
    let (x, scale, zero) = (cx.input(i)?, cx.input(i + 1)?, cx.optional(i + 2));
    let scale = single(cx, &scale)?;
    let zero = zero.map(|z| single(cx, &z)).transpose()?;
    let expr = value(Expr::operand(0), zero.as_ref().map(|_| Expr::operand(2)), x.ty, Expr::operand(1));
    let operands: Vec<&Value> = [&x, &scale].into_iter().chain(&zero).collect();
    cx.elementwise(expr, &operands, ElementType::Float)
}

/// `expr` of the floats `x`, as integers of operand 0's kind with the scale that is operand `scale` and the zero point after it.
fn quantized(cx: &mut Context, x: &Value, scale: usize, expr: Expr) -> Traced<Value> {
    let zero = cx.optional(scale + 1).map(|z| single(cx, &z)).transpose()?;
    let ty = zero.as_ref().map_or(cx.input(0)?.ty, |z| z.ty);
    let scale = cx.input(scale)?;
    let scale = single(cx, &scale)?;
    let quotient = Expr::binary(Op::Quotient, expr, Expr::operand(1));
    let operands: Vec<&Value> = [x, &scale].into_iter().chain(&zero).collect();
    cx.elementwise(integer(quotient, zero.as_ref().map(|_| Expr::operand(2)), ty), &operands, ty)
}

/// `function` of a quantised operand, quantised again.
fn activation(cx: &mut Context, function: Expr) -> Traced<Vec<Value>> {
    let x = dequantized(cx, 0)?;
    Ok(vec![quantized(cx, &x, 3, function)?])
}

/// A value whose channels the node may have last, with its channels after the batch.
fn channels_first(cx: &mut Context, x: Value) -> Traced<Value> {
    if cx.int("channels_last", 0) == 0 || x.rank() < 3 {
        return Ok(x);
    }
    let order: Vec<usize> = [0, x.rank() - 1].into_iter().chain(1..x.rank() - 1).collect();
    cx.transpose(&x, &order)
}

/// The reverse of [`channels_first`].
fn channels_last(cx: &mut Context, x: Value) -> Traced<Value> {
    if cx.int("channels_last", 0) == 0 || x.rank() < 3 {
        return Ok(x);
    }
    let order: Vec<usize> = [0].into_iter().chain(2..x.rank()).chain([1]).collect();
    cx.transpose(&x, &order)
}

/// Means over all spatial dimensions: sums of integers, whose number goes into the scale.
fn global_average_pool(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let first = if cx.int("channels_last", 0) == 0 { 2 } else { 1 };
    let axes: Vec<usize> = (first..(first + x.rank()).saturating_sub(2)).collect();
    let n: usize = axes.iter().map(|d| x.shape[*d]).product();
    let (x_scale, x_zero) = (cx.input(1)?, cx.optional(2));
    let (y_scale, y_zero) = (cx.input(3)?, cx.optional(4));
    let x_zero = x_zero.map(|z| single(cx, &z)).transpose()?;
    let centred = centred(cx, &x, x_zero.as_ref())?;
    let sums = fold(cx, &centred, &axes, Reduction::Sum)?;
    let x_scale = single(cx, &x_scale)?;
    let y_scale = cx.elementwise(Expr::product(Expr::operand(0), Expr::float(n as f32)), &[&y_scale], ElementType::Float)?;
    let ratio = ratio(cx, &[&x_scale], &y_scale)?;
    Ok(vec![requantized(cx, &sums, &ratio, y_zero.as_ref(), x.ty)?])
}

/// Operands with scales of their own, joined under one scale: operand 0, whose zero point is operand 1.
fn concat(cx: &mut Context) -> Traced<Vec<Value>> {
    let (scale, zero) = (cx.input(0)?, cx.input(1)?);
    let (scale, zero) = (single(cx, &scale)?, single(cx, &zero)?);
    let mut parts = Vec::new();
    for i in (2..cx.count()).step_by(3) {
        let x = dequantized(cx, i)?;
        let quotient = Expr::binary(Op::Quotient, Expr::operand(0), Expr::operand(1));
        parts.push(cx.elementwise(integer(quotient, Some(Expr::operand(2)), zero.ty), &[&x, &scale, &zero], zero.ty)?);
    }
    let Some(first) = parts.first() else { return Err(cx.error("no operands")) };
    let axis = cx.axis(cx.int("axis", 0), first.rank())?;
    Ok(vec![cx.apply(Concat { axis }, &parts.iter().collect::<Vec<_>>(), zero.ty)?])
}
