//! Normalisations and softmax.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::conv::by_channel;
use super::reduce::{fold, mean};
use super::{Operator, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::view::{Axis, Border};
use crate::ops::{ArgReduce, Norm, Normalize, Reduction, Softmax, View};

pub const OPERATORS: &[Operator] = &[
    device("BatchNormalization", batch_norm),
    device("Dropout", dropout),
    device("GroupNormalization", group_norm),
    device("Hardmax", hardmax),
    device("InstanceNormalization", |cx| {
        let (x, scale, bias) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let channels = *x.shape.get(1).ok_or_else(|| cx.error("an operand without channels"))?;
        let epsilon = cx.float("epsilon", 1e-5);
        Ok(vec![by_group(cx, &x, channels, epsilon, &scale, &bias)?])
    }),
    device("LayerNormalization", layer_norm),
    device("LRN", local_response),
    device("LogSoftmax", |cx| softmax(cx, true)),
    device("LpNormalization", lp_norm),
    device("MeanVarianceNormalization", mean_variance),
    device("RMSNormalization", rms_norm),
    device("Softmax", |cx| softmax(cx, false)),
];

fn batch_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let (scale, bias, mean_in, var_in) = (cx.input(1)?, cx.input(2)?, cx.input(3)?, cx.input(4)?);
    let spatial = x.rank().saturating_sub(2);
    let epsilon = Expr::float(cx.float("epsilon", 1e-5));
    let training = cx.int("training_mode", 0) != 0;
    let (mut mean_now, mut var_now) = (mean_in.clone(), var_in.clone());
    if training {
        let axes: Vec<usize> = (0..x.rank()).filter(|d| *d != 1).collect();
        let average = mean(cx, &x, &axes)?;
        let apart = Expr::binary(Op::Sub, Expr::operand(0), Expr::operand(1));
        let square = cx.elementwise(Expr::product(apart.clone(), apart), &[&x, &average], x.ty)?;
        let variance = mean(cx, &square, &axes)?;
        mean_now = cx.reshape(&average, &mean_in.shape)?;
        var_now = cx.reshape(&variance, &var_in.shape)?;
    }
    // By channel: one factor and one term, which are constants where the statistics are.
    let root = Expr::call(Function::Sqrt, Expr::sum(Expr::operand(1), epsilon));
    let factor = cx.elementwise(Expr::binary(Op::Div, Expr::operand(0), root), &[&scale, &var_now], x.ty)?;
    let shift = Expr::binary(Op::Sub, Expr::operand(0), Expr::product(Expr::operand(1), Expr::operand(2)));
    let term = cx.elementwise(shift, &[&bias, &mean_now, &factor], x.ty)?;
    let (factor, term) = match x.rank() {
        1 => (factor, term),
        _ => (by_channel(cx, &factor, spatial)?, by_channel(cx, &term, spatial)?),
    };
    let affine = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    let y = cx.elementwise(affine, &[&x, &factor, &term], x.ty)?;
    if !training {
        return Ok(vec![y]);
    }
    let momentum = cx.float("momentum", 0.9);
    let blend = Expr::sum(
        Expr::product(Expr::float(momentum), Expr::operand(0)),
        Expr::product(Expr::float(1.0 - momentum), Expr::operand(1)),
    );
    let running_mean = cx.elementwise(blend.clone(), &[&mean_in, &mean_now], mean_in.ty)?;
    let running_var = cx.elementwise(blend, &[&var_in, &var_now], var_in.ty)?;
    Ok(vec![y, running_mean, running_var])
}

/// Identity outside of training.
fn dropout(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let training = match cx.optional(2) {
        Some(mode) => cx.host_ints(&mode)?.first().is_some_and(|n| *n != 0),
        None => false,
    };
    let ratio = match cx.optional(1) {
        Some(ratio) => cx.host_floats(&ratio)?.first().copied().unwrap_or(0.5),
        None => cx.float("ratio", 0.5),
    };
    if training && ratio > 0.0 {
        return super::random::dropout(cx, &x, ratio);
    }
    let mask = crate::tensor::Tensor::i64(&x.shape, vec![1; x.len()])?;
    let mask = cx.constant(ElementType::Bool, mask);
    Ok(vec![x, mask])
}

/// Rows of one group of channels each, normalised; then a factor and a term by channel.
fn by_group(cx: &mut Context, x: &Value, groups: usize, epsilon: f32, scale: &Value, bias: &Value) -> Traced<Value> {
    let (batch, channels) = (x.shape[0], x.shape[1]);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(cx.error(format!("{channels} channels in {groups} groups")));
    }
    let size: usize = x.shape[2..].iter().product::<usize>() * (channels / groups);
    let rows = cx.reshape(x, &[batch, groups, size])?;
    let rows = cx.apply(Normalize { kind: Norm::Layer, epsilon, tail: Expr::operand(0) }, &[&rows], x.ty)?;
    let y = cx.reshape(&rows, &x.shape)?;
    let (scale, bias) = (by_channel(cx, scale, x.rank() - 2)?, by_channel(cx, bias, x.rank() - 2)?);
    let affine = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(2));
    cx.elementwise(affine, &[&y, &scale, &bias], x.ty)
}

