//! Attention as ONNX Runtime's own operators have it: with projections, biases, padding and caches in them.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::attention::{Rules, Shown, appended, count, heads, joined};
use super::cache::written;
use super::formula::{Formula, both, less};
use super::linear::mat_mul;
use super::norm::normalized;
use super::rotary::{Rotation, from_place};
use super::{Operator, contrib};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::{Concat, Norm};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    contrib("Attention", attention),
    contrib("GroupQueryAttention", group_query_attention),
    contrib("MultiHeadAttention", multi_head_attention),
];

/// Refuses a node that has one of these operands.
fn without(cx: &Context, operands: &[(usize, &str)]) -> Traced<()> {
    match operands.iter().find(|(i, _)| cx.optional(*i).is_some()) {
        Some((_, name)) => Err(cx.unsupported(format!("the operand '{name}'"))),
        None => Ok(()),
    }
}

/// The factor of scores, which is `1 / sqrt(size)` unless the node says another than 0.
fn scale(cx: &Context, size: usize) -> f32 {
    match cx.float("scale", 0.0) {
        0.0 => 1.0 / (size as f32).sqrt(),
        scale => scale,
    }
}

/// What a mask adds to scores, broadcast to `[B, 1, Q, K]`: nothing where it is positive, `mask_filter_value` elsewhere. Masks
/// of one dimension say where the keys of a sequence end, or where they end and begin.
fn padding(cx: &mut Context, mask: &Value, [batch, queries, past, keys]: [usize; 4]) -> Traced<Value> {
    let filter = Expr::float(cx.float("mask_filter_value", -10000.0));
    let filtered = |seen: Expr| Expr::select(seen, Expr::float(0.0), filter);
    if mask.rank() == 1 {
        let places = cx.constant(ElementType::Int64, Tensor::i64(&[keys], (0..keys as i64).collect())?);
        let ends = cx.slice(mask, 0, 0, batch.min(mask.len()))?;
        let ends = cx.reshape(&ends, &[batch, 1, 1, 1])?;
        let starts = match mask.len().checked_div(batch) {
            Some(1) => None,
            Some(2) => {
                let starts = cx.slice(mask, 0, batch, batch)?;
                Some(cx.reshape(&starts, &[batch, 1, 1, 1])?)
            }
            _ => return Err(cx.unsupported(format!("a mask of {} places of {batch} sequences", mask.len()))),
        };
        let mut formula = Formula::default();
        let place = formula.operand(&places);
        let mut seen = less(place.clone(), formula.operand(&ends));
        if let Some(starts) = &starts {
            seen = both(Expr::binary(Op::LessEqual, formula.operand(starts), place), seen);
        }
        return formula.compute(cx, filtered(seen), ElementType::Float);
    }
    let mask = match mask.shape[..] {
        [b, k] if k == keys => cx.reshape(mask, &[b, 1, 1, k])?,
        [b, q, k] if k == keys => cx.reshape(mask, &[b, 1, q, k])?,
        [_, 1, most, columns] if most >= past + queries && columns >= keys => {
            let rows = cx.slice(mask, 2, past, queries)?;
            cx.slice(&rows, 3, 0, keys)?
        }
        _ => return Err(cx.error(format!("a mask of shape {:?} for {queries} queries to {keys} keys", mask.shape))),
    };
    cx.elementwise(filtered(less(Expr::int(0), Expr::operand(0))), &[&mask], ElementType::Float)
}

/// The biases of scores: operand `bias` and what operand `mask` adds.
fn biases(cx: &mut Context, mask: usize, bias: usize, sizes: [usize; 4]) -> Traced<Option<Value>> {
    let mask = match cx.optional(mask) {
        Some(mask) => Some(padding(cx, &mask, sizes)?),
        None => None,
    };
    match (mask, cx.optional(bias)) {
        (Some(mask), Some(bias)) => cx.binary(Op::Add, &mask, &bias).map(Some),
        (mask, bias) => Ok(mask.or(bias)),
    }
}

/// Entry `i` of the first dimension.
fn half(cx: &mut Context, both: &Value, i: usize) -> Traced<Value> {
    let one = cx.slice(both, 0, i, 1)?;
    cx.reshape(&one, both.shape.get(1..).unwrap_or_default())
}

