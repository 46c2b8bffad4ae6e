//! Simpler expressions for the same values: identities that hold for every scalar, with infinities, NaN and signed zeros, as the
//! reference computes it.

use super::expr::{Expr, Function as F, Operator as O, Scalar};

/// Functions and operators of a base at most that is written out twice for its square.
const MOST_REPEATED: usize = 4;

impl Expr {
    /// An expression with the same value for all operands; it may name fewer of them.
    #[must_use]
    pub fn simplified(&self) -> Expr {
        match self {
            Expr::Operand(_) | Expr::Float(_) | Expr::Int(_) => self.clone(),
            Expr::Call(f, a) => call(*f, a.simplified()),
            Expr::Binary(o, a, b) => binary(*o, a.simplified(), b.simplified()),
            Expr::Select(c, a, b) => select(c.simplified(), a.simplified(), b.simplified()),
        }
    }

    /// The number, where the expression is one.
    pub fn literal(&self) -> Option<Scalar> {
        match self {
            Expr::Float(bits) => Some(Scalar::Float(f32::from_bits(*bits))),
            Expr::Int(n) => Some(Scalar::Int((*n).into())),
            _ => None,
        }
    }

    /// Whether the value is 0 or 1 whatever the operands are.
    fn is_truth(&self) -> bool {
        match self {
            Expr::Int(n) => matches!(n, 0 | 1),
            Expr::Call(F::Not | F::IsNan | F::IsInf, _) => true,
            Expr::Binary(O::Less | O::LessEqual | O::Equal, ..) => true,
            Expr::Binary(O::And | O::Or | O::Xor, a, b) => a.is_truth() && b.is_truth(),
            _ => false,
        }
    }
}

/// A scalar as an expression; integers beyond 32 bits have none.
fn number(x: Scalar) -> Option<Expr> {
    match x {
        Scalar::Float(x) => Some(Expr::float(x)),
        Scalar::Int(n) => i32::try_from(n).ok().map(Expr::Int),
    }
}

fn call(f: F, a: Expr) -> Expr {
    if let Some(value) = a.literal().filter(|x| f.kind(x.kind()).is_some()).and_then(|x| number(f.apply(x))) {
        return value;
    }
    match (f, a) {
        (F::Neg, Expr::Call(F::Neg, x)) | (F::Complement, Expr::Call(F::Complement, x)) => *x,
        (F::Not, Expr::Call(F::Not, x)) if x.is_truth() => *x,
        (F::FloatOfBits, Expr::Call(F::BitsOfFloat, x)) => *x,
        (F::ToInt, Expr::Call(F::ToFloat, x)) if x.is_truth() => *x,
        // Once rounded, or without a sign, a number stays as it is.
        (F::ToF16 | F::ToBf16 | F::Floor | F::Ceil | F::Round | F::Abs, Expr::Call(inner, x)) if inner == f => Expr::Call(f, x),
        (f, a) => Expr::call(f, a),
    }
}

fn binary(o: O, a: Expr, b: Expr) -> Expr {
    let same = a.literal().zip(b.literal()).filter(|(x, y)| x.kind() == y.kind() && o.kind(x.kind()).is_some());
    if let Some(value) = same.and_then(|(x, y)| number(o.apply(x, y))) {
        return value;
    }
    // What commutes has its number at the right.
    let (a, b) = match o {
        O::Add | O::Mul if a.literal().is_some() => (b, a),
        _ => (a, b),
    };
    match (o, &a, b.literal()) {
        // Adding +0 would make -0 a +0; taking it away, or adding -0, changes nothing.
        (O::Add, _, Some(Scalar::Float(y))) if y.to_bits() == (-0.0f32).to_bits() => a,
        (O::Sub, _, Some(Scalar::Float(y))) if y.to_bits() == 0 => a,
        (O::Add | O::Sub, _, Some(Scalar::Int(0))) => a,
        (O::Mul | O::Div | O::Pow, _, Some(Scalar::Float(1.0))) => a,
        (O::Mul | O::Div | O::Pow, _, Some(Scalar::Int(1))) => a,
        (O::Mul | O::Div, _, Some(Scalar::Float(-1.0))) => call(F::Neg, a),
        (O::Div, Expr::Float(x), _) if f32::from_bits(*x) == 1.0 => call(F::Reciprocal, b),
        (O::Pow, _, Some(Scalar::Float(-1.0))) => call(F::Reciprocal, a),
        (O::Pow, _, Some(Scalar::Float(2.0))) if a.size() <= MOST_REPEATED => Expr::product(a.clone(), a),
        (O::Pow, _, Some(Scalar::Float(3.0))) if a.size() == 0 => Expr::product(Expr::product(a.clone(), a.clone()), a),
        // A root differs from that power at -0 and at the infinity below it, where roots are what is meant.
        (O::Pow, _, Some(Scalar::Float(0.5))) => call(F::Sqrt, a),
        // Whether a truth value is 0.
        (O::Equal, t, Some(Scalar::Int(0))) if t.is_truth() => call(F::Not, a),
        (O::Max, _, Some(Scalar::Float(f32::NEG_INFINITY))) | (O::Min, _, Some(Scalar::Float(f32::INFINITY))) => a,
        (O::Max, Expr::Float(x), _) if f32::from_bits(*x) == f32::NEG_INFINITY => b,
        (O::Min, Expr::Float(x), _) if f32::from_bits(*x) == f32::INFINITY => b,
        _ => Expr::binary(o, a, b),
    }
}

fn select(c: Expr, a: Expr, b: Expr) -> Expr {
    match c {
        Expr::Int(n) => {
            if n != 0 {
                a
            } else {
                b
            }
        }
        _ if a == b => a,
        Expr::Call(F::Not, inner) => Expr::select(*inner, b, a),
        c => Expr::select(c, a, b),
    }
}
