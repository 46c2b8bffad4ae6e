//! Operators that make one element of many along dimensions.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::{Operator, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::{ArgReduce, Cumulative, Reduce, Reduction, TopElements};

pub const OPERATORS: &[Operator] = &[
    device("ArgMax", |cx| arg(cx, true)),
    device("ArgMin", |cx| arg(cx, false)),
    device("CumProd", |cx| cumulative(cx, Reduction::Product)),
    device("CumSum", |cx| cumulative(cx, Reduction::Sum)),
    device("ReduceL1", |cx| reduce(cx, |cx, x, axes| fold(cx, x, axes, Reduction::SumAbs))),
    device("ReduceL2", |cx| {
        reduce(cx, |cx, x, axes| {
            let squares = fold(cx, x, axes, Reduction::SumSquares)?;
            match x.ty.is_float() {
                true => cx.call(Function::Sqrt, &squares),
                false => {
                    let root = Expr::call(Function::Sqrt, Expr::call(Function::ToFloat, Expr::operand(0)));
                    cx.elementwise(Expr::call(Function::ToInt, root), &[&squares], x.ty)
                }
            }
        })
    }),
    device("ReduceLogSum", |cx| {
        reduce(cx, |cx, x, axes| {
            let sum = fold(cx, x, axes, Reduction::Sum)?;
            cx.call(Function::Log, &sum)
        })
    }),
    device("ReduceLogSumExp", |cx| reduce(cx, log_sum_exp)),
    device("ReduceMax", |cx| reduce(cx, |cx, x, axes| extreme(cx, x, axes, Reduction::Max))),
    device("ReduceMean", |cx| reduce(cx, mean)),
    device("ReduceMin", |cx| reduce(cx, |cx, x, axes| extreme(cx, x, axes, Reduction::Min))),
    device("ReduceProd", |cx| reduce(cx, |cx, x, axes| fold(cx, x, axes, Reduction::Product))),
    device("ReduceSum", |cx| reduce(cx, |cx, x, axes| fold(cx, x, axes, Reduction::Sum))),
    device("ReduceSumSquare", |cx| reduce(cx, |cx, x, axes| fold(cx, x, axes, Reduction::SumSquares))),
    device("TopK", top_k),
];

/// `x` reduced along sorted `axes`, which stay as dimensions of 1.
pub fn fold(cx: &mut Context, x: &Value, axes: &[usize], kind: Reduction) -> Traced<Value> {
    let [first, .., last] = axes else {
        return match axes {
            [one] => cx.apply(Reduce { kind, axes: *one..*one + 1 }, &[x], x.ty),
            _ => {
                // Along nothing, squares and magnitudes still become those.
                let x0 = Expr::operand(0);
                match kind {
                    Reduction::SumSquares => cx.elementwise(Expr::product(x0.clone(), x0), &[x], x.ty),
                    Reduction::SumAbs => cx.call(Function::Abs, x),
                    _ => Ok(x.clone()),
                }
            }
        };
    };
    if last - first + 1 == axes.len() {
        return cx.apply(Reduce { kind, axes: *first..last + 1 }, &[x], x.ty);
    }
    // Axes that lie apart are brought together at the end.
    let order: Vec<usize> = (0..x.rank()).filter(|d| !axes.contains(d)).chain(axes.iter().copied()).collect();
    let together = cx.transpose(x, &order)?;
    let reduced = cx.apply(Reduce { kind, axes: x.rank() - axes.len()..x.rank() }, &[&together], x.ty)?;
    let shape: Vec<usize> = (0..x.rank()).map(|d| if axes.contains(&d) { 1 } else { x.shape[d] }).collect();
    cx.reshape(&reduced, &shape)
}

/// The greatest or least; of nothing, the end of what the type can hold.
fn extreme(cx: &mut Context, x: &Value, axes: &[usize], kind: Reduction) -> Traced<Value> {
    let found = fold(cx, x, axes, kind)?;
    match x.ty.integer_range() {
        Some((low, high)) if x.is_empty() => {
            let end = if kind == Reduction::Max { low } else { high };
            let held = cx.constant(x.ty, crate::tensor::Tensor::i64(&[], vec![end as i64])?);
            cx.expand(&held, &found.shape)
        }
        _ => Ok(found),
    }
}