fn attention(cx: &mut Context) -> Traced<Vec<Value>> {
    without(cx, &[(6, "past_sequence_length")])?;
    if cx.int("do_rotary", 0) != 0 {
        return Err(cx.unsupported("rotary embeddings in Attention"));
    }
    let (x, weights, past) = (cx.input(0)?, cx.input(1)?, cx.optional(4));
    let n = count(cx, "num_heads")?;
    let (&[batch, queries, _], &[_, columns]) = (&x.shape[..], &weights.shape[..]) else {
        return Err(cx.error(format!("weights {:?} of tokens {:?}", weights.shape, x.shape)));
    };
    let widths = match cx.ints("qkv_hidden_sizes") {
        Some(widths) => super::shape::sizes(cx, widths)?,
        None => vec![columns / 3; 3],
    };
    let &[q_width, k_width, v_width] = &widths[..] else { return Err(cx.error("expected three hidden sizes")) };
    if q_width != k_width || q_width + k_width + v_width != columns || widths.iter().any(|w| *w == 0 || w % n != 0) {
        return Err(cx.error(format!("hidden sizes {widths:?} of {columns} columns and {n} heads")));
    }
    let mut tokens = mat_mul(cx, &x, &weights)?;
    if let Some(bias) = cx.optional(2) {
        tokens = cx.binary(Op::Add, &tokens, &bias)?;
    }
    let (size, width) = (q_width / n, v_width / n);
    let q = heads(cx, &tokens, 0, size, n, size)?;
    let mut k = heads(cx, &tokens, q_width, size, n, size)?;
    let mut v = heads(cx, &tokens, q_width + k_width, width, n, width)?;
    let past_length = past.as_ref().map_or(0, |p| p.shape.get(3).copied().unwrap_or(0));
    if let Some(past) = past.filter(|p| !p.is_empty()) {
        let (past_k, past_v) = (half(cx, &past, 0)?, half(cx, &past, 1)?);
        (k, v) = (appended(cx, Some(&past_k), &k)?, appended(cx, Some(&past_v), &v)?);
    }
    let keys = past_length + queries;
    let rules = Rules {
        scale: scale(cx, size),
        bias: biases(cx, 3, 5, [batch, queries, past_length, keys])?,
        past: past_length as i64,
        right: (cx.int("unidirectional", 0) != 0).then_some(0),
        ..Rules::default()
    };
    let (y, _) = rules.attend(cx, [&q, &k, &v], None)?;
    let y = joined(cx, &y)?;
    if !cx.wants(1) {
        return Ok(vec![y]);
    }
    let (k, v) = (cx.reshape(&k, &[&[1], &k.shape[..]].concat())?, cx.reshape(&v, &[&[1], &v.shape[..]].concat())?);
    Ok(vec![y, cx.apply(Concat { axis: 0 }, &[&k, &v], k.ty)?])
}

/// Queries, keys and values by head, of tokens that are apart, packed, or heads already.
fn by_head(cx: &mut Context, n: usize) -> Traced<[Value; 3]> {
    let (q, k, v, bias) = (cx.input(0)?, cx.optional(1), cx.optional(2), cx.optional(3));
    let mut start = 0;
    let mut split = |cx: &mut Context, x: &Value| {
        let width = x.shape.get(2).copied().unwrap_or(0);
        let mut x = x.clone();
        if let Some(bias) = &bias {
            let bias = cx.slice(bias, 0, start, width.min(bias.len().saturating_sub(start)))?;
            x = cx.binary(Op::Add, &x, &bias)?;
        }
        start += width;
        heads(cx, &x, 0, width / n, n, width / n)
    };
    let packed = |cx: &mut Context, x: &Value, i: usize| match (x.shape[..].as_ref(), &bias) {
        (&[_, _, found, parts, size], None) if found == n => heads(cx, x, i * size, parts * size, n, size),
        _ => Err(cx.unsupported(format!("packed heads of shape {:?}", x.shape))),
    };
    Ok(match (k, v) {
        (None, None) => [packed(cx, &q, 0)?, packed(cx, &q, 1)?, packed(cx, &q, 2)?],
        (Some(kv), None) => [split(cx, &q)?, packed(cx, &kv, 0)?, packed(cx, &kv, 1)?],
        (Some(k), Some(v)) if k.rank() == 4 => [split(cx, &q)?, k, v],
        (Some(k), Some(v)) => [split(cx, &q)?, split(cx, &k)?, split(cx, &v)?],
        (None, Some(_)) => return Err(cx.error("values without keys")),
    })
}

