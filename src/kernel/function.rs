//! Scalars and the functions of one scalar: value, WGSL, and how far a device may be off.

use serde::{Deserialize, Serialize};

/// What a scalar is. Truth values are integers, 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// f32.
    Float,
    /// 64 bits on the host, i32 on devices.
    Int,
}

impl Kind {
    /// The WGSL type.
    pub fn wgsl(self) -> &'static str {
        match self {
            Kind::Float => "f32",
            Kind::Int => "i32",
        }
    }
}

/// One scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A float.
    Float(f32),
    /// An integer or a truth value.
    Int(i64),
}

impl Scalar {
    /// Its kind.
    pub fn kind(self) -> Kind {
        match self {
            Scalar::Float(_) => Kind::Float,
            Scalar::Int(_) => Kind::Int,
        }
    }

    /// The value as a float.
    pub fn float(self) -> f32 {
        match self {
            Scalar::Float(x) => x,
            Scalar::Int(n) => n as f32,
        }
    }

    /// The value as an integer: floats are truncated, and held at the ends of 32 bits, as WGSL converts.
    pub fn int(self) -> i64 {
        match self {
            Scalar::Float(x) => truncate(x),
            Scalar::Int(n) => n,
        }
    }
}

impl From<f32> for Scalar {
    fn from(x: f32) -> Self {
        Scalar::Float(x)
    }
}

// Clamped to the largest f32 below 2^31, beyond which a conversion to i32 means nothing in WGSL.
fn truncate(x: f32) -> i64 {
    (x as i64).clamp(i32::MIN.into(), 2147483520)
}

/// A function of one scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Function {
    /// `x / (1 + e^-x)`, the gate of SwiGLU (Shazeer 2020, arXiv:2002.05202).
    Silu,
    /// The tanh form of GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415), the gate of GeGLU.
    GeluTanh,
    /// `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
    Erf,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Sigmoid,
    /// `log(1 + e^x)`.
    Softplus,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Neg,
    Abs,
    /// -1, 0 or 1.
    Sign,
    Floor,
    Ceil,
    /// To the nearest integer, ties to even.
    Round,
    /// Through half precision and back.
    ToF16,
    /// Through bfloat16 and back.
    ToBf16,
    /// Of a float: whether it is not a number.
    IsNan,
    /// Of a float: whether it is infinite.
    IsInf,
    /// Of an integer: 1 for 0, else 0.
    Not,
    /// Of an integer: every bit flipped.
    Complement,
    /// Of an integer: its lower 32 bits, the highest of them the sign: what a device holds of it.
    ToI32,
    /// Of an integer: its lower 32 bits without a sign; a device holds the same bits.
    ToU32,
    /// From an integer.
    ToFloat,
    /// From a float, truncated.
    ToInt,
    /// The float with the integer's lower 32 bits.
    FloatOfBits,
    /// The integer with the float's bits.
    BitsOfFloat,
}

use Function as F;

impl Function {
    /// All functions.
    pub const ALL: [Function; 40] = [
        F::Silu,
        F::GeluTanh,
        F::Gelu,
        F::Erf,
        F::Exp,
        F::Log,
        F::Sqrt,
        F::Reciprocal,
        F::Sigmoid,
        F::Softplus,
        F::Sin,
        F::Cos,
        F::Tan,
        F::Asin,
        F::Acos,
        F::Atan,
        F::Sinh,
        F::Cosh,
        F::Tanh,
        F::Asinh,
        F::Acosh,
        F::Atanh,
        F::Neg,
        F::Abs,
        F::Sign,
        F::Floor,
        F::Ceil,
        F::Round,
        F::ToF16,
        F::ToBf16,
        F::IsNan,
        F::IsInf,
        F::Not,
        F::Complement,
        F::ToI32,
        F::ToU32,
        F::ToFloat,
        F::ToInt,
        F::FloatOfBits,
        F::BitsOfFloat,
    ];

