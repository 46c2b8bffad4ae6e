//! Views and reshapes between other nodes.

use wavelane::graph::{Graph, ValueId};
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::conv::Conv;
use wavelane::ops::view::{Axis, Border};
use wavelane::ops::{BatchMatMul, Elementwise, Op, Softmax, Strided, View};

use crate::random::Numbers;
use crate::{Model, count, optimized, outputs};

/// The part of a tensor of `shape` whose coordinate along `axis` is in `from..to`.
fn slice(shape: &[usize], axis: usize, from: usize, to: usize) -> View {
    let mut view = View::of(shape);
    view.axes[axis].start = from as i64;
    view.axes[axis].len = to - from;
    view
}

/// Attention with queries, keys and values in one tensor `[2, 7, 3 * 2 * 4]`, as exporters write it.
fn attention() -> Graph {
    let mut m = Model::default();
    let x = m.input(&[2, 7, 24]);
    let split = m.reshape(x, &[2, 7, 3, 2, 4]);
    let turned = m.node(View::transpose(&[2, 7, 3, 2, 4], &[2, 0, 3, 1, 4]), &[split]);
    let [q, k, v] = [0, 1, 2].map(|i| {
        let part = m.node(slice(&[3, 2, 2, 7, 4], 0, i, i + 1), &[turned]);
        m.reshape(part, &[2, 2, 7, 4])
    });
    let q = m.with(O::Mul, q, 0.5);
    let q = m.with(O::Add, q, 0.0);
    let k = m.node(View::transpose(&[2, 2, 7, 4], &[0, 1, 3, 2]), &[k]);
    let scores = m.node(BatchMatMul::plain(), &[q, k]);
    let weights = m.node(Softmax { log: false }, &[scores]);
    let y = m.node(BatchMatMul::plain(), &[weights, v]);
    let y = m.node(View::transpose(&[2, 2, 7, 4], &[0, 2, 1, 3]), &[y]);
    let y = m.reshape(y, &[2, 7, 8]);
    m.finish(y)
}

#[test]
fn attention_reads_its_operands_where_they_lie() {
    let after = optimized(attention(), 1e-5);
    let products: Vec<&BatchMatMul> =
        after.nodes.iter().filter_map(|n| if let Op::BatchMatMul(op) = &n.op { Some(op) } else { None }).collect();
    assert_eq!(products.len(), 2);
    assert_eq!(products[0].scale, 0.5);
    // What is left is the copy of the result.
    assert_eq!(count(&after, "View"), 1, "{after}");
    assert_eq!(count(&after, "Elementwise"), 0, "{after}");
    assert!(products[0].views.iter().all(Option::is_some) && products[1].views[1].is_some(), "{after}");
}

#[test]
fn elementwise_nodes_read_through_views() {
    let mut m = Model::default();
    let x = m.input(&[3, 8]);
    let [a, b] = [0, 4].map(|from| m.node(slice(&[3, 8], 1, from, from + 4), &[x]));
    let turned = m.node(View::transpose(&[3, 4], &[1, 0]), &[b]);
    let square = m.reshape(turned, &[3, 4]);
    let gate = m.call(F::Sigmoid, square);
    let y = m.binary(O::Mul, gate, a);
    let after = optimized(m.finish(y), 0.0);
    // The elements of a transpose in other rows are in no regular places, so that one stays.
    assert_eq!((count(&after, "View"), count(&after, "Elementwise")), (1, 1), "{after}");
    let mut m = Model::default();
    let x = m.input(&[3, 8]);
    let [a, b] = [0, 4].map(|from| m.node(slice(&[3, 8], 1, from, from + 4), &[x]));
    let gate = m.call(F::Sigmoid, b);
    let y = m.binary(O::Mul, gate, a);
    let after = optimized(m.finish(y), 0.0);
    assert_eq!((count(&after, "View"), count(&after, "Elementwise")), (0, 1), "{after}");
}

#[test]
fn views_that_say_more_than_places_stay() {
    let mut m = Model::default();
    let x = m.input(&[2, 4]);
    let axis = Axis { len: 4, start: 3, step: -1, extent: 4, stride: 1 };
    let backwards = m.node(View { axes: vec![View::of(&[2, 4]).axes[0], axis], border: Border::None }, &[x]);
    let axis = Axis { len: 6, start: -1, step: 1, extent: 4, stride: 1 };
    let padded = m.node(View { axes: vec![View::of(&[2, 4]).axes[0], axis], border: Border::Float(1.0) }, &[x]);
    let narrow = m.node(slice(&[2, 6], 1, 0, 4), &[padded]);
    let twice = m.node(View::transpose(&[2, 4], &[1, 0]), &[x]);
    let y = m.binary(O::Add, backwards, narrow);
    let a = m.node(BatchMatMul::plain(), &[y, twice]);
    let b = m.node(BatchMatMul::plain(), &[twice, a]);
    let after = optimized(m.finish(b), 1e-6);
    // Backwards, padded, and one with two readers; the slice of what is padded is read through.
    assert_eq!(count(&after, "View"), 3, "{after}");
}

