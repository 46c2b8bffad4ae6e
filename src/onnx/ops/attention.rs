//! Attention of queries to keys and values.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::formula::{Formula, at_most, both, difference, less};
use super::reduce::fold;
use super::{Operator, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::view::{Axis, Border};
use crate::ops::{BatchMatMul, Concat, Reduction, Softmax, View};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[device("Attention", attention)];

/// What decides about the weight of a key for a query, beside both.
#[derive(Default)]
pub struct Rules {
    /// The factor of each product.
    pub scale: f32,
    /// `c tanh(s / c)` in the place of the score s, unless 0.
    pub softcap: f32,
    /// Added to scores, broadcast to `[B, H, Q, K]`.
    pub bias: Option<Value>,
    /// Truth values, broadcast to `[B, H, Q, K]`: whether the query sees the key.
    pub allowed: Option<Value>,
    /// The place of the first query among the keys.
    pub past: i64,
    /// `[B, 1, 1, 1]`, added to `past`.
    pub offset: Option<Value>,
    /// How many keys before its own place a query sees.
    pub left: Option<i64>,
    /// How many keys after its own place a query sees.
    pub right: Option<i64>,
    /// `[B, 1, 1, 1]`: how many keys there are.
    pub lengths: Option<Value>,
    /// Whether queries that see no key have results of 0. Scores of unseen keys are then minus infinity, else the least number.
    pub guarded: bool,
    /// `[H, 1, 1]`: a further score, of no value, by head.
    pub sink: Option<Value>,
}

/// A stage of scores that is wanted as a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Products of queries and keys, scaled.
    Products,
    /// After the soft cap.
    Capped,
    /// With biases, and minus infinity or the least number where a key is not seen.
    Biased,
    /// After the softmax.
    Weights,
}

