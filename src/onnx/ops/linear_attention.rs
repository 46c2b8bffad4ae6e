//! Attention whose state has one size, however long the sequence is, and the short convolutions before it.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::attention::{appended, count};
use super::conv::by_channel;
use super::formula::{Formula, difference};
use super::{Operator, device};
use crate::dtype::DType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::view::Border;
use crate::ops::{BatchMatMul, Concat, Conv, View};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[device("CausalConvWithState", causal_conv), device("LinearAttention", linear_attention)];

/// A convolution by channel whose outputs see the past alone, the last inputs being the state of the next call.
fn causal_conv(cx: &mut Context) -> Traced<Vec<Value>> {
    let (x, weight) = (cx.input(0)?, cx.input(1)?);
    let (&[batch, channels, _], &[_, 1, taps]) = (&x.shape[..], &weight.shape[..]) else {
        return Err(cx.error(format!("filters {:?} over {:?}", weight.shape, x.shape)));
    };
    let memory = taps.checked_sub(1).ok_or_else(|| cx.error("filters without elements"))?;
    let past = cx.optional(3);
    if let Some(past) = &past
        && past.shape != [batch, channels, memory]
    {
        return Err(cx.error(format!("a state of shape {:?} for filters {:?}", past.shape, weight.shape)));
    }
    let all = appended(cx, past.as_ref(), &x)?;
    let mut conv = Conv { groups: channels, ..Conv::plain(1) };
    if past.is_none() {
        conv.pads_begin = vec![memory];
    }
    let mut operands = vec![all.clone(), weight];
    if let Some(bias) = cx.optional(2) {
        operands.push(by_channel(cx, &bias, 1)?);
        conv.tail = Expr::sum(Expr::operand(0), Expr::operand(1));
    }
    match cx.text("activation", "none") {
        "none" => {}
        "silu" | "swish" => conv.tail = Expr::call(Function::Silu, conv.tail),
        other => return Err(cx.unsupported(format!("the activation '{other}'"))),
    }
    let y = cx.apply(conv, &operands.iter().collect::<Vec<_>>(), x.ty)?;
    if memory == 0 {
        let none = cx.constant(x.ty, Tensor::f32(&[batch, channels, 0], Vec::new())?);
        return Ok(vec![y, none]);
    }
    // Where the sequence is shorter than the filters, the state begins before it.
    let mut last = View { border: Border::Float(0.0), ..View::of(&all.shape) };
    if let Some(axis) = last.axes.last_mut() {
        (axis.start, axis.len) = (axis.extent as i64 - memory as i64, memory);
    }
    let state = cx.apply(last, &[&all], x.ty)?;
    Ok(vec![y, state])
}

/// `S = e^g S + k v'`, `o = scale q S`, token by token, where the rules of the delta put `beta (v - k (e^g S))` in the place of v.
fn linear_attention(cx: &mut Context) -> Traced<Vec<Value>> {
    let (q, k, v) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let (many, few) = (count(cx, "q_num_heads")?, count(cx, "kv_num_heads")?);
    let (&[batch, steps, wide], &[.., values]) = (&q.shape[..], &v.shape[..]) else {
        return Err(cx.error(format!("queries {:?}, values {:?}", q.shape, v.shape)));
    };
    let (size, width) = (wide / many, values / few);
    let shapes = [(&q, many * size), (&k, few * size), (&v, few * width)];
    if !many.is_multiple_of(few) || shapes.iter().any(|(x, n)| x.shape != [batch, steps, *n]) || size == 0 || width == 0 {
        let shapes = [&q.shape, &k.shape, &v.shape];
        return Err(cx.error(format!("queries, keys and values {shapes:?} of {many} and {few} heads")));
    }
    let (gated, delta) = match cx.text("update_rule", "gated_delta") {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(cx.unsupported(format!("the update rule '{other}'"))),
    };
    let decay = if gated { Some(decays(cx, batch, steps, few)?) } else { None };
    let beta = if delta { Some(cx.input(5)?) } else { None };
    if let Some(beta) = &beta
        && beta.shape != [batch, steps, few]
        && beta.shape != [batch, steps, 1]
    {
        return Err(cx.error(format!("update rates of shape {:?}", beta.shape)));
    }
    // The keys with which the delta rules read what decay has left of the state.
    let readers = match (&decay, delta) {
        (Some(decay), true) => {
            let split = cx.reshape(&k, &[batch, steps, few, size])?;
            Some(cx.binary(Op::Mul, &split, decay)?)
        }
        (None, true) => Some(k.clone()),
        (_, false) => None,
    };
    let scale = Some(cx.float("scale", 0.0)).filter(|s| *s != 0.0).unwrap_or(1.0 / (size as f32).sqrt());
    let state_shape = [batch, few, size, width];
    let mut state = match cx.optional(3) {
        Some(past) if past.shape == state_shape => past,
        Some(past) => return Err(cx.error(format!("a state of shape {:?}, expected {state_shape:?}", past.shape))),
        None => cx.constant(q.ty, Tensor::zeros(DType::F32, &state_shape)?),
    };
    let mut outputs = Vec::new();
    for t in 0..steps {
        let at = |cx: &mut Context, x: &Value, shape: &[usize]| {
            let token = cx.slice(x, 1, t, 1)?;
            cx.reshape(&token, shape)
        };
        let key = at(cx, &k, &[batch, few, size, 1])?;
        let value = at(cx, &v, &[batch, few, 1, width])?;
        let decay = match &decay {
            Some(decay) => Some(at(cx, decay, &[batch, few, decay.shape[3], 1])?),
            None => None,
        };
        let correction = match (&readers, &beta) {
            (Some(readers), Some(beta)) => {
                let reader = at(cx, readers, &[batch, few, 1, size])?;
                let read = cx.apply(BatchMatMul::plain(), &[&reader, &state], q.ty)?;
                Some((read, at(cx, beta, &[batch, beta.shape[2], 1, 1])?))
            }
            _ => None,
        };
        let mut formula = Formula::default();
        let mut kept = formula.operand(&state);
        if let Some(decay) = &decay {
            kept = Expr::product(kept, formula.operand(decay));
        }
        let mut new = formula.operand(&value);
        if let Some((read, beta)) = &correction {
            new = Expr::product(formula.operand(beta), difference(new, formula.operand(read)));
        }
        let expr = Expr::sum(kept, Expr::product(formula.operand(&key), new));
        let next = formula.compute(cx, expr, state.ty)?;
        state = next;
        let query = at(cx, &q, &[batch, few, many / few, size])?;
        let output = cx.apply(BatchMatMul { scale, ..BatchMatMul::plain() }, &[&query, &state], q.ty)?;
        outputs.push(cx.reshape(&output, &[batch, 1, many * width])?);
    }
    let y = match &outputs[..] {
        [one] => one.clone(),
        all => cx.apply(Concat { axis: 1 }, &all.iter().collect::<Vec<_>>(), q.ty)?,
    };
    Ok(vec![y, state])
}

/// `e^g` of the node's gates g, `[B, T, H, 1]` by head or `[B, T, H, D]` by number of the keys.
fn decays(cx: &mut Context, batch: usize, steps: usize, heads: usize) -> Traced<Value> {
    let gates = cx.input(4)?;
    let each = gates.shape.last().map_or(0, |n| n / heads);
    if gates.shape != [batch, steps, heads * each] || each == 0 {
        return Err(cx.error(format!("gates of shape {:?} for {heads} heads", gates.shape)));
    }
    let gates = cx.reshape(&gates, &[batch, steps, heads, each])?;
    cx.call(Function::Exp, &gates)
}
