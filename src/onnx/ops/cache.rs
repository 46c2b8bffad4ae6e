//! Writing rows into caches of keys and values.

use super::super::context::Context;
use super::super::tracer::{Stop, Traced};
use super::super::value::Value;
use super::formula::{Formula, both, difference, less};
use super::{Operator, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::{Concat, GatherNd};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[device("TensorScatter", tensor_scatter)];

/// `cache` `[B, H, C, D]` with `rows` `[B, H, S, D]` in the places `start[b] ..` of sequence b, C grown or cut to `length`; with
/// `around`, places count modulo `length`. What neither wrote is of no meaning.
pub fn written(cx: &mut Context, cache: &Value, rows: &Value, start: &Value, length: usize, around: bool) -> Traced<Value> {
    let (&[batch, heads, places, size], &[.., count, _]) = (&cache.shape[..], &rows.shape[..]) else {
        return Err(cx.error(format!("a cache of shape {:?}", cache.shape)));
    };
    let both_rows = match places {
        0 => rows.clone(),
        _ => cx.apply(Concat { axis: 2 }, &[cache, rows], cache.ty)?,
    };
    let all = places + count;
    let both_rows = cx.reshape(&both_rows, &[batch, heads * all, size])?;
    let numbers =
        |cx: &Context, shape: &[usize], list: Vec<i64>| Ok::<_, Stop>(cx.constant(ElementType::Int64, Tensor::i64(shape, list)?));
    let place = numbers(cx, &[length], (0..length as i64).collect())?;
    let head = numbers(cx, &[heads, 1], (0..heads).map(|h| (h * all) as i64).collect())?;
    // Not in the expression, which would be another kernel for every length.
    let held = numbers(cx, &[1], vec![places as i64])?;
    let first = cx.reshape(start, &[batch, 1, 1])?;
    let mut formula = Formula::default();
    let place = formula.operand(&place);
    let mut since = difference(place.clone(), formula.operand(&first));
    if around {
        since = Expr::binary(Op::Mod, since, Expr::int(length as i64));
    }
    let inside = both(Expr::binary(Op::LessEqual, Expr::int(0), since.clone()), less(since.clone(), Expr::int(count as i64)));
    let held = formula.operand(&held);
    let old = Expr::binary(Op::Min, place, difference(held.clone(), Expr::int(1)));
    let at = Expr::select(inside, Expr::sum(held, since), old);
    let at = Expr::sum(at, formula.operand(&head));
    let at = formula.compute(cx, at, ElementType::Int64)?;
    let at = cx.reshape(&at, &[batch, heads * length, 1])?;
    let picked = cx.apply(GatherNd { batch_dims: 1 }, &[&both_rows, &at], cache.ty)?;
    cx.reshape(&picked, &[batch, heads, length, size])
}

fn tensor_scatter(cx: &mut Context) -> Traced<Vec<Value>> {
    let (cache, update) = (cx.input(0)?, cx.input(1)?);
    let axis = cx.int("axis", -2);
    let axis = cx.axis(axis, cache.rank())?;
    let fits = |(d, (have, new)): (usize, (&usize, &usize))| if d == axis { new <= have } else { new == have };
    let matches = update.rank() == cache.rank() && cache.shape.iter().zip(&update.shape).enumerate().all(fits);
    if axis == 0 || !matches {
        return Err(cx.error(format!("an update {:?} of the cache {:?} along {axis}", update.shape, cache.shape)));
    }
    if update.is_empty() {
        return Ok(vec![cache]);
    }
    let (length, count) = (cache.shape[axis], update.shape[axis]);
    let Some(start) = cx.optional(2) else {
        if count == length {
            return Ok(vec![update]);
        }
        let rest = cx.slice(&cache, axis, count, length - count)?;
        return Ok(vec![cx.apply(Concat { axis }, &[&update, &rest], cache.ty)?]);
    };
    if start.len() != cache.shape[0] {
        return Err(cx.error(format!("{} places in {} caches", start.len(), cache.shape[0])));
    }
    let heads = cache.shape[1..axis].iter().product();
    let size = cache.shape[axis + 1..].iter().product();
    let old = cx.reshape(&cache, &[cache.shape[0], heads, length, size])?;
    let new = cx.reshape(&update, &[cache.shape[0], heads, count, size])?;
    let around = cx.text("mode", "linear") == "circular";
    let all = written(cx, &old, &new, &start, length, around)?;
    Ok(vec![cx.reshape(&all, &cache.shape)?])
}
