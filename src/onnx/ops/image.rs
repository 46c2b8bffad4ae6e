//! Operators that resample images: resizing, sampling at points, regions.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::cast::cast_to;
use super::{Operator, device};
use crate::formats::ElementType;
use crate::ops::grid_sample::{GridMode, GridPadding};
use crate::ops::resample_taps::{Coordinate, Mode, Rounding, taps};
use crate::ops::roi_align::RoiMode;
use crate::ops::{BatchMatMul, GridSample, Resample, RoiAlign};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    device("AffineGrid", affine_grid),
    device("GridSample", grid_sample),
    device("Resize", resize),
    device("RoiAlign", roi_align),
    device("Upsample", |cx| {
        let x = cx.input(0)?;
        let scales = match (cx.optional(1), cx.floats("scales")) {
            (Some(scales), _) => cx.host_floats(&scales)?,
            (None, Some(scales)) => scales.to_vec(),
            (None, None) => return Err(cx.error("no scales")),
        };
        let axes: Vec<usize> = (0..x.rank()).collect();
        let mode = if cx.text("mode", "nearest") == "nearest" { Mode::Nearest(Rounding::Floor) } else { Mode::Linear };
        let plans = from_scales(cx, &x, &axes, &scales)?;
        let how = How { mode, coordinate: "asymmetric", antialias: false, exclude_outside: false, outside: 0.0 };
        Ok(vec![resample(cx, &x, &plans, &how, &[])?])
    }),
];

/// How an axis is resized: its number, its new length, and the ratio of the two before rounding.
struct Plan {
    axis: usize,
    length: usize,
    scale: f64,
}

/// What all axes of a resizing share.
struct How<'a> {
    mode: Mode,
    coordinate: &'a str,
    antialias: bool,
    exclude_outside: bool,
    outside: f32,
}

fn from_scales(cx: &Context, x: &Value, axes: &[usize], scales: &[f32]) -> Traced<Vec<Plan>> {
    if scales.len() != axes.len() || scales.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(cx.error(format!("the scales {scales:?} of {} axes", axes.len())));
    }
    let lengths: Vec<i64> = axes.iter().zip(scales).map(|(d, s)| (x.shape[*d] as f64 * f64::from(*s)).floor() as i64).collect();
    let lengths = super::shape::sizes(cx, &lengths)?;
    let plan = |((axis, scale), length): ((&usize, &f32), usize)| Plan { axis: *axis, length, scale: f64::from(*scale) };
    Ok(axes.iter().zip(scales).zip(lengths).map(plan).collect())
}

fn from_sizes(cx: &Context, x: &Value, axes: &[usize], list: &[i64]) -> Traced<Vec<Plan>> {
    let mut lengths = super::shape::sizes(cx, list)?;
    if lengths.len() != axes.len() {
        return Err(cx.error(format!("the sizes {list:?} of {} axes", axes.len())));
    }
    let ratio = |(d, n): (&usize, &usize)| *n as f64 / x.shape[*d].max(1) as f64;
    let mut scales: Vec<f64> = axes.iter().zip(&lengths).map(ratio).collect();
    let common = match cx.text("keep_aspect_ratio_policy", "stretch") {
        "not_larger" => scales.iter().copied().reduce(f64::min),
        "not_smaller" => scales.iter().copied().reduce(f64::max),
        _ => None,
    };
    if let Some(scale) = common {
        scales = vec![scale; axes.len()];
        let common: Vec<i64> = axes.iter().map(|d| (scale * x.shape[*d] as f64 + 0.5).floor() as i64).collect();
        lengths = super::shape::sizes(cx, &common)?;
    }
    Ok(axes.iter().zip(lengths).zip(scales).map(|((axis, length), scale)| Plan { axis: *axis, length, scale }).collect())
}

