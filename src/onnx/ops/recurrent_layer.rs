//! What recurrent networks share: operands by direction, time, sequences of different lengths, results.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::activation::{Activation, held};
use super::formula::{Formula, less};
use crate::formats::ElementType;
use crate::formats::onnx::Attribute;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;
use crate::ops::{BatchMatMul, Concat, MatMul};
use crate::tensor::Tensor;

/// The operands of a node, `X` with time first, and what all three kinds of networks share.
pub struct Layer {
    steps: usize,
    batch: usize,
    /// H, the numbers of a state.
    pub hidden: usize,
    /// `[T, B, I]`.
    x: Value,
    /// One, or forwards and backwards.
    pub directions: Vec<Direction>,
    /// Whether the node's operands and results have the batch first.
    batch_first: bool,
    /// `[T, B, 1]`: whether a sequence has that step; nothing where all have all.
    active: Option<Value>,
    clip: Option<f32>,
}

/// The operands of one direction. G gates of H numbers lie one after another.
pub struct Direction {
    backward: bool,
    /// In the order in which the standard writes them: f, g, h.
    pub activations: Vec<Activation>,
    /// `[G H, I]`.
    weights: Value,
    /// `[G H, H]`.
    pub recurrent: Value,
    /// `[G H]`, those of the inputs and those of the hidden state.
    pub biases: Option<[Value; 2]>,
    /// `[B, H]` each, nothing where zero: the hidden state, and an LSTM's cell.
    state: [Option<Value>; 2],
    /// `[3 H]`.
    pub peepholes: Option<Value>,
}

/// What one direction computed.
pub struct Track {
    /// `[B, H]` at each step.
    hidden: Vec<Value>,
    last: Vec<Value>,
}

