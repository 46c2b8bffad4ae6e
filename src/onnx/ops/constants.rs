//! Operators that make constants.

use std::sync::Arc;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::{Constant, Content, Value};
use super::shape::{host_sizes, sizes};
use super::{Operator, device, nowhere};
use crate::formats::ElementType;
use crate::formats::onnx::Attribute;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::tensor::{Data, Tensor};

pub const OPERATORS: &[Operator] = &[
    nowhere("Constant", constant),
    nowhere("ConstantOfShape", constant_of_shape),
    nowhere("EyeLike", eye_like),
    device("OneHot", one_hot),
];

fn constant(cx: &mut Context) -> Traced<Vec<Value>> {
    let attribute = cx.node.attributes.iter().find(|(name, _)| name.starts_with("value"));
    let make = match attribute.map(|(_, a)| a) {
        Some(Attribute::Tensor(t)) => {
            let constant = Constant::from_file(t.clone());
            Value::new(t.ty(), t.shape().to_vec(), Content::Known(Arc::new(constant)))
        }
        Some(Attribute::Int(n)) => Value::known(ElementType::Int64, Tensor::i64(&[], vec![*n])?, true),
        Some(Attribute::Float(x)) => Value::known(ElementType::Float, Tensor::f32(&[], vec![*x])?, true),
        Some(Attribute::Ints(v)) => Value::known(ElementType::Int64, Tensor::i64(&[v.len()], v.clone())?, true),
        Some(Attribute::Floats(v)) => Value::known(ElementType::Float, Tensor::f32(&[v.len()], v.clone())?, true),
        _ => return Err(cx.unsupported("a constant that is no tensor of numbers")),
    };
    Ok(vec![cx.lasting(|| Ok(make))?])
}

fn constant_of_shape(cx: &mut Context) -> Traced<Vec<Value>> {
    let dims = cx.input(0)?;
    let lasting = dims.is_lasting();
    let list = cx.host_ints(&dims)?;
    let shape = sizes(cx, &list)?;
    let (ty, data) = match cx.attribute("value") {
        Some(Attribute::Tensor(t)) => (t.ty(), t.to_tensor()?),
        _ => (ElementType::Float, Tensor::f32(&[1], vec![0.0])?),
    };
    if lasting || shape.iter().product::<usize>() <= 4096 {
        let shape = host_sizes(cx, &list)?;
        let fill = |shape: &[usize]| {
            let n = shape.iter().product();
            Ok(match data.data() {
                Data::F32(v) => Tensor::f32(shape, vec![v.first().copied().unwrap_or(0.0); n])?,
                Data::I64(v) => Tensor::i64(shape, vec![v.first().copied().unwrap_or(0); n])?,
                _ => return Err(cx.unsupported("a value that is no number")),
            })
        };
        return Ok(vec![Value::known(ty, fill(&shape)?, lasting)]);
    }
    let one = Value::known(ty, data, false);
    Ok(vec![cx.expand(&one, &shape)?])
}

fn eye_like(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let ty = cx.type_attribute("dtype")?.unwrap_or(x.ty);
    let k = cx.int("k", 0);
    let [rows, columns] = x.shape[..] else { return Err(cx.error(format!("{:?} is no matrix", x.shape))) };
    host_sizes(cx, &[rows as i64, columns as i64])?;
    let one = |i: usize| i64::from((i % columns) as i64 - (i / columns) as i64 == k);
    let ones: Vec<i64> = (0..rows * columns).map(one).collect();
    let tensor = match ty.is_float() {
        true => Tensor::f32(&x.shape, ones.iter().map(|n| *n as f32).collect())?,
        false => Tensor::i64(&x.shape, ones)?,
    };
    Ok(vec![Value::known(ty, tensor, false)])
}

fn one_hot(cx: &mut Context) -> Traced<Vec<Value>> {
    let (indices, depth, values) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let depth = cx.host(&depth)?;
    let n = match depth.data() {
        Data::F32(v) => v.first().map(|x| *x as i64),
        Data::I64(v) => v.first().copied(),
        _ => None,
    };
    let n = host_sizes(cx, &[n.unwrap_or(-1)])?[0];
    let axis = cx.int("axis", -1);
    let axis = cx.axis(axis, indices.rank() + 1)?;
    let mut shape = indices.shape.clone();
    shape.insert(axis, 1);
    let rank = shape.len();
    let mut places = indices.clone();
    if indices.ty.is_float() {
        places = super::cast::cast_to(cx, &indices, ElementType::Int64)?;
    }
    let places = cx.reshape(&places, &shape)?;
    let numbers = numbers(cx, n, axis, rank)?;
    let (off, on) = (cx.slice(&values, 0, 0, 1)?, cx.slice(&values, 0, 1, 1)?);
    // Indices may count from the end.
    let at = Expr::operand(0);
    let negative = Expr::binary(Op::Less, at.clone(), Expr::int(0));
    let from_front = Expr::select(negative, Expr::sum(at.clone(), Expr::int(n as i64)), at);
    let expr = Expr::select(Expr::binary(Op::Equal, from_front, Expr::operand(1)), Expr::operand(3), Expr::operand(2));
    Ok(vec![cx.elementwise(expr, &[&places, &numbers, &off, &on], values.ty)?])
}

/// The whole numbers below `n` along dimension `axis` of `rank`.
pub fn numbers(cx: &Context, n: usize, axis: usize, rank: usize) -> Traced<Value> {
    let mut shape = vec![1; rank];
    shape[axis] = n;
    Ok(cx.constant(ElementType::Int64, Tensor::i64(&shape, (0..n as i64).collect())?))
}
