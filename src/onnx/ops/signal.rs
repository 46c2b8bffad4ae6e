//! Spectra of signals, windows, and weights of bands.

use std::f64::consts::PI;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::fourier::{LARGEST_MATRIX, Transform};
use super::linear::mat_mul;
use super::shape::sizes;
use super::{Operator, device, nowhere};
use crate::formats::ElementType;
use crate::kernel::expr::Operator as Op;
use crate::ops::View;
use crate::ops::view::{Axis, Border};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    nowhere("BlackmanWindow", |cx| window(cx, [0.42, 0.5, 0.08])),
    device("DFT", dft),
    nowhere("HammingWindow", |cx| window(cx, [25.0 / 46.0, 21.0 / 46.0, 0.0])),
    nowhere("HannWindow", |cx| window(cx, [0.5, 0.5, 0.0])),
    nowhere("MelWeightMatrix", mel_weights),
    device("STFT", stft),
];

/// A number that says a size.
fn length(cx: &mut Context, value: &Value) -> Traced<usize> {
    let n = cx.host_ints(value)?.first().copied().unwrap_or(0);
    match sizes(cx, &[n])?[..] {
        [n] if n > 0 => Ok(n),
        _ => Err(cx.error(format!("a length of {n}"))),
    }
}

fn dft(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let Some((numbers @ (1 | 2), signal)) = x.shape.split_last().map(|(n, s)| (*n, s)) else {
        return Err(cx.error(format!("{:?} are neither real nor complex numbers", x.shape)));
    };
    let axis = match cx.optional(2) {
        Some(axis) => cx.host_ints(&axis)?.first().copied().unwrap_or(-2),
        None if cx.opset() < 20 => cx.int("axis", 1),
        None => -2,
    };
    let axis = cx.axis(axis, x.rank())?;
    let last = signal.len().checked_sub(1).filter(|_| axis < signal.len());
    let last = last.ok_or_else(|| cx.error(format!("axis {axis} of {:?} is that of complex numbers", x.shape)))?;
    let (inverse, one_sided) = (cx.int("inverse", 0) != 0, cx.int("onesided", 0) != 0);
    let there = x.shape[axis];
    let n = match cx.optional(1) {
        Some(n) => length(cx, &n)?,
        None if inverse && one_sided => 2 * there.saturating_sub(1),
        None => there,
    };
    if n == 0 || x.is_empty() {
        return Err(cx.unsupported(format!("a Fourier transform of {:?}", x.shape)));
    }
    let most = if inverse && one_sided { n / 2 + 1 } else { n };
    let transform = Transform { length: n, inverse, one_sided, points: there.min(most), numbers };
    let x = cx.slice(&x, axis, 0, transform.points)?;
    // The axis is brought to the end, where points with their numbers are rows.
    let mut order: Vec<usize> = (0..=last).filter(|d| *d != axis).collect();
    order.extend([axis, last + 1]);
    let rows = cx.transpose(&x, &order)?;
    let outer = rows.shape[..last].to_vec();
    let rows = cx.reshape(&rows, &[outer.iter().product(), transform.points * numbers])?;
    let y = transform.apply(cx, &rows)?;
    let (points, numbers) = transform.result();
    let y = cx.reshape(&y, &[&outer[..], &[points, numbers]].concat())?;
    let back: Vec<usize> = (0..axis).chain([last]).chain(axis..last).chain([last + 1]).collect();
    Ok(vec![cx.transpose(&y, &back)?])
}

fn stft(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, step) = (cx.input(0)?, cx.input(1)?);
    let signal = if x.rank() == 2 { cx.reshape(&x, &[x.shape[0], x.shape[1], 1])? } else { x };
    let [batch, samples, numbers @ (1 | 2)] = signal.shape[..] else {
        return Err(cx.error(format!("{:?} are no signals of real or complex numbers", signal.shape)));
    };
    let (step, window) = (length(cx, &step)?, cx.optional(2));
    let n = match (cx.optional(3), &window) {
        (Some(n), _) => length(cx, &n)?,
        (None, Some(window)) => window.len(),
        (None, None) => samples,
    };
    if n == 0 || n > samples || window.as_ref().is_some_and(|w| w.shape != [n]) || batch == 0 {
        return Err(cx.error(format!("frames of {n} of signals of {samples}")));
    }
    let frames = (samples - n) / step + 1;
    let axis = |len: usize, stride: usize| Axis { len, start: 0, step: 1, extent: len, stride };
    let axes = vec![axis(batch, samples * numbers), axis(frames, step * numbers), axis(n * numbers, 1)];
    let framed = cx.apply(View { axes, border: Border::None }, &[&signal], signal.ty)?;
    let framed = cx.reshape(&framed, &[batch * frames, n * numbers])?;
    let one_sided = cx.int("onesided", 1) != 0;
    let transform = Transform { length: n, inverse: false, one_sided, points: n, numbers };
    let y = match window {
        Some(window) => {
            // A factor of each sample is one of each row of the matrix.
            let row = cx.reshape(&window, &[n, 1])?;
            let row = cx.expand(&row, &[n, numbers])?;
            if transform.fits() {
                let column = cx.reshape(&row, &[n * numbers, 1])?;
                let matrix = transform.matrix(cx)?;
                let matrix = cx.binary(Op::Mul, &matrix, &column)?;
                mat_mul(cx, &framed, &matrix)?
            } else {
                let row = cx.reshape(&row, &[n * numbers])?;
                let framed = cx.binary(Op::Mul, &framed, &row)?;
                transform.apply(cx, &framed)?
            }
        }
        None => transform.apply(cx, &framed)?,
    };
    let (points, numbers) = transform.result();
    Ok(vec![cx.reshape(&y, &[batch, frames, points, numbers])?])
}

