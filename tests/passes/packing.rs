//! Quantisations before and after products of bytes.

use wavelane::graph::ValueId;
use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function as F, Operator as O};
use wavelane::ops::pack_bytes::{pack, row_words};
use wavelane::ops::{ByteMatMul, Elementwise, Op, PackBytes};
use wavelane::tensor::{Tensor, Weight};

use crate::random::Numbers;
use crate::{Model, optimized};

const K: usize = 19;

/// The operand by that scale, rounded and held within a byte.
fn quantised(scale: Expr) -> Expr {
    let rounded = Expr::call(F::Round, Expr::binary(O::Quotient, Expr::operand(0), scale));
    let held = Expr::binary(O::Max, Expr::binary(O::Min, rounded, Expr::float(127.0)), Expr::float(-128.0));
    Expr::call(F::ToInt, held)
}

fn packed(m: &mut Model, x: ValueId) -> ValueId {
    m.node(PackBytes { axis: 1, tail: Expr::operand(0) }, &[x])
}

/// The sums of the bytes of `x` and of random ones.
fn product(m: &mut Model, x: ValueId, n: usize) -> ValueId {
    let bytes: Vec<i8> = Numbers::new(9).units(n * K).iter().map(|x| (x * 128.0) as i8).collect();
    let words = Tensor::i64(&[n, row_words(K)], pack(&bytes, K)).unwrap();
    let words = m.0.weight("words", Weight::from_tensor(words).unwrap());
    m.node(ByteMatMul::plain(), &[x, words])
}

#[test]
fn quantisations_go_into_packings_and_products() {
    let mut m = Model::default();
    let x = m.input(&[5, K]);
    let first = m.node(Elementwise::from(quantised(Expr::float(0.03))), &[x]);
    let words = packed(&mut m, first);
    let sums = product(&mut m, words, K);
    let floats = m.node(Elementwise::unary(F::ToFloat), &[sums]);
    let scales = m.weight(&[K], 1);
    let scaled = m.binary(O::Mul, floats, scales);
    let again = m.node(Elementwise::from(quantised(Expr::float(25.0))), &[scaled]);
    let words = packed(&mut m, again);
    let y = product(&mut m, words, 7);
    let after = optimized(m.finish(y), 0.0);
    let [Op::PackBytes(first), Op::ByteMatMul(sums), Op::PackBytes(second), Op::ByteMatMul(_)] =
        &after.nodes.iter().map(|n| n.op.clone()).collect::<Vec<_>>()[..]
    else {
        panic!("{after}")
    };
    assert_eq!(first.tail, quantised(Expr::float(0.03)));
    assert!(sums.tail.size() > 5, "{}", sums.tail);
    assert_eq!(second.tail, Expr::operand(0));
}

#[test]
fn a_number_for_each_row_goes_into_the_product() {
    let mut m = Model::default();
    let x = m.input(&[5, K]);
    let integers = m.node(Elementwise::from(quantised(Expr::float(0.03))), &[x]);
    let words = packed(&mut m, integers);
    let sums = product(&mut m, words, K);
    let floats = m.node(Elementwise::unary(F::ToFloat), &[sums]);
    let rows = m.weight(&[5, 1], 2);
    let y = m.binary(O::Add, floats, rows);
    let after = optimized(m.finish(y), 0.0);
    assert!(matches!(&after.nodes[1].op, Op::ByteMatMul(_)) && after.nodes.len() == 2, "{after}");
}

#[test]
fn the_operand_with_every_element_is_the_one_that_is_packed() {
    let mut m = Model::default();
    let x = m.input(&[5, K]);
    let scale = m.weight(&[K], 3);
    // The scale comes first.
    let expr = quantised(Expr::operand(1)).substitute(&|i| Expr::operand(1 - i));
    let integers = m.node(Elementwise::from(expr), &[scale, x]);
    let words = packed(&mut m, integers);
    let after = optimized(m.finish(words), 0.0);
    assert_eq!(after.nodes.len(), 1, "{after}");
    assert_eq!(after.nodes[0].inputs[0], after.inputs[0], "{after}");
}

#[test]
fn integers_with_other_readers_are_kept() {
    let mut m = Model::default();
    let x = m.input(&[5, K]);
    let integers = m.node(Elementwise::from(quantised(Expr::float(0.03))), &[x]);
    let words = packed(&mut m, integers);
    let sums = product(&mut m, words, K);
    let y = m.binary(O::Add, sums, integers);
    let after = optimized(m.finish(y), 0.0);
    assert!(matches!(&after.nodes[0].op, Op::Elementwise(_)), "{after}");
    assert_eq!(after.nodes.len(), 3, "{after}");
}