fn multi_head_attention(cx: &mut Context) -> Traced<Vec<Value>> {
    without(cx, &[(8, "past_sequence_length"), (9, "cache_indirection")])?;
    let n = count(cx, "num_heads")?;
    let [q, k, v] = by_head(cx, n)?;
    let (past_k, past_v) = (cx.optional(6), cx.optional(7));
    let past = past_k.as_ref().and_then(|p| p.shape.get(2)).copied().unwrap_or(0);
    let (k, v) = (appended(cx, past_k.as_ref(), &k)?, appended(cx, past_v.as_ref(), &v)?);
    let (&[batch, _, queries, size], &[_, _, keys, _]) = (&q.shape[..], &k.shape[..]) else {
        return Err(cx.error(format!("queries {:?} and keys {:?}", q.shape, k.shape)));
    };
    let rules = Rules {
        scale: scale(cx, size),
        bias: biases(cx, 4, 5, [batch, queries, past, keys])?,
        past: past as i64,
        right: (cx.int("unidirectional", 0) != 0).then_some(0),
        ..Rules::default()
    };
    let shown = cx.wants(3).then_some(Shown::Biased);
    let (y, scores) = rules.attend(cx, [&q, &k, &v], shown)?;
    let y = joined(cx, &y)?;
    Ok([y, k, v].into_iter().chain(scores).collect())
}

/// Where the new tokens of a step lie in the caches.
enum Place {
    /// After as many as the host knows, in all sequences.
    Known(usize),
    /// After as many as the value `[B]` says of each.
    Each(Value),
}

