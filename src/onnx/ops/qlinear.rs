//! Products and convolutions of quantised operands, in integers.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::bytes::{self, Bytes};
use super::quantize::integer;
use super::{Operator, conv, device, linear};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};

pub const OPERATORS: &[Operator] = &[
    device("ConvInteger", |cx| {
        let (x, weight) = (cx.input(0)?, cx.input(1)?);
        let (x_zero, weight_zero) = (cx.optional(2), cx.optional(3));
        Ok(vec![convolution(cx, (&x, x_zero), (&weight, weight_zero))?])
    }),
    device("MatMulInteger", |cx| {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        let (a_zero, b_zero) = (cx.optional(2), cx.optional(3));
        Ok(vec![product(cx, (&a, a_zero), (&b, b_zero))?])
    }),
    device("QLinearConv", qlinear_conv),
    device("QLinearMatMul", |cx| {
        let (a, a_scale, a_zero) = (cx.input(0)?, cx.input(1)?, cx.optional(2));
        let (b, b_scale, b_zero) = (cx.input(3)?, cx.input(4)?, cx.optional(5));
        let (y_scale, y_zero) = (cx.input(6)?, cx.optional(7));
        let (a_scale, b_scale) = (by_row(cx, &a_scale)?, by_column(cx, &b_scale)?);
        let ratio = ratio(cx, &[&a_scale, &b_scale], &y_scale)?;
        let ty = y_zero.as_ref().map_or(a.ty, |z| z.ty);
        let sums = product(cx, (&a, a_zero), (&b, b_zero))?;
        Ok(vec![requantized(cx, &sums, &ratio, y_zero.as_ref(), ty)?])
    }),
];

/// A single number without dimensions, so that it is broadcast with whatever it meets.
pub fn single(cx: &mut Context, x: &Value) -> Traced<Value> {
    match x.len() {
        1 => cx.reshape(x, &[]),
        _ => Err(cx.unsupported(format!("a scale or zero point of shape {:?}", x.shape))),
    }
}

/// A scale or zero point of the left matrix of a product: one for all, or one for each row.
fn by_row(cx: &mut Context, x: &Value) -> Traced<Value> {
    match (x.len(), x.rank()) {
        (1, _) => single(cx, x),
        (n, 1) => cx.reshape(x, &[n, 1]),
        _ => Ok(x.clone()),
    }
}

/// A scale or zero point of the right matrix of a product: one for all, or one for each column.
pub fn by_column(cx: &mut Context, x: &Value) -> Traced<Value> {
    if x.len() == 1 { single(cx, x) } else { Ok(x.clone()) }
}

/// `x` less its zero point, in 32 bits.
pub fn centred(cx: &mut Context, x: &Value, zero_point: Option<&Value>) -> Traced<Value> {
    let ty = ElementType::Int32;
    let known = zero_point.and_then(Value::constant).map(|c| c.tensor()).transpose()?;
    let nothing = known.is_some_and(|z| z.as_i64().is_ok_and(|z| z.iter().all(|n| *n == 0)));
    match zero_point {
        Some(zero) if !nothing => {
            let difference = Expr::binary(Op::Sub, Expr::operand(0), Expr::operand(1));
            cx.elementwise(difference, &[x, zero], ty)
        }
        // Graphs hold both types alike.
        _ => Ok(Value { ty, ..x.clone() }),
    }
}

/// An operand and its zero point, if it has one.
type Quantized<'a> = (&'a Value, Option<Value>);

fn as_bytes<'a>((elements, zero_point): &'a Quantized) -> Bytes<'a> {
    Bytes { elements, zero_point: zero_point.as_ref() }
}

