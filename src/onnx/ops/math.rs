//! Elementwise operators: arithmetic, functions, comparisons, logic, bits, casts, activations.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::{Operator, device, nowhere};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};

pub const OPERATORS: &[Operator] = &[
    device("Abs", |cx| unary(cx, Function::Abs)),
    device("Acos", |cx| unary(cx, Function::Acos)),
    device("Acosh", |cx| unary(cx, Function::Acosh)),
    device("Add", |cx| arithmetic(cx, Op::Add)),
    device("And", |cx| logic(cx, Op::And)),
    device("Asin", |cx| unary(cx, Function::Asin)),
    device("Asinh", |cx| unary(cx, Function::Asinh)),
    device("Atan", |cx| unary(cx, Function::Atan)),
    device("Atanh", |cx| unary(cx, Function::Atanh)),
    device("BitShift", bit_shift),
    device("BitwiseAnd", |cx| arithmetic(cx, Op::And)),
    device("BitwiseNot", |cx| unary(cx, Function::Complement)),
    device("BitwiseOr", |cx| arithmetic(cx, Op::Or)),
    device("BitwiseXor", |cx| arithmetic(cx, Op::Xor)),
    device("Ceil", |cx| unary(cx, Function::Ceil)),
    device("Celu", celu),
    device("Clip", clip),
    device("Cos", |cx| unary(cx, Function::Cos)),
    device("Cosh", |cx| unary(cx, Function::Cosh)),
    device("Div", |cx| arithmetic(cx, Op::Div)),
    device("Elu", |cx| {
        let alpha = cx.float("alpha", 1.0);
        activation(cx, |x| below_zero(x.clone(), Expr::product(Expr::float(alpha), expm1(x))))
    }),
    device("Equal", |cx| compare(cx, Op::Equal, false)),
    device("Erf", |cx| unary(cx, Function::Erf)),
    device("Exp", |cx| unary(cx, Function::Exp)),
    device("Floor", |cx| unary(cx, Function::Floor)),
    device("Gelu", |cx| {
        let function = if cx.text("approximate", "none") == "tanh" { Function::GeluTanh } else { Function::Gelu };
        unary(cx, function)
    }),
    device("Greater", |cx| compare(cx, Op::Less, true)),
    device("GreaterOrEqual", |cx| compare(cx, Op::LessEqual, true)),
    device("HardSigmoid", |cx| {
        let (alpha, beta) = (cx.float("alpha", 0.2), cx.float("beta", 0.5));
        activation(cx, |x| hard_sigmoid(x, alpha, beta))
    }),
    device("HardSwish", |cx| activation(cx, |x| Expr::product(x.clone(), hard_sigmoid(x, 1.0 / 6.0, 0.5)))),
    nowhere("Identity", |cx| Ok(vec![cx.input(0)?])),
    device("IsInf", is_inf),
    device("IsNaN", |cx| {
        let x = cx.input(0)?;
        Ok(vec![cx.elementwise(Expr::call(Function::IsNan, Expr::operand(0)), &[&x], ElementType::Bool)?])
    }),
    device("LeakyRelu", |cx| {
        let alpha = cx.float("alpha", 0.01);
        activation(cx, |x| below_zero(x.clone(), Expr::product(Expr::float(alpha), x)))
    }),
    device("Less", |cx| compare(cx, Op::Less, false)),
    device("LessOrEqual", |cx| compare(cx, Op::LessEqual, false)),
    device("Log", |cx| unary(cx, Function::Log)),
    device("Max", |cx| variadic(cx, Op::Max, false)),
    device("Mean", |cx| variadic(cx, Op::Add, true)),
    device("Min", |cx| variadic(cx, Op::Min, false)),
    device("Mish", |cx| {
        activation(cx, |x| Expr::product(x.clone(), Expr::call(Function::Tanh, Expr::call(Function::Softplus, x))))
    }),
    device("Mod", |cx| {
        let operator = if cx.int("fmod", 0) == 1 { Op::Rem } else { Op::Mod };
        arithmetic(cx, operator)
    }),
    device("Mul", |cx| arithmetic(cx, Op::Mul)),
    device("Neg", |cx| unary(cx, Function::Neg)),
    device("Not", |cx| unary(cx, Function::Not)),
    device("Or", |cx| logic(cx, Op::Or)),
    device("PRelu", |cx| {
        let (x, slope) = (cx.input(0)?, cx.input(1)?);
        let x0 = Expr::operand(0);
        let expr = below_zero_of(&x, x0.clone(), Expr::product(Expr::operand(1), x0));
        Ok(vec![cx.elementwise(expr, &[&x, &slope], x.ty)?])
    }),
    device("Pow", pow),
    device("Reciprocal", |cx| unary(cx, Function::Reciprocal)),
    device("Relu", |cx| {
        let x = cx.input(0)?;
        let zero = if x.ty.is_float() { Expr::float(0.0) } else { Expr::int(0) };
        Ok(vec![cx.elementwise(Expr::binary(Op::Max, Expr::operand(0), zero), &[&x], x.ty)?])
    }),
    device("Round", |cx| unary(cx, Function::Round)),
    device("Selu", |cx| {
        let (alpha, gamma) = (cx.float("alpha", 1.673_263_2), cx.float("gamma", 1.050_701));
        activation(cx, |x| {
            let negative = Expr::product(Expr::float(alpha), expm1(x.clone()));
            Expr::product(Expr::float(gamma), below_zero(x, negative))
        })
    }),
    device("Shrink", |cx| {
        let (bias, lambd) = (cx.float("bias", 0.0), cx.float("lambd", 0.5));
        let x = cx.input(0)?;
        let (float, zero) = (as_float(&x), Expr::float(0.0));
        let above = Expr::select(
            Expr::binary(Op::Less, Expr::float(lambd), float.clone()),
            Expr::binary(Op::Sub, float.clone(), Expr::float(bias)),
            zero,
        );
        let below = Expr::binary(Op::Less, float.clone(), Expr::float(-lambd));
        let expr = Expr::select(below, Expr::sum(float, Expr::float(bias)), above);
        let expr = if x.ty.is_float() { expr } else { wrapped(Expr::call(Function::ToInt, expr), x.ty) };
        Ok(vec![cx.elementwise(expr, &[&x], x.ty)?])
    }),
    device("Sigmoid", |cx| unary(cx, Function::Sigmoid)),
    device("Sign", |cx| unary(cx, Function::Sign)),
    device("Sin", |cx| unary(cx, Function::Sin)),
    device("Sinh", |cx| unary(cx, Function::Sinh)),
    device("Softplus", |cx| unary(cx, Function::Softplus)),
    device("Softsign", |cx| {
        activation(cx, |x| Expr::binary(Op::Div, x.clone(), Expr::sum(Expr::float(1.0), Expr::call(Function::Abs, x))))
    }),
    device("Sqrt", |cx| unary(cx, Function::Sqrt)),
    device("Sub", |cx| arithmetic(cx, Op::Sub)),
    device("Sum", |cx| variadic(cx, Op::Add, false)),
    device("Swish", |cx| {
        let alpha = cx.float("alpha", 1.0);
        activation(cx, |x| Expr::product(x.clone(), Expr::call(Function::Sigmoid, Expr::product(Expr::float(alpha), x))))
    }),
    device("Tan", |cx| unary(cx, Function::Tan)),
    device("Tanh", |cx| unary(cx, Function::Tanh)),
    device("ThresholdedRelu", |cx| {
        let alpha = cx.float("alpha", 1.0);
        activation(cx, |x| Expr::select(Expr::binary(Op::Less, Expr::float(alpha), x.clone()), x, Expr::float(0.0)))
    }),
    device("Where", |cx| {
        let (c, a, b) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let expr = Expr::select(Expr::operand(0), Expr::operand(1), Expr::operand(2));
        Ok(vec![cx.elementwise(expr, &[&c, &a, &b], a.ty)?])
    }),
    device("Xor", |cx| logic(cx, Op::Xor)),
];

