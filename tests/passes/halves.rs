//! Halves joined for an elementwise node: rotary embeddings.

use wavelane::dtype::DType;
use wavelane::graph::{Graph, ValueId};
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::{Concat, View};

use crate::{Model, count, optimized};

/// The numbers `start, start + step, ..` of heads `[2, 3, 5, 8]`, four of them.
fn part(m: &mut Model, x: ValueId, start: i64, step: i64) -> ValueId {
    let mut view = View::of(&[2, 3, 5, 8]);
    let last = &mut view.axes[3];
    (last.start, last.step, last.len) = (start, step, 4);
    m.node(view, &[x])
}

fn halves_turned(m: &mut Model, x: ValueId) -> ValueId {
    let (a, b) = (part(m, x, 0, 1), part(m, x, 4, 1));
    let b = m.call(F::Neg, b);
    m.node(Concat { axis: 3 }, &[b, a])
}

/// Each number's partner is its neighbour.
fn neighbours_turned(m: &mut Model, x: ValueId) -> ValueId {
    let (a, b) = (part(m, x, 0, 2), part(m, x, 1, 2));
    let b = m.call(F::Neg, b);
    let [b, a] = [b, a].map(|x| m.reshape(x, &[2, 3, 5, 4, 1]));
    let pairs = m.node(Concat { axis: 4 }, &[b, a]);
    m.reshape(pairs, &[2, 3, 5, 8])
}

/// `x cos + turned(x) sin`.
fn rotary(turned: fn(&mut Model, ValueId) -> ValueId, angles: impl Fn(&mut Model) -> [ValueId; 2]) -> Graph {
    let mut m = Model::default();
    let x = m.input(&[2, 3, 5, 8]);
    let [cos, sin] = angles(&mut m);
    let along = m.binary(O::Mul, x, cos);
    let turned = turned(&mut m, x);
    let across = m.binary(O::Mul, turned, sin);
    let y = m.binary(O::Add, along, across);
    m.finish(y)
}

#[test]
fn rotary_embeddings_are_one_node() {
    for turned in [halves_turned, neighbours_turned] {
        for shape in [&[5, 8][..], &[2, 1, 5, 8], &[1, 1, 1, 8]] {
            let known = rotary(turned, |m| [1, 2].map(|seed| m.weight(shape, seed)));
            let computed = rotary(turned, |m| ["cos", "sin"].map(|name| m.0.input(name, DType::F32, shape)));
            for graph in [known, computed] {
                let after = optimized(graph, 0.0);
                let left = after.nodes.iter().filter(|n| n.op.name() != "Reshape").count();
                assert_eq!((left, count(&after, "Elementwise")), (1, 1), "{after}");
            }
        }
    }
}

#[test]
fn what_is_joined_for_others_too_stays() {
    let mut m = Model::default();
    let x = m.input(&[2, 3, 5, 8]);
    let turned = halves_turned(&mut m, x);
    m.0.output(turned);
    let y = m.binary(O::Mul, turned, x);
    assert_eq!(count(&optimized(m.finish(y), 0.0), "Concat"), 1);
    // Parts of unlike sizes.
    let mut m = Model::default();
    let (a, b) = (m.input(&[3, 2]), m.input(&[3, 4]));
    let joined = m.node(Concat { axis: 1 }, &[a, b]);
    let y = m.call(F::Tanh, joined);
    assert_eq!(count(&optimized(m.finish(y), 0.0), "Concat"), 1);
}
