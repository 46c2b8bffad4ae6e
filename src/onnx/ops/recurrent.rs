//! Recurrent networks, unrolled: inputs meet their weights for all steps at once, then step follows step.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::formula::{Formula, difference};
use super::recurrent_layer::{Layer, product, slab};
use super::{Operator, device};
use crate::kernel::Expr;

pub const OPERATORS: &[Operator] = &[device("GRU", gru), device("LSTM", lstm), device("RNN", rnn)];

/// Gate `i` of `[B, G H]`.
fn gate(cx: &mut Context, all: &Value, hidden: usize, i: usize) -> Traced<Value> {
    cx.slice(all, 1, i * hidden, hidden)
}

/// `x + h R'`; a state of zeros adds nothing.
fn recurrence(cx: &mut Context, h: Option<&Value>, weights: &Value, x: &Value) -> Traced<Value> {
    match h {
        Some(h) => product(cx, h, weights, Expr::sum(Expr::operand(0), Expr::operand(1)), &[x]),
        None => Ok(x.clone()),
    }
}

fn rnn(cx: &mut Context) -> Traced<Vec<Value>> {
    let layer = Layer::read(cx, 1, &["Tanh"])?;
    let mut tracks = Vec::new();
    for of in &layer.directions {
        let x = layer.inputs(cx, of, true, 0, layer.hidden)?;
        tracks.push(layer.run(cx, of, 1, |cx, moment, state| {
            let (x, h) = (slab(cx, &x, moment.t)?, state[0].as_ref());
            let z = recurrence(cx, h, &of.recurrent, &x)?;
            let mut formula = Formula::default();
            let new = of.activations[0].of(layer.clipped(formula.operand(&z)));
            let old = moment.active.as_ref().and(h).map(|h| formula.operand(h));
            let new = moment.or_keep(&mut formula, new, old);
            Ok(vec![formula.compute(cx, new, x.ty)?])
        })?);
    }
    layer.results(cx, tracks)
}

/// Gates: update z, reset r, hidden h.
fn gru(cx: &mut Context) -> Traced<Vec<Value>> {
    let layer = Layer::read(cx, 3, &["Sigmoid", "Tanh"])?;
    let n = layer.hidden;
    let reset_after = cx.int("linear_before_reset", 0) != 0;
    let mut tracks = Vec::new();
    for of in &layer.directions {
        let (f, g) = (of.activations[0], of.activations[1]);
        let gates_x = layer.inputs(cx, of, true, 0, 2 * n)?;
        let hidden_x = layer.inputs(cx, of, !reset_after, 2 * n, n)?;
        let gates_r = cx.slice(&of.recurrent, 0, 0, 2 * n)?;
        let hidden_r = cx.slice(&of.recurrent, 0, 2 * n, n)?;
        let hidden_bias = match &of.biases {
            Some([_, state]) => Some(cx.slice(state, 0, 2 * n, n)?),
            None => None,
        };
        tracks.push(layer.run(cx, of, 1, |cx, moment, state| {
            let h = state[0].as_ref();
            let (gates_x, hidden_x) = (slab(cx, &gates_x, moment.t)?, slab(cx, &hidden_x, moment.t)?);
            let zr = recurrence(cx, h, &gates_r, &gates_x)?;
            let (z, r) = (gate(cx, &zr, n, 0)?, gate(cx, &zr, n, 1)?);
            // What the reset gate lets through of the state, in the hidden gate's terms.
            let through = match (h, &hidden_bias, reset_after) {
                (Some(h), Some(bias), true) => {
                    let biased = Expr::sum(Expr::operand(0), Expr::operand(1));
                    Some(product(cx, h, &hidden_r, biased, &[bias])?)
                }
                (Some(h), None, true) => Some(product(cx, h, &hidden_r, Expr::operand(0), &[])?),
                (None, bias, true) => bias.clone(),
                (Some(h), _, false) => {
                    let reset = f.of(layer.clipped(Expr::operand(1)));
                    let kept = cx.elementwise(Expr::product(reset, Expr::operand(0)), &[h, &r], h.ty)?;
                    Some(product(cx, &kept, &hidden_r, Expr::operand(0), &[])?)
                }
                (None, _, false) => None,
            };
            let mut formula = Formula::default();
            let update = f.of(layer.clipped(formula.operand(&z)));
            let mut inner = formula.operand(&hidden_x);
            if let Some(through) = &through {
                let mut part = formula.operand(through);
                if reset_after {
                    part = Expr::product(f.of(layer.clipped(formula.operand(&r))), part);
                }
                inner = Expr::sum(inner, part);
            }
            let inner = g.of(layer.clipped(inner));
            let mut new = Expr::product(difference(Expr::float(1.0), update.clone()), inner);
            let old = h.map(|h| formula.operand(h));
            if let Some(old) = &old {
                new = Expr::sum(new, Expr::product(update, old.clone()));
            }
            let new = moment.or_keep(&mut formula, new, old);
            Ok(vec![formula.compute(cx, new, zr.ty)?])
        })?);
    }
    layer.results(cx, tracks)
}