    /// The kind of the result, or `None` for an argument that the function does not take.
    pub fn kind(self, argument: Kind) -> Option<Kind> {
        match (self, argument) {
            (F::Neg | F::Abs | F::Sign, kind) => Some(kind),
            (F::IsNan | F::IsInf | F::ToInt | F::BitsOfFloat, Kind::Float) => Some(Kind::Int),
            (F::ToFloat | F::FloatOfBits, Kind::Int) => Some(Kind::Float),
            (F::Not | F::Complement | F::ToI32 | F::ToU32, Kind::Int) => Some(Kind::Int),
            (F::IsNan | F::IsInf | F::ToInt | F::BitsOfFloat, Kind::Int) => None,
            (F::Not | F::Complement | F::ToI32 | F::ToU32 | F::ToFloat | F::FloatOfBits, Kind::Float) => None,
            (_, Kind::Float) => Some(Kind::Float),
            (_, Kind::Int) => None,
        }
    }

    /// The value at `x`, which is of a kind that the function takes.
    pub fn apply(self, x: Scalar) -> Scalar {
        match (self, x) {
            (F::Neg, Scalar::Int(n)) => Scalar::Int(n.wrapping_neg()),
            (F::Abs, Scalar::Int(n)) => Scalar::Int(n.wrapping_abs()),
            (F::Sign, Scalar::Int(n)) => Scalar::Int(n.signum()),
            (F::Not, n) => Scalar::Int((n.int() == 0).into()),
            (F::Complement, n) => Scalar::Int(!n.int()),
            (F::ToI32, n) => Scalar::Int((n.int() as i32).into()),
            (F::ToU32, n) => Scalar::Int((n.int() as u32).into()),
            (F::ToFloat, n) => Scalar::Float(n.float()),
            (F::FloatOfBits, n) => Scalar::Float(f32::from_bits(n.int() as u32)),
            (F::ToInt, x) => Scalar::Int(x.int()),
            (F::BitsOfFloat, x) => Scalar::Int((x.float().to_bits() as i32).into()),
            (F::IsNan, x) => Scalar::Int(x.float().is_nan().into()),
            (F::IsInf, x) => Scalar::Int(x.float().is_infinite().into()),
            (_, x) => Scalar::Float(self.of_float(x.float())),
        }
    }

    fn of_float(self, x: f32) -> f32 {
        match self {
            F::Silu => x / (1.0 + (-x).exp()),
            // x (1 + tanh(u)) / 2 is x times the sigmoid of 2u, which neither cancels nor overflows to NaN.
            F::GeluTanh => x / (1.0 + (-1.595_769 * (x + 0.044715 * x * x * x)).exp()),
            F::Gelu => (0.5 * f64::from(x) * (1.0 + erf(f64::from(x) * std::f64::consts::FRAC_1_SQRT_2))) as f32,
            F::Erf => erf(x.into()) as f32,
            F::Exp => x.exp(),
            F::Log => x.ln(),
            F::Sqrt => x.sqrt(),
            F::Reciprocal => 1.0 / x,
            F::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            F::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            F::Sin => x.sin(),
            F::Cos => x.cos(),
            F::Tan => x.tan(),
            F::Asin => x.asin(),
            F::Acos => x.acos(),
            F::Atan => x.atan(),
            F::Sinh => x.sinh(),
            F::Cosh => x.cosh(),
            F::Tanh => x.tanh(),
            F::Asinh => x.asinh(),
            F::Acosh => x.acosh(),
            F::Atanh => x.atanh(),
            F::Neg => -x,
            F::Abs => x.abs(),
            F::Sign if x == 0.0 || x.is_nan() => x,
            F::Sign => x.signum(),
            F::Floor => x.floor(),
            F::Ceil => x.ceil(),
            F::Round => x.round_ties_even(),
            F::ToF16 => half::f16::from_f32(x).to_f32(),
            F::ToBf16 => half::bf16::from_f32(x).to_f32(),
            F::IsNan | F::IsInf | F::Not | F::Complement | F::ToI32 | F::ToU32 => x,
            F::ToFloat | F::ToInt | F::FloatOfBits | F::BitsOfFloat => x,
        }
    }