fn group_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, scale, bias) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let groups = usize::try_from(cx.int("num_groups", 1)).unwrap_or(0);
    let channels = *x.shape.get(1).ok_or_else(|| cx.error("an operand without channels"))?;
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(cx.error(format!("{channels} channels in {groups} groups")));
    }
    // Operator set 18 has a factor for each group, later ones for each channel.
    let spread = |cx: &mut Context, v: &Value| {
        if v.len() == channels {
            return Ok(v.clone());
        }
        let column = cx.reshape(v, &[groups, 1])?;
        let wide = cx.expand(&column, &[groups, channels / groups])?;
        cx.reshape(&wide, &[channels])
    };
    let (scale, bias) = (spread(cx, &scale)?, spread(cx, &bias)?);
    let epsilon = cx.float("epsilon", 1e-5);
    Ok(vec![by_group(cx, &x, groups, epsilon, &scale, &bias)?])
}

/// The dimensions from `axis` on as rows, and their number of elements.
fn rows_from(cx: &mut Context, x: &Value, default: i64) -> Traced<(Value, usize, usize)> {
    let axis = cx.int("axis", default);
    let axis = cx.axis(axis, x.rank())?;
    let size = x.shape[axis..].iter().product();
    let shape: Vec<usize> = x.shape[..axis].iter().copied().chain([size]).collect();
    Ok((cx.reshape(x, &shape)?, axis, size))
}

/// Rows normalised, with a factor and perhaps a term for each place of a row.
pub fn normalized(
    cx: &mut Context,
    x: &Value,
    kind: Norm,
    epsilon: f32,
    scale: Option<&Value>,
    bias: Option<&Value>,
) -> Traced<Value> {
    let (rows, axis, size) = rows_from(cx, x, -1)?;
    let (mut tail, mut operands) = (Expr::operand(0), vec![rows]);
    let mut after: Vec<(Op, &Value)> = Vec::new();
    for (operator, v) in [(Op::Mul, scale), (Op::Add, bias)] {
        let Some(v) = v else { continue };
        if v.shape == x.shape[axis..] && after.is_empty() {
            operands.push(cx.reshape(v, &[size])?);
            tail = Expr::binary(operator, tail, Expr::operand(operands.len() as u32 - 1));
        } else {
            after.push((operator, v));
        }
    }
    let y = cx.apply(Normalize { kind, epsilon, tail }, &operands.iter().collect::<Vec<_>>(), x.ty)?;
    let mut y = cx.reshape(&y, &x.shape)?;
    for (operator, v) in after {
        y = cx.binary(operator, &y, v)?;
    }
    Ok(y)
}

fn layer_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, scale, bias) = (cx.input(0)?, cx.optional(1), cx.optional(2));
    let epsilon = cx.float("epsilon", 1e-5);
    let mut results = vec![normalized(cx, &x, Norm::Layer, epsilon, scale.as_ref(), bias.as_ref())?];
    if cx.wants(1) || cx.wants(2) {
        let axis = cx.int("axis", -1);
        let axes: Vec<usize> = (cx.axis(axis, x.rank())?..x.rank()).collect();
        let average = mean(cx, &x, &axes)?;
        let apart = Expr::binary(Op::Sub, Expr::operand(0), Expr::operand(1));
        let square = cx.elementwise(Expr::product(apart.clone(), apart), &[&x, &average], x.ty)?;
        let variance = mean(cx, &square, &axes)?;
        let root = Expr::call(Function::Sqrt, Expr::sum(Expr::operand(0), Expr::float(epsilon)));
        let inverse = cx.elementwise(Expr::call(Function::Reciprocal, root), &[&variance], ElementType::Float)?;
        results.extend([Value { ty: ElementType::Float, ..average }, inverse]);
    }
    Ok(results)
}

fn rms_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, scale) = (cx.input(0)?, cx.optional(1));
    let epsilon = cx.float("epsilon", 1e-5);
    Ok(vec![normalized(cx, &x, Norm::Rms, epsilon, scale.as_ref(), None)?])
}

fn lp_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axis = cx.int("axis", -1);
    let axis = cx.axis(axis, x.rank())?;
    let size = match cx.int("p", 2) {
        1 => fold(cx, &x, &[axis], Reduction::SumAbs)?,
        2 => {
            let squares = fold(cx, &x, &[axis], Reduction::SumSquares)?;
            cx.call(Function::Sqrt, &squares)?
        }
        p => return Err(cx.unsupported(format!("the norm of p = {p}"))),
    };
    // What has no length stays zero.
    let zero = Expr::binary(Op::Equal, Expr::operand(1), Expr::float(0.0));
    let expr = Expr::select(zero, Expr::float(0.0), Expr::binary(Op::Div, Expr::operand(0), Expr::operand(1)));
    Ok(vec![cx.elementwise(expr, &[&x, &size], x.ty)?])
}

