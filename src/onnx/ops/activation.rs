//! Scalar functions that attributes name by text: the activations of recurrent networks and of fused operators.

use super::formula::{difference, less};
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};

/// A function with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `alpha x + beta`.
    Affine(f32, f32),
    /// Held between the two.
    Clip(f32, f32),
    /// `alpha (e^x - 1)` below 0.
    Elu(f32),
    /// `alpha x + beta` held between 0 and 1.
    HardSigmoid(f32, f32),
    /// `alpha x` below 0.
    LeakyRelu(f32),
    /// `alpha tanh(beta x)`.
    ScaledTanh(f32, f32),
    /// `x / (1 + |x|)`.
    Softsign,
    /// 0 below alpha.
    ThresholdedRelu(f32),
    /// `max(x, 0)`.
    Relu,
    /// A function of expressions, without parameters.
    Of(Function),
}

impl Activation {
    /// The function that is called `name`, in upper or lower case, if there is one. It takes its parameters, or those that the
    /// standard gives it where there are no more, from the two lists.
    pub fn named(name: &[u8], mut alphas: impl Iterator<Item = f32>, mut betas: impl Iterator<Item = f32>) -> Option<Self> {
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        let mut beta = |default: f32| betas.next().unwrap_or(default);
        Some(match name.to_ascii_lowercase().as_slice() {
            b"affine" => Activation::Affine(alpha(1.0), beta(0.0)),
            b"clip" => Activation::Clip(alpha(f32::MIN), beta(f32::MAX)),
            b"elu" => Activation::Elu(alpha(1.0)),
            b"gelu" => Activation::Of(Function::Gelu),
            b"hardsigmoid" => Activation::HardSigmoid(alpha(0.2), beta(0.5)),
            b"leakyrelu" => Activation::LeakyRelu(alpha(0.01)),
            b"relu" => Activation::Relu,
            b"scaledtanh" => Activation::ScaledTanh(alpha(1.0), beta(1.0)),
            b"sigmoid" => Activation::Of(Function::Sigmoid),
            b"softplus" => Activation::Of(Function::Softplus),
            b"softsign" => Activation::Softsign,
            b"tanh" => Activation::Of(Function::Tanh),
            b"thresholdedrelu" => Activation::ThresholdedRelu(alpha(1.0)),
            _ => return None,
        })
    }

    /// The function of `x`.
    pub fn of(self, x: Expr) -> Expr {
        let zero = || Expr::float(0.0);
        let affine = |alpha: f32, beta: f32, x: Expr| match (alpha, beta) {
            (1.0, 0.0) => x,
            _ => Expr::sum(Expr::product(Expr::float(alpha), x), Expr::float(beta)),
        };
        match self {
            Activation::Affine(alpha, beta) => affine(alpha, beta, x),
            Activation::Clip(low, high) => held(x, low, high),
            Activation::Elu(alpha) => {
                let below = difference(Expr::call(Function::Exp, x.clone()), Expr::float(1.0));
                Expr::select(less(x.clone(), zero()), Expr::product(Expr::float(alpha), below), x)
            }
            Activation::HardSigmoid(alpha, beta) => held(affine(alpha, beta, x), 0.0, 1.0),
            Activation::LeakyRelu(alpha) => {
                Expr::select(less(x.clone(), zero()), Expr::product(Expr::float(alpha), x.clone()), x)
            }
            Activation::ScaledTanh(alpha, beta) => {
                Expr::product(Expr::float(alpha), Expr::call(Function::Tanh, Expr::product(Expr::float(beta), x)))
            }
            Activation::Softsign => Expr::binary(Op::Div, x.clone(), Expr::sum(Expr::float(1.0), Expr::call(Function::Abs, x))),
            Activation::ThresholdedRelu(alpha) => Expr::select(less(x.clone(), Expr::float(alpha)), zero(), x),
            Activation::Relu => Expr::binary(Op::Max, x, zero()),
            Activation::Of(function) => Expr::call(function, x),
        }
    }
}

/// `x` held between `low` and `high`.
pub fn held(x: Expr, low: f32, high: f32) -> Expr {
    Expr::binary(Op::Min, Expr::binary(Op::Max, x, Expr::float(low)), Expr::float(high))
}
