//! Convolutions.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::window::Window;
use super::{Operator, device};
use crate::kernel::Expr;
use crate::ops::Conv;

pub const OPERATORS: &[Operator] = &[device("Conv", conv)];

/// The spatial dimensions of `x`, after batch and channels.
pub fn spatial(cx: &Context, x: &Value) -> Traced<Vec<usize>> {
    match x.shape.get(2..) {
        Some(spatial) if (1..=3).contains(&spatial.len()) => Ok(spatial.to_vec()),
        _ => Err(cx.error(format!("{:?} has no 1 to 3 spatial dimensions after batch and channels", x.shape))),
    }
}

/// A bias by channel as the tail of an op with `rank` spatial dimensions reads it.
pub fn by_channel(cx: &mut Context, bias: &Value, rank: usize) -> Traced<Value> {
    let mut shape = vec![bias.len()];
    shape.resize(rank + 1, 1);
    cx.reshape(bias, &shape)
}

fn groups(cx: &Context) -> Traced<usize> {
    let n = cx.int("group", 1);
    usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| cx.error(format!("{n} groups")))
}

/// The node's convolution of `x` with the filters `weight`, without a tail.
pub fn plain(cx: &Context, x: &Value, weight: &Value) -> Traced<Conv> {
    let spatial = spatial(cx, x)?;
    let Some(kernel) = weight.shape.get(2..).filter(|k| k.len() == spatial.len()) else {
        return Err(cx.error(format!("filters of shape {:?} over {:?}", weight.shape, x.shape)));
    };
    let window = Window::of(cx, &spatial, kernel.to_vec(), false)?;
    Ok(Conv {
        strides: window.strides,
        pads_begin: window.pads_begin,
        pads_end: window.pads_end,
        dilations: window.dilations,
        groups: groups(cx)?,
        tail: Expr::operand(0),
    })
}

fn conv(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, weight) = (cx.input(0)?, cx.input(1)?);
    let mut conv = plain(cx, &x, &weight)?;
    let mut operands = vec![x.clone(), weight];
    if let Some(bias) = cx.optional(2) {
        operands.push(by_channel(cx, &bias, x.rank() - 2)?);
        conv.tail = Expr::sum(Expr::operand(0), Expr::operand(1));
    }
    Ok(vec![cx.apply(conv, &operands.iter().collect::<Vec<_>>(), x.ty)?])
}
