//! Attention in products and softmax.

use wavelane::dtype::DType;
use wavelane::graph::{Graph, ValueId};
use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::{BatchMatMul, DenseAttention, Elementwise, Op, Softmax, View};

use crate::{Model, count, optimized};

const SOFTMAX: Softmax = Softmax { log: false };

fn input(m: &mut Model, name: &str, shape: &[usize]) -> ValueId {
    m.0.input(name, DType::F32, shape)
}

fn scores(m: &mut Model, q: ValueId, k: ValueId) -> ValueId {
    m.node(BatchMatMul { transpose_b: true, scale: 0.25, ..BatchMatMul::plain() }, &[q, k])
}

/// Queries, keys and values of these shapes, whose scores `between` makes weights of.
fn attention(shapes: [&[usize]; 3], between: impl Fn(&mut Model, ValueId) -> ValueId) -> Graph {
    let mut m = Model::default();
    let [q, k, v] = [("q", 0), ("k", 1), ("v", 2)].map(|(name, i)| input(&mut m, name, shapes[i]));
    let products = scores(&mut m, q, k);
    let weights = between(&mut m, products);
    let y = m.node(BatchMatMul::plain(), &[weights, v]);
    m.finish(y)
}

const HEADS: [&[usize]; 3] = [&[2, 3, 17, 8], &[2, 3, 19, 8], &[2, 3, 19, 6]];

fn only(graph: &Graph) -> &DenseAttention {
    let all: Vec<&DenseAttention> =
        graph.nodes.iter().filter_map(|n| if let Op::DenseAttention(op) = &n.op { Some(op) } else { None }).collect();
    let others = graph.nodes.iter().filter(|n| !matches!(n.op, Op::DenseAttention(_) | Op::Reshape(_))).count();
    assert!(all.len() == 1 && others == 0, "{graph}");
    all[0]
}

#[test]
fn products_with_a_softmax_between_them_are_attention() {
    let plain = optimized(attention(HEADS, |m, x| m.node(SOFTMAX, &[x])), 1e-5);
    let op = only(&plain);
    assert_eq!((op.scale, &op.score), (0.25, &Expr::operand(0)));
}

#[test]
fn masks_between_them_are_part_of_it() {
    let masks: [&[usize]; 6] = [&[2, 3, 17, 19], &[2, 1, 1, 19], &[17, 19], &[3, 17, 1], &[19], &[1]];
    for mask in masks {
        let masked = attention(HEADS, |m, x| {
            let mask = input(m, "mask", mask);
            let sum = m.binary(O::Add, x, mask);
            m.node(SOFTMAX, &[sum])
        });
        assert_eq!(only(&optimized(masked, 1e-5)).score.size(), 1);
    }
    // Capped, and seen where a mask is above 0.
    let chosen = attention(HEADS, |m, x| {
        let mask = input(m, "mask", &[17, 19]);
        let capped = m.call(F::Tanh, x);
        let seen = Expr::binary(O::Less, Expr::float(0.0), Expr::operand(1));
        let chosen = Expr::select(seen, Expr::operand(0), Expr::float(f32::MIN));
        let chosen = m.node(Elementwise::from(chosen), &[capped, mask]);
        m.node(SOFTMAX, &[chosen])
    });
    only(&optimized(chosen, 1e-5));
}

#[test]
fn heads_that_share_keys_are_attention() {
    // Queries of two heads are rows of one product; their masks know them apart.
    let shapes: [&[usize]; 3] = [&[2, 3, 34, 8], &[2, 3, 19, 8], &[2, 3, 19, 6]];
    for mask in [&[2, 6, 17, 19][..], &[2, 1, 17, 19], &[6, 1, 1]] {
        let grouped = attention(shapes, |m, x| {
            let apart = m.reshape(x, &[2, 6, 17, 19]);
            let mask = input(m, "mask", mask);
            let sum = m.binary(O::Add, apart, mask);
            let weights = m.node(SOFTMAX, &[sum]);
            m.reshape(weights, &[2, 3, 34, 19])
        });
        only(&optimized(grouped, 1e-5));
    }
    let broadcast = attention([&[2, 3, 17, 8], &[3, 19, 8], &[19, 6]], |m, x| m.node(SOFTMAX, &[x]));
    only(&optimized(broadcast, 1e-5));
}

/// Queries, keys and values in one tensor `[2, 17, 3 * 2 * 4]`, as exporters write it.
#[test]
fn it_reads_its_operands_where_they_lie() {
    let mut m = Model::default();
    let x = m.input(&[2, 17, 24]);
    let split = m.reshape(x, &[2, 17, 3, 2, 4]);
    let turned = m.node(View::transpose(&[2, 17, 3, 2, 4], &[2, 0, 3, 1, 4]), &[split]);
    let [q, k, v] = [0, 1, 2].map(|i| {
        let mut part = View::of(&[3, 2, 2, 17, 4]);
        (part.axes[0].start, part.axes[0].len) = (i, 1);
        let part = m.node(part, &[turned]);
        m.reshape(part, &[2, 2, 17, 4])
    });
    let k = m.node(View::transpose(&[2, 2, 17, 4], &[0, 1, 3, 2]), &[k]);
    let products = m.node(BatchMatMul::plain(), &[q, k]);
    let scaled = m.with(O::Mul, products, 0.5);
    let weights = m.node(SOFTMAX, &[scaled]);
    let y = m.node(BatchMatMul::plain(), &[weights, v]);
    let after = optimized(m.finish(y), 1e-5);
    assert!(only(&after).views.iter().all(Option::is_some), "{after}");
}

#[test]
fn what_is_read_elsewhere_or_small_stays() {
    let stays = |graph: Graph| assert_eq!(count(&optimized(graph, 1e-5), "DenseAttention"), 0);
    // Few queries, and few keys.
    stays(attention([&[2, 15, 8], &[2, 19, 8], &[2, 19, 6]], |m, x| m.node(SOFTMAX, &[x])));
    stays(attention([&[2, 17, 8], &[2, 15, 8], &[2, 15, 6]], |m, x| m.node(SOFTMAX, &[x])));
    // Long heads.
    stays(attention([&[17, 129], &[19, 129], &[19, 6]], |m, x| m.node(SOFTMAX, &[x])));
    // No softmax, or its logarithm.
    stays(attention(HEADS, |m, x| m.call(F::Tanh, x)));
    stays(attention(HEADS, |m, x| m.node(Softmax { log: true }, &[x])));
    // Values for which weights would have to be there again.
    stays(attention([&[17, 8], &[19, 8], &[2, 19, 6]], |m, x| m.node(SOFTMAX, &[x])));
    // Weights, or scores, that are results too.
    for scores in [false, true] {
        stays(attention(HEADS, |m, x| {
            let weights = m.node(SOFTMAX, &[x]);
            m.0.output(if scores { x } else { weights });
            weights
        }));
    }
}
