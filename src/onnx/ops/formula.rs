//! Expressions that are put together along with the values that they are taken of.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::Operator as Op;

/// The operands of an expression under construction.
#[derive(Default)]
pub struct Formula<'a>(Vec<&'a Value>);

impl<'a> Formula<'a> {
    /// The expression for `value`, which must become part of the formula.
    pub fn operand(&mut self, value: &'a Value) -> Expr {
        self.0.push(value);
        Expr::operand(self.0.len() as u32 - 1)
    }

    /// The formula's value.
    pub fn compute(&self, cx: &mut Context, expr: Expr, ty: ElementType) -> Traced<Value> {
        cx.elementwise(expr, &self.0, ty)
    }
}

/// `a - b`.
pub fn difference(a: Expr, b: Expr) -> Expr {
    Expr::binary(Op::Sub, a, b)
}

/// Whether both truth values are 1.
pub fn both(a: Expr, b: Expr) -> Expr {
    Expr::binary(Op::And, a, b)
}

/// Whether `a < b`.
pub fn less(a: Expr, b: Expr) -> Expr {
    Expr::binary(Op::Less, a, b)
}

/// Whether `a <= b`.
pub fn at_most(a: Expr, b: Expr) -> Expr {
    Expr::binary(Op::LessEqual, a, b)
}
