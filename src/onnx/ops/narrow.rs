//! Rounding to floats that have fewer bits than a graph's.

use crate::formats::ElementType;
use crate::formats::element::ScaleRounding;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};

/// What is beyond the greatest number of a format without saturation.
enum Beyond {
    Infinity,
    Nan,
    /// The greatest number, whatever is wanted.
    Greatest,
}

/// The numbers of a format: `n * 2^(e - mantissa)` with `|n| < 2^(mantissa + 1)` and `e >= least`, up to `greatest`.
struct Grid {
    mantissa: i32,
    least: i32,
    greatest: f32,
    beyond: Beyond,
}

impl Grid {
    /// As specified in arXiv:2209.05433, arXiv:2206.02915 (the `fnuz` formats) and the OCP Microscaling specification 1.0.
    fn of(ty: ElementType) -> Option<Self> {
        let (mantissa, least, greatest, beyond) = match ty {
            ElementType::Float8E4M3Fn => (3, -6, 448.0, Beyond::Nan),
            ElementType::Float8E4M3Fnuz => (3, -7, 240.0, Beyond::Nan),
            ElementType::Float8E5M2 => (2, -14, 57344.0, Beyond::Infinity),
            ElementType::Float8E5M2Fnuz => (2, -15, 57344.0, Beyond::Nan),
            ElementType::Float4E2M1 => (1, 0, 6.0, Beyond::Greatest),
            ElementType::Float6E2M3 => (3, 0, 7.5, Beyond::Greatest),
            ElementType::Float6E3M2 => (2, -2, 28.0, Beyond::Greatest),
            _ => return None,
        };
        Some(Grid { mantissa, least, greatest, beyond })
    }

    fn round(&self, x: Expr, saturate: bool) -> Expr {
        // The power of two at or below |x|. Beyond 2^64, which is beyond all formats, its reciprocal would leave f32.
        let size = Expr::binary(Op::Max, Expr::call(Function::Abs, x.clone()), Expr::float(2f32.powi(self.least)));
        let size = Expr::binary(Op::Min, size, Expr::float(2f32.powi(64)));
        let exponent = Expr::binary(Op::And, Expr::call(Function::BitsOfFloat, size), Expr::int(0x7f80_0000));
        let reciprocal = Expr::binary(Op::Sub, Expr::int(0x7f00_0000), exponent.clone());
        let scaled = |bits: Expr, by: i32| Expr::product(Expr::call(Function::FloatOfBits, bits), Expr::float(2f32.powi(by)));
        let units = Expr::call(Function::Round, Expr::product(x.clone(), scaled(reciprocal, self.mantissa)));
        let rounded = Expr::product(units, scaled(exponent, -self.mantissa));
        let (greatest, nan) = (self.greatest, Expr::float(f32::NAN));
        let held = match self.beyond {
            Beyond::Greatest => clamped(rounded, greatest),
            _ if saturate => clamped(rounded, greatest),
            Beyond::Nan => select_beyond(rounded, greatest, nan.clone(), nan.clone()),
            Beyond::Infinity => select_beyond(rounded, greatest, Expr::float(f32::NEG_INFINITY), Expr::float(f32::INFINITY)),
        };
        // Formats of numbers only take NaN for zero.
        let not_number = if matches!(self.beyond, Beyond::Greatest) { Expr::float(0.0) } else { nan };
        Expr::select(Expr::call(Function::IsNan, x), not_number, held)
    }
}

fn clamped(x: Expr, most: f32) -> Expr {
    Expr::binary(Op::Max, Expr::binary(Op::Min, x, Expr::float(most)), Expr::float(-most))
}

fn select_beyond(x: Expr, most: f32, below: Expr, above: Expr) -> Expr {
    let too_small = Expr::binary(Op::Less, x.clone(), Expr::float(-most));
    let too_large = Expr::binary(Op::Less, Expr::float(most), x.clone());
    Expr::select(too_small, below, Expr::select(too_large, above, x))
}

