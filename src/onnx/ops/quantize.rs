//! Quantisation: floats as integers, or as narrow floats, times a scale.

use std::sync::Arc;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::{Quantized, Value};
use super::reduce::fold;
use super::{Operator, contrib, device, narrow};
use crate::formats::ElementType;
use crate::formats::element::ScaleRounding;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::{Elementwise, Reduction};

pub const OPERATORS: &[Operator] = &[
    device("DequantizeLinear", dequantize_linear),
    device("DynamicQuantizeLinear", |cx| {
        let x = cx.input(0)?;
        let [y, scale, zero_point] = dynamically(cx, &x)?;
        Ok(vec![y, scale, zero_point])
    }),
    device("QuantizeLinear", quantize_linear),
    contrib("DequantizeLinear", dequantize_linear),
    contrib("QuantizeLinear", quantize_linear),
];

/// The integer of type `ty` for which `quotient`, a value in units of the scale, stands: rounded to nearest, ties to even,
/// moved by the zero point and held within the type's range.
pub fn integer(quotient: Expr, zero_point: Option<Expr>, ty: ElementType) -> Expr {
    let rounded = Expr::call(Function::Round, quotient);
    let moved = match zero_point {
        Some(zero) => Expr::sum(rounded, Expr::call(Function::ToFloat, zero)),
        None => rounded,
    };
    let (least, most) = ty.integer_range().unwrap_or((0, 255));
    let held = Expr::binary(Op::Max, Expr::binary(Op::Min, moved, Expr::float(most as f32)), Expr::float(least as f32));
    Expr::call(Function::ToInt, held)
}

/// Whether elements of type `ty` are integers that quantisation makes.
pub fn is_quantized_integer(ty: ElementType) -> bool {
    ty.is_integer() && ty != ElementType::Bool && ty.bits() <= 16
}

/// A type attribute whose number 0 stands for nothing.
fn named_type(cx: &Context, name: &str) -> Traced<Option<ElementType>> {
    if cx.int(name, 0) == 0 { Ok(None) } else { cx.type_attribute(name) }
}

/// A scale or zero point as it is broadcast with `x`: one for all, one for each place of `axis`, or one for each block there.
fn spread(cx: &mut Context, parameter: &Value, x: &Value) -> Traced<Value> {
    if parameter.len() == 1 {
        return cx.reshape(parameter, &[]);
    }
    let (axis, block) = (cx.int("axis", 1), cx.int("block_size", 0));
    let axis = cx.axis(axis, x.rank())?;
    let n = x.shape[axis];
    let mismatch = format!("a parameter of shape {:?} for {:?}, axis {axis}, blocks of {block}", parameter.shape, x.shape);
    if block == 0 {
        if parameter.shape != [n] {
            return Err(cx.error(mismatch));
        }
        let mut shape = vec![1; x.rank() - axis];
        shape[0] = n;
        return cx.reshape(parameter, &shape);
    }
    let block = usize::try_from(block).map_err(|_| cx.error(format!("blocks of {block}")))?.min(n.max(1));
    let blocks = n.div_ceil(block);
    let mut shape = x.shape.clone();
    shape[axis] = blocks;
    if parameter.shape != shape {
        return Err(cx.error(mismatch));
    }
    shape.insert(axis + 1, 1);
    let split = cx.reshape(parameter, &shape)?;
    shape[axis + 1] = block;
    let repeated = cx.expand(&split, &shape)?;
    shape.remove(axis + 1);
    shape[axis] = blocks * block;
    let joined = cx.reshape(&repeated, &shape)?;
    cx.slice(&joined, axis, 0, n)
}