/// The shape of a constant that is made here.
fn bounded(cx: &Context, dims: &[i64]) -> Traced<Vec<usize>> {
    let shape = sizes(cx, dims)?;
    match shape.iter().product::<usize>() {
        n if n <= LARGEST_MATRIX => Ok(shape),
        _ => Err(cx.unsupported(format!("a constant of shape {shape:?}"))),
    }
}

/// A constant of the shape and elements that `make` finds for the numbers of all operands.
fn made(cx: &mut Context, make: impl FnOnce(&Context, &[f64]) -> Traced<(Vec<usize>, Vec<f64>)>) -> Traced<Vec<Value>> {
    let ty = cx.type_attribute("output_datatype")?.unwrap_or(ElementType::Float);
    let mut numbers = Vec::new();
    let mut lasting = true;
    for value in cx.all()? {
        lasting &= value.is_lasting();
        let tensor = cx.host(&value)?;
        let number = tensor.as_i64().ok().and_then(|v| v.first()).map(|n| *n as f64);
        numbers.extend(number.or_else(|| tensor.to_f32().first().map(|x| f64::from(*x))));
    }
    let (shape, values) = make(cx, &numbers)?;
    let tensor = match ty.is_float() {
        true => Tensor::f32(&shape, values.iter().map(|x| *x as f32).collect()),
        false => Tensor::i64(&shape, values.iter().map(|x| *x as i64).collect()),
    };
    let value = || Ok(Value::known(ty, tensor?, lasting));
    Ok(vec![if lasting { cx.lasting(value)? } else { value()? }])
}

/// `a - b cos(2 pi n / N) + c cos(4 pi n / N)`, N being the size for periodic windows, one less for symmetric ones.
fn window(cx: &mut Context, [a, b, c]: [f64; 3]) -> Traced<Vec<Value>> {
    made(cx, |cx, numbers| {
        let &[size] = numbers else { return Err(cx.error("expected a size")) };
        let size = bounded(cx, &[size as i64])?[0];
        let period = if cx.int("periodic", 1) != 0 { size } else { size.saturating_sub(1) }.max(1) as f64;
        let value = |n: usize| {
            let angle = 2.0 * PI * n as f64 / period;
            a - b * angle.cos() + c * (2.0 * angle).cos()
        };
        Ok((vec![size], (0..size).map(value).collect()))
    })
}

/// Triangles of height 1 whose corners are evenly spaced on the mel scale, by bin of a spectrum.
fn mel_weights(cx: &mut Context) -> Traced<Vec<Value>> {
    made(cx, |cx, numbers| {
        let &[bins, length, rate, low, high] = numbers else { return Err(cx.error("expected five numbers")) };
        let shape = bounded(cx, &[length as i64 / 2 + 1, bins as i64])?;
        let (rows, bins) = (shape[0], shape[1]);
        let mel = |hertz: f64| 2595.0 * (hertz / 700.0).ln_1p() / 10f64.ln();
        let hertz = |mel: f64| 700.0 * (mel / 2595.0 * 10f64.ln()).exp_m1();
        let step = (mel(high) - mel(low)) / (bins + 2) as f64;
        let corner = |i: usize| ((length + 1.0) * hertz(mel(low) + step * i as f64) / rate).floor();
        let mut weights = vec![0.0; rows * bins];
        for bin in 0..bins {
            let [left, peak, right] = [corner(bin), corner(bin + 1), corner(bin + 2)];
            for row in 0..rows {
                let at = row as f64;
                weights[row * bins + bin] = match () {
                    () if at == peak => 1.0,
                    () if at >= left && at < peak => (at - left) / (peak - left),
                    () if at > peak && at < right => (right - at) / (right - peak),
                    () => 0.0,
                };
            }
        }
        Ok((shape, weights))
    })
}