/// A power of two near `x`, as [`ElementType::round_scale`] chooses it. In integers, since the least of them is less than what
/// devices compute with as a float.
fn scale(x: Expr, rounding: ScaleRounding, saturate: bool) -> Expr {
    const LEAST: i64 = 0x0040_0000;
    const SECOND: i64 = 0x0080_0000;
    const GREATEST: i64 = 0x7f00_0000;
    let bits = Expr::call(Function::BitsOfFloat, x.clone());
    let size = Expr::binary(Op::And, bits.clone(), Expr::int(i32::MAX.into()));
    let below = |limit: i64| Expr::binary(Op::Less, size.clone(), Expr::int(limit));
    // What is added to a mantissa before it is cut off, the least number that becomes the second power, the least that becomes
    // the first.
    let (add, second, first) = match rounding {
        ScaleRounding::Nearest => (LEAST, LEAST + LEAST / 2, LEAST / 2 + LEAST / 4),
        ScaleRounding::Up => (SECOND - 1, LEAST + 1, LEAST / 2 + 1),
        ScaleRounding::Down => (0, SECOND, LEAST),
    };
    let normal = Expr::binary(Op::And, Expr::sum(size.clone(), Expr::int(add)), Expr::int(0x7f80_0000));
    let nan = Expr::int(0x7fc0_0000);
    let lowest = if saturate { Expr::int(LEAST) } else { Expr::select(below(first), nan.clone(), Expr::int(LEAST)) };
    let small = Expr::select(below(second), lowest, Expr::int(SECOND));
    let held = match saturate {
        true => Expr::binary(Op::Min, normal, Expr::int(GREATEST)),
        false => {
            let beyond = Expr::binary(Op::Less, Expr::int(GREATEST), normal.clone());
            Expr::select(beyond, nan.clone(), normal)
        }
    };
    let held = Expr::select(below(SECOND), small, held);
    // Numbers below zero have none.
    let negative = Expr::binary(Op::And, Expr::binary(Op::Less, bits, Expr::int(0)), Expr::binary(Op::Less, Expr::int(0), size));
    let invalid = Expr::binary(Op::Or, negative, Expr::call(Function::IsNan, x));
    Expr::call(Function::FloatOfBits, Expr::select(invalid, nan, held))
}

/// The float `x` rounded to the float type `to`; nothing for other types. What is out of range becomes the greatest number if
/// `saturate`, in the types to which that applies; `rounding` is for powers of two.
pub fn rounded(x: Expr, to: ElementType, saturate: bool, rounding: ScaleRounding) -> Option<Expr> {
    Some(match to {
        ElementType::Float | ElementType::Double => x,
        ElementType::Float16 => Expr::call(Function::ToF16, x),
        ElementType::Bfloat16 => Expr::call(Function::ToBf16, x),
        ElementType::Float8E8M0 => scale(x, rounding, saturate),
        _ => Grid::of(to)?.round(x, saturate),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::expr::Scalar;

    /// Floats of every exponent, near the numbers of every format and in the middle between them.
    fn floats() -> impl Iterator<Item = f32> {
        let magnitudes = (0..=0x7fc0u32).flat_map(|high| [0, 1, 0x8000, 0xffff].map(|low| f32::from_bits(high << 16 | low)));
        magnitudes.flat_map(|x| [x, -x])
    }

    fn same(to: ElementType, saturate: bool, rounding: ScaleRounding, expected: impl Fn(f32) -> f32) {
        let expr = rounded(Expr::operand(0), to, saturate, rounding).unwrap();
        for x in floats() {
            let (found, expected) = (expr.eval(&|_| Scalar::Float(x)).float(), expected(x));
            assert!(found == expected || (found.is_nan() && expected.is_nan()), "{x:e} as {to}: {found:e}, not {expected:e}");
        }
    }

    #[test]
    fn formats_round_as_their_codes_do() {
        use ElementType::*;
        for to in [Float8E4M3Fn, Float8E4M3Fnuz, Float8E5M2, Float8E5M2Fnuz, Float4E2M1, Float6E2M3, Float6E3M2] {
            for saturate in [false, true] {
                same(to, saturate, ScaleRounding::Up, |x| to.round(x, saturate));
            }
        }
    }

    #[test]
    fn powers_of_two_round_as_their_codes_do() {
        for rounding in [ScaleRounding::Nearest, ScaleRounding::Up, ScaleRounding::Down] {
            for saturate in [false, true] {
                let expected = |x| ElementType::round_scale(x, rounding, saturate);
                same(ElementType::Float8E8M0, saturate, rounding, expected);
            }
        }
    }
}
