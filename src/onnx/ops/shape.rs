//! Operators that move, repeat or only rename elements, and those that make shapes.

use super::super::context::Context;
use super::super::tracer::{MOST_FOLDED, Traced};
use super::super::value::{Value, graph_type};
use super::constants::numbers;
use super::{Operator, device, nowhere};
use crate::dtype::DType;
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::View;
use crate::ops::view::Border;
use crate::tensor::{Data, Tensor};

pub const OPERATORS: &[Operator] = &[
    device("CenterCropPad", center_crop_pad),
    device("DepthToSpace", depth_to_space),
    device("Expand", expand),
    nowhere("Flatten", flatten),
    device("Pad", pad),
    nowhere("Reshape", reshape),
    nowhere("Shape", shape),
    nowhere("Size", |cx| {
        let n = cx.input(0)?.len() as i64;
        Ok(vec![Value::known(ElementType::Int64, Tensor::i64(&[], vec![n])?, false)])
    }),
    device("Slice", slice),
    device("SpaceToDepth", space_to_depth),
    device("Split", split),
    nowhere("Squeeze", squeeze),
    device("Tile", tile),
    device("Transpose", transpose),
    device("Trilu", trilu),
    nowhere("Unsqueeze", unsqueeze),
];

/// Sizes from an operand: none negative, and their product within what memory can address.
pub fn sizes(cx: &Context, values: &[i64]) -> Traced<Vec<usize>> {
    let sizes: Option<Vec<usize>> = values.iter().map(|n| usize::try_from(*n).ok()).collect();
    let bytes = |v: &Vec<usize>| v.iter().try_fold(4u64, |n, d| n.checked_mul((*d).max(1) as u64));
    let addressable = |v: &Vec<usize>| bytes(v).is_some_and(|n| n < 1 << 40);
    sizes.filter(addressable).ok_or_else(|| cx.error(format!("the shape {values:?} is impossible")))
}

/// The shape of a constant that is made on the host: no larger than what is folded.
pub fn host_sizes(cx: &Context, values: &[i64]) -> Traced<Vec<usize>> {
    let shape = sizes(cx, values)?;
    match shape.iter().product::<usize>() {
        n if n <= MOST_FOLDED => Ok(shape),
        _ => Err(cx.unsupported(format!("a constant of shape {values:?}"))),
    }
}

fn shape(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let rank = x.rank() as i64;
    let bound = |n: i64| (if n < 0 { n + rank } else { n }).clamp(0, rank) as usize;
    let (start, end) = (bound(cx.int("start", 0)), bound(cx.int("end", rank)));
    let dims: Vec<i64> = x.shape.get(start..end).unwrap_or_default().iter().map(|n| *n as i64).collect();
    Ok(vec![cx.int_list(dims)?])
}

fn reshape(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let Some(wanted) = cx.ints_of(1, "shape")? else { return Err(cx.error("no shape")) };
    let zero_is_zero = cx.int("allowzero", 0) != 0;
    let mut shape = Vec::with_capacity(wanted.len());
    for (i, n) in wanted.iter().enumerate() {
        shape.push(match *n {
            0 if !zero_is_zero => {
                *x.shape.get(i).ok_or_else(|| cx.error(format!("{wanted:?} keeps a dimension of {:?}", x.shape)))?
            }
            -1 => 1,
            n => usize::try_from(n).map_err(|_| cx.error(format!("the shape {wanted:?}")))?,
        });
    }
    if let Some(at) = wanted.iter().position(|n| *n == -1) {
        let rest = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n > 0);
        let rest = rest.filter(|n| x.len().is_multiple_of(*n));
        shape[at] = x.len() / rest.ok_or_else(|| cx.error(format!("{:?} cannot become {wanted:?}", x.shape)))?;
    }
    Ok(vec![cx.reshape(&x, &shape)?])
}

fn flatten(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axis = cx.int("axis", 1);
    let axis = if axis == x.rank() as i64 { x.rank() } else { cx.axis(axis, x.rank())? };
    let rows = x.shape[..axis].iter().product();
    let columns = x.shape[axis..].iter().product();
    Ok(vec![cx.reshape(&x, &[rows, columns])?])
}