fn quantize_linear(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, scale, zero_point) = (cx.input(0)?, cx.input(1)?, cx.optional(2));
    let named = named_type(cx, "output_dtype")?;
    let ty = zero_point.as_ref().map(|z| z.ty).or(named).unwrap_or(ElementType::Uint8);
    if named.is_some_and(|named| named != ty) {
        return Err(cx.error(format!("a zero point of {} for results of another type", ty.name())));
    }
    // Two halves are divided as halves are; otherwise nothing is said, or more is asked for.
    let both = if x.ty == scale.ty { x.ty } else { ElementType::Float };
    let precision = named_type(cx, "precision")?.unwrap_or(both);
    let scale = spread(cx, &scale, &x)?;
    let zero_point = zero_point.map(|z| spread(cx, &z, &x)).transpose()?;
    let rounded = |e: Expr| match precision {
        ElementType::Float16 => Expr::call(Function::ToF16, e),
        ElementType::Bfloat16 => Expr::call(Function::ToBf16, e),
        _ => e,
    };
    let float = if x.ty.is_float() { Expr::operand(0) } else { Expr::call(Function::ToFloat, Expr::operand(0)) };
    let quotient = rounded(Expr::binary(Op::Quotient, rounded(float), rounded(Expr::operand(1))));
    let operands: Vec<&Value> = [&x, &scale].into_iter().chain(&zero_point).collect();
    let zero = zero_point.as_ref().map(|_| Expr::operand(2));
    if is_quantized_integer(ty) {
        return Ok(vec![cx.elementwise(integer(quotient, zero, ty), &operands, ty)?]);
    }
    // In two steps: the rounding names its operand often.
    let moved = zero.map_or(quotient.clone(), |zero| Expr::sum(quotient, zero));
    let rounded = narrow::rounded(Expr::operand(0), ty, cx.int("saturate", 1) != 0, ScaleRounding::Up);
    match rounded.filter(|_| ty.bits() <= 8) {
        Some(rounded) => {
            let moved = cx.elementwise(moved, &operands, ElementType::Float)?;
            Ok(vec![cx.elementwise(rounded, &[&moved], ty)?])
        }
        None => Err(cx.unsupported(format!("quantisation to {}", ty.name()))),
    }
}

fn dequantize_linear(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, scale, zero_point) = (cx.input(0)?, cx.input(1)?, cx.optional(2));
    let ty = named_type(cx, "output_dtype")?.unwrap_or(scale.ty);
    let quantized = quantized(cx, &x, &scale, zero_point.as_ref());
    let scale = spread(cx, &scale, &x)?;
    let zero_point = zero_point.map(|z| spread(cx, &z, &x)).transpose()?;
    let operands: Vec<&Value> = [&x, &scale].into_iter().chain(&zero_point).collect();
    let zero = zero_point.as_ref().map(|_| Expr::operand(2));
    let expr = value(Expr::operand(0), zero, x.ty, Expr::operand(1));
    let y = cx.apply_late(Elementwise::from(expr), &operands, ty)?;
    Ok(vec![Value { quantized: quantized.filter(|_| ty == ElementType::Float).map(Arc::new), ..y }])
}

/// What the products of dequantised values are made of, where scales do not change in blocks.
fn quantized(cx: &Context, x: &Value, scale: &Value, zero_point: Option<&Value>) -> Option<Quantized> {
    let axis = cx.axis(cx.int("axis", 1), x.rank().max(1)).ok().or((scale.len() == 1).then_some(0))?;
    let whole = cx.int("block_size", 0) == 0 || scale.len() == 1;
    let made = || Quantized { elements: x.clone(), scale: scale.clone(), zero_point: zero_point.cloned(), axis };
    (whole && is_quantized_integer(x.ty)).then(made)
}

/// The float that a quantised element of type `ty` stands for.
pub fn value(x: Expr, zero_point: Option<Expr>, ty: ElementType, scale: Expr) -> Expr {
    let moved = match zero_point {
        Some(zero) => Expr::binary(Op::Sub, x, zero),
        None => x,
    };
    let float = if ty.is_float() { moved } else { Expr::call(Function::ToFloat, moved) };
    Expr::product(float, scale)
}

/// `x` as bytes, the scale and the zero point that let its least and greatest elements, and 0, just fit.
pub fn dynamically(cx: &mut Context, x: &Value) -> Traced<[Value; 3]> {
    let ty = ElementType::Uint8;
    let axes: Vec<usize> = (0..x.rank()).collect();
    let (least, most) = (fold(cx, x, &axes, Reduction::Min)?, fold(cx, x, &axes, Reduction::Max)?);
    let (least, most) = (cx.reshape(&least, &[])?, cx.reshape(&most, &[])?);
    let zero = || Expr::float(0.0);
    let low = |i| Expr::binary(Op::Min, Expr::operand(i), zero());
    let range = Expr::binary(Op::Sub, Expr::binary(Op::Max, Expr::operand(1), zero()), low(0));
    let share = Expr::binary(Op::Quotient, range.clone(), Expr::float(255.0));
    // Nothing but zeros has any scale.
    let scale = Expr::select(Expr::binary(Op::Equal, range, zero()), Expr::float(1.0), share);
    let scale = cx.elementwise(scale, &[&least, &most], ElementType::Float)?;
    let begin = Expr::binary(Op::Quotient, Expr::binary(Op::Sub, zero(), low(0)), Expr::operand(1));
    let zero_point = cx.elementwise(integer(begin, None, ty), &[&least, &scale], ty)?;
    let quotient = Expr::binary(Op::Quotient, Expr::operand(0), Expr::operand(1));
    let y = cx.elementwise(integer(quotient, Some(Expr::operand(2)), ty), &[x, &scale, &zero_point], ty)?;
    Ok([y, scale, zero_point])
}