/// `(a - a's zero point) @ (b - b's zero point)`.
pub fn product(cx: &mut Context, a: Quantized, b: Quantized) -> Traced<Value> {
    if let Some(sums) = bytes::product(cx, as_bytes(&a), as_bytes(&b), false)? {
        return Ok(sums);
    }
    let a_zero = a.1.map(|z| by_row(cx, &z)).transpose()?;
    let b_zero = b.1.map(|z| by_column(cx, &z)).transpose()?;
    let a = centred(cx, a.0, a_zero.as_ref())?;
    let b = centred(cx, b.0, b_zero.as_ref())?;
    linear::mat_mul(cx, &a, &b)
}

/// The convolution of `x` with filters, both less their zero points: the filters' may be one for each.
fn convolution(cx: &mut Context, x: Quantized, weight: Quantized) -> Traced<Value> {
    let conv = conv::plain(cx, x.0, weight.0)?;
    if let Some(sums) = bytes::convolution(cx, &conv, as_bytes(&x), as_bytes(&weight))? {
        return Ok(sums);
    }
    let x_zero = x.1.map(|z| single(cx, &z)).transpose()?;
    let weight_zero = match weight.1 {
        Some(zero) if zero.len() > 1 => {
            let mut shape = vec![zero.len()];
            shape.resize(weight.0.rank(), 1);
            Some(cx.reshape(&zero, &shape)?)
        }
        Some(zero) => Some(single(cx, &zero)?),
        None => None,
    };
    let x = centred(cx, x.0, x_zero.as_ref())?;
    let weight = centred(cx, weight.0, weight_zero.as_ref())?;
    cx.apply(conv, &[&x, &weight], ElementType::Int32)
}

/// The product of scales over a single one.
pub fn ratio(cx: &mut Context, scales: &[&Value], by: &Value) -> Traced<Value> {
    let by = single(cx, by)?;
    let product = (1..scales.len() as u32).fold(Expr::operand(0), |e, i| Expr::product(e, Expr::operand(i)));
    let ratio = Expr::binary(Op::Quotient, product, Expr::operand(scales.len() as u32));
    let operands: Vec<&Value> = scales.iter().copied().chain([&by]).collect();
    cx.elementwise(ratio, &operands, ElementType::Float)
}

/// Sums of products times `ratio`, as integers of type `ty` with the zero point.
pub fn requantized(cx: &mut Context, sums: &Value, ratio: &Value, zero_point: Option<&Value>, ty: ElementType) -> Traced<Value> {
    let zero_point = zero_point.map(|z| single(cx, z)).transpose()?;
    let zero = zero_point.as_ref().map(|_| Expr::operand(2));
    let scaled = Expr::product(Expr::call(Function::ToFloat, Expr::operand(0)), Expr::operand(1));
    let operands: Vec<&Value> = [sums, ratio].into_iter().chain(&zero_point).collect();
    cx.elementwise(integer(scaled, zero, ty), &operands, ty)
}

fn qlinear_conv(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, x_scale, x_zero) = (cx.input(0)?, cx.input(1)?, cx.optional(2));
    let (weight, weight_scale, weight_zero) = (cx.input(3)?, cx.input(4)?, cx.optional(5));
    let (y_scale, y_zero) = (cx.input(6)?, cx.optional(7));
    let ty = y_zero.as_ref().map_or(x.ty, |z| z.ty);
    let mut sums = convolution(cx, (&x, x_zero), (&weight, weight_zero))?;
    let rank = x.rank().saturating_sub(2);
    if let Some(bias) = cx.optional(8) {
        let bias = conv::by_channel(cx, &bias, rank)?;
        sums = cx.binary(Op::Add, &sums, &bias)?;
    }
    let x_scale = single(cx, &x_scale)?;
    let weight_scale = match weight_scale.len() {
        1 => single(cx, &weight_scale)?,
        _ => conv::by_channel(cx, &weight_scale, rank)?,
    };
    let ratio = ratio(cx, &[&x_scale, &weight_scale], &y_scale)?;
    Ok(vec![requantized(cx, &sums, &ratio, y_zero.as_ref(), ty)?])
}