/// `expr` brought back into the range of an integer type of at most 32 bits, as its arithmetic wraps.
pub fn wrapped(expr: Expr, ty: ElementType) -> Expr {
    let bits = ty.bits() as i64;
    match ty.integer_range() {
        Some(_) if ty == ElementType::Bool || bits > 32 => expr,
        Some((0, _)) if bits == 32 => Expr::call(Function::ToU32, expr),
        Some(_) if bits == 32 => Expr::call(Function::ToI32, expr),
        Some((0, most)) => Expr::binary(Op::And, expr, Expr::int(most as i64)),
        Some(_) => {
            let shift = || Expr::int(32 - bits);
            let up = Expr::call(Function::ToI32, Expr::binary(Op::ShiftLeft, expr, shift()));
            Expr::binary(Op::ShiftRight, up, shift())
        }
        None => expr,
    }
}

/// Operand 0 as a float.
fn as_float(x: &Value) -> Expr {
    if x.ty.is_float() { Expr::operand(0) } else { Expr::call(Function::ToFloat, Expr::operand(0)) }
}

fn expm1(x: Expr) -> Expr {
    Expr::binary(Op::Sub, Expr::call(Function::Exp, x), Expr::float(1.0))
}

/// `below` where x is below 0, else x.
fn below_zero(x: Expr, below: Expr) -> Expr {
    Expr::select(Expr::binary(Op::Less, x.clone(), Expr::float(0.0)), below, x)
}

