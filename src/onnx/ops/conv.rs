//! Convolutions.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::window::{Window, list, pads};
use super::{Operator, bytes, device};
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::{BatchMatMul, Col2Im, Conv, ConvTranspose, DeformColumns};

pub const OPERATORS: &[Operator] =
    &[device("Col2Im", col2im), device("Conv", conv), device("ConvTranspose", conv_transpose), device("DeformConv", deform_conv)];

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
    if let Some(y) = bytes::dequantized_convolution(cx, &conv, &x, &weight)? {
        let Some(bias) = cx.optional(2) else { return Ok(vec![y]) };
        let bias = by_channel(cx, &bias, x.rank() - 2)?;
        return Ok(vec![cx.binary(Op::Add, &y, &bias)?]);
    }
    let mut operands = vec![x.clone(), weight];
    if let Some(bias) = cx.optional(2) {
        operands.push(by_channel(cx, &bias, x.rank() - 2)?);
        conv.tail = Expr::sum(Expr::operand(0), Expr::operand(1));
    }
    Ok(vec![cx.apply(conv, &operands.iter().collect::<Vec<_>>(), x.ty)?])
}

/// A list of `rank` sizes, which may be 0.
fn extras(cx: &Context, name: &str, rank: usize) -> Traced<Option<Vec<usize>>> {
    let Some(values) = cx.ints(name) else { return Ok(None) };
    let sizes: Option<Vec<usize>> = values.iter().map(|n| usize::try_from(*n).ok().filter(|n| *n < 1 << 31)).collect();
    let sizes = sizes.filter(|s| s.len() == rank);
    sizes.map(Some).ok_or_else(|| cx.error(format!("'{name}' is {values:?}, expected {rank} numbers")))
}

fn conv_transpose(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, weight) = (cx.input(0)?, cx.input(1)?);
    let spatial = spatial(cx, &x)?;
    let rank = spatial.len();
    let Some(kernel) = weight.shape.get(2..).filter(|k| k.len() == rank) else {
        return Err(cx.error(format!("filters of shape {:?} over {:?}", weight.shape, x.shape)));
    };
    let (strides, dilations) = (list(cx, "strides", rank)?, list(cx, "dilations", rank)?);
    let output_padding = extras(cx, "output_padding", rank)?.unwrap_or_else(|| vec![0; rank]);
    let (mut pads_begin, mut pads_end) = pads(cx, rank)?;
    let full = |d: usize| (spatial[d].max(1) - 1) * strides[d] + (kernel[d].max(1) - 1) * dilations[d] + 1 + output_padding[d];
    // The size may be said, or follow from the strides; padding is then what makes it so.
    let auto = cx.text("auto_pad", "NOTSET");
    let wanted = match (extras(cx, "output_shape", rank)?, auto) {
        (Some(shape), _) => Some(shape),
        (None, "SAME_UPPER" | "SAME_LOWER") => Some((0..rank).map(|d| spatial[d] * strides[d]).collect()),
        _ => None,
    };
    let mut output_padding = output_padding.clone();
    for (d, wanted) in wanted.iter().flatten().enumerate() {
        let total = full(d).saturating_sub(*wanted);
        // Beyond the natural size the output is padded.
        output_padding[d] += wanted.saturating_sub(full(d));
        let less = total / 2;
        (pads_begin[d], pads_end[d]) = if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) };
    }
    let tail = Expr::operand(0);
    let mut op = ConvTranspose { strides, pads_begin, pads_end, dilations, output_padding, groups: groups(cx)?, tail };
    let bias = match cx.optional(2) {
        Some(bias) => Some(by_channel(cx, &bias, rank)?),
        None => None,
    };
    if let Some(y) = by_columns(cx, &x, &weight, &op)? {
        let Some(bias) = bias else { return Ok(vec![y]) };
        return Ok(vec![cx.binary(Op::Add, &y, &bias)?]);
    }
    let mut operands = vec![x.clone(), weight];
    if let Some(bias) = bias {
        operands.push(bias);
        op.tail = Expr::sum(Expr::operand(0), Expr::operand(1));
    }
    Ok(vec![cx.apply(op, &operands.iter().collect::<Vec<_>>(), x.ty)?])
}

/// Channels from which on one product of all taps, put back into the image, is worth its columns.
const LEAST_DEPTH: usize = 16;
/// Elements of columns at most: what one binding holds on every device.
const MOST_COLUMNS: usize = 1 << 24;

