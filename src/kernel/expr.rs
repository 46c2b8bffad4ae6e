//! Scalar expressions: what an elementwise op computes and what a kernel's fused tail applies before it stores.
//!
//! One expression serves three readers: the CPU reference evaluates it, the linker prints it as WGSL, the planner
//! composes it when it fuses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A function of one scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Function {
    /// `x / (1 + e^-x)`, the gate of SwiGLU (Shazeer 2020, arXiv:2002.05202).
    Silu,
    /// The tanh form of GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415), the gate of GeGLU.
    GeluTanh,
}

/// A scalar expression over numbered operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Expr {
    /// The operand of that number. In a kernel's tail, operand 0 is the value that the kernel computed.
    Operand(u32),
    /// A sum.
    Add(Box<Expr>, Box<Expr>),
    /// A product.
    Mul(Box<Expr>, Box<Expr>),
    /// A function of one scalar.
    Call(Function, Box<Expr>),
}

impl Function {
    /// The value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Function::Silu => x / (1.0 + (-x).exp()),
            // tanh(u) = 1 - 2 / (e^2u + 1), which neither overflows to NaN nor needs a tanh that drivers get wrong.
            Function::GeluTanh => {
                let u = 0.797_884_6 * (x + 0.044715 * x * x * x);
                x * (1.0 - 1.0 / ((2.0 * u).exp() + 1.0))
            }
        }
    }

    /// The name of the WGSL function in `shaders/functions.wgsl`.
    pub fn name(self) -> &'static str {
        match self {
            Function::Silu => "silu",
            Function::GeluTanh => "gelu_tanh",
        }
    }
}

impl Expr {
    /// Operand `i`.
    pub fn operand(i: u32) -> Self {
        Expr::Operand(i)
    }

    /// `a + b`.
    pub fn sum(a: Expr, b: Expr) -> Self {
        Expr::Add(Box::new(a), Box::new(b))
    }

    /// `a * b`.
    pub fn product(a: Expr, b: Expr) -> Self {
        Expr::Mul(Box::new(a), Box::new(b))
    }

    /// `function(a)`.
    pub fn call(function: Function, a: Expr) -> Self {
        Expr::Call(function, Box::new(a))
    }

    /// One more than the highest operand number.
    pub fn operands(&self) -> u32 {
        match self {
            Expr::Operand(i) => i + 1,
            Expr::Add(a, b) | Expr::Mul(a, b) => a.operands().max(b.operands()),
            Expr::Call(_, a) => a.operands(),
        }
    }

    /// The value with `operand(i)` for operand `i`.
    pub fn eval(&self, operand: &impl Fn(u32) -> f32) -> f32 {
        match self {
            Expr::Operand(i) => operand(*i),
            Expr::Add(a, b) => a.eval(operand) + b.eval(operand),
            Expr::Mul(a, b) => a.eval(operand) * b.eval(operand),
            Expr::Call(f, a) => f.apply(a.eval(operand)),
        }
    }

    /// `(value, error)`: the value, and how far a device may be from it when operand `i` is off by at most `off(i)`
    /// and every operation adds a few units in the last place.
    ///
    /// WGSL grants `exp` an error of `3 + 2 |x|` units, division 2.5; the functions here stay below 16 units of
    /// their result plus what their slope (at most 1.13 for both) makes of the argument's error.
    pub fn bound(&self, operand: &impl Fn(u32) -> f32, off: &impl Fn(u32) -> f32) -> (f32, f32) {
        const UNIT: f32 = f32::EPSILON;
        match self {
            Expr::Operand(i) => (operand(*i), off(*i)),
            Expr::Add(a, b) => {
                let ((x, dx), (y, dy)) = (a.bound(operand, off), b.bound(operand, off));
                (x + y, dx + dy + UNIT * (x + y).abs())
            }
            Expr::Mul(a, b) => {
                let ((x, dx), (y, dy)) = (a.bound(operand, off), b.bound(operand, off));
                (x * y, dx * y.abs() + dy * x.abs() + dx * dy + UNIT * (x * y).abs() + f32::MIN_POSITIVE)
            }
            Expr::Call(f, a) => {
                let (x, dx) = a.bound(operand, off);
                let y = f.apply(x);
                let units = 16.0 + 4.0 * x.abs();
                (y, 1.13 * dx + units * UNIT * y.abs() + f32::MIN_POSITIVE)
            }
        }
    }

    /// The same expression with every operand `i` replaced by `with(i)`.
    pub fn substitute(&self, with: &impl Fn(u32) -> Expr) -> Expr {
        match self {
            Expr::Operand(i) => with(*i),
            Expr::Add(a, b) => Expr::sum(a.substitute(with), b.substitute(with)),
            Expr::Mul(a, b) => Expr::product(a.substitute(with), b.substitute(with)),
            Expr::Call(f, a) => Expr::call(*f, a.substitute(with)),
        }
    }
}

impl fmt::Display for Expr {
    /// Prints WGSL in which operand `i` is the variable `x<i>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Operand(i) => write!(f, "x{i}"),
            Expr::Add(a, b) => write!(f, "({a} + {b})"),
            Expr::Mul(a, b) => write!(f, "({a} * {b})"),
            Expr::Call(function, a) => write!(f, "{}({a})", function.name()),
        }
    }
}