impl Rules {
    /// `base` with what is added to scores, or the least number where a key is not seen. Its operands are those of `formula` and
    /// `places`, which [`Rules::places`] makes.
    fn masked<'a>(&'a self, formula: &mut Formula<'a>, places: &'a Option<[Value; 2]>, base: Expr) -> Expr {
        let mut sum = base;
        if let Some(bias) = &self.bias {
            sum = Expr::sum(sum, formula.operand(bias));
        }
        let mut conditions = Vec::new();
        conditions.extend(self.allowed.as_ref().map(|allowed| formula.operand(allowed)));
        if let Some([queries, keys]) = places {
            let (mut query, key) = (formula.operand(queries), formula.operand(keys));
            if let Some(offset) = &self.offset {
                query = Expr::sum(query, formula.operand(offset));
            }
            if let Some(left) = self.left {
                conditions.push(at_most(difference(query.clone(), Expr::int(left)), key.clone()));
            }
            if let Some(right) = self.right {
                conditions.push(at_most(key.clone(), Expr::sum(query, Expr::int(right))));
            }
            if let Some(lengths) = &self.lengths {
                conditions.push(less(key, formula.operand(lengths)));
            }
        }
        match conditions.into_iter().reduce(both) {
            Some(condition) => {
                let unseen = if self.guarded { f32::NEG_INFINITY } else { f32::MIN };
                Expr::select(condition, sum, Expr::float(unseen))
            }
            None => sum,
        }
    }

    /// The places of queries, `[Q, 1]`, and keys, `[K]`, where it matters.
    fn places(&self, cx: &Context, queries: usize, keys: usize) -> Traced<Option<[Value; 2]>> {
        if self.left.is_none() && self.right.is_none() && self.lengths.is_none() {
            return Ok(None);
        }
        let list = |first: i64, n: usize| (first..first + n as i64).collect::<Vec<i64>>();
        let rows = cx.constant(ElementType::Int64, Tensor::i64(&[queries, 1], list(self.past, queries))?);
        Ok(Some([rows, cx.constant(ElementType::Int64, Tensor::i64(&[keys], list(0, keys))?)]))
    }

    /// Whether some query may see no key at all.
    fn may_be_blind(&self) -> bool {
        self.bias.is_some() || self.allowed.is_some() || self.lengths.is_some() || self.left.is_some() || self.past < 0
    }

    /// Attention of `q` `[B, H, Q, D]` to `k` `[B, G, K, D]` and `v` `[B, G, K, E]`, H a multiple of G: `[B, H, Q, E]`, and the
    /// scores `[B, H, Q, K]` that `shown` asks for.
    pub fn attend(&self, cx: &mut Context, [q, k, v]: [&Value; 3], shown: Option<Shown>) -> Traced<(Value, Option<Value>)> {
        let (&[batch, heads, queries, size], &[_, groups, keys, _], &[.., width]) = (&q.shape[..], &k.shape[..], &v.shape[..])
        else {
            return Err(cx.error(format!("queries {:?}, keys {:?}, values {:?}", q.shape, k.shape, v.shape)));
        };
        let fits = k.shape == [batch, groups, keys, size] && v.shape == [batch, groups, keys, width];
        if !fits || groups == 0 || !heads.is_multiple_of(groups) {
            return Err(cx.error(format!("queries {:?} to keys {:?} and values {:?}", q.shape, k.shape, v.shape)));
        }
        let ty = q.ty;
        // Queries of the heads that share keys are rows of one product.
        let rows = heads / groups * queries;
        let grouped = cx.reshape(q, &[batch, groups, rows, size])?;
        let cap = |x: Expr| match self.softcap {
            0.0 => x,
            c => Expr::product(Expr::float(c), Expr::call(Function::Tanh, Expr::product(Expr::float(1.0 / c), x))),
        };
        let early = shown == Some(Shown::Products) && self.softcap != 0.0;
        let tail = if early { Expr::operand(0) } else { cap(Expr::operand(0)) };
        let op = BatchMatMul { transpose_b: true, scale: self.scale, tail, ..BatchMatMul::plain() };
        let products = cx.apply(op, &[&grouped, k], ty)?;
        let products = cx.reshape(&products, &[batch, heads, queries, keys])?;
        let capped = if early { cx.elementwise(cap(Expr::operand(0)), &[&products], ty)? } else { products.clone() };

        let places = self.places(cx, queries, keys)?;
        let blind = if self.guarded && self.may_be_blind() { self.blind(cx, &places, ty)? } else { None };
        let mut formula = Formula::default();
        let scores = formula.operand(&capped);
        let expr = match &blind {
            Some((bias, _)) => Expr::sum(scores, formula.operand(bias)),
            None => self.masked(&mut formula, &places, scores),
        };
        let biased = if expr == Expr::operand(0) { capped.clone() } else { formula.compute(cx, expr, ty)? };
        let mut weights = self.weights(cx, &biased)?;
        // Weights that nobody else sees are left to the results, of which there are fewer.
        let seeing = |cx: &mut Context, x: Value| match &blind {
            Some((_, blind)) => {
                let expr = Expr::select(Expr::operand(1), Expr::float(0.0), Expr::operand(0));
                cx.elementwise(expr, &[&x, blind], ty)
            }
            None => Ok(x),
        };
        if shown == Some(Shown::Weights) {
            weights = seeing(cx, weights)?;
        }
        let shown = shown.map(|shown| match shown {
            Shown::Products => products,
            Shown::Capped => capped,
            Shown::Biased => biased,
            Shown::Weights => weights.clone(),
        });
        let weights = cx.reshape(&weights, &[batch, groups, rows, keys])?;
        let mixed = cx.apply(BatchMatMul::plain(), &[&weights, v], ty)?;
        let mixed = cx.reshape(&mixed, &[batch, heads, queries, width])?;
        Ok((seeing(cx, mixed)?, shown))
    }

    /// What is added to scores, and whether a query sees no key; nothing where all are known to see one.
    fn blind(&self, cx: &mut Context, places: &Option<[Value; 2]>, ty: ElementType) -> Traced<Option<(Value, Value)>> {
        let mut formula = Formula::default();
        let expr = self.masked(&mut formula, places, Expr::float(0.0));
        let bias = formula.compute(cx, expr, ty)?;
        let last = bias.rank().saturating_sub(1);
        let most = fold(cx, &bias, &[last], Reduction::Max)?;
        if let Some(constant) = most.constant()
            && !constant.tensor()?.to_f32().contains(&f32::NEG_INFINITY)
        {
            return Ok(None);
        }
        let none = Expr::binary(Op::Equal, Expr::operand(0), Expr::float(f32::NEG_INFINITY));
        let blind = cx.elementwise(none, &[&most], ElementType::Bool)?;
        Ok(Some((bias, blind)))
    }

    fn weights(&self, cx: &mut Context, scores: &Value) -> Traced<Value> {
        let Some(sink) = &self.sink else { return cx.apply(Softmax { log: false }, &[scores], scores.ty) };
        let keys = scores.shape[3];
        let sink = cx.expand(sink, &[&scores.shape[..3], &[1]].concat())?;
        let all = cx.apply(Concat { axis: 3 }, &[scores, &sink], scores.ty)?;
        let weights = cx.apply(Softmax { log: false }, &[&all], scores.ty)?;
        cx.slice(&weights, 3, 0, keys)
    }
}

/// `[B, H, S, size]`, head h being the columns `start + h step ..` of `x` `[B, S, ..]`.
pub fn heads(cx: &mut Context, x: &Value, start: usize, step: usize, heads: usize, size: usize) -> Traced<Value> {
    let &[batch, length, ref rest @ ..] = &x.shape[..] else { return Err(cx.error(format!("tokens of shape {:?}", x.shape))) };
    let width: usize = rest.iter().product();
    let end = heads.checked_sub(1).and_then(|h| h.checked_mul(step)).and_then(|last| last.checked_add(start + size));
    if size == 0 || end.is_none_or(|end| end > width) {
        return Err(cx.error(format!("{heads} heads of {size} in tokens of shape {:?}", x.shape)));
    }
    if start == 0 && step == size && heads * size == width && (length == 1 || heads == 1) {
        return cx.reshape(x, &[batch, heads, length, size]);
    }
    let axis = |len: usize, stride: usize| Axis { len, start: 0, step: 1, extent: len, stride };
    let within = Axis { len: size, start: start as i64, step: 1, extent: start + size, stride: 1 };
    let axes = vec![axis(batch, length * width), axis(heads, step), axis(length, width), within];
    cx.apply(View { axes, border: Border::None }, &[x], x.ty)
}

