//! Losses of classifications.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::reduce::fold;
use super::{Operator, device};
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::{Gather, GatherElements, Reduction, Softmax};

pub const OPERATORS: &[Operator] = &[
    device("NegativeLogLikelihoodLoss", |cx| {
        let (x, target) = (cx.input(0)?, cx.input(1)?);
        Ok(vec![likelihood_loss(cx, &x, &target)?])
    }),
    device("SoftmaxCrossEntropyLoss", |cx| {
        let (scores, labels) = (cx.input(0)?, cx.input(1)?);
        if scores.rank() < 2 {
            return Err(cx.error(format!("{:?} has no classes", scores.shape)));
        }
        // Classes are dimension 1, rows of a softmax the last.
        let last = scores.rank() - 1;
        let order: Vec<usize> = (0..=last).filter(|d| *d != 1).chain([1]).collect();
        let back: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
        let rows = cx.transpose(&scores, &order)?;
        let rows = cx.apply(Softmax { log: true }, &[&rows], scores.ty)?;
        let logs = cx.transpose(&rows, &back)?;
        Ok(vec![likelihood_loss(cx, &logs, &labels)?, logs])
    }),
];

/// `-w[t] x[n, t, ..]` with t the target, reduced as the node says, w operand 2 and 0 for targets that are ignored.
fn likelihood_loss(cx: &mut Context, x: &Value, target: &Value) -> Traced<Value> {
    let Some((batch, [_, rest @ ..])) = x.shape.split_first() else {
        return Err(cx.error(format!("{:?} has no classes", x.shape)));
    };
    if target.shape != [&[*batch], rest].concat() {
        return Err(cx.error(format!("targets of shape {:?} for {:?}", target.shape, x.shape)));
    }
    let ignored = cx.attribute("ignore_index").map(|_| Expr::int(cx.int("ignore_index", 0)));
    let is_ignored = |by: Expr| ignored.clone().map(|index| Expr::binary(Op::Equal, by, index));
    let mut class = target.clone();
    if let Some(condition) = is_ignored(Expr::operand(0)) {
        class = cx.elementwise(Expr::select(condition, Expr::int(0), Expr::operand(0)), &[target], target.ty)?;
    }
    let mut factors = match cx.optional(2) {
        Some(weights) => Some(cx.apply(Gather { axis: 0 }, &[&weights, &class], x.ty)?),
        None => None,
    };
    if let Some(condition) = is_ignored(Expr::operand(0)) {
        let (some, list) = match &factors {
            Some(factors) => (Expr::operand(1), vec![target, factors]),
            None => (Expr::float(1.0), vec![target]),
        };
        factors = Some(cx.elementwise(Expr::select(condition, Expr::float(0.0), some), &list, x.ty)?);
    }
    let places = cx.reshape(&class, &[&[*batch, 1], rest].concat())?;
    let picked = cx.apply(GatherElements { axis: 1 }, &[x, &places], x.ty)?;
    let picked = cx.reshape(&picked, &target.shape)?;
    let negative = Expr::call(Function::Neg, Expr::operand(0));
    let losses = match &factors {
        Some(factors) => cx.elementwise(Expr::product(negative, Expr::operand(1)), &[&picked, factors], x.ty)?,
        None => cx.elementwise(negative, &[&picked], x.ty)?,
    };
    match cx.text("reduction", "mean") {
        "none" => Ok(losses),
        "sum" => total(cx, &losses),
        "mean" => {
            let sum = total(cx, &losses)?;
            match &factors {
                Some(factors) => {
                    let weight = total(cx, factors)?;
                    cx.binary(Op::Div, &sum, &weight)
                }
                None => {
                    let share = Expr::float(1.0 / target.len().max(1) as f32);
                    cx.elementwise(Expr::product(Expr::operand(0), share), &[&sum], x.ty)
                }
            }
        }
        other => Err(cx.unsupported(format!("the reduction '{other}'"))),
    }
}

/// The sum of all elements, without dimensions.
fn total(cx: &mut Context, x: &Value) -> Traced<Value> {
    let axes: Vec<usize> = (0..x.rank()).collect();
    let sum = fold(cx, x, &axes, Reduction::Sum)?;
    cx.reshape(&sum, &[])
}