fn group_query_attention(cx: &mut Context) -> Traced<Vec<Value>> {
    without(cx, &[(12, "k_scale"), (13, "v_scale"), (16, "query_seqlens")])?;
    if cx.int("sliding_window_cache", 0) != 0 || cx.wants(3) {
        return Err(cx.unsupported("a cache of a window, or scores as a result"));
    }
    let (many, few) = (count(cx, "num_heads")?, count(cx, "kv_num_heads")?);
    let (query, last, total) = (cx.input(0)?, cx.input(5)?, cx.input(6)?);
    let total = cx.host_ints(&total)?.first().and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
    let &[batch, queries, width] = &query.shape[..] else { return Err(cx.error(format!("queries {:?}", query.shape))) };
    let [mut q, mut k, v] = match (cx.optional(1), cx.optional(2)) {
        (Some(key), Some(value)) => {
            let (size, kv) = (width / many, key.shape.get(2).copied().unwrap_or(0) / few);
            [heads(cx, &query, 0, size, many, size)?, heads(cx, &key, 0, kv, few, kv)?, heads(cx, &value, 0, kv, few, kv)?]
        }
        _ => {
            let size = width / (many + 2 * few);
            let keys = many * size;
            [
                heads(cx, &query, 0, size, many, size)?,
                heads(cx, &query, keys, size, few, size)?,
                heads(cx, &query, keys + few * size, size, few, size)?,
            ]
        }
    };
    let (past_k, past_v) = (cx.optional(3), cx.optional(4));
    let capacity = past_k.as_ref().and_then(|p| p.shape.get(2)).copied().unwrap_or(0);
    if last.len() != batch || !(queries..=capacity + queries).contains(&total) {
        let lengths = last.len();
        return Err(cx.error(format!("{lengths} lengths of {batch} sequences of {total} tokens, {capacity} of them past")));
    }
    let length = total.max(capacity);
    let before = Expr::binary(Op::Sub, Expr::operand(0), Expr::operand(1));
    let place = match () {
        // A first step, or the only sequence behind a cache that is full.
        () if queries == total => Place::Known(0),
        () if batch == 1 && capacity + queries == total => Place::Known(capacity),
        () => {
            let last = cx.reshape(&last, &[batch])?;
            let less = cx.int_list(vec![queries as i64 - 1])?;
            Place::Each(cx.elementwise(before, &[&last, &less], ElementType::Int64)?)
        }
    };
    if let (Some(q_weight), Some(k_weight)) = (cx.optional(14), cx.optional(15)) {
        let epsilon = cx.float("qk_norm_epsilon", 1e-6);
        q = normalized(cx, &q, Norm::Rms, cx.float("q_norm_epsilon", epsilon), Some(&q_weight), None)?;
        k = normalized(cx, &k, Norm::Rms, cx.float("k_norm_epsilon", epsilon), Some(&k_weight), None)?;
    }
    if cx.int("do_rotary", 0) != 0 {
        let first = match (cx.optional(9), &place) {
            // Of the places of a first step the first alone counts.
            (Some(places), Place::Known(0)) => {
                let places = cx.reshape(&places, &[places.len()])?;
                from_first(cx, &places, queries)?
            }
            (Some(places), _) => places,
            (None, Place::Each(first)) => from_place(cx, first, queries)?,
            (None, Place::Known(n)) => {
                let first = cx.int_list(vec![*n as i64])?;
                from_place(cx, &first, queries)?
            }
        };
        let (cos, sin) = (cx.input(7)?, cx.input(8)?);
        let rotation = Rotation::of(cx, cos, sin, Some(&first), cx.int("rotary_interleaved", 0) != 0)?;
        (q, k) = (rotation.apply(cx, &q, 2)?, rotation.apply(cx, &k, 2)?);
    }
    let cached = |cx: &mut Context, past: Option<Value>, new: Value| match (past.filter(|p| !p.is_empty()), &place) {
        (None, Place::Known(_)) => Ok(new),
        (Some(past), Place::Known(n)) if *n == past.shape[2] => appended(cx, Some(&past), &new),
        (Some(past), Place::Known(n)) => {
            let start = cx.constant(ElementType::Int64, Tensor::i64(&[batch], vec![*n as i64; batch])?);
            written(cx, &past, &new, &start, length, false)
        }
        (Some(past), Place::Each(start)) => written(cx, &past, &new, start, length, false),
        (None, Place::Each(_)) => Err(cx.error("a later step without a cache")),
    };
    let (k, v) = (cached(cx, past_k, k)?, cached(cx, past_v, v)?);
    let causal = cx.int("causal", 1) != 0;
    let window = cx.int("local_window_size", -1);
    let mut rules = Rules {
        scale: scale(cx, q.shape[3]),
        softcap: cx.float("softcap", 0.0),
        bias: cx.optional(10),
        left: (window > 0).then_some(window - 1),
        right: causal.then_some(0),
        ..Rules::default()
    };
    match place {
        Place::Known(n) => rules.past = n as i64,
        Place::Each(start) => rules.offset = Some(cx.reshape(&start, &[batch, 1, 1, 1])?),
    }
    if !causal {
        let counts = cx.elementwise(Expr::sum(Expr::operand(0), Expr::int(1)), &[&last], ElementType::Int64)?;
        rules.lengths = Some(cx.reshape(&counts, &[batch, 1, 1, 1])?);
        rules.offset = None;
    }
    rules.sink = match cx.optional(11) {
        Some(sink) => Some(cx.reshape(&sink, &[many, 1, 1])?),
        None if cx.int("smooth_softmax", 0) == 1 => Some(cx.float_list(&[1, 1, 1], vec![0.0])?),
        None => None,
    };
    if let Some(bias) = rules.bias.take() {
        rules.bias = Some(widened(cx, bias, k.shape[2])?);
    }
    let (y, _) = rules.attend(cx, [&q, &k, &v], None)?;
    Ok(vec![joined(cx, &y)?, k, v])
}

/// `length` places from the first of a list.
fn from_first(cx: &mut Context, places: &Value, length: usize) -> Traced<Value> {
    let first = cx.slice(places, 0, 0, 1)?;
    from_place(cx, &first, length)
}

/// Biases of fewer keys than a cache has room for; what is behind them is not seen.
fn widened(cx: &mut Context, bias: Value, keys: usize) -> Traced<Value> {
    use crate::ops::View;
    use crate::ops::view::Border;
    let mut view = View { border: Border::Float(0.0), ..View::of(&bias.shape) };
    match view.axes.last_mut() {
        Some(axis) if axis.len < keys && axis.len > 1 => axis.len = keys,
        _ => return Ok(bias),
    }
    cx.apply(view, &[&bias], bias.ty)
}
