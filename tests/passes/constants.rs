//! Numbers in expressions, and simpler expressions.

use wavelane::dtype::DType;
use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function as F, Kind, Operator as O, Scalar};
use wavelane::ops::{Elementwise, Op};
use wavelane::tensor::{Tensor, Weight};

use crate::random::Numbers;
use crate::{Model, count, optimized, pass};

fn x() -> Expr {
    Expr::operand(0)
}

#[test]
fn numbers_become_part_of_expressions() {
    let mut m = Model::default();
    let input = m.input(&[2, 3]);
    let (two, half) = (m.number(2.0), m.weight(&[1, 1], 7));
    let y = m.binary(O::Mul, two, input);
    let y = m.binary(O::Add, y, half);
    let after = optimized(m.finish(y), 1e-6);
    let Op::Elementwise(op) = &after.nodes[0].op else { panic!("{after}") };
    assert_eq!(after.nodes.len(), 1);
    assert_eq!(after.nodes[0].inputs.len(), 1);
    assert_eq!(op.expr.operands(), 1);
}

#[test]
fn operands_that_make_the_shape_stay() {
    let mut m = Model::default();
    let input = m.input(&[3]);
    // Of one element, but of two dimensions.
    let one = m.weight(&[1, 1], 7);
    let two = m.weight(&[2, 1], 8);
    let y = m.binary(O::Mul, one, input);
    let z = m.binary(O::Add, y, two);
    let mut graph = m.finish(z);
    assert_eq!(pass("inline-constants", &mut graph), 0);
    // An operand that decides nothing but the shape.
    let mut m = Model::default();
    let (small, large) = (m.input(&[3]), m.input(&[2, 3]));
    let condition = m.0.weight("one", Weight::from_tensor(Tensor::i64(&[], vec![1]).unwrap()).unwrap());
    let select = Elementwise::from(Expr::select(Expr::operand(2), Expr::operand(0), Expr::operand(1)));
    let y = m.node(select, &[small, large, condition]);
    let mut graph = m.finish(y);
    assert_eq!(pass("inline-constants", &mut graph), 0);
}

#[test]
fn integers_beyond_32_bits_stay() {
    let mut m = Model::default();
    let input = m.0.input("x", DType::I64, &[3][..]);
    let held = |m: &mut Model, n: i64| m.0.weight("n", Weight::from_tensor(Tensor::i64(&[1], vec![n]).unwrap()).unwrap());
    let (near, far) = (held(&mut m, 7), held(&mut m, 1 << 40));
    let y = m.binary(O::Add, input, near);
    let y = m.binary(O::Min, y, far);
    let mut graph = m.finish(y);
    assert_eq!(pass("inline-constants", &mut graph), 1);
    assert_eq!(graph.nodes[0].inputs.len(), 1);
    assert_eq!(graph.nodes[1].inputs.len(), 2);
}

#[test]
fn nodes_that_hand_on_their_operand_go() {
    let mut m = Model::default();
    let input = m.input(&[5]);
    let y = m.with(O::Mul, input, 1.0);
    let y = m.with(O::Sub, y, 0.0);
    let y = m.call(F::Exp, y);
    assert_eq!(count(&optimized(m.finish(y), 0.0), "Elementwise"), 1);
}

