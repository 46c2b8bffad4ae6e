//! Pooling over windows and over everything.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::conv::spatial;
use super::reduce::{fold, mean};
use super::window::{Window, list};
use super::{Operator, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::pool::{IndexOrder, PoolAxis, PoolKind};
use crate::ops::scatter::Update;
use crate::ops::{Pool, Reduction, ScatterElements};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    device("AveragePool", |cx| {
        let count_include_pad = cx.int("count_include_pad", 0) != 0;
        let x = cx.input(0)?;
        pool(cx, &x, PoolKind::Average { count_include_pad })
    }),
    device("GlobalAveragePool", |cx| global(cx, mean)),
    device("GlobalLpPool", |cx| {
        let p = cx.int("p", 2);
        global(cx, |cx, x, axes| match p {
            1 => fold(cx, x, axes, Reduction::SumAbs),
            2 => {
                let squares = fold(cx, x, axes, Reduction::SumSquares)?;
                cx.call(crate::kernel::expr::Function::Sqrt, &squares)
            }
            p => Err(cx.unsupported(format!("the norm of p = {p}"))),
        })
    }),
    device("GlobalMaxPool", |cx| global(cx, |cx, x, axes| fold(cx, x, axes, Reduction::Max))),
    device("LpPool", |cx| {
        let p = u32::try_from(cx.int("p", 2)).ok().filter(|p| *p > 0).ok_or_else(|| cx.error("'p' is impossible"))?;
        let x = cx.input(0)?;
        pool(cx, &x, PoolKind::Lp { p })
    }),
    device("MaxPool", |cx| {
        let order = if cx.int("storage_order", 0) == 0 { IndexOrder::RowMajor } else { IndexOrder::ColumnMajor };
        let indices = cx.wants(1).then_some(order);
        let x = cx.input(0)?;
        pool(cx, &x, PoolKind::Max { indices })
    }),
    device("MaxUnpool", max_unpool),
];

/// `x` pooled by the node's window.
pub fn pool(cx: &mut Context, x: &Value, kind: PoolKind) -> Traced<Vec<Value>> {
    let input = spatial(cx, x)?;
    let kernel = list(cx, "kernel_shape", input.len())?;
    let window = Window::of(cx, &input, kernel, cx.int("ceil_mode", 0) != 0)?;
    let axis = |d: usize| PoolAxis {
        windows: window.output[d],
        kernel: window.kernel[d],
        stride: window.strides[d],
        dilation: window.dilations[d],
        begin: window.pads_begin[d],
        end: window.pads_end[d],
    };
    let axes = (0..input.len()).map(axis).collect();
    cx.apply_all(Pool { kind, axes }, &[x], &[x.ty, ElementType::Int64])
}

fn global(cx: &mut Context, compute: impl FnOnce(&mut Context, &Value, &[usize]) -> Traced<Value>) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axes: Vec<usize> = (2..x.rank()).collect();
    Ok(vec![compute(cx, &x, &axes)?])
}

/// Elements at the places that a pooling said, zeros everywhere else.
fn max_unpool(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, places) = (cx.input(0)?, cx.input(1)?);
    let input = spatial(cx, &x)?;
    let rank = input.len();
    let (kernel, strides) = (list(cx, "kernel_shape", rank)?, list(cx, "strides", rank)?);
    let (before, after) = super::window::pads(cx, rank)?;
    let natural = (0..rank).map(|d| ((input[d].max(1) - 1) * strides[d] + kernel[d]).checked_sub(before[d] + after[d]));
    let natural: Vec<usize> = natural.collect::<Option<_>>().ok_or_else(|| cx.error("the pads are wider than the output"))?;
    let shape = match cx.optional(2) {
        Some(shape) => {
            let list = cx.host_ints(&shape)?;
            super::shape::sizes(cx, &list)?
        }
        None => x.shape[..2].iter().copied().chain(natural.iter().copied()).collect(),
    };
    if shape.len() != rank + 2 {
        return Err(cx.error(format!("the output shape {shape:?} for {:?}", x.shape)));
    }
    // Places count in the output that the pooling had as its input; a larger one is addressed row by row.
    let places = if shape[2..] == natural[..] { places } else { relocated(cx, &places, &natural, &shape[2..])? };
    let n = shape.iter().product();
    let zero = cx.constant(x.ty, Tensor::f32(&[1], vec![0.0])?);
    let empty = cx.expand(&zero, &[n])?;
    let (flat, places) = (cx.reshape(&x, &[x.len()])?, cx.reshape(&places, &[x.len()])?);
    let filled = cx.apply(ScatterElements { axis: 0, reduction: Update::Replace }, &[&empty, &places, &flat], x.ty)?;
    Ok(vec![cx.reshape(&filled, &shape)?])
}

/// Flat places in planes of dimensions `from`, in planes of dimensions `to`.
fn relocated(cx: &mut Context, places: &Value, from: &[usize], to: &[usize]) -> Traced<Value> {
    let (mut rest, mut at, mut stride) = (Expr::operand(0), Expr::int(0), 1);
    for (n, m) in from.iter().zip(to).rev() {
        let coordinate = Expr::binary(Op::Rem, rest.clone(), Expr::int(*n as i64));
        at = Expr::sum(at, Expr::product(coordinate, Expr::int(stride as i64)));
        rest = Expr::binary(Op::Div, rest, Expr::int(*n as i64));
        stride *= m;
    }
    let planes = Expr::product(rest, Expr::int(stride as i64));
    cx.elementwise(Expr::sum(at, planes), &[places], places.ty)
}