impl Layer {
    /// Reads the node's operands for networks of `gates` gates, whose activations are `defaults` where the node names none.
    pub fn read(cx: &mut Context, gates: usize, defaults: &[&'static str]) -> Traced<Self> {
        let (mut x, w, r) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let batch_first = cx.int("layout", 0) == 1;
        if batch_first && x.rank() == 3 {
            x = cx.transpose(&x, &[1, 0, 2])?;
        }
        let backward: &[bool] = match cx.text("direction", "forward") {
            "reverse" => &[true],
            "bidirectional" => &[false, true],
            _ => &[false],
        };
        let n = backward.len();
        let (&[steps, batch, inputs], &[_, _, hidden]) = (&x.shape[..], &r.shape[..]) else {
            return Err(cx.error(format!("operands of shapes {:?} and {:?}, expected three dimensions each", x.shape, r.shape)));
        };
        if w.shape != [n, gates * hidden, inputs] || r.shape != [n, gates * hidden, hidden] {
            return Err(cx.error(format!("weights of shapes {:?} and {:?} for inputs {:?}", w.shape, r.shape, x.shape)));
        }
        if x.is_empty() || r.is_empty() {
            return Err(cx.unsupported(format!("a recurrent network over {:?}", x.shape)));
        }
        let activations = activations(cx, n, defaults)?;
        let clip = cx.float("clip", 0.0);
        let mut directions = Vec::new();
        let mut layer = Layer {
            steps,
            batch,
            hidden,
            x,
            directions: Vec::new(),
            batch_first,
            active: None,
            clip: (clip > 0.0).then_some(clip),
        };
        for (d, backward) in backward.iter().enumerate() {
            let per = |cx: &mut Context, i: usize, shape: &[usize]| layer.of_direction(cx, i, d, n, shape);
            let biases = match per(cx, 3, &[2 * gates * hidden])? {
                Some(b) => Some([cx.slice(&b, 0, 0, gates * hidden)?, cx.slice(&b, 0, gates * hidden, gates * hidden)?]),
                None => None,
            };
            let direction = Direction {
                backward: *backward,
                activations: activations[d * defaults.len()..][..defaults.len()].to_vec(),
                weights: slab(cx, &w, d)?,
                recurrent: slab(cx, &r, d)?,
                biases,
                state: [per(cx, 5, &[batch, hidden])?, per(cx, 6, &[batch, hidden])?],
                peepholes: per(cx, 7, &[3 * hidden])?,
            };
            directions.push(direction);
        }
        layer.directions = directions;
        layer.active = layer.active(cx)?;
        Ok(layer)
    }

    /// What direction `d` of `n` has of operand `i`, which holds `shape` for each.
    fn of_direction(&self, cx: &mut Context, i: usize, d: usize, n: usize, shape: &[usize]) -> Traced<Option<Value>> {
        let Some(mut value) = cx.optional(i) else { return Ok(None) };
        if self.batch_first && value.rank() == 3 {
            value = cx.transpose(&value, &[1, 0, 2])?;
        }
        if value.shape != [&[n], shape].concat() {
            return Err(cx.error(format!("operand {i} has the shape {:?}, expected {n} of {shape:?}", value.shape)));
        }
        slab(cx, &value, d).map(Some)
    }

    /// Which steps each sequence has, where not all have all.
    fn active(&self, cx: &mut Context) -> Traced<Option<Value>> {
        let Some(lengths) = cx.optional(4) else { return Ok(None) };
        if lengths.shape != [self.batch] {
            return Err(cx.error(format!("lengths of shape {:?} for {} sequences", lengths.shape, self.batch)));
        }
        if let Some(constant) = lengths.constant() {
            let full = |n: &i64| *n >= self.steps as i64;
            if constant.tensor()?.as_i64()?.iter().all(full) {
                return Ok(None);
            }
        }
        let lengths = cx.reshape(&lengths, &[1, self.batch, 1])?;
        let times = Tensor::i64(&[self.steps, 1, 1], (0..self.steps as i64).collect())?;
        let times = cx.constant(ElementType::Int64, times);
        Ok(Some(cx.elementwise(less(Expr::operand(0), Expr::operand(1)), &[&times, &lengths], ElementType::Bool)?))
    }

    /// `x W' + b` of some gates at all steps: `[T, B, len]`, with rows `start ..` of the weights.
    pub fn inputs(&self, cx: &mut Context, of: &Direction, both_biases: bool, start: usize, len: usize) -> Traced<Value> {
        let weights = cx.slice(&of.weights, 0, start, len)?;
        let Some([input, state]) = &of.biases else { return product(cx, &self.x, &weights, Expr::operand(0), &[]) };
        let mut bias = cx.slice(input, 0, start, len)?;
        if both_biases {
            let state = cx.slice(state, 0, start, len)?;
            bias = cx.binary(Op::Add, &bias, &state)?;
        }
        product(cx, &self.x, &weights, Expr::sum(Expr::operand(0), Expr::operand(1)), &[&bias])
    }

    /// `x` as the node's `clip` holds it before activations.
    pub fn clipped(&self, x: Expr) -> Expr {
        match self.clip {
            Some(most) => held(x, -most, most),
            None => x,
        }
    }

    /// Runs `step(t, state)` over time. It yields the new state, of which sequences that have ended keep the old.
    pub fn run(
        &self,
        cx: &mut Context,
        of: &Direction,
        states: usize,
        mut step: impl FnMut(&mut Context, &Moment, &[Option<Value>]) -> Traced<Vec<Value>>,
    ) -> Traced<Track> {
        let mut state = of.state.iter().take(states).cloned().collect::<Vec<_>>();
        let mut hidden = Vec::new();
        for i in 0..self.steps {
            let t = if of.backward { self.steps - 1 - i } else { i };
            let active = match &self.active {
                Some(active) => Some(slab(cx, active, t)?),
                None => None,
            };
            let new = step(cx, &Moment { t, active }, &state)?;
            hidden.extend(new.first().cloned());
            state = new.into_iter().map(Some).collect();
        }
        if of.backward {
            hidden.reverse();
        }
        Ok(Track { hidden, last: state.into_iter().flatten().collect() })
    }

    /// The node's results: the hidden states of all steps, then the last states.
    pub fn results(&self, cx: &mut Context, tracks: Vec<Track>) -> Traced<Vec<Value>> {
        let (b, h) = (self.batch, self.hidden);
        let mut results = Vec::new();
        let steps = (0..self.steps).flat_map(|t| tracks.iter().filter_map(move |track| track.hidden.get(t)));
        let steps: Vec<Value> = steps.cloned().collect();
        let mut y = steps.first().cloned().ok_or_else(|| cx.error("no steps"))?;
        if cx.wants(0) {
            y = stacked(cx, &steps)?;
            y = cx.reshape(&y, &[self.steps, tracks.len(), b, h])?;
            if let Some(active) = &self.active {
                let active = cx.reshape(active, &[self.steps, 1, b, 1])?;
                let expr = Expr::select(Expr::operand(1), Expr::operand(0), Expr::float(0.0));
                y = cx.elementwise(expr, &[&y, &active], y.ty)?;
            }
            if self.batch_first {
                y = cx.transpose(&y, &[2, 0, 1, 3])?;
            }
        }
        results.push(y);
        for i in 0..tracks.first().map_or(0, |t| t.last.len()) {
            let states: Vec<Value> = tracks.iter().filter_map(|t| t.last.get(i)).cloned().collect();
            let mut last = stacked(cx, &states)?;
            if self.batch_first {
                last = cx.transpose(&last, &[1, 0, 2])?;
            }
            results.push(last);
        }
        Ok(results)
    }
}

/// A step in time.
pub struct Moment {
    /// Its number.
    pub t: usize,
    /// `[B, 1]`: whether each sequence has this step.
    pub active: Option<Value>,
}

impl Moment {
    /// `new` where a sequence has this step, else `old`.
    pub fn or_keep<'a>(&'a self, formula: &mut Formula<'a>, new: Expr, old: Option<Expr>) -> Expr {
        match &self.active {
            Some(active) => Expr::select(formula.operand(active), new, old.unwrap_or(Expr::float(0.0))),
            None => new,
        }
    }
}