fn squeeze(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axes = match cx.ints_of(1, "axes")? {
        Some(axes) => cx.axes(&axes, x.rank())?,
        None => (0..x.rank()).filter(|d| x.shape[*d] == 1).collect(),
    };
    if let Some(d) = axes.iter().find(|d| x.shape[**d] != 1) {
        return Err(cx.error(format!("dimension {d} of {:?} is not 1", x.shape)));
    }
    let kept = (0..x.rank()).filter(|d| !axes.contains(d)).map(|d| x.shape[d]).collect::<Vec<_>>();
    Ok(vec![cx.reshape(&x, &kept)?])
}

fn unsqueeze(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let Some(axes) = cx.ints_of(1, "axes")? else { return Err(cx.error("no axes")) };
    let rank = x.rank() + axes.len();
    let axes = cx.axes(&axes, rank)?;
    if axes.len() + x.rank() != rank {
        return Err(cx.error("an axis is named twice"));
    }
    let mut rest = x.shape.iter();
    let shape: Vec<usize> = (0..rank).map(|d| if axes.contains(&d) { 1 } else { rest.next().copied().unwrap_or(1) }).collect();
    Ok(vec![cx.reshape(&x, &shape)?])
}

fn transpose(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let order = match cx.ints("perm") {
        Some(order) => order.iter().map(|d| cx.axis(*d, x.rank())).collect::<Traced<Vec<_>>>()?,
        None => (0..x.rank()).rev().collect(),
    };
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen != (0..x.rank()).collect::<Vec<_>>() {
        return Err(cx.error(format!("the order {order:?} of {} dimensions", x.rank())));
    }
    Ok(vec![cx.transpose(&x, &order)?])
}

/// The start, length and step of a slice of `n` elements, as Python's.
fn slice_of(start: i64, end: i64, step: i64, n: usize) -> (i64, usize) {
    let n = n as i64;
    let from_front = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let start = from_front(start).clamp(low, high);
    // Backwards, an end before the first element means that it is taken.
    let end = if step < 0 && end < -n { -1 } else { from_front(end).clamp(low, high) };
    let span = if step > 0 { end - start } else { start - end };
    let size = step.unsigned_abs().min(i64::MAX as u64) as i64;
    (start, span.max(0).saturating_add(size - 1).max(0).div_euclid(size).max(0) as usize * usize::from(span > 0))
}

fn slice(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let (Some(starts), Some(ends)) = (cx.ints_of(1, "starts")?, cx.ints_of(2, "ends")?) else {
        return Err(cx.error("starts or ends are missing"));
    };
    let axes = cx.ints_of(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = match cx.optional(4) {
        Some(steps) => cx.host_ints(&steps)?,
        None => vec![1; starts.len()],
    };
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() || steps.contains(&0) {
        return Err(cx.error("starts, ends, axes and steps do not go together"));
    }
    let mut view = View::of(&x.shape);
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let d = cx.axis(*axis, x.rank())?;
        let (start, len) = slice_of(*start, *end, *step, x.shape[d]);
        (view.axes[d].start, view.axes[d].len, view.axes[d].step) = (start, len, if len > 1 { *step } else { 1 });
    }
    if view == View::of(&x.shape) {
        return Ok(vec![x]);
    }
    if x.is_empty() {
        let dtype = graph_type(x.ty).unwrap_or(DType::F32);
        return Ok(vec![Value::known(x.ty, Tensor::zeros(dtype, &view.shape())?, false)]);
    }
    Ok(vec![cx.apply(view, &[&x], x.ty)?])
}

fn split(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let axis = cx.int("axis", 0);
    let axis = cx.axis(axis, x.rank())?;
    let (n, outputs) = (x.shape[axis], cx.node.outputs.len());
    let parts = cx.int("num_outputs", outputs as i64);
    let parts = usize::try_from(parts).ok().filter(|parts| (1..=outputs).contains(parts));
    let parts = parts.ok_or_else(|| cx.error(format!("'num_outputs' does not go with {outputs} results")))?;
    let lengths = match cx.ints_of(1, "split")? {
        Some(list) => sizes(cx, &list)?,
        // The last part is shorter where they cannot be equal.
        None => {
            let each = n.div_ceil(parts);
            (0..parts).map(|i| each.min(n.saturating_sub(i * each))).collect()
        }
    };
    if lengths.iter().sum::<usize>() != n {
        return Err(cx.error(format!("parts of {lengths:?} of a dimension of {n}")));
    }
    let mut start = 0;
    let mut values = Vec::new();
    for len in lengths {
        values.push(cx.slice(&x, axis, start, len)?);
        start += len;
    }
    Ok(values)
}