#[test]
fn views_compose_and_those_in_place_go() {
    let mut m = Model::default();
    let x = m.input(&[2, 3, 4]);
    let turned = m.node(View::transpose(&[2, 3, 4], &[2, 0, 1]), &[x]);
    let back = m.node(View::transpose(&[4, 2, 3], &[1, 2, 0]), &[turned]);
    let y = m.call(F::Exp, back);
    let after = optimized(m.finish(y), 0.0);
    assert_eq!(after.nodes.len(), 1, "{after}");
    // Dimensions of 1 are turned in place.
    let mut m = Model::default();
    let x = m.input(&[2, 1, 4]);
    let turned = m.node(View::transpose(&[2, 1, 4], &[1, 0, 2]), &[x]);
    let y = m.node(Softmax { log: false }, &[turned]);
    let after = optimized(m.finish(y), 0.0);
    assert_eq!((count(&after, "View"), count(&after, "Reshape")), (0, 1), "{after}");
}

#[test]
fn random_chains_of_views_keep_their_values() {
    let mut numbers = Numbers::new(5);
    for _ in 0..300 {
        let mut m = Model::default();
        let mut shape = vec![2, 3, 4];
        let mut x: ValueId = m.input(&shape);
        for _ in 0..1 + numbers.below(5) {
            match numbers.below(4) {
                0 => {
                    let shapes: [&[usize]; 5] = [&[4, 6], &[24], &[3, 8], &[2, 2, 6], &[2, 1, 3, 2, 2]];
                    let to = shapes[numbers.below(5) as usize];
                    if to.iter().product::<usize>() == shape.iter().product::<usize>() {
                        x = m.reshape(x, to);
                        shape = to.to_vec();
                    }
                }
                1 => {
                    let axis = numbers.below(shape.len() as u64) as usize;
                    let from = numbers.below(shape[axis] as u64) as usize;
                    x = m.node(slice(&shape, axis, from, shape[axis]), &[x]);
                    shape[axis] -= from;
                }
                2 => {
                    let mut view = View::of(&shape);
                    let axis = numbers.below(shape.len() as u64) as usize;
                    view.axes[axis].step = 2;
                    view.axes[axis].len = shape[axis].div_ceil(2);
                    x = m.node(view, &[x]);
                    shape[axis] = shape[axis].div_ceil(2);
                }
                _ => {
                    let mut order: Vec<usize> = (0..shape.len()).collect();
                    order.rotate_left(numbers.below(shape.len() as u64) as usize);
                    x = m.node(View::transpose(&shape, &order), &[x]);
                    shape = order.iter().map(|d| shape[*d]).collect();
                }
            }
        }
        let y = m.call(F::Neg, x);
        optimized(m.finish(y), 0.0);
    }
}

#[test]
fn reshapes_let_biases_through() {
    let mut m = Model::default();
    let x = m.input(&[1, 2, 5, 1]);
    let w = m.weight(&[6, 2, 1, 1], 1);
    let y = m.node(Conv::plain(2), &[x, w]);
    let y = m.reshape(y, &[1, 6, 5]);
    let bias = m.weight(&[1, 6, 1], 2);
    let y = m.binary(O::Add, bias, y);
    let y = m.call(F::Tanh, y);
    let after = optimized(m.finish(y), 1e-6);
    assert_eq!((count(&after, "Elementwise"), count(&after, "Conv")), (0, 1), "{after}");
    // A bias that goes with the dimensions as they become.
    let mut m = Model::default();
    let x = m.input(&[1, 2, 5, 1]);
    let w = m.weight(&[6, 2, 1, 1], 1);
    let y = m.node(Conv::plain(2), &[x, w]);
    let y = m.reshape(y, &[5, 6]);
    let bias = m.weight(&[6], 2);
    let y = m.binary(O::Add, bias, y);
    let after = optimized(m.finish(y), 1e-6);
    assert_eq!(count(&after, "Elementwise"), 1, "{after}");
}

#[test]
fn operands_outside_of_a_tensor_are_refused() {
    let read = |start, steps: [usize; 2]| {
        let mut m = Model::default();
        let x = m.input(&[2, 3]);
        let view = Strided { shape: vec![3, 2], start, steps: steps.to_vec() };
        let op = Elementwise { views: vec![Some(view)], ..Elementwise::unary(F::Exp) };
        m.0.one("node", op, &[x]).is_ok()
    };
    assert!(read(0, [1, 3]) && read(1, [2, 0]));
    assert!(!read(1, [1, 3]) && !read(6, [0, 0]) && !read(0, [usize::MAX, 1]));
    let graph = attention();
    assert_eq!(outputs(&graph, 1)[0].shape(), [2, 7, 8]);
}