fn below_zero_of(value: &Value, x: Expr, below: Expr) -> Expr {
    let zero = if value.ty.is_float() { Expr::float(0.0) } else { Expr::int(0) };
    Expr::select(Expr::binary(Op::Less, x.clone(), zero), below, x)
}

fn hard_sigmoid(x: Expr, alpha: f32, beta: f32) -> Expr {
    let line = Expr::sum(Expr::product(Expr::float(alpha), x), Expr::float(beta));
    Expr::binary(Op::Max, Expr::float(0.0), Expr::binary(Op::Min, Expr::float(1.0), line))
}

fn unary(cx: &mut Context, function: Function) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let expr = wrapped(Expr::call(function, Expr::operand(0)), x.ty);
    Ok(vec![cx.elementwise(expr, &[&x], x.ty)?])
}

fn activation(cx: &mut Context, expr: impl FnOnce(Expr) -> Expr) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    Ok(vec![cx.elementwise(expr(Expr::operand(0)), &[&x], x.ty)?])
}

fn arithmetic(cx: &mut Context, operator: Op) -> Traced<Vec<Value>> {
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let (a, b) = aligned(cx, a, b)?;
    let expr = wrapped(Expr::binary(operator, Expr::operand(0), Expr::operand(1)), a.ty);
    Ok(vec![cx.elementwise(expr, &[&a, &b], a.ty)?])
}

/// Before operator set 7 the second operand is aligned at `axis` where `broadcast` is said.
fn aligned(cx: &mut Context, a: Value, b: Value) -> Traced<(Value, Value)> {
    if cx.opset() >= 7 || cx.int("broadcast", 0) == 0 || b.rank() >= a.rank() {
        return Ok((a, b));
    }
    let axis = cx.int("axis", (a.rank() - b.rank()) as i64);
    let axis = cx.axis(axis, a.rank())?;
    let mut shape = b.shape.clone();
    shape.resize((a.rank() - axis).max(b.rank()), 1);
    let b = cx.reshape(&b, &shape)?;
    Ok((a, b))
}

fn logic(cx: &mut Context, operator: Op) -> Traced<Vec<Value>> {
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    Ok(vec![cx.elementwise(Expr::binary(operator, Expr::operand(0), Expr::operand(1)), &[&a, &b], ElementType::Bool)?])
}

fn compare(cx: &mut Context, operator: Op, swapped: bool) -> Traced<Vec<Value>> {
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let (x, y) = if swapped { (1, 0) } else { (0, 1) };
    let expr = Expr::binary(operator, Expr::operand(x), Expr::operand(y));
    Ok(vec![cx.elementwise(expr, &[&a, &b], ElementType::Bool)?])
}

/// Operands taken together from left to right, few enough at a time for one kernel.
fn variadic(cx: &mut Context, operator: Op, mean: bool) -> Traced<Vec<Value>> {
    let operands = cx.all()?;
    let [first, rest @ ..] = &operands[..] else { return Err(cx.error("no operands")) };
    let mut so_far = first.clone();
    for some in rest.chunks(4) {
        let expr = (1..=some.len() as u32).fold(Expr::operand(0), |e, i| Expr::binary(operator, e, Expr::operand(i)));
        let list: Vec<&Value> = std::iter::once(&so_far).chain(some).collect();
        so_far = cx.elementwise(expr, &list, first.ty)?;
    }
    if mean {
        let share = Expr::product(Expr::operand(0), Expr::float(1.0 / operands.len() as f32));
        so_far = cx.elementwise(share, &[&so_far], first.ty)?;
    }
    Ok(vec![so_far])
}

fn celu(cx: &mut Context) -> Traced<Vec<Value>> {
    let alpha = cx.float("alpha", 1.0);
    activation(cx, |x| {
        let exponent = Expr::product(x.clone(), Expr::float(1.0 / alpha));
        below_zero(x, Expr::product(Expr::float(alpha), expm1(exponent)))
    })
}

