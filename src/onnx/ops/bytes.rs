//! Products of quantised operands whose elements are bytes.
//!
//! `QLinearMatMul`, `MatMulInteger` and products of dequantised values all come here. What a value was before it was dequantised
//! is known while a model is traced ([`Value::quantized`]), so the pattern is found here and not in a graph, where constants are
//! dequantised already: integers of constants would have to be guessed from floats.

use rayon::prelude::*;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::{Quantized, Value};
use super::conv::by_channel;
use super::qlinear::single;
use crate::error::Error;
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::byte_mat_mul::MOST_WORDS;
use crate::ops::pack_bytes::{pack, row_words};
use crate::ops::{ByteMatMul, ByteWindows, Conv, PackBytes};
use crate::tensor::{Tensor, Weight};

/// Products of two bytes less their zero points, each at most 255 * 255, whose sum is exact in 32 bits.
const MOST_EXACT: usize = (i32::MAX / (255 * 255)) as usize;

/// Channels of a convolution at least: places of an image have 16 bytes or more.
const LEAST_CHANNELS: usize = 8;

/// Words of all windows at most: half of what one binding holds on every device.
const MOST_WINDOWS: usize = 1 << 24;

/// Bytes with their zero point.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    /// The elements.
    pub elements: &'a Value,
    /// One for all, or for the right operand one for each column.
    pub zero_point: Option<&'a Value>,
}

impl<'a> Bytes<'a> {
    /// What a value was before it was dequantised.
    fn of(quantized: &'a Quantized) -> Self {
        Bytes { elements: &quantized.elements, zero_point: quantized.zero_point.as_ref() }
    }

    /// What is taken from elements so that they lie within -128..=127; nothing for elements that are no bytes, or that have a zero
    /// point which is none.
    fn shift(self) -> Option<i64> {
        match self.elements.ty {
            ty if self.zero_point.is_some_and(|z| z.ty != ty) => None,
            ElementType::Int8 => Some(0),
            ElementType::Uint8 => Some(128),
            _ => None,
        }
    }

    /// The zero point as an operand and in an expression, where it is operand `i`, less the shift; nothing where that is 0.
    fn offset(self, cx: &mut Context, i: u32) -> Traced<Option<(Option<Value>, Expr)>> {
        let shift = self.shift().unwrap_or(0);
        let Some(zero) = self.zero_point else { return Ok((shift != 0).then(|| (None, Expr::int(-shift)))) };
        if let Some(constant) = zero.constant() {
            let tensor = constant.tensor()?;
            let values = tensor.as_i64()?;
            match values.first() {
                Some(n) if values.iter().all(|m| m == n) => return Ok((*n != shift).then(|| (None, Expr::int(n - shift)))),
                _ => {}
            }
        }
        let zero = if zero.len() == 1 { single(cx, zero)? } else { cx.reshape(zero, &[zero.len()])? };
        Ok(Some((Some(zero), Expr::binary(Op::Sub, Expr::operand(i), Expr::int(shift)))))
    }
}

/// The bytes along a dimension, packed.
fn packed(cx: &mut Context, x: &Value, axis: usize, shift: i64) -> Traced<Value> {
    let tail = if shift == 0 { Expr::operand(0) } else { Expr::binary(Op::Sub, Expr::operand(0), Expr::int(shift)) };
    cx.apply(PackBytes { axis, tail }, &[x], ElementType::Int32)
}

/// The bytes of the columns of a matrix `[K, N]`, or of `[N, K]` that lies transposed, packed.
fn packed_columns(cx: &mut Context, b: Bytes, transposed: bool) -> Traced<Value> {
    let (elements, shift) = (b.elements, b.shift().unwrap_or(0));
    if elements.constant().is_none() {
        return packed(cx, elements, usize::from(transposed), shift);
    }
    let &[rows, columns] = &elements.shape[..] else { return Err(cx.error("expected a matrix")) };
    let (n, k) = if transposed { (rows, columns) } else { (columns, rows) };
    let (row, step) = if transposed { (k, 1) } else { (1, n) };
    weight_words(cx, b, [n, 1, k], [row, 0, step])
}

/// The words `[M, T * W]` of a constant's bytes: for each m and t a row of `sizes[2]` bytes, of which byte `[m, t, k]` is
/// `steps` from its neighbours. Bytes of a file are not widened to the integers of a graph first.
fn weight_words(cx: &mut Context, weight: Bytes, sizes: [usize; 3], steps: [usize; 3]) -> Traced<Value> {
    let ty = weight.elements.ty;
    // An unsigned byte less 128 is the same byte with its highest bit flipped.
    let flipped = if weight.shift() == Some(0) { 0 } else { 0x80 };
    cx.derive_weight(&format!("bytes {sizes:?} {steps:?}"), &[weight.elements], |constants| {
        let [constant] = constants else { return Err(Error::invalid("bytes", "expected a constant")) };
        let bytes = constant.bytes(ty)?;
        let [m, taps, k] = sizes;
        if m.checked_mul(taps).and_then(|n| n.checked_mul(k)) != Some(bytes.len()) {
            return Err(Error::shape("bytes", format!("{} bytes for {sizes:?}", bytes.len())));
        }
        let row = |at: usize| {
            let first = at / taps * steps[0] + at % taps * steps[1];
            let bytes: Vec<i8> = (0..k).map(|i| (bytes[first + i * steps[2]] ^ flipped) as i8).collect();
            pack(&bytes, k)
        };
        let words: Vec<i64> = (0..m * taps).into_par_iter().flat_map_iter(row).collect();
        Weight::from_tensor(Tensor::i64(&[m, taps * row_words(k)], words)?)
    })
}

