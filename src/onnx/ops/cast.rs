//! Casts, of values and of bits.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::math::wrapped;
use super::{Operator, device, narrow};
use crate::formats::ElementType;
use crate::formats::element::ScaleRounding;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    device("BitCast", bit_cast),
    device("Cast", |cx| {
        let Some(to) = cx.type_attribute("to")? else { return Err(cx.error("'to' is missing")) };
        let x = cx.input(0)?;
        Ok(vec![cast_to(cx, &x, to)?])
    }),
    device("CastLike", |cx| {
        let (x, like) = (cx.input(0)?, cx.input(1)?);
        Ok(vec![cast_to(cx, &x, like.ty)?])
    }),
];

/// `x` with elements of type `to`.
pub fn cast_to(cx: &mut Context, x: &Value, to: ElementType) -> Traced<Value> {
    let from = x.ty;
    if from == to {
        return Ok(x.clone());
    }
    let x0 = Expr::operand(0);
    let expr = match to {
        ElementType::Bool => {
            let zero = if from.is_float() { Expr::float(0.0) } else { Expr::int(0) };
            Some(Expr::call(Function::Not, Expr::binary(Op::Equal, x0, zero)))
        }
        _ if to.is_integer() => {
            let whole = if from.is_float() { Expr::call(Function::ToInt, x0) } else { x0 };
            Some(if fits(from, to) { whole } else { wrapped(whole, to) })
        }
        _ => {
            let float = if from.is_float() { x0 } else { Expr::call(Function::ToFloat, x0) };
            let rounding = match cx.text("round_mode", "up") {
                "up" => ScaleRounding::Up,
                "down" => ScaleRounding::Down,
                "nearest" => ScaleRounding::Nearest,
                mode => return Err(cx.unsupported(format!("the rounding mode '{mode}'"))),
            };
            narrow::rounded(float, to, cx.int("saturate", 1) != 0, rounding)
        }
    };
    match expr.filter(|_| from.is_float() || from.is_integer()) {
        None => Err(cx.unsupported(format!("a cast of {} to {}", from.name(), to.name()))),
        // Graphs hold both types alike.
        Some(Expr::Operand(0)) => Ok(Value { ty: to, ..x.clone() }),
        Some(expr) => cx.elementwise(expr, &[x], to),
    }
}

/// Whether all integers of type `from` are of type `to`.
fn fits(from: ElementType, to: ElementType) -> bool {
    let ranges = from.integer_range().zip(to.integer_range());
    ranges.is_some_and(|((from_low, from_high), (low, high))| low <= from_low && from_high <= high)
}

/// The bits of the elements as another type of as many bits.
fn bit_cast(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let Some(to) = cx.type_attribute("to")? else { return Err(cx.error("'to' is missing")) };
    let from = x.ty;
    if from.bits() != to.bits() {
        return Err(cx.error(format!("{} has other bits than {}", from.name(), to.name())));
    }
    let x0 = Expr::operand(0);
    let expr = match (from, to) {
        (from, to) if from == to => return Ok(vec![x]),
        (ElementType::Float, to) if to.is_integer() => wrapped(Expr::call(Function::BitsOfFloat, x0), to),
        (ElementType::Int32, ElementType::Float) => Expr::call(Function::FloatOfBits, x0),
        // Devices refuse what is above the greatest i32, so that u32 and wider types go through the host.
        (from, to) if from.is_integer() && to.is_integer() && from.bits() <= 32 && from != ElementType::Uint32 => wrapped(x0, to),
        _ => {
            return cx.host_step(&[&x], &[to], |t| {
                let bytes = from.encode(t[0].data())?;
                Ok(vec![Tensor::new(t[0].shape(), to.decode(&bytes, t[0].len())?)?])
            });
        }
    };
    Ok(vec![cx.elementwise(expr, &[&x], to)?])
}
