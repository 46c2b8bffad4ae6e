//! The operators of two scalars: value, WGSL, and how far a device may be off.

use serde::{Deserialize, Serialize};

use super::function::{Kind, Scalar};

/// An operator of two scalars of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    /// Of integers: truncated; what is divided by 0 stays as it is.
    Div,
    /// Of floats: the quotient, rounded correctly on devices too, which may be a few units off in `Div`; among normal numbers.
    Quotient,
    /// The remainder with the sign of the divisor; of integers by 0: 0.
    Mod,
    /// The remainder with the sign of the dividend; of integers by 0: 0.
    Rem,
    /// Of integers: by repeated products, 0 for negative exponents of other bases than 1 and -1.
    Pow,
    Min,
    Max,
    /// 1 or 0.
    Less,
    /// 1 or 0.
    LessEqual,
    /// 1 or 0.
    Equal,
    /// Bits of integers.
    And,
    /// Bits of integers.
    Or,
    /// Bits of integers.
    Xor,
    /// Of integers; 0 where the shift is negative or 32 or more.
    ShiftLeft,
    /// Of integers, with the sign; of the sign alone where the shift is negative or 32 or more.
    ShiftRight,
}

use Operator as O;

impl Operator {
    /// All operators.
    pub const ALL: [Operator; 18] = [
        O::Add,
        O::Sub,
        O::Mul,
        O::Div,
        O::Quotient,
        O::Mod,
        O::Rem,
        O::Pow,
        O::Min,
        O::Max,
        O::Less,
        O::LessEqual,
        O::Equal,
        O::And,
        O::Or,
        O::Xor,
        O::ShiftLeft,
        O::ShiftRight,
    ];

    /// The kind of the result, or `None` for operands that the operator does not take.
    pub fn kind(self, operands: Kind) -> Option<Kind> {
        match (self, operands) {
            (O::Less | O::LessEqual | O::Equal, _) => Some(Kind::Int),
            (O::And | O::Or | O::Xor | O::ShiftLeft | O::ShiftRight, Kind::Float) | (O::Quotient, Kind::Int) => None,
            (_, kind) => Some(kind),
        }
    }

    /// The value for operands of one kind.
    pub fn apply(self, a: Scalar, b: Scalar) -> Scalar {
        match (a, b) {
            (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(self.of_ints(a, b)),
            (a, b) => self.of_floats(a.float(), b.float()),
        }
    }

    fn of_floats(self, a: f32, b: f32) -> Scalar {
        let either_nan = a.is_nan() || b.is_nan();
        Scalar::Float(match self {
            O::Add => a + b,
            O::Sub => a - b,
            O::Mul => a * b,
            O::Div | O::Quotient => a / b,
            O::Mod => {
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            }
            O::Rem => a % b,
            O::Pow => a.powf(b),
            O::Min | O::Max if either_nan => f32::NAN,
            O::Min => a.min(b),
            O::Max => a.max(b),
            O::Less => return Scalar::Int((a < b).into()),
            O::LessEqual => return Scalar::Int((a <= b).into()),
            O::Equal => return Scalar::Int((a == b).into()),
            O::And | O::Or | O::Xor | O::ShiftLeft | O::ShiftRight => f32::NAN,
        })
    }

    fn of_ints(self, a: i64, b: i64) -> i64 {
        match self {
            O::Add => a.wrapping_add(b),
            O::Sub => a.wrapping_sub(b),
            O::Mul => a.wrapping_mul(b),
            O::Div | O::Quotient if b == 0 => a,
            O::Div | O::Quotient => a.wrapping_div(b),
            O::Mod | O::Rem if b == 0 => 0,
            O::Mod => (a.wrapping_rem(b).wrapping_add(b)).wrapping_rem(b),
            O::Rem => a.wrapping_rem(b),
            O::Pow => power(a, b),
            O::Min => a.min(b),
            O::Max => a.max(b),
            O::Less => (a < b).into(),
            O::LessEqual => (a <= b).into(),
            O::Equal => (a == b).into(),
            O::And => a & b,
            O::Or => a | b,
            O::Xor => a ^ b,
            O::ShiftLeft => {
                if (0..64).contains(&b) {
                    a << b
                } else {
                    0
                }
            }
            O::ShiftRight => a >> if (0..64).contains(&b) { b } else { 63 },
        }
    }

    /// The WGSL of the value for operands of `kind`.
    pub fn wgsl(self, kind: Kind, a: &str, b: &str) -> String {
        let float = kind == Kind::Float;
        match self {
            O::Add => format!("({a} + {b})"),
            O::Sub => format!("({a} - {b})"),
            O::Mul => format!("({a} * {b})"),
            O::Div if float => format!("({a} / {b})"),
            O::Div => format!("div_int({a}, {b})"),
            O::Quotient => format!("quotient({a}, {b})"),
            O::Mod if float => format!("mod_float({a}, {b})"),
            O::Mod => format!("mod_int({a}, {b})"),
            O::Rem if float => format!("rem_float({a}, {b})"),
            O::Rem => format!("rem_int({a}, {b})"),
            O::Pow if float => format!("pow_float({a}, {b})"),
            O::Pow => format!("pow_int({a}, {b})"),
            O::Min if float => format!("min_float({a}, {b})"),
            O::Max if float => format!("max_float({a}, {b})"),
            O::Min => format!("min({a}, {b})"),
            O::Max => format!("max({a}, {b})"),
            O::Less => format!("select(0, 1, {a} < {b})"),
            O::LessEqual => format!("select(0, 1, {a} <= {b})"),
            O::Equal => format!("select(0, 1, {a} == {b})"),
            O::And => format!("({a} & {b})"),
            O::Or => format!("({a} | {b})"),
            O::Xor => format!("({a} ^ {b})"),
            O::ShiftLeft => format!("shift_left({a}, {b})"),
            O::ShiftRight => format!("shift_right({a}, {b})"),
        }
    }

    /// How far a device may be from `y`, the value for exactly `a` and `b`. WGSL makes `pow` of `exp2(b * log2(a))`: the error
    /// of the logarithm is multiplied by `b`.
    pub fn error(self, a: f32, b: f32, y: f32) -> f32 {
        const UNIT: f32 = f32::EPSILON;
        match self {
            O::Add | O::Sub | O::Min | O::Max => UNIT * y.abs(),
            O::Mul => UNIT * y.abs() + f32::MIN_POSITIVE,
            O::Div => 3.0 * UNIT * y.abs() + f32::MIN_POSITIVE,
            O::Quotient if [a, b, y].iter().all(|x| x.is_normal() && x.abs() > 1e-36) => 0.0,
            O::Quotient => 3.0 * UNIT * y.abs() + 1e-36,
            O::Mod | O::Rem => 4.0 * UNIT * (a.abs() + b.abs()) + f32::MIN_POSITIVE,
            O::Pow => {
                let exponent = (b * a.abs().max(f32::MIN_POSITIVE).log2()).abs();
                (32.0 + 8.0 * exponent + 8.0 * b.abs()) * UNIT * y.abs() + f32::MIN_POSITIVE
            }
            _ => 0.0,
        }
    }
}

fn power(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, n) => {
            if n % 2 == 0 {
                1
            } else {
                -1
            }
        }
        (_, n) if n < 0 => 0,
        (base, n) => base.wrapping_pow(n.min(64) as u32),
    }
}