/// A row of `bytes` ones, by which sums of rows are products.
fn ones(cx: &mut Context, bytes: usize) -> Traced<Value> {
    cx.lasting(|| Ok(Value::known(ElementType::Int32, Tensor::i64(&[1, row_words(bytes)], pack(&vec![1; bytes], bytes))?, true)))
}

/// `(a - a's zero point) @ (b - b's zero point)` for `a` `[.., M, K]` and `b` `[K, N]`, or `[N, K]` that lies transposed, in 32 bits;
/// nothing where that is no product of bytes.
pub fn product(cx: &mut Context, a: Bytes, b: Bytes, transposed: bool) -> Traced<Option<Value>> {
    let (Some(a_shift), Some(_)) = (a.shift(), b.shift()) else { return Ok(None) };
    let (Some(&k), &[rows, columns]) = (a.elements.shape.last(), &b.elements.shape[..]) else { return Ok(None) };
    let (depth, n) = if transposed { (columns, rows) } else { (rows, columns) };
    let of_one = |zero: Option<&Value>, most: usize| zero.is_none_or(|z| z.len() == 1 || z.len() == most);
    let suits = a.elements.rank() >= 2 && a.elements.constant().is_none() && k == depth && row_words(k) <= MOST_WORDS;
    let empty = a.elements.is_empty() || b.elements.is_empty();
    if !suits || empty || !of_one(a.zero_point, 1) || !of_one(b.zero_point, n) {
        return Ok(None);
    }
    let left = packed(cx, a.elements, a.elements.rank() - 1, a_shift)?;
    let right = packed_columns(cx, b, transposed)?;
    let sums = cx.apply(ByteMatMul::plain(), &[&left, &right], ElementType::Int32)?;
    let mut operands = vec![sums];
    let mut sum = Expr::operand(0);
    // sum (x - za) (w - zw) = sum x w - za (sum w - K zw) - zw sum x.
    if let Some((zero, za)) = a.offset(cx, 1)? {
        let ones = ones(cx, k)?;
        let of_columns = cx.apply(ByteMatMul::plain(), &[&ones, &right], ElementType::Int32)?;
        let of_columns = cx.reshape(&of_columns, &[n])?;
        let mut list: Vec<Value> = [of_columns].into_iter().chain(zero).collect();
        let centred = match b.offset(cx, list.len() as u32)? {
            Some((zero, zw)) => {
                list.extend(zero);
                Expr::binary(Op::Sub, Expr::operand(0), Expr::product(Expr::int(k as i64), zw))
            }
            None => Expr::operand(0),
        };
        operands.push(cx.elementwise(Expr::product(za, centred), &list.iter().collect::<Vec<_>>(), ElementType::Int32)?);
        sum = Expr::binary(Op::Sub, sum, Expr::operand(1));
    }
    if let Some((zero, zw)) = b.offset(cx, operands.len() as u32)? {
        operands.extend(zero);
        let ones = ones(cx, k)?;
        let of_rows = cx.apply(ByteMatMul::plain(), &[&left, &ones], ElementType::Int32)?;
        sum = Expr::binary(Op::Sub, sum, Expr::product(zw, Expr::operand(operands.len() as u32)));
        operands.push(of_rows);
    }
    match &operands[..] {
        [sums] => Ok(Some(sums.clone())),
        _ => Ok(Some(cx.elementwise(sum, &operands.iter().collect::<Vec<_>>(), ElementType::Int32)?)),
    }
}