/// Resizes axis after axis: every mode is a product of what it does to each.
fn resample(cx: &mut Context, x: &Value, plans: &[Plan], how: &How, regions: &[(f32, f32)]) -> Traced<Value> {
    let mut y = if x.ty.is_float() { x.clone() } else { cast_to(cx, x, ElementType::Float)? };
    // The axes that shrink most first: what follows has less to do.
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_by(|a, b| plans[*a].scale.total_cmp(&plans[*b].scale));
    for i in order {
        let Plan { axis, length, scale } = plans[i];
        let coordinate = match how.coordinate {
            "half_pixel" => Coordinate::HalfPixel,
            "half_pixel_symmetric" => Coordinate::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinate::PytorchHalfPixel,
            "align_corners" => Coordinate::AlignCorners,
            "asymmetric" => Coordinate::Asymmetric,
            "tf_half_pixel_for_nn" => Coordinate::TfHalfPixelForNn,
            "tf_crop_and_resize" => {
                let (start, end) = regions.get(i).copied().unwrap_or((0.0, 1.0));
                Coordinate::TfCropAndResize { start, end }
            }
            other => return Err(cx.unsupported(format!("the coordinates '{other}'"))),
        };
        let crops = matches!(coordinate, Coordinate::TfCropAndResize { .. });
        if length == y.shape[axis] && scale == 1.0 && !crops {
            continue;
        }
        let table = taps(how.mode, coordinate, how.antialias, how.exclude_outside, scale, y.shape[axis], length);
        let table = table.map_err(|e| cx.error(e.to_string()))?;
        let index = cx.int_list(table.index)?;
        let weight = cx.float_list(&[table.weight.len()], table.weight)?;
        let op = Resample { axis, taps: table.count, length, outside: how.outside };
        y = cx.apply(op, &[&y, &index, &weight], y.ty)?;
    }
    if x.ty.is_float() { Ok(y) } else { cast_to(cx, &y, x.ty) }
}

fn resize(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let old = cx.opset() < 11;
    let axes = match cx.ints("axes") {
        Some(axes) => axes.iter().map(|a| cx.axis(*a, x.rank())).collect::<Traced<Vec<_>>>()?,
        None => (0..x.rank()).collect(),
    };
    let full = |v: Option<Value>| v.filter(|v| !v.is_empty());
    let (scales, sizes) = if old { (cx.optional(1), None) } else { (full(cx.optional(2)), full(cx.optional(3))) };
    let plans = match (scales, sizes) {
        (_, Some(sizes)) => {
            let list = cx.host_ints(&sizes)?;
            from_sizes(cx, &x, &axes, &list)?
        }
        (Some(scales), None) => {
            let scales = cx.host_floats(&scales)?;
            from_scales(cx, &x, &axes, &scales)?
        }
        (None, None) => return Err(cx.error("neither scales nor sizes")),
    };
    let coordinate = cx.text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
    let rounding = match cx.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" }) {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return Err(cx.unsupported(format!("the nearest mode '{other}'"))),
    };
    let mode = match cx.text("mode", "nearest") {
        "nearest" => Mode::Nearest(rounding),
        "linear" => Mode::Linear,
        "cubic" => Mode::Cubic { a: cx.float("cubic_coeff_a", -0.75) },
        other => return Err(cx.unsupported(format!("the mode '{other}'"))),
    };
    let mut regions = Vec::new();
    if coordinate == "tf_crop_and_resize" {
        let roi = cx.input(1)?;
        let roi = cx.host_floats(&roi)?;
        if roi.len() != 2 * axes.len() {
            return Err(cx.error(format!("{} numbers of a region of {} axes", roi.len(), axes.len())));
        }
        regions = (0..axes.len()).map(|i| (roi[i], roi[i + axes.len()])).collect();
    }
    let how = How {
        mode,
        coordinate,
        antialias: cx.int("antialias", 0) != 0,
        exclude_outside: cx.int("exclude_outside", 0) != 0,
        outside: cx.float("extrapolation_value", 0.0),
    };
    Ok(vec![resample(cx, &x, &plans, &how, &regions)?])
}