fn mean_variance(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axes = cx.axes(cx.ints("axes").unwrap_or(&[0, 2, 3]), x.rank())?;
    let average = mean(cx, &x, &axes)?;
    let apart = cx.binary(Op::Sub, &x, &average)?;
    let squares = cx.elementwise(Expr::product(Expr::operand(0), Expr::operand(0)), &[&apart], x.ty)?;
    let variance = mean(cx, &squares, &axes)?;
    let deviation = Expr::sum(Expr::call(Function::Sqrt, Expr::operand(1)), Expr::float(1e-9));
    Ok(vec![cx.elementwise(Expr::binary(Op::Div, Expr::operand(0), deviation), &[&apart, &variance], x.ty)?])
}

/// `x / (bias + alpha / size * sum of the squares of the size nearest channels)^beta`.
fn local_response(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let size = usize::try_from(cx.int("size", 1)).ok().filter(|n| (1..=1 << 20).contains(n));
    let size = size.ok_or_else(|| cx.error("'size' is impossible"))?;
    let (alpha, beta, bias) = (cx.float("alpha", 1e-4), cx.float("beta", 0.75), cx.float("bias", 1.0));
    let [batch, channels, ..] = x.shape[..] else { return Err(cx.error("an operand without channels")) };
    let rest: usize = x.shape[2..].iter().product();
    let squares = cx.elementwise(Expr::product(Expr::operand(0), Expr::operand(0)), &[&x], x.ty)?;
    // The squares with zeros before and after, then overlapping windows of channels.
    let before = (size - 1) / 2;
    let flat = cx.reshape(&squares, &[batch, channels, rest])?;
    let mut padded = View { border: Border::Float(0.0), ..View::of(&flat.shape) };
    let room = channels + size - 1;
    (padded.axes[1].start, padded.axes[1].len) = (-(before as i64), room);
    let padded = cx.apply(padded, &[&flat], x.ty)?;
    let run = |len: usize, stride: usize| Axis { len, start: 0, step: 1, extent: len, stride };
    let windows =
        View { axes: vec![run(batch, room * rest), run(channels, rest), run(size, rest), run(rest, 1)], border: Border::None };
    let windows = cx.apply(windows, &[&padded], x.ty)?;
    let sums = fold(cx, &windows, &[2], Reduction::Sum)?;
    let sums = cx.reshape(&sums, &x.shape)?;
    let base = Expr::sum(Expr::float(bias), Expr::product(Expr::float(alpha / size as f32), Expr::operand(1)));
    let expr = Expr::binary(Op::Div, Expr::operand(0), Expr::binary(Op::Pow, base, Expr::float(beta)));
    Ok(vec![cx.elementwise(expr, &[&x, &sums], x.ty)?])
}

/// Before operator set 13 all dimensions from the axis on are one row, later the axis alone is.
fn along_rows(cx: &mut Context, x: &Value, compute: impl FnOnce(&mut Context, &Value) -> Traced<Value>) -> Traced<Vec<Value>> {
    if cx.opset() < 13 {
        let (rows, ..) = rows_from(cx, x, 1)?;
        let y = compute(cx, &rows)?;
        return Ok(vec![cx.reshape(&y, &x.shape)?]);
    }
    let axis = cx.int("axis", -1);
    let axis = cx.axis(axis, x.rank())?;
    let mut order: Vec<usize> = (0..x.rank()).collect();
    order.swap(axis, x.rank() - 1);
    let last = cx.transpose(x, &order)?;
    let y = compute(cx, &last)?;
    // A swap is its own inverse.
    Ok(vec![cx.transpose(&y, &order)?])
}

fn softmax(cx: &mut Context, log: bool) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    if x.rank() == 0 {
        let one = if log { 0.0 } else { 1.0 };
        return Ok(vec![cx.constant(x.ty, crate::tensor::Tensor::f32(&[], vec![one])?)]);
    }
    along_rows(cx, &x, |cx, rows| cx.apply(Softmax { log }, &[rows], rows.ty))
}

fn hardmax(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    along_rows(cx, &x, |cx, rows| {
        let (axis, n) = (rows.rank() - 1, rows.shape[rows.rank() - 1]);
        let places = cx.apply(ArgReduce { largest: true, last: false, axis }, &[rows], ElementType::Int64)?;
        let numbers = cx.int_list((0..n as i64).collect())?;
        let hit = Expr::binary(Op::Equal, Expr::operand(0), Expr::operand(1));
        let expr = if rows.ty.is_float() { Expr::call(Function::ToFloat, hit) } else { hit };
        cx.elementwise(expr, &[&places, &numbers], rows.ty)
    })
}