/// The mean along `axes`, which stay as dimensions of 1.
pub fn mean(cx: &mut Context, x: &Value, axes: &[usize]) -> Traced<Value> {
    let n: usize = axes.iter().map(|d| x.shape[*d]).product();
    let sum = fold(cx, x, axes, Reduction::Sum)?;
    let expr = match x.ty.is_float() {
        true => Expr::product(Expr::operand(0), Expr::float(1.0 / n as f32)),
        false => Expr::binary(Op::Div, Expr::operand(0), Expr::int(n.max(1) as i64)),
    };
    cx.elementwise(expr, &[&sum], x.ty)
}

/// `log sum e^x`, less the greatest x so that nothing overflows.
fn log_sum_exp(cx: &mut Context, x: &Value, axes: &[usize]) -> Traced<Value> {
    let largest = fold(cx, x, axes, Reduction::Max)?;
    // Where all are infinite there is nothing to take away.
    let held = Expr::select(Expr::call(Function::IsInf, Expr::operand(0)), Expr::float(0.0), Expr::operand(0));
    let largest = cx.elementwise(held, &[&largest], x.ty)?;
    let less = Expr::binary(Op::Sub, Expr::operand(0), Expr::operand(1));
    let powers = cx.elementwise(Expr::call(Function::Exp, less), &[x, &largest], x.ty)?;
    let sum = fold(cx, &powers, axes, Reduction::Sum)?;
    let expr = Expr::sum(Expr::call(Function::Log, Expr::operand(0)), Expr::operand(1));
    cx.elementwise(expr, &[&sum, &largest], x.ty)
}

fn reduce(cx: &mut Context, compute: impl FnOnce(&mut Context, &Value, &[usize]) -> Traced<Value>) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axes = match cx.ints_of(1, "axes")? {
        Some(axes) if !axes.is_empty() => cx.axes(&axes, x.rank())?,
        _ if cx.int("noop_with_empty_axes", 0) != 0 => Vec::new(),
        _ => (0..x.rank()).collect(),
    };
    let reduced = compute(cx, &x, &axes)?;
    if cx.int("keepdims", 1) != 0 {
        return Ok(vec![reduced]);
    }
    let shape: Vec<usize> = (0..x.rank()).filter(|d| !axes.contains(d)).map(|d| x.shape[d]).collect();
    Ok(vec![cx.reshape(&reduced, &shape)?])
}

fn arg(cx: &mut Context, largest: bool) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axis = cx.int("axis", 0);
    let axis = cx.axis(axis, x.rank())?;
    let last = cx.int("select_last_index", 0) != 0;
    let places = cx.apply(ArgReduce { largest, last, axis }, &[&x], ElementType::Int64)?;
    if cx.int("keepdims", 1) != 0 {
        return Ok(vec![places]);
    }
    let mut shape = places.shape.clone();
    shape.remove(axis);
    Ok(vec![cx.reshape(&places, &shape)?])
}

fn cumulative(cx: &mut Context, kind: Reduction) -> Traced<Vec<Value>> {
    let (x, axis) = (cx.input(0)?, cx.input(1)?);
    let axis = cx.host_ints(&axis)?.first().copied().unwrap_or(0);
    let axis = cx.axis(axis, x.rank())?;
    let (exclusive, reverse) = (cx.int("exclusive", 0) != 0, cx.int("reverse", 0) != 0);
    Ok(vec![cx.apply(Cumulative { kind, axis, exclusive, reverse }, &[&x], x.ty)?])
}

fn top_k(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let k = match cx.ints_of(1, "k")? {
        Some(k) => k.first().copied().unwrap_or(-1),
        None => cx.int("k", -1),
    };
    let axis = cx.int("axis", -1);
    let axis = cx.axis(axis, x.rank())?;
    let k = usize::try_from(k).ok().filter(|k| *k <= x.shape[axis]);
    let k = k.ok_or_else(|| cx.error(format!("more elements than the {} of axis {axis}", x.shape[axis])))?;
    let op = TopElements { k, axis, largest: cx.int("largest", 1) != 0 };
    cx.apply_all(op, &[&x], &[x.ty, ElementType::Int64])
}