/// A transposed convolution as one product and its columns put back, where that goes.
fn by_columns(cx: &mut Context, x: &Value, weight: &Value, op: &ConvTranspose) -> Traced<Option<Value>> {
    let ([batch, channels, spatial @ ..], [depth, filters, kernel @ ..]) = (&x.shape[..], &weight.shape[..]) else {
        return Ok(None);
    };
    let (places, taps) = (spatial.iter().product::<usize>(), kernel.iter().product::<usize>());
    let columns = [*batch, *filters, taps, places].into_iter().try_fold(1usize, usize::checked_mul);
    let within = columns.is_some_and(|n| (1..=MOST_COLUMNS).contains(&n)) && channels == depth && *channels >= LEAST_DEPTH;
    // The columns must be those of windows over the image and no further ones.
    if op.groups != 1 || !within || op.output_padding.iter().zip(&op.strides).any(|(extra, stride)| extra >= stride) {
        return Ok(None);
    }
    let side = |d: usize| {
        let full = (spatial[d] - 1) * op.strides[d] + (kernel[d] - 1) * op.dilations[d] + 1 + op.output_padding[d];
        full.checked_sub(op.pads_begin[d] + op.pads_end[d]).filter(|n| *n > 0)
    };
    let Some(image) = (0..spatial.len()).map(side).collect::<Option<Vec<usize>>>() else { return Ok(None) };
    let matrix = cx.reshape(weight, &[*depth, filters * taps])?;
    let flat = cx.reshape(x, &[*batch, *channels, places])?;
    let product = cx.apply(BatchMatMul { transpose_a: true, ..BatchMatMul::plain() }, &[&matrix, &flat], x.ty)?;
    let put_back = Col2Im {
        image,
        block: kernel.to_vec(),
        strides: op.strides.clone(),
        pads_begin: op.pads_begin.clone(),
        pads_end: op.pads_end.clone(),
        dilations: op.dilations.clone(),
    };
    Ok(Some(cx.apply(put_back, &[&product], x.ty)?))
}

/// The columns that the offsets pick, multiplied by the filters.
fn deform_conv(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, weight, offset) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let (bias, mask) = (cx.optional(3), cx.optional(4));
    let ([batch, channels, h, w], [filters, depth, kh, kw]) = (&x.shape[..], &weight.shape[..]) else {
        return Err(cx.unsupported(format!("filters of shape {:?} over {:?}", weight.shape, x.shape)));
    };
    let (batch, channels, filters, depth, kh, kw) = (*batch, *channels, *filters, *depth, *kh, *kw);
    let window = Window::of(cx, &[*h, *w], vec![kh, kw], false)?;
    let pair = |v: &[usize]| [v.first().copied().unwrap_or(1), v.get(1).copied().unwrap_or(1)];
    let offset_groups = usize::try_from(cx.int("offset_group", 1)).unwrap_or(0);
    let groups = groups(cx)?;
    if depth * groups != channels || !filters.is_multiple_of(groups) {
        return Err(cx.error(format!("filters of shape {:?} over {:?} in {groups} groups", weight.shape, x.shape)));
    }
    let op = DeformColumns {
        kernel: [kh, kw],
        strides: pair(&window.strides),
        pads_begin: pair(&window.pads_begin),
        pads_end: pair(&window.pads_end),
        dilations: pair(&window.dilations),
        groups: offset_groups,
    };
    let operands: Vec<&Value> = [&x, &offset].into_iter().chain(mask.as_ref()).collect();
    let columns = cx.apply(op, &operands, x.ty)?;
    let (taps, places) = (depth * kh * kw, window.output.iter().product::<usize>());
    let columns = cx.reshape(&columns, &[batch, groups, taps, places])?;
    let weight = cx.reshape(&weight, &[1, groups, filters / groups, taps])?;
    let product = cx.apply(BatchMatMul::plain(), &[&weight, &columns], x.ty)?;
    let y = cx.reshape(&product, &[&[batch, filters], &window.output[..]].concat())?;
    let Some(bias) = bias else { return Ok(vec![y]) };
    let bias = by_channel(cx, &bias, 2)?;
    Ok(vec![cx.binary(Op::Add, &y, &bias)?])
}

fn col2im(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, image, block) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let (image, block) = (cx.host_ints(&image)?, cx.host_ints(&block)?);
    let (image, block) = (super::shape::sizes(cx, &image)?, super::shape::sizes(cx, &block)?);
    let rank = image.len();
    let (pads_begin, pads_end) = pads(cx, rank)?;
    let (strides, dilations) = (list(cx, "strides", rank)?, list(cx, "dilations", rank)?);
    Ok(vec![cx.apply(Col2Im { image, block, strides, pads_begin, pads_end, dilations }, &[&x], x.ty)?])
}
