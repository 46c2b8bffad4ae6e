//! Products of matrices.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::{Operator, bytes, device};
use crate::kernel::Expr;
use crate::ops::{BatchMatMul, MatMul};

pub const OPERATORS: &[Operator] = &[
    device("Gemm", gemm),
    device("MatMul", |cx| {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        Ok(vec![mat_mul(cx, &a, &b)?])
    }),
];

/// `a @ b` as NumPy's `matmul`: vectors are a row on the left, a column on the right.
pub fn mat_mul(cx: &mut Context, a: &Value, b: &Value) -> Traced<Value> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err(cx.error(format!("a product of {:?} and {:?}", a.shape, b.shape)));
    }
    if let Some(product) = bytes::dequantized_product(cx, a, b, false)? {
        return Ok(product);
    }
    let left = if a.rank() == 1 { cx.reshape(a, &[1, a.shape[0]])? } else { a.clone() };
    let right = if b.rank() == 1 { cx.reshape(b, &[b.shape[0], 1])? } else { b.clone() };
    let product = match matrix(&left, &right) {
        Some(shape) => {
            let right = cx.reshape(&right, &shape)?;
            let weight = transposed(cx, &right)?;
            cx.apply(MatMul::plain(), &[&left, &weight], a.ty)?
        }
        None => cx.apply(BatchMatMul::plain(), &[&left, &right], a.ty)?,
    };
    let mut shape = product.shape.clone();
    if b.rank() == 1 {
        shape.pop();
    }
    if a.rank() == 1 {
        shape.remove(shape.len() - if b.rank() == 1 { 1 } else { 2 });
    }
    cx.reshape(&product, &shape)
}

/// The two dimensions of a constant right operand that is one matrix, for which there are kernels with packed weights.
fn matrix(left: &Value, right: &Value) -> Option<[usize; 2]> {
    let (batch, [k, n]) = right.shape.split_last_chunk()?;
    let one = right.is_lasting() && right.ty.is_float() && batch.iter().all(|d| *d == 1) && batch.len() + 2 <= left.rank();
    (one && left.constant().is_none() && !right.is_empty()).then_some([*k, *n])
}

/// A constant matrix `[K, N]` as the weight `[N, K]`, whose bytes stay where they are.
fn transposed(cx: &mut Context, matrix: &Value) -> Traced<Value> {
    cx.derive_weight("transposed", &[matrix], |constants| constants[0].weight()?.transposed())
}

/// `alpha a' @ b' + beta c`.
fn gemm(cx: &mut Context) -> Traced<Vec<Value>> {
    let (a, b, c) = (cx.input(0)?, cx.input(1)?, cx.optional(2));
    let (alpha, beta) = (cx.float("alpha", 1.0), cx.float("beta", 1.0));
    let (transpose_a, transpose_b) = (cx.int("transA", 0) != 0, cx.int("transB", 0) != 0);
    if a.rank() != 2 || b.rank() != 2 {
        return Err(cx.error(format!("a product of {:?} and {:?}, expected matrices", a.shape, b.shape)));
    }
    let scaled = |x: Expr, by: f32| if by == 1.0 { x } else { Expr::product(Expr::float(by), x) };
    if !a.ty.is_float() {
        if alpha != 1.0 || beta != 1.0 {
            return Err(cx.unsupported("a scaled product of integers"));
        }
        let product = cx.apply(BatchMatMul { transpose_a, transpose_b, ..BatchMatMul::plain() }, &[&a, &b], a.ty)?;
        return Ok(vec![match c {
            Some(c) => cx.binary(crate::kernel::expr::Operator::Add, &product, &c)?,
            None => product,
        }]);
    }
    if !transpose_a && let Some(product) = bytes::dequantized_product(cx, &a, &b, transpose_b)? {
        let product_times = scaled(Expr::operand(0), alpha);
        return Ok(vec![match c {
            Some(c) if beta != 0.0 => {
                let expr = Expr::sum(product_times, scaled(Expr::operand(1), beta));
                cx.elementwise(expr, &[&product, &c], a.ty)?
            }
            _ => cx.elementwise(product_times, &[&product], a.ty)?,
        }]);
    }
    let rows = if transpose_a { a.shape[1] } else { a.shape[0] };
    let columns = if transpose_b { b.shape[0] } else { b.shape[1] };
    let product = scaled(Expr::operand(0), alpha);
    let (tail, bias) = match c {
        Some(c) if beta != 0.0 => {
            // A column of biases goes with no channel: it is written out.
            let column = c.rank() == 2 && c.shape[1] == 1 && c.shape[0] != 1;
            let c = if column { cx.expand(&c, &[rows, columns])? } else { c };
            (Expr::sum(product, scaled(Expr::operand(1), beta)), Some(c))
        }
        _ => (product, None),
    };
    let list = |left, right| [left, right].into_iter().chain(bias.as_ref()).collect::<Vec<&Value>>();
    if b.is_lasting() && a.constant().is_none() && !b.is_empty() {
        let weight = if transpose_b { b } else { transposed(cx, &b)? };
        let left = if transpose_a { cx.transpose(&a, &[1, 0])? } else { a.clone() };
        return Ok(vec![cx.apply(MatMul { tail, ..MatMul::plain() }, &list(&left, &weight), a.ty)?]);
    }
    let op = BatchMatMul { transpose_a, transpose_b, scale: 1.0, tail, ..BatchMatMul::plain() };
    Ok(vec![cx.apply(op, &list(&a, &b), a.ty)?])
}
