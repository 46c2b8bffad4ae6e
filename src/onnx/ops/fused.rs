//! What runtimes make of several operators: activations with biases and gates, normalised sums, products with more to them.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::activation::Activation;
use super::formula::Formula;
use super::norm::normalized;
use super::reduce::fold;
use super::{Operator, contrib, device, find};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::{BatchMatMul, Gather, Norm, Reduction};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    contrib("BiasGelu", |cx| biased(cx, Function::Gelu)),
    contrib("EmbedLayerNormalization", embed_norm),
    contrib("FastGelu", |cx| biased(cx, Function::GeluTanh)),
    contrib("FusedConv", fused_conv),
    contrib("FusedGemm", |cx| {
        let y = as_standard(cx, "Gemm")?;
        let alpha = cx.attribute("activation_alpha").map(|_| cx.float("activation_alpha", 0.0));
        let beta = cx.attribute("activation_beta").map(|_| cx.float("activation_beta", 0.0));
        activated(cx, y, None, alpha, beta)
    }),
    contrib("FusedMatMul", fused_mat_mul),
    contrib("Gelu", |cx| biased(cx, Function::Gelu)),
    contrib("QuickGelu", |cx| {
        let x = cx.input(0)?;
        let gate = swish(Expr::operand(0), cx.float("alpha", 1.702));
        Ok(vec![cx.elementwise(gate, &[&x], x.ty)?])
    }),
    contrib("SkipLayerNormalization", |cx| {
        let (beta, bias) = (cx.optional(3), cx.optional(4));
        skip_norm(cx, Norm::Layer, beta, bias)
    }),
    contrib("SkipSimplifiedLayerNormalization", |cx| {
        let bias = cx.optional(3);
        skip_norm(cx, Norm::Rms, None, bias)
    }),
    contrib("SimplifiedLayerNormalization", simplified_norm),
    device("SimplifiedLayerNormalization", simplified_norm),
    device("SwiGLU", |cx| {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        if a.shape != b.shape {
            return Err(cx.error(format!("a gate {:?} of {:?}", a.shape, b.shape)));
        }
        let gate = swish(Expr::operand(0), cx.float("alpha", 1.0));
        Ok(vec![cx.elementwise(Expr::product(gate, Expr::operand(1)), &[&a, &b], a.ty)?])
    }),
];

/// `x / (1 + e^(-alpha x))`.
fn swish(x: Expr, alpha: f32) -> Expr {
    match alpha {
        1.0 => Expr::call(Function::Silu, x),
        _ => Expr::product(x.clone(), Expr::call(Function::Sigmoid, Expr::product(Expr::float(alpha), x))),
    }
}

/// A function of operand 0, of the sum with operand 1 where there is one.
fn biased(cx: &mut Context, function: Function) -> Traced<Vec<Value>> {
    let (x, bias) = (cx.input(0)?, cx.optional(1));
    let mut formula = Formula::default();
    let mut sum = formula.operand(&x);
    if let Some(bias) = &bias {
        sum = Expr::sum(sum, formula.operand(bias));
    }
    Ok(vec![formula.compute(cx, Expr::call(function, sum), x.ty)?])
}

fn simplified_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, scale) = (cx.input(0)?, cx.input(1)?);
    let epsilon = cx.float("epsilon", 1e-5);
    Ok(vec![normalized(cx, &x, Norm::Rms, epsilon, Some(&scale), None)?])
}

/// The sum of operands 0 and 1 and a bias, normalised; the sum itself is result 3.
fn skip_norm(cx: &mut Context, kind: Norm, beta: Option<Value>, bias: Option<Value>) -> Traced<Vec<Value>> {
    let (x, skip, gamma) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    if cx.wants(1) || cx.wants(2) {
        return Err(cx.unsupported("statistics for training"));
    }
    let mut formula = Formula::default();
    let mut sum = Expr::sum(formula.operand(&x), formula.operand(&skip));
    if let Some(bias) = &bias {
        sum = Expr::sum(sum, formula.operand(bias));
    }
    let sum = formula.compute(cx, sum, x.ty)?;
    let epsilon = cx.float("epsilon", 1e-12);
    let y = normalized(cx, &sum, kind, epsilon, Some(&gamma), beta.as_ref())?;
    // Results 1 and 2 are not asked for.
    Ok(vec![y.clone(), y.clone(), y, sum])
}

