//! What is promised of numbers for which WGSL promises nothing.

use super::expr::{Expr, Function, Operator};

/// What is promised of operands with extreme numbers. WGSL lets devices assume that there are neither infinities nor NaN, and take
/// numbers below the normal ones for 0; what is promised all the same is what kernels are held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extremes {
    /// Nothing: something is undefined there, or as near to it as no tolerance tells.
    #[default]
    Unspecified,
    /// Zeros of both signs and the ends of f16 are numbers as all others.
    Finite,
    /// Also where operands are infinite, NaN or below the normal numbers, results that are finite in the reference are as always;
    /// nothing of the others.
    Apart,
    /// As [`Extremes::Apart`], and the others are not finite either.
    Poisoned,
    /// Results are as the reference has them for every f32, and NaN where it has NaN.
    Kept,
}

/// Zeros, ends of f16 and ones; the largest is still one where a rotation adds two of them up.
const EDGES: [f32; 8] = [0.0, -0.0, 46000.0, -46000.0, 6.103_515_6e-5, 5.960_464_5e-8, 1.0, -1.0];
const POISON: [f32; 5] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-42];
const ODD: [f32; 9] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-42, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE];

impl Extremes {
    /// Finite numbers to be tried among ordinary ones; none where nothing is promised of them.
    pub fn edges(self) -> &'static [f32] {
        if self == Extremes::Unspecified { &[] } else { &EDGES }
    }

    /// Numbers to be tried that are not finite, or that devices may take for 0; none where nothing is promised of them.
    pub fn odd(self) -> &'static [f32] {
        match self {
            Extremes::Unspecified | Extremes::Finite => &[],
            Extremes::Apart | Extremes::Poisoned => &POISON,
            Extremes::Kept => &ODD,
        }
    }

    fn of_function(function: Function) -> Self {
        use Function as F;
        match function {
            // These look at bits.
            F::IsNan | F::IsInf | F::BitsOfFloat => Extremes::Kept,
            F::Neg | F::Abs => Extremes::Poisoned,
            // The exponential of NaN is a number on SwiftShader, as WGSL allows.
            F::Silu | F::Sigmoid => Extremes::Apart,
            _ => Extremes::Unspecified,
        }
    }

    fn of_operator(operator: Operator) -> Self {
        use Operator as O;
        match operator {
            // The first two test for NaN by bits.
            O::Min | O::Max | O::Add | O::Sub | O::Mul => Extremes::Poisoned,
            // Comparisons may be compiled as if there were no NaN.
            _ => Extremes::Unspecified,
        }
    }

    /// Of an expression: the least of what it is made of.
    pub fn of(expr: &Expr) -> Self {
        let own = match expr {
            Expr::Operand(_) | Expr::Float(_) | Expr::Int(_) | Expr::Select(..) => Extremes::Kept,
            Expr::Call(function, _) => Extremes::of_function(*function),
            Expr::Binary(operator, ..) => Extremes::of_operator(*operator),
        };
        expr.parts().map(Extremes::of).fold(own, Extremes::min)
    }
}