fn clip(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    if cx.opset() < 11 {
        let (low, high) = (cx.float("min", f32::MIN), cx.float("max", f32::MAX));
        let held = Expr::binary(Op::Min, Expr::binary(Op::Max, Expr::operand(0), Expr::float(low)), Expr::float(high));
        return Ok(vec![cx.elementwise(held, &[&x], x.ty)?]);
    }
    let (mut expr, mut operands) = (Expr::operand(0), vec![x.clone()]);
    for (i, operator) in [(1, Op::Max), (2, Op::Min)] {
        if let Some(bound) = cx.optional(i) {
            // A bound that the host knows becomes part of the expression.
            let known = bound.constant().map(|c| c.tensor()).transpose()?;
            let by = match known
                .as_deref()
                .map(|t| (t.as_f32().ok().and_then(|v| v.first()), t.as_i64().ok().and_then(|v| v.first())))
            {
                Some((Some(x), _)) => Expr::float(*x),
                Some((_, Some(n))) => Expr::int(*n),
                _ => {
                    operands.push(bound);
                    Expr::operand(operands.len() as u32 - 1)
                }
            };
            expr = Expr::binary(operator, expr, by);
        }
    }
    if operands.len() == 1 && expr == Expr::operand(0) {
        return Ok(vec![x]);
    }
    Ok(vec![cx.elementwise(expr, &operands.iter().collect::<Vec<_>>(), x.ty)?])
}

fn is_inf(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let (positive, negative) = (cx.int("detect_positive", 1) != 0, cx.int("detect_negative", 1) != 0);
    let x0 = Expr::operand(0);
    let infinite = Expr::call(Function::IsInf, x0.clone());
    let expr = match (positive, negative) {
        (true, true) => infinite,
        (false, false) => Expr::binary(Op::And, infinite, Expr::int(0)),
        (true, false) => Expr::binary(Op::And, infinite, Expr::binary(Op::Less, Expr::float(0.0), x0)),
        (false, true) => Expr::binary(Op::And, infinite, Expr::binary(Op::Less, x0, Expr::float(0.0))),
    };
    Ok(vec![cx.elementwise(expr, &[&x], ElementType::Bool)?])
}

/// The exponent may be of another type than the base, whose type the result has.
fn pow(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, y) = (cx.input(0)?, cx.input(1)?);
    let (a, b) = (Expr::operand(0), Expr::operand(1));
    let expr = match (x.ty.is_float(), y.ty.is_float()) {
        (true, true) | (false, false) => known_power(&y, a.clone())?.unwrap_or_else(|| Expr::binary(Op::Pow, a, b)),
        (true, false) => Expr::binary(Op::Pow, a, Expr::call(Function::ToFloat, b)),
        (false, true) => Expr::call(Function::ToInt, Expr::binary(Op::Pow, Expr::call(Function::ToFloat, a), b)),
    };
    let operands: &[&Value] = if expr.operands() == 1 && y.len() == 1 && y.rank() <= x.rank() { &[&x] } else { &[&x, &y] };
    let expr = if expr.operands() == 1 && operands.len() == 2 {
        Expr::binary(Op::Pow, Expr::operand(0), Expr::operand(1))
    } else {
        expr
    };
    Ok(vec![cx.elementwise(wrapped(expr, x.ty), operands, x.ty)?])
}

/// The power by a constant that products and roots give exactly.
fn known_power(exponent: &Value, x: Expr) -> Traced<Option<Expr>> {
    let Some(constant) = exponent.constant().filter(|_| exponent.len() == 1 && exponent.ty.is_float()) else { return Ok(None) };
    let n = constant.tensor()?.as_f32()?.first().copied();
    Ok(match n {
        Some(1.0) => None,
        Some(2.0) => Some(Expr::product(x.clone(), x)),
        Some(3.0) => Some(Expr::product(Expr::product(x.clone(), x.clone()), x)),
        Some(0.5) => Some(Expr::call(Function::Sqrt, x)),
        Some(-1.0) => Some(Expr::call(Function::Reciprocal, x)),
        _ => None,
    })
}

fn bit_shift(cx: &mut Context) -> Traced<Vec<Value>> {
    let operator = if cx.text("direction", "") == "LEFT" { Op::ShiftLeft } else { Op::ShiftRight };
    arithmetic(cx, operator)
}