/// The activations of all directions, in the node's order.
fn activations(cx: &Context, directions: usize, defaults: &[&'static str]) -> Traced<Vec<Activation>> {
    let names: Vec<&[u8]> = match cx.attribute("activations") {
        Some(Attribute::Strings(names)) => names.iter().map(Vec::as_slice).collect(),
        _ => Vec::new(),
    };
    let all: Vec<&[u8]> = match names.len() {
        0 => defaults.iter().map(|name| name.as_bytes()).cycle().take(directions * defaults.len()).collect(),
        _ => names,
    };
    if all.len() < directions * defaults.len() {
        return Err(cx.error(format!("{} activations of {directions} directions", all.len())));
    }
    // Only functions that have a parameter take one from the lists.
    let mut alphas = cx.floats("activation_alpha").unwrap_or_default().iter().copied();
    let mut betas = cx.floats("activation_beta").unwrap_or_default().iter().copied();
    let named = |name: &&[u8]| {
        let unknown = || cx.unsupported(format!("the activation '{}'", String::from_utf8_lossy(name)));
        Activation::named(name, &mut alphas, &mut betas).ok_or_else(unknown)
    };
    all.iter().map(named).collect()
}

/// Entry `i` of the first dimension.
pub fn slab(cx: &mut Context, value: &Value, i: usize) -> Traced<Value> {
    let one = cx.slice(value, 0, i, 1)?;
    let shape = one.shape.get(1..).unwrap_or_default().to_vec();
    cx.reshape(&one, &shape)
}

/// Values of one shape along a new first dimension.
pub fn stacked(cx: &mut Context, values: &[Value]) -> Traced<Value> {
    let mut rows = Vec::with_capacity(values.len());
    for value in values {
        rows.push(cx.reshape(value, &[&[1], &value.shape[..]].concat())?);
    }
    match &rows[..] {
        [one] => Ok(one.clone()),
        [first, ..] => cx.apply(Concat { axis: 0 }, &rows.iter().collect::<Vec<_>>(), first.ty),
        [] => Err(cx.error("no values")),
    }
}

/// `tail(x weights', others...)` for `x` `[.., K]` and `weights` `[N, K]`.
pub fn product(cx: &mut Context, x: &Value, weights: &Value, tail: Expr, others: &[&Value]) -> Traced<Value> {
    let operands = [&[x, weights], others].concat();
    match weights.is_lasting() && x.constant().is_none() {
        true => cx.apply(MatMul { tail, ..MatMul::plain() }, &operands, x.ty),
        false => cx.apply(BatchMatMul { transpose_b: true, tail, ..BatchMatMul::plain() }, &operands, x.ty),
    }
}