fn expand(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, wanted) = (cx.input(0)?, cx.input(1)?);
    let list = cx.host_ints(&wanted)?;
    let wanted = sizes(cx, &list)?;
    // The shape and the operand are broadcast to each other.
    let rank = wanted.len().max(x.rank());
    let at = |shape: &[usize], d: usize| (d + shape.len()).checked_sub(rank).map_or(1, |d| shape[d]);
    let shape: Vec<usize> = (0..rank).map(|d| if at(&wanted, d) == 1 { at(&x.shape, d) } else { at(&wanted, d) }).collect();
    Ok(vec![cx.expand(&x, &shape)?])
}

fn tile(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, repeats) = (cx.input(0)?, cx.input(1)?);
    let list = cx.host_ints(&repeats)?;
    let repeats = sizes(cx, &list)?;
    if repeats.len() != x.rank() {
        return Err(cx.error(format!("{} repeats of {} dimensions", repeats.len(), x.rank())));
    }
    let mut view = View { border: Border::Wrap, ..View::of(&x.shape) };
    view.axes.iter_mut().zip(&repeats).for_each(|(axis, n)| axis.len *= n);
    Ok(vec![cx.apply(view, &[&x], x.ty)?])
}

fn pad(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let pads = match cx.ints_of(1, "pads")? {
        Some(pads) => pads,
        None => cx.ints("paddings").map(<[i64]>::to_vec).ok_or_else(|| cx.error("no pads"))?,
    };
    let axes = match cx.optional(3) {
        Some(axes) => {
            let axes = cx.host_ints(&axes)?;
            axes.iter().map(|a| cx.axis(*a, x.rank())).collect::<Traced<Vec<_>>>()?
        }
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(cx.error(format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let border = match cx.text("mode", "constant") {
        "constant" => border(cx, &x)?,
        "edge" => Border::Edge,
        "reflect" => Border::Reflect,
        "wrap" => Border::Wrap,
        mode => return Err(cx.unsupported(format!("the padding mode '{mode}'"))),
    };
    let lens: Option<Vec<usize>> = (axes.iter().enumerate())
        .map(|(i, d)| usize::try_from((x.shape[*d] as i64).checked_add(pads[i])?.checked_add(pads[i + axes.len()])?).ok())
        .collect();
    let lens = lens.ok_or_else(|| cx.error(format!("pads {pads:?} of {:?}", x.shape)))?;
    padded(cx, &x, &axes, &lens, &pads[..axes.len()], border).map(|v| vec![v])
}

/// What constant padding puts around `x`.
fn border(cx: &mut Context, x: &Value) -> Traced<Border> {
    let value = match cx.optional(2) {
        Some(value) => Some(cx.host(&value)?),
        None => None,
    };
    Ok(match value.as_deref().map(Tensor::data) {
        Some(Data::F32(v)) => Border::Float(v.first().copied().unwrap_or(0.0)),
        Some(Data::I64(v)) => Border::Int(v.first().copied().unwrap_or(0)),
        _ if x.ty.is_float() => Border::Float(cx.float("value", 0.0)),
        _ => Border::Int(0),
    })
}

/// `x` with dimension `axes[i]` beginning `before[i]` places earlier and `lens[i]` long.
fn padded(cx: &mut Context, x: &Value, axes: &[usize], lens: &[usize], before: &[i64], border: Border) -> Traced<Value> {
    let mut view = View { border, ..View::of(&x.shape) };
    for ((d, len), before) in axes.iter().zip(lens).zip(before) {
        (view.axes[*d].len, view.axes[*d].start) = (*len, -before);
    }
    if x.is_empty() {
        let value = match border {
            Border::Float(x) => Tensor::f32(&[1], vec![x])?,
            Border::Int(n) => Tensor::i64(&[1], vec![n])?,
            _ => return Err(cx.error("nothing can be repeated of an operand without elements")),
        };
        let one = cx.constant(x.ty, value);
        return cx.expand(&one, &view.shape());
    }
    cx.apply(view, &[x], x.ty)
}

fn center_crop_pad(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, wanted) = (cx.input(0)?, cx.input(1)?);
    let list = cx.host_ints(&wanted)?;
    let lens = sizes(cx, &list)?;
    let axes = match cx.ints("axes") {
        Some(axes) => axes.iter().map(|a| cx.axis(*a, x.rank())).collect::<Traced<Vec<_>>>()?,
        None => (0..x.rank()).collect(),
    };
    if axes.len() != lens.len() {
        return Err(cx.error(format!("{} sizes for {} axes", lens.len(), axes.len())));
    }
    // What is cut or added unevenly is cut or added at the end.
    let before = axes.iter().zip(&lens).map(|(d, len)| {
        let (have, want) = (x.shape[*d] as i64, *len as i64);
        if want > have { (want - have) / 2 } else { -((have - want) / 2) }
    });
    let before: Vec<i64> = before.collect();
    let border = if x.ty.is_float() { Border::Float(0.0) } else { Border::Int(0) };
    padded(cx, &x, &axes, &lens, &before, border).map(|v| vec![v])
}

/// Elements of a block along each side: few enough that a block can be counted.
fn blocksize(cx: &Context) -> Traced<usize> {
    let size = cx.int("blocksize", 1);
    usize::try_from(size).ok().filter(|b| (1..=1 << 16).contains(b)).ok_or_else(|| cx.error(format!("blocks of {size} x {size}")))
}

fn depth_to_space(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let b = blocksize(cx)?;
    let [n, c, h, w] = x.shape[..] else { return Err(cx.error(format!("{:?} is no image", x.shape))) };
    if !c.is_multiple_of(b * b) {
        return Err(cx.error(format!("{c} channels in blocks of {b} x {b}")));
    }
    let c = c / (b * b);
    let (shape, order) = match cx.text("mode", "DCR") {
        "CRD" => ([n, c, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        _ => ([n, b, b, c, h, w], [0, 3, 4, 1, 5, 2]),
    };
    let blocks = cx.reshape(&x, &shape)?;
    let moved = cx.transpose(&blocks, &order)?;
    Ok(vec![cx.reshape(&moved, &[n, c, h * b, w * b])?])
}

fn space_to_depth(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let b = blocksize(cx)?;
    let [n, c, h, w] = x.shape[..] else { return Err(cx.error(format!("{:?} is no image", x.shape))) };
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return Err(cx.error(format!("{h} x {w} in blocks of {b} x {b}")));
    }
    let blocks = cx.reshape(&x, &[n, c, h / b, b, w / b, b])?;
    let order = if cx.text("mode", "DCR") == "CRD" { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    let moved = cx.transpose(&blocks, &order)?;
    Ok(vec![cx.reshape(&moved, &[n, c * b * b, h / b, w / b])?])
}

fn trilu(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let k = match cx.optional(1) {
        Some(k) => cx.host_ints(&k)?.first().copied().unwrap_or(0),
        None => 0,
    };
    if x.rank() < 2 || x.is_empty() {
        return if x.is_empty() { Ok(vec![x]) } else { Err(cx.error(format!("{:?} is no matrix", x.shape))) };
    }
    let (rows, columns) = (x.shape[x.rank() - 2], x.shape[x.rank() - 1]);
    let (row, column) = (numbers(cx, rows, 0, 2)?, numbers(cx, columns, 1, 2)?);
    let diagonal = Expr::sum(Expr::operand(1), Expr::int(k));
    let inside = match cx.int("upper", 1) {
        0 => Expr::binary(Op::LessEqual, Expr::operand(2), diagonal),
        _ => Expr::binary(Op::LessEqual, diagonal, Expr::operand(2)),
    };
    let zero = if x.ty.is_float() { Expr::float(0.0) } else { Expr::int(0) };
    Ok(vec![cx.elementwise(Expr::select(inside, Expr::operand(0), zero), &[&x, &row, &column], x.ty)?])
}