/// Gates: input i, output o, forget f, cell c.
fn lstm(cx: &mut Context) -> Traced<Vec<Value>> {
    let layer = Layer::read(cx, 4, &["Sigmoid", "Tanh", "Tanh"])?;
    let n = layer.hidden;
    let coupled = cx.int("input_forget", 0) != 0;
    let mut tracks = Vec::new();
    for of in &layer.directions {
        let (f, g, h_of) = (of.activations[0], of.activations[1], of.activations[2]);
        let x = layer.inputs(cx, of, true, 0, 4 * n)?;
        let mut peepholes = Vec::new();
        if let Some(all) = &of.peepholes {
            for i in 0..3 {
                peepholes.push(cx.slice(all, 0, i * n, n)?);
            }
        }
        tracks.push(layer.run(cx, of, 2, |cx, moment, state| {
            let (h, c) = (state[0].as_ref(), state[1].as_ref());
            let x = slab(cx, &x, moment.t)?;
            let all = recurrence(cx, h, &of.recurrent, &x)?;
            let [i, o] = [gate(cx, &all, n, 0)?, gate(cx, &all, n, 1)?];
            let [forget, cell] = [gate(cx, &all, n, 2)?, gate(cx, &all, n, 3)?];
            let seen = |x: Expr, hole: Option<Expr>, c: Option<Expr>| match (hole, c) {
                (Some(hole), Some(c)) => f.of(layer.clipped(Expr::sum(x, Expr::product(hole, c)))),
                _ => f.of(layer.clipped(x)),
            };

            let mut formula = Formula::default();
            let old = c.map(|c| formula.operand(c));
            let hole = peepholes.first().filter(|_| c.is_some()).map(|p| formula.operand(p));
            let input = seen(formula.operand(&i), hole, old.clone());
            let mut new = Expr::product(input.clone(), g.of(layer.clipped(formula.operand(&cell))));
            if let Some(old) = &old {
                let keep = match coupled {
                    true => difference(Expr::float(1.0), input),
                    false => {
                        let hole = peepholes.get(2).map(|p| formula.operand(p));
                        seen(formula.operand(&forget), hole, Some(old.clone()))
                    }
                };
                new = Expr::sum(Expr::product(keep, old.clone()), new);
            }
            let new = moment.or_keep(&mut formula, new, old);
            let new_c = formula.compute(cx, new, all.ty)?;

            let mut formula = Formula::default();
            let c = formula.operand(&new_c);
            let hole = peepholes.get(1).map(|p| formula.operand(p));
            let output = seen(formula.operand(&o), hole, Some(c.clone()));
            let new = Expr::product(output, h_of.of(c));
            let old = moment.active.as_ref().and(h).map(|h| formula.operand(h));
            let new = moment.or_keep(&mut formula, new, old);
            let new_h = formula.compute(cx, new, all.ty)?;
            Ok(vec![new_h, new_c])
        })?);
    }
    layer.results(cx, tracks)
}