/// The convolution of `x` with the filters `weight`, both less their zero points, in 32 bits; nothing where that is no product of
/// bytes: windows become rows, with all channels of a place side by side.
///
/// Groups share no product, and a zero point of filters would need the sum of every window; such convolutions, and those of so few
/// channels that most bytes were padding, are left to others.
pub fn convolution(cx: &mut Context, conv: &Conv, x: Bytes, weight: Bytes) -> Traced<Option<Value>> {
    let (Some(shift), Some(_)) = (x.shift(), weight.shift()) else { return Ok(None) };
    let ([batch, depth, spatial @ ..], [filters, channels, kernel @ ..]) = (&x.elements.shape[..], &weight.elements.shape[..])
    else {
        return Ok(None);
    };
    if conv.groups != 1 || depth != channels || x.elements.is_empty() || weight.elements.is_empty() {
        return Ok(None);
    }
    let (batch, filters, channels, taps) = (*batch, *filters, *channels, kernel.iter().product::<usize>());
    let known = |z: Option<&Value>| z.is_none_or(|z| z.len() == 1 && z.constant().is_some());
    let constant = weight.elements.constant().is_some() && x.elements.constant().is_none();
    let row = taps.saturating_mul(row_words(channels));
    let suits = channels >= LEAST_CHANNELS && row <= MOST_WORDS && constant && known(x.zero_point);
    if !suits || weight.offset(cx, 0)?.is_some() {
        return Ok(None);
    }
    let outside = match x.offset(cx, 0)? {
        Some((_, Expr::Int(n))) => n,
        None => 0,
        _ => return Ok(None),
    };
    let places: Vec<usize> = [&[batch][..], spatial, &[row_words(channels)]].concat();
    let windows = ByteWindows {
        kernel: kernel.to_vec(),
        strides: conv.strides.clone(),
        pads_begin: conv.pads_begin.clone(),
        pads_end: conv.pads_end.clone(),
        dilations: conv.dilations.clone(),
        outside: outside as i8,
    };
    let Some(output) = windows.outputs(&places).ok().filter(|o| {
        let words = o.iter().chain([&batch, &row]).try_fold(1usize, |n, d| n.checked_mul(*d));
        words.is_some_and(|n| n <= MOST_WINDOWS)
    }) else {
        return Ok(None);
    };
    let right = packed(cx, x.elements, 1, shift)?;
    let right = match windows.is_pointwise() {
        true => cx.reshape(&right, &[batch, spatial.iter().product(), row])?,
        false => cx.apply(windows, &[&right], ElementType::Int32)?,
    };
    let left = weight_words(cx, weight, [filters, taps, channels], [channels * taps, 1, taps])?;
    let mut sums = cx.apply(ByteMatMul::plain(), &[&left, &right], ElementType::Int32)?;
    if outside != 0 {
        let ones = ones(cx, 4 * row)?;
        let of_filters = cx.apply(ByteMatMul::plain(), &[&left, &ones], ElementType::Int32)?;
        let share = Expr::product(Expr::int(outside.into()), Expr::operand(1));
        sums = cx.elementwise(Expr::binary(Op::Sub, Expr::operand(0), share), &[&sums, &of_filters], ElementType::Int32)?;
    }
    Ok(Some(cx.reshape(&sums, &[&[batch, filters], &output[..]].concat())?))
}

/// The convolution of dequantised values, as [`dequantized_product`].
pub fn dequantized_convolution(cx: &mut Context, conv: &Conv, x: &Value, weight: &Value) -> Traced<Option<Value>> {
    let (Some(left), Some(right)) = (x.quantized.clone(), weight.quantized.clone()) else { return Ok(None) };
    let depth: usize = weight.shape.iter().skip(1).product();
    if left.scale.len() != 1 || right.scale.len() != 1 && right.axis != 0 || depth > MOST_EXACT {
        return Ok(None);
    }
    let (x_bytes, weight_bytes) = (Bytes::of(&left), Bytes::of(&right));
    let Some(sums) = convolution(cx, conv, x_bytes, weight_bytes)? else { return Ok(None) };
    let x_scale = single(cx, &left.scale)?;
    let weight_scale = match right.scale.len() {
        1 => single(cx, &right.scale)?,
        _ => by_channel(cx, &right.scale, x.rank() - 2)?,
    };
    Ok(Some(scaled(cx, &sums, &x_scale, &weight_scale, x.ty)?))
}

/// Exact sums times both scales.
fn scaled(cx: &mut Context, sums: &Value, left: &Value, right: &Value, ty: ElementType) -> Traced<Value> {
    let scale = cx.binary(Op::Mul, left, right)?;
    let scaled = Expr::product(Expr::call(Function::ToFloat, Expr::operand(0)), Expr::operand(1));
    cx.elementwise(scaled, &[sums, &scale], ty)
}

/// The product of dequantised matrices, as [`product`] of what they were: exact sums times both scales, where a sum of floats is
/// rounded many times.
pub fn dequantized_product(cx: &mut Context, a: &Value, b: &Value, transposed: bool) -> Traced<Option<Value>> {
    let (Some(left), Some(right)) = (a.quantized.clone(), b.quantized.clone()) else { return Ok(None) };
    let along = |q: &Quantized, axis: usize| q.scale.len() == 1 || q.axis == axis;
    let columns = usize::from(!transposed);
    if left.scale.len() != 1 || !along(&right, columns) || a.shape.last().is_none_or(|k| *k > MOST_EXACT) {
        return Ok(None);
    }
    let Some(sums) = product(cx, Bytes::of(&left), Bytes::of(&right), transposed)? else { return Ok(None) };
    let x_scale = single(cx, &left.scale)?;
    let w_scale = if right.scale.len() == 1 { single(cx, &right.scale)? } else { right.scale.clone() };
    Ok(Some(scaled(cx, &sums, &x_scale, &w_scale, a.ty)?))
}
