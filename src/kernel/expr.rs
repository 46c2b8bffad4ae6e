//! Scalar expressions: what an elementwise op computes and what a kernel's fused tail applies before it stores.
//!
//! One expression serves four readers: the CPU reference evaluates it, the linker prints it as WGSL, the planner
//! composes it when it fuses, and tolerances bound its error.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::function::{Function, Kind, Scalar};
pub use super::operator::Operator;

/// A scalar expression over numbered operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Expr {
    /// The operand of that number. In a kernel's tail, operand 0 is the value that the kernel computed.
    Operand(u32),
    /// A float, by its bits.
    Float(u32),
    /// An integer.
    Int(i32),
    /// A function of one scalar.
    Call(Function, Box<Expr>),
    /// An operator of two scalars of one kind.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// The second where the first is not 0, else the third.
    Select(Box<Expr>, Box<Expr>, Box<Expr>),
}

impl Expr {
    /// Operand `i`.
    pub fn operand(i: u32) -> Self {
        Expr::Operand(i)
    }

    /// A constant.
    pub fn float(x: f32) -> Self {
        Expr::Float(x.to_bits())
    }

    /// An integer constant; what does not fit 32 bits is held at their end.
    pub fn int(n: i64) -> Self {
        Expr::Int(n.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
    }

    /// `a + b`.
    pub fn sum(a: Expr, b: Expr) -> Self {
        Expr::binary(Operator::Add, a, b)
    }

    /// `a * b`.
    pub fn product(a: Expr, b: Expr) -> Self {
        Expr::binary(Operator::Mul, a, b)
    }

    /// `operator(a, b)`.
    pub fn binary(operator: Operator, a: Expr, b: Expr) -> Self {
        Expr::Binary(operator, Box::new(a), Box::new(b))
    }

    /// `function(a)`.
    pub fn call(function: Function, a: Expr) -> Self {
        Expr::Call(function, Box::new(a))
    }

    /// `yes` where `condition` is not 0, else `no`.
    pub fn select(condition: Expr, yes: Expr, no: Expr) -> Self {
        Expr::Select(Box::new(condition), Box::new(yes), Box::new(no))
    }

    /// The expressions that this one is made of.
    pub fn parts(&self) -> impl Iterator<Item = &Expr> {
        let parts: [Option<&Expr>; 3] = match self {
            Expr::Operand(_) | Expr::Float(_) | Expr::Int(_) => [None; 3],
            Expr::Call(_, a) => [Some(a), None, None],
            Expr::Binary(_, a, b) => [Some(a), Some(b), None],
            Expr::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        parts.into_iter().flatten()
    }

    /// One more than the highest operand number.
    pub fn operands(&self) -> u32 {
        match self {
            Expr::Operand(i) => i + 1,
            _ => self.parts().map(Expr::operands).max().unwrap_or(0),
        }
    }

    /// The number of functions and operators.
    pub fn size(&self) -> usize {
        match self {
            Expr::Operand(_) | Expr::Float(_) | Expr::Int(_) => 0,
            _ => 1 + self.parts().map(Expr::size).sum::<usize>(),
        }
    }

    /// The kind of the value where operand `i` is of the kind `operand(i)`; `None` where kinds do not go together.
    pub fn kind(&self, operand: &impl Fn(u32) -> Option<Kind>) -> Option<Kind> {
        match self {
            Expr::Operand(i) => operand(*i),
            Expr::Float(_) => Some(Kind::Float),
            Expr::Int(_) => Some(Kind::Int),
            Expr::Call(f, a) => f.kind(a.kind(operand)?),
            Expr::Binary(o, a, b) => {
                let (a, b) = (a.kind(operand)?, b.kind(operand)?);
                (a == b).then(|| o.kind(a)).flatten()
            }
            Expr::Select(c, a, b) => {
                let (c, a, b) = (c.kind(operand)?, a.kind(operand)?, b.kind(operand)?);
                (c == Kind::Int && a == b).then_some(a)
            }
        }
    }

    /// The value with `operand(i)` for operand `i`.
    pub fn eval(&self, operand: &impl Fn(u32) -> Scalar) -> Scalar {
        match self {
            Expr::Operand(i) => operand(*i),
            Expr::Float(bits) => Scalar::Float(f32::from_bits(*bits)),
            Expr::Int(n) => Scalar::Int((*n).into()),
            Expr::Call(f, a) => f.apply(a.eval(operand)),
            Expr::Binary(o, a, b) => o.apply(a.eval(operand), b.eval(operand)),
            Expr::Select(c, a, b) => {
                if c.eval(operand).int() != 0 {
                    a.eval(operand)
                } else {
                    b.eval(operand)
                }
            }
        }
    }

    /// [`Expr::eval`] of floats.
    pub fn eval_f32(&self, operand: &impl Fn(u32) -> f32) -> f32 {
        self.eval(&|i| Scalar::Float(operand(i))).float()
    }

    /// `(value, error)`: the value, and how far a device may be from it when operand `i` is off by at most `off(i)`
    /// and functions and operators add their own errors.
    ///
    /// What an argument's error does is found at both of its ends: all functions here are monotonic, or nearly so, over
    /// spans as short as errors are.
    pub fn bound(&self, operand: &impl Fn(u32) -> Scalar, off: &impl Fn(u32) -> f32) -> (Scalar, f32) {
        match self {
            Expr::Operand(i) => (operand(*i), off(*i)),
            Expr::Float(_) | Expr::Int(_) => (self.eval(operand), 0.0),
            Expr::Call(f, a) => {
                let (x, dx) = a.bound(operand, off);
                let y = f.apply(x);
                let Scalar::Float(x) = x else { return (y, 0.0) };
                let moved = |x: f32| (f.apply(Scalar::Float(x)).float() - y.float()).abs();
                let spread = if dx == 0.0 { 0.0 } else { moved(x + dx).max(moved(x - dx)) };
                (y, finite(spread) + finite(f.error(x, y.float())))
            }
            Expr::Binary(o, a, b) => {
                let ((x, dx), (y, dy)) = (a.bound(operand, off), b.bound(operand, off));
                let z = o.apply(x, y);
                let (Scalar::Float(x), Scalar::Float(y)) = (x, y) else { return (z, 0.0) };
                let moved = |x: f32, y: f32| (o.apply(Scalar::Float(x), Scalar::Float(y)).float() - z.float()).abs();
                let corners = [(dx, dy), (dx, -dy), (-dx, dy), (-dx, -dy)];
                let spread = if dx == 0.0 && dy == 0.0 {
                    0.0
                } else {
                    corners.map(|(dx, dy)| moved(x + dx, y + dy)).into_iter().fold(0.0, f32::max)
                };
                (z, finite(spread) + finite(o.error(x, y, z.float())))
            }
            Expr::Select(c, a, b) => {
                let (c, dc) = c.bound(operand, off);
                let ((x, dx), (y, dy)) = (a.bound(operand, off), b.bound(operand, off));
                let (value, error) = if c.int() != 0 { (x, dx) } else { (y, dy) };
                // A condition that may come out either way may choose the other value.
                let other = if dc > 0.0 { (x.float() - y.float()).abs() + dx.max(dy) } else { 0.0 };
                (value, error.max(finite(other)))
            }
        }
    }

    /// The same expression with every operand `i` replaced by `with(i)`.
    pub fn substitute(&self, with: &impl Fn(u32) -> Expr) -> Expr {
        match self {
            Expr::Operand(i) => with(*i),
            Expr::Float(_) | Expr::Int(_) => self.clone(),
            Expr::Call(f, a) => Expr::call(*f, a.substitute(with)),
            Expr::Binary(o, a, b) => Expr::binary(*o, a.substitute(with), b.substitute(with)),
            Expr::Select(c, a, b) => Expr::select(c.substitute(with), a.substitute(with), b.substitute(with)),
        }
    }

    /// WGSL in which operand `i`, of the kind `operand(i)`, is the variable `x<i>`.
    pub fn wgsl(&self, operand: &impl Fn(u32) -> Kind) -> String {
        match self {
            Expr::Operand(i) => format!("x{i}"),
            Expr::Float(bits) => float_literal(f32::from_bits(*bits)),
            Expr::Int(i32::MIN) => "(-2147483647 - 1)".into(),
            Expr::Int(n) => format!("i32({n})"),
            Expr::Call(f, a) => format!("{}({})", f.wgsl(), a.wgsl(operand)),
            Expr::Binary(o, a, b) => {
                let kind = a.kind(&|i| Some(operand(i))).unwrap_or(Kind::Float);
                o.wgsl(kind, &a.wgsl(operand), &b.wgsl(operand))
            }
            Expr::Select(c, a, b) => format!("select({}, {}, {} != 0)", b.wgsl(operand), a.wgsl(operand), c.wgsl(operand)),
        }
    }
}

/// Errors of values that are themselves infinite or no numbers are not measured in distances.
fn finite(error: f32) -> f32 {
    if error.is_finite() { error } else { 0.0 }
}

/// A float in WGSL, which has no literals for what is not finite.
fn float_literal(x: f32) -> String {
    if x.is_finite() { format!("f32({x:e})") } else { format!("not_finite({}u)", x.to_bits()) }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wgsl(&|_| Kind::Float))
    }
}
