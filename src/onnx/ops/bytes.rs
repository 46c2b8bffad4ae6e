//! Products of quantised operands whose elements are bytes.
//!
//! `QLinearMatMul`, `MatMulInteger` and products of dequantised values all come here. What a value was before it was dequantised
//! is known while a model is traced ([`Value::quantized`]), so the pattern is found here and not in a graph, where constants are
//! dequantised already: integers of constants would have to be guessed from floats.

use std::sync::Arc;

use rayon::prelude::*;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::{Constant, Quantized, Value};
use super::qlinear::single;
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::byte_mat_mul::MOST_WORDS;
use crate::ops::pack_bytes::{pack, row_words};
use crate::ops::{ByteMatMul, PackBytes};
use crate::tensor::{Tensor, Weight};

/// Products of two bytes less their zero points, each at most 255 * 255, whose sum is exact in 32 bits.
const MOST_EXACT: usize = (i32::MAX / (255 * 255)) as usize;

/// Bytes with their zero point.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    /// The elements.
    pub elements: &'a Value,
    /// One for all, or for the right operand one for each column.
    pub zero_point: Option<&'a Value>,
}

impl Bytes<'_> {
    /// What is taken from elements so that they lie within -128..=127; nothing for elements that are no bytes.
    fn shift(self) -> Option<i64> {
        match self.elements.ty {
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

/// The bytes of rows along the last dimension, packed.
fn packed(cx: &mut Context, rows: &Value, shift: i64) -> Traced<Value> {
    let tail = if shift == 0 { Expr::operand(0) } else { Expr::binary(Op::Sub, Expr::operand(0), Expr::int(shift)) };
    cx.apply(PackBytes { tail }, &[rows], ElementType::Int32)
}

/// The bytes of the columns of a matrix `[K, N]`, or of `[N, K]` that lies transposed, packed.
fn packed_columns(cx: &mut Context, b: Bytes, transposed: bool) -> Traced<Value> {
    let (elements, shift) = (b.elements, b.shift().unwrap_or(0));
    if elements.constant().is_none() {
        let rows = if transposed { elements.clone() } else { cx.transpose(elements, &[1, 0])? };
        return packed(cx, &rows, shift);
    }
    let (ty, shape) = (elements.ty, elements.shape.clone());
    cx.derive_weight(&format!("bytes {ty:?} {transposed}"), &[elements], |constants| {
        let [constant] = constants else { return Err(Error::invalid("bytes", "expected a constant")) };
        words(constant, ty, &shape, transposed)
    })
}

/// As [`packed_columns`], of the bytes of a file, which are not widened to the integers of a graph first.
fn words(constant: &Arc<Constant>, ty: ElementType, shape: &[usize], transposed: bool) -> Result<Weight> {
    let bytes = constant.bytes(ty)?;
    let &[rows, columns] = shape else { return Err(Error::shape("bytes", format!("{shape:?} is no matrix"))) };
    if rows.checked_mul(columns) != Some(bytes.len()) {
        return Err(Error::shape("bytes", format!("{} bytes for {shape:?}", bytes.len())));
    }
    // An unsigned byte less 128 is the same byte with its highest bit flipped.
    let flipped = if ty == ElementType::Uint8 { 0x80 } else { 0 };
    let signed = |b: &u8| (b ^ flipped) as i8;
    let (n, k) = if transposed { (rows, columns) } else { (columns, rows) };
    let row = |j: usize| match transposed {
        true => pack(&bytes[j * k..][..k].iter().map(signed).collect::<Vec<i8>>(), k),
        false => pack(&bytes[j..].iter().step_by(n).map(signed).collect::<Vec<i8>>(), k),
    };
    let words: Vec<i64> = (0..n).into_par_iter().flat_map_iter(row).collect();
    Weight::from_tensor(&Tensor::i64(&[n, row_words(k)], words)?)
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
    let left = packed(cx, a.elements, a_shift)?;
    let right = packed_columns(cx, b, transposed)?;
    let sums = cx.apply(ByteMatMul::plain(), &[&left, &right], ElementType::Int32)?;
    let mut operands = vec![sums];
    let mut sum = Expr::operand(0);
    // A row of ones, by which sums of rows are products.
    let ones = |cx: &mut Context| cx.lasting(|| Ok(Value::known(ElementType::Int32, Tensor::i64(&[1, row_words(k)], pack(&vec![1; k], k))?, true)));
    // sum (x - za) (w - zw) = sum x w - za (sum w - K zw) - zw sum x.
    if let Some((zero, za)) = a.offset(cx, 1)? {
        let ones = ones(cx)?;
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
        let ones = ones(cx)?;
        let of_rows = cx.apply(ByteMatMul::plain(), &[&left, &ones], ElementType::Int32)?;
        sum = Expr::binary(Op::Sub, sum, Expr::product(zw, Expr::operand(operands.len() as u32)));
        operands.push(of_rows);
    }
    match &operands[..] {
        [sums] => Ok(Some(sums.clone())),
        _ => Ok(Some(cx.elementwise(sum, &operands.iter().collect::<Vec<_>>(), ElementType::Int32)?)),
    }
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
    let bytes = |q: &Quantized| (q.elements.clone(), q.zero_point.clone());
    let ((x, x_zero), (w, w_zero)) = (bytes(&left), bytes(&right));
    let (x, w) = (Bytes { elements: &x, zero_point: x_zero.as_ref() }, Bytes { elements: &w, zero_point: w_zero.as_ref() });
    let Some(sums) = product(cx, x, w, transposed)? else { return Ok(None) };
    let x_scale = single(cx, &left.scale)?;
    let w_scale = if right.scale.len() == 1 { single(cx, &right.scale)? } else { right.scale.clone() };
    let scale = cx.binary(Op::Mul, &x_scale, &w_scale)?;
    let scaled = Expr::product(Expr::call(Function::ToFloat, Expr::operand(0)), Expr::operand(1));
    Ok(Some(cx.elementwise(scaled, &[&sums, &scale], a.ty)?))
}