    /// How far a device may be from `y`, the value at exactly `x`.
    ///
    /// WGSL grants `exp` 3 + 2 |x| units, division 2.5 and `sqrt` what one division and its inverse leave; functions made of
    /// these in `shaders/functions.wgsl` stay below 16 units plus the growth with |x|. `log` may be 2^-21 off near 1, the inverse
    /// trigonometric functions 4096 units; `erf` is Abramowitz and Stegun 7.1.26's kind of fit, good to 2e-7 times its slope.
    pub fn error(self, x: f32, y: f32) -> f32 {
        const UNIT: f32 = f32::EPSILON;
        let relative = |units: f32| units * UNIT * y.abs() + f32::MIN_POSITIVE;
        match self {
            F::Silu | F::Exp | F::Sigmoid => relative(16.0 + 4.0 * x.abs()),
            // The exponent is 2u, a few roundings off.
            F::GeluTanh => relative(16.0 + 8.0 * 1.6 * (x.abs() + 0.045 * x.abs().powi(3)).min(100.0)),
            F::Gelu => relative(8.0) + 6e-7 * x.abs(),
            F::Erf => 6e-7,
            F::Softplus => relative(16.0) + 1e-6,
            F::Log => relative(4.0) + 1e-6,
            F::Sqrt | F::Reciprocal => relative(6.0),
            F::Sin | F::Cos => 1e-6 + x.abs() * 3e-7,
            F::Tan => (1e-6 + x.abs() * 3e-7) * 4.0 * (1.0 + y * y),
            F::Sinh | F::Cosh | F::Tanh => relative(16.0 + 8.0 * x.abs()) + 1e-6,
            F::Asinh | F::Acosh | F::Atanh => relative(32.0) + 4e-6,
            F::Asin | F::Acos | F::Atan => relative(4096.0) + 5e-4,
            _ => 0.0,
        }
    }

    /// The name of the WGSL function: a builtin, or one of `shaders/functions.wgsl`.
    pub fn wgsl(self) -> &'static str {
        match self {
            F::Silu => "silu",
            F::GeluTanh => "gelu_tanh",
            F::Gelu => "gelu",
            F::Erf => "erf",
            F::Exp => "exp",
            F::Log => "log",
            F::Sqrt => "sqrt",
            F::Reciprocal => "reciprocal",
            F::Sigmoid => "sigmoid",
            F::Softplus => "softplus",
            F::Sin => "sine",
            F::Cos => "cosine",
            F::Tan => "tangent",
            F::Asin => "asin",
            F::Acos => "acos",
            F::Atan => "atan",
            F::Sinh => "sinh_of",
            F::Cosh => "cosh_of",
            F::Tanh => "tanh_of",
            F::Asinh => "asinh_of",
            F::Acosh => "acosh_of",
            F::Atanh => "atanh_of",
            F::Neg => "-",
            F::Abs => "abs",
            F::Sign => "sign",
            F::Floor => "floor",
            F::Ceil => "ceil",
            F::Round => "round",
            F::ToF16 => "to_f16",
            F::ToBf16 => "to_bf16",
            F::IsNan => "is_nan",
            F::IsInf => "is_inf",
            F::Not => "not_of",
            F::Complement => "~",
            F::ToFloat => "f32",
            F::ToInt | F::ToI32 | F::ToU32 => "i32",
            F::FloatOfBits => "bitcast<f32>",
            F::BitsOfFloat => "bitcast<i32>",
        }
    }
}

/// The error function: its Maclaurin series below 3, else 1 minus the continued fraction of its complement, in f64
/// (Abramowitz and Stegun 7.1.5 and 7.1.14).
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        return (sum * std::f64::consts::FRAC_2_SQRT_PI).copysign(x);
    }
    let fraction = (1..60).rev().fold(0.0, |f, k| f64::from(k) / 2.0 / (a + f));
    let complement = (-a * a).exp() / (a + fraction) * std::f64::consts::FRAC_2_SQRT_PI / 2.0;
    (1.0 - complement).copysign(x)
}