/// `[B, S, H D]` of `[B, H, S, D]`.
pub fn joined(cx: &mut Context, x: &Value) -> Traced<Value> {
    let &[batch, heads, length, size] = &x.shape[..] else { return Err(cx.error(format!("heads of shape {:?}", x.shape))) };
    let tokens = cx.transpose(x, &[0, 2, 1, 3])?;
    cx.reshape(&tokens, &[batch, length, heads * size])
}

/// `past` and then `new` along dimension 2; what has no elements adds nothing.
pub fn appended(cx: &mut Context, past: Option<&Value>, new: &Value) -> Traced<Value> {
    match past.filter(|p| !p.is_empty()) {
        Some(past) => cx.apply(Concat { axis: 2 }, &[past, new], new.ty),
        None => Ok(new.clone()),
    }
}

/// An attribute that counts something, 1 or more.
pub fn count(cx: &Context, name: &str) -> Traced<usize> {
    let n = cx.int(name, 0);
    usize::try_from(n).ok().filter(|n| (1..1 << 31).contains(n)).ok_or_else(|| cx.error(format!("'{name}' is {n}")))
}

fn attention(cx: &mut Context) -> Traced<Vec<Value>> {
    let (mut q, mut k, mut v) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let packed = q.rank() == 3;
    if packed {
        let (many, few) = (count(cx, "q_num_heads")?, count(cx, "kv_num_heads")?);
        for (x, n) in [(&mut q, many), (&mut k, few), (&mut v, few)] {
            let size = x.shape.get(2).copied().unwrap_or(0) / n;
            *x = heads(cx, x, 0, size, n, size)?;
        }
    }
    let &[batch, _, queries, size] = &q.shape[..] else { return Err(cx.error(format!("queries of shape {:?}", q.shape))) };
    let (past_k, past_v) = (cx.optional(4), cx.optional(5));
    let past = past_k.as_ref().and_then(|p| p.shape.get(2)).copied().unwrap_or(0);
    let (k, v) = (appended(cx, past_k.as_ref(), &k)?, appended(cx, past_v.as_ref(), &v)?);
    let keys = k.shape.get(2).copied().unwrap_or(0);
    let side = |n: i64| (n >= 0).then_some(n);
    let mut rules = Rules {
        scale: cx.float("scale", 1.0 / (size as f32).sqrt()),
        softcap: cx.float("softcap", 0.0),
        past: past as i64,
        left: side(cx.int("left_window_size", -1)),
        right: side(cx.int("right_window_size", -1)),
        guarded: true,
        ..Rules::default()
    };
    if cx.int("is_causal", 0) != 0 {
        rules.right = Some(0);
    }
    if let Some(lengths) = cx.optional(6) {
        let lengths = cx.reshape(&lengths, &[batch, 1, 1, 1])?;
        rules.past = -(queries as i64);
        rules.offset = (rules.left.is_some() || rules.right.is_some()).then(|| lengths.clone());
        rules.lengths = Some(lengths);
    }
    if let Some(mask) = cx.optional(3) {
        let is_float = mask.ty.is_float();
        let mask = lengthened(cx, mask, keys)?;
        *if is_float { &mut rules.bias } else { &mut rules.allowed } = Some(mask);
    }
    let shown = match cx.int("qk_matmul_output_mode", 0) {
        _ if !cx.wants(3) => None,
        0 => Some(Shown::Products),
        1 => Some(Shown::Capped),
        2 => Some(Shown::Biased),
        3 => Some(Shown::Weights),
        mode => return Err(cx.unsupported(format!("'qk_matmul_output_mode' {mode}"))),
    };
    let (mut y, scores) = rules.attend(cx, [&q, &k, &v], shown)?;
    if packed {
        y = joined(cx, &y)?;
    }
    Ok([y, k, v].into_iter().chain(scores).collect())
}

/// A mask that ends before the keys do lets queries see none of the others.
fn lengthened(cx: &mut Context, mask: Value, keys: usize) -> Traced<Value> {
    let Some(n) = mask.shape.last().copied().filter(|n| *n < keys && (*n != 1 || cx.opset() >= 24)) else { return Ok(mask) };
    let border = if mask.ty.is_float() { Border::Float(f32::NEG_INFINITY) } else { Border::Int(0) };
    let mut view = View { border, ..View::of(&mask.shape) };
    if let Some(axis) = view.axes.last_mut() {
        (axis.len, axis.extent) = (keys, n);
    }
    cx.apply(view, &[&mask], mask.ty)
}