#[test]
fn only_what_holds_for_every_scalar_is_simplified() {
    let simple = [
        (Expr::product(Expr::float(1.0), x()), x()),
        (Expr::binary(O::Sub, x(), Expr::float(0.0)), x()),
        (Expr::sum(x(), Expr::float(-0.0)), x()),
        (Expr::binary(O::Div, x(), Expr::float(1.0)), x()),
        (Expr::binary(O::Pow, x(), Expr::float(2.0)), Expr::product(x(), x())),
        (Expr::binary(O::Pow, x(), Expr::float(-1.0)), Expr::call(F::Reciprocal, x())),
        (Expr::binary(O::Pow, x(), Expr::float(0.5)), Expr::call(F::Sqrt, x())),
        (Expr::binary(O::Max, Expr::float(f32::NEG_INFINITY), x()), x()),
        (Expr::call(F::Neg, Expr::call(F::Neg, x())), x()),
        (Expr::select(Expr::int(0), Expr::float(1.0), x()), x()),
        (Expr::call(F::Exp, Expr::sum(Expr::float(1.0), Expr::float(-1.0))), Expr::float(1.0)),
    ];
    for (long, short) in simple {
        assert_eq!(long.simplified(), short);
    }
    // +0 makes -0 a 0, a product with 0 of what is infinite is none, integers beyond 24 bits are rounded as floats.
    let stays = [
        Expr::sum(x(), Expr::float(0.0)),
        Expr::binary(O::Sub, x(), Expr::float(-0.0)),
        Expr::product(x(), Expr::float(0.0)),
        Expr::binary(O::Max, x(), Expr::float(f32::MIN)),
        Expr::call(F::ToInt, Expr::call(F::ToFloat, x())),
        Expr::call(F::Not, Expr::call(F::Not, x())),
        Expr::call(F::BitsOfFloat, Expr::call(F::FloatOfBits, x())),
        Expr::binary(O::Pow, x(), Expr::float(2.5)),
    ];
    for expr in stays {
        assert_eq!(expr.simplified(), expr);
    }
}

/// An expression of `depth` with the operands 0, a float, and 1, an integer, of the kind.
fn random(numbers: &mut Numbers, depth: u32, kind: Kind) -> Expr {
    const FLOATS: [f32; 8] = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, f32::INFINITY, f32::NEG_INFINITY];
    if depth == 0 || numbers.below(6) == 0 {
        return match (kind, numbers.below(2)) {
            (Kind::Float, 0) => Expr::operand(0),
            (Kind::Int, 0) => Expr::operand(1),
            (Kind::Float, _) => Expr::float(FLOATS[numbers.below(8) as usize]),
            (Kind::Int, _) => Expr::int(numbers.below(4) as i64 - 1),
        };
    }
    let mut of = |kind| random(numbers, depth - 1, kind);
    match kind {
        Kind::Float => {
            let (a, b, c) = (of(Kind::Float), of(Kind::Float), of(Kind::Int));
            match numbers.below(10) {
                0 => Expr::call(F::Neg, a),
                1 => Expr::call(F::Abs, a),
                2 => Expr::call(F::Reciprocal, a),
                3 => Expr::call(F::ToFloat, c),
                4 => Expr::select(c, a, b),
                5 => Expr::call(F::Floor, a),
                i => Expr::binary([O::Add, O::Sub, O::Mul, O::Max][i as usize - 6], a, b),
            }
        }
        Kind::Int => {
            let (a, b, c) = (of(Kind::Int), of(Kind::Int), of(Kind::Float));
            match numbers.below(8) {
                0 => Expr::call(F::Not, a),
                1 => Expr::call(F::Complement, a),
                2 => Expr::call(F::IsNan, c),
                3 => Expr::binary(O::Less, c, Expr::float(0.5)),
                i => Expr::binary([O::Add, O::Mul, O::Div, O::Equal][i as usize - 4], a, b),
            }
        }
    }
}

#[test]
fn random_expressions_keep_their_values() {
    let mut numbers = Numbers::new(11);
    let mut shorter = 0;
    for i in 0..4000 {
        let expr = random(&mut numbers, 5, if i % 3 == 0 { Kind::Int } else { Kind::Float });
        let simple = expr.simplified();
        shorter += usize::from(simple.size() < expr.size());
        for x in [0.0, -0.0, 1.0, -1.5, 0.3, 1e-40, 3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            for n in [0, 1, -1, 5, i64::from(i32::MAX)] {
                let operand = |o: u32| if o == 0 { Scalar::Float(x) } else { Scalar::Int(n) };
                let same = match (expr.eval(&operand), simple.eval(&operand)) {
                    (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
                    (a, b) => a == b,
                };
                assert!(same, "{expr:?}\n{simple:?} for {x} and {n}");
            }
        }
    }
    assert!(shorter > 1000, "only {shorter} became simpler");
}