/// The sum of embeddings of words, places and segments, normalised; for each sequence the number of tokens that its mask has.
fn embed_norm(cx: &mut Context) -> Traced<Vec<Value>> {
    let (ids, words, places) = (cx.input(0)?, cx.input(2)?, cx.input(3)?);
    let &[batch, length] = &ids.shape[..] else { return Err(cx.error(format!("tokens of shape {:?}", ids.shape))) };
    let pick = |cx: &mut Context, table: &Value, rows: &Value| cx.apply(Gather { axis: 0 }, &[table, rows], table.ty);
    let word = pick(cx, &words, &ids)?;
    let place = match cx.optional(8) {
        Some(rows) => pick(cx, &places, &rows)?,
        None => cx.slice(&places, 0, 0, length.min(places.shape.first().copied().unwrap_or(0)))?,
    };
    let segment = match (cx.optional(1), cx.optional(4)) {
        (Some(rows), Some(table)) => Some(pick(cx, &table, &rows)?),
        _ => None,
    };
    let mut formula = Formula::default();
    let mut sum = Expr::sum(formula.operand(&word), formula.operand(&place));
    if let Some(segment) = &segment {
        sum = Expr::sum(sum, formula.operand(segment));
    }
    let sum = formula.compute(cx, sum, word.ty)?;
    let (gamma, beta) = (cx.input(5)?, cx.input(6)?);
    let epsilon = cx.float("epsilon", 1e-12);
    let y = normalized(cx, &sum, Norm::Layer, epsilon, Some(&gamma), Some(&beta))?;
    let tokens = match cx.optional(7) {
        Some(mask) => {
            let present = Expr::binary(Op::Equal, Expr::operand(0), Expr::int(1));
            let present = cx.elementwise(present, &[&mask], ElementType::Int32)?;
            let tokens = fold(cx, &present, &[1], Reduction::Sum)?;
            cx.reshape(&tokens, &[batch])?
        }
        None => cx.constant(ElementType::Int32, Tensor::i64(&[batch], vec![0; batch])?),
    };
    Ok(vec![y, tokens, sum])
}

/// The first result of the standard operator of that name with this node's operands and attributes.
fn as_standard(cx: &mut Context, name: &str) -> Traced<Value> {
    let translate = find("", name).ok_or_else(|| cx.error(format!("'{name}' is unknown")))?;
    translate(cx)?.into_iter().next().ok_or_else(|| cx.error("no result"))
}

/// The node's activation of `y` and, where given, another value that is added first.
fn activated(cx: &mut Context, y: Value, other: Option<Value>, alpha: Option<f32>, beta: Option<f32>) -> Traced<Vec<Value>> {
    let name = cx.text("activation", "");
    let activation = match name {
        "" => None,
        name => {
            let known = Activation::named(name.as_bytes(), alpha.into_iter(), beta.into_iter());
            Some(known.ok_or_else(|| cx.unsupported(format!("the activation '{name}'")))?)
        }
    };
    let mut formula = Formula::default();
    let mut expr = formula.operand(&y);
    if let Some(other) = &other {
        expr = Expr::sum(expr, formula.operand(other));
    }
    if let Some(activation) = activation {
        expr = activation.of(expr);
    }
    if expr == Expr::operand(0) {
        return Ok(vec![y]);
    }
    Ok(vec![formula.compute(cx, expr, y.ty)?])
}

fn fused_conv(cx: &mut Context) -> Traced<Vec<Value>> {
    let y = as_standard(cx, "Conv")?;
    let parameters = cx.floats("activation_params").unwrap_or_default();
    let other = cx.optional(3);
    activated(cx, y, other, parameters.first().copied(), parameters.get(1).copied())
}

/// `alpha a b`, of operands that may lie transposed in two ways: the last two dimensions, and the first with those between.
fn fused_mat_mul(cx: &mut Context) -> Traced<Vec<Value>> {
    let (a, b) = (cx.input(0)?, cx.input(1)?);
    let side = |cx: &mut Context, x: Value, batches: &str, last: &str, row: bool| {
        let flag = cx.int(last, 0) != 0 && x.rank() > 1;
        if x.rank() == 1 {
            return Ok((cx.reshape(&x, &if row { [1, x.len()] } else { [x.len(), 1] })?, flag));
        }
        if cx.int(batches, 0) == 0 || x.rank() < 3 {
            return Ok((x, flag));
        }
        let order: Vec<usize> = (1..x.rank() - 1).chain([0, x.rank() - 1]).collect();
        Ok::<_, super::super::tracer::Stop>((cx.transpose(&x, &order)?, flag))
    };
    let (left, transpose_a) = side(cx, a.clone(), "transBatchA", "transA", true)?;
    let (right, transpose_b) = side(cx, b.clone(), "transBatchB", "transB", false)?;
    let scale = cx.float("alpha", 1.0);
    let op = BatchMatMul { transpose_a, transpose_b, scale, ..BatchMatMul::plain() };
    let y = cx.apply(op, &[&left, &right], a.ty)?;
    let mut shape = y.shape.clone();
    if b.rank() == 1 {
        shape.pop();
    }
    if a.rank() == 1 {
        shape.remove(shape.len() - if b.rank() == 1 { 1 } else { 2 });
    }
    Ok(vec![cx.reshape(&y, &shape)?])
}
