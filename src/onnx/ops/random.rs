//! Random numbers: a hash of the seed and the element's number, so that every run and every device draws the same.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::cast::cast_to;
use super::{Operator, device, on_host};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::Random;
use crate::ops::host::multinomial;
use crate::ops::random::Distribution;

pub const OPERATORS: &[Operator] = &[
    device("Bernoulli", |cx| {
        let x = cx.input(0)?;
        let ty = cx.type_attribute("dtype")?.unwrap_or(x.ty);
        let drawn = draw(cx, Distribution::Uniform { low: 0.0, high: 1.0 }, x.shape.clone(), ElementType::Float)?;
        let hit = Expr::binary(Op::Less, Expr::operand(1), Expr::operand(0));
        let hit = cx.elementwise(hit, &[&x, &drawn], ElementType::Bool)?;
        Ok(vec![cast_to(cx, &hit, ty)?])
    }),
    on_host("Multinomial", "rows of probabilities are walked one after another", |cx| {
        let x = cx.input(0)?;
        let samples = usize::try_from(cx.int("sample_size", 1)).map_err(|_| cx.error("'sample_size' is negative"))?;
        let ty = cx.type_attribute("dtype")?.unwrap_or(ElementType::Int32);
        let seed = seed(cx);
        cx.host_step(&[&x], &[ty], |t| Ok(vec![multinomial(&t[0], samples, seed)?]))
    }),
    device("RandomNormal", |cx| {
        let shape = shape_attribute(cx)?;
        from_attributes(cx, normal, shape, ElementType::Float)
    }),
    device("RandomNormalLike", |cx| {
        let x = cx.input(0)?;
        from_attributes(cx, normal, x.shape, x.ty)
    }),
    device("RandomUniform", |cx| {
        let shape = shape_attribute(cx)?;
        from_attributes(cx, uniform, shape, ElementType::Float)
    }),
    device("RandomUniformLike", |cx| {
        let x = cx.input(0)?;
        from_attributes(cx, uniform, x.shape, x.ty)
    }),
];

fn normal(cx: &Context) -> Distribution {
    Distribution::Normal { mean: cx.float("mean", 0.0), scale: cx.float("scale", 1.0) }
}

fn uniform(cx: &Context) -> Distribution {
    Distribution::Uniform { low: cx.float("low", 0.0), high: cx.float("high", 1.0) }
}

/// The bits of the attribute, or without one a number of the node's own.
pub fn seed(cx: &Context) -> u32 {
    match cx.attribute("seed") {
        Some(_) => cx.float("seed", 0.0).to_bits(),
        None => cx
            .node
            .outputs
            .iter()
            .flat_map(|name| name.bytes())
            .fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193)),
    }
}

fn shape_attribute(cx: &Context) -> Traced<Vec<usize>> {
    let list = cx.ints("shape").ok_or_else(|| cx.error("'shape' is missing"))?;
    super::shape::sizes(cx, list)
}

fn from_attributes(
    cx: &mut Context,
    make: fn(&Context) -> Distribution,
    shape: Vec<usize>,
    ty: ElementType,
) -> Traced<Vec<Value>> {
    let ty = cx.type_attribute("dtype")?.unwrap_or(ty);
    let distribution = make(cx);
    Ok(vec![draw(cx, distribution, shape, ty)?])
}

/// Random floats as elements of type `ty`.
pub fn draw(cx: &mut Context, distribution: Distribution, shape: Vec<usize>, ty: ElementType) -> Traced<Value> {
    let seed = seed(cx);
    let drawn = cx.apply(Random { distribution, seed, shape }, &[], ElementType::Float)?;
    match ty {
        ElementType::Float | ElementType::Double => Ok(Value { ty, ..drawn }),
        ty => cast_to(cx, &drawn, ty),
    }
}

/// What dropout in training leaves: each element with the probability `1 - ratio`, scaled so that the mean stays; and which.
pub fn dropout(cx: &mut Context, x: &Value, ratio: f32) -> Traced<Vec<Value>> {
    let drawn = draw(cx, Distribution::Uniform { low: 0.0, high: 1.0 }, x.shape.clone(), ElementType::Float)?;
    let kept = Expr::binary(Op::LessEqual, Expr::float(ratio), Expr::operand(0));
    let mask = cx.elementwise(kept, &[&drawn], ElementType::Bool)?;
    let scaled = Expr::product(Expr::operand(0), Expr::float(1.0 / (1.0 - ratio).max(f32::MIN_POSITIVE)));
    let expr = Expr::select(Expr::operand(1), scaled, Expr::float(0.0));
    let y = cx.elementwise(expr, &[x, &mask], x.ty)?;
    Ok(vec![y, mask])
}