fn grid_sample(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, grid) = (cx.input(0)?, cx.input(1)?);
    // The names changed with operator set 20.
    let mode = match cx.text("mode", "linear") {
        "linear" | "bilinear" => GridMode::Linear,
        "cubic" | "bicubic" => GridMode::Cubic,
        "nearest" => GridMode::Nearest,
        other => return Err(cx.unsupported(format!("the mode '{other}'"))),
    };
    let padding = match cx.text("padding_mode", "zeros") {
        "zeros" => GridPadding::Zeros,
        "border" => GridPadding::Border,
        "reflection" => GridPadding::Reflection,
        other => return Err(cx.unsupported(format!("the padding '{other}'"))),
    };
    let align_corners = cx.int("align_corners", 0) != 0;
    Ok(vec![cx.apply(GridSample { mode, padding, align_corners }, &[&x, &grid], x.ty)?])
}

fn roi_align(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, rois, images) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let size = |name: &str, default: i64| {
        let n = usize::try_from(cx.int(name, default)).ok().filter(|n| *n < 1 << 20);
        n.ok_or_else(|| cx.error(format!("'{name}' is impossible")))
    };
    let mode = match cx.text("mode", "avg") {
        "avg" => RoiMode::Average,
        "max" => RoiMode::Max,
        other => return Err(cx.unsupported(format!("the mode '{other}'"))),
    };
    // Before operator set 16 there was no choice.
    let default = if cx.opset() < 16 { "output_half_pixel" } else { "half_pixel" };
    let op = RoiAlign {
        mode,
        output_height: size("output_height", 1)?,
        output_width: size("output_width", 1)?,
        sampling_ratio: size("sampling_ratio", 0)?,
        spatial_scale: cx.float("spatial_scale", 1.0),
        half_pixel: cx.text("coordinate_transformation_mode", default) == "half_pixel",
    };
    Ok(vec![cx.apply(op, &[&x, &rois, &images], x.ty)?])
}

/// The points of a regular grid, moved by an affine map for each image.
fn affine_grid(cx: &mut Context) -> Traced<Vec<Value>> {
    let (theta, size) = (cx.input(0)?, cx.input(1)?);
    let list = cx.host_ints(&size)?;
    let size = super::shape::sizes(cx, &list)?;
    let align_corners = cx.int("align_corners", 0) != 0;
    let ([batch, _, spatial @ ..], [_, rows, columns]) = (&size[..], &theta.shape[..]) else {
        return Err(cx.error(format!("maps of shape {:?} for images of {size:?}", theta.shape)));
    };
    let n = spatial.len();
    if *rows != n || *columns != n + 1 || !(2..=3).contains(&n) {
        return Err(cx.error(format!("maps of shape {:?} for images of {size:?}", theta.shape)));
    }
    let point = |i: usize, len: usize| match align_corners {
        true if len == 1 => 0.0,
        true => 2.0 * i as f32 / (len - 1) as f32 - 1.0,
        false => (2 * i + 1) as f32 / len as f32 - 1.0,
    };
    let points: usize = spatial.iter().product();
    super::shape::host_sizes(cx, &[points as i64, n as i64 + 1])?;
    let mut base = Vec::with_capacity(points * (n + 1));
    for p in 0..points {
        // The last dimension comes first, and a 1 for the part that moves.
        let mut rest = p;
        for len in spatial.iter().rev() {
            base.push(point(rest % len, *len));
            rest /= len;
        }
        base.push(1.0);
    }
    let base = cx.constant(theta.ty, Tensor::f32(&[1, points, n + 1], base)?);
    let op = BatchMatMul { transpose_b: true, ..BatchMatMul::plain() };
    let moved = cx.apply(op, &[&base, &theta], theta.ty)?;
    let shape: Vec<usize> = [*batch].iter().chain(spatial).copied().chain([n]).collect();
    Ok(vec![cx.reshape(&moved, &shape)?])
}
