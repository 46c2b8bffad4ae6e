//! Constants, as far as bounds of loops and conditions are made of them.

use naga::{BinaryOperator, Literal, ScalarKind, UnaryOperator};

/// A value that is known before anything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Constant {
    Bool(bool),
    U32(u32),
    I32(i32),
}

impl Constant {
    pub fn of(literal: Literal) -> Option<Self> {
        match literal {
            Literal::Bool(value) => Some(Constant::Bool(value)),
            Literal::U32(value) => Some(Constant::U32(value)),
            Literal::I32(value) => Some(Constant::I32(value)),
            _ => None,
        }
    }

    /// The zero of a scalar type.
    pub fn zero(scalar: naga::Scalar) -> Option<Self> {
        match (scalar.kind, scalar.width) {
            (ScalarKind::Bool, _) => Some(Constant::Bool(false)),
            (ScalarKind::Uint, 4) => Some(Constant::U32(0)),
            (ScalarKind::Sint, 4) => Some(Constant::I32(0)),
            _ => None,
        }
    }

    pub fn truth(self) -> Option<bool> {
        match self {
            Constant::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number that a `switch` compares with its cases, in both types as bits.
    pub fn bits(self) -> Option<u32> {
        match self {
            Constant::Bool(_) => None,
            Constant::U32(value) => Some(value),
            Constant::I32(value) => Some(value as u32),
        }
    }

    pub fn convert(self, kind: ScalarKind) -> Option<Self> {
        let bits = match self {
            Constant::Bool(value) => u32::from(value),
            other => other.bits()?,
        };
        match kind {
            ScalarKind::Uint => Some(Constant::U32(bits)),
            ScalarKind::Sint => Some(Constant::I32(bits as i32)),
            ScalarKind::Bool => Some(Constant::Bool(bits != 0)),
            _ => None,
        }
    }

    pub fn unary(self, operator: UnaryOperator) -> Option<Self> {
        match (operator, self) {
            (UnaryOperator::LogicalNot, Constant::Bool(value)) => Some(Constant::Bool(!value)),
            (UnaryOperator::BitwiseNot, Constant::U32(value)) => Some(Constant::U32(!value)),
            (UnaryOperator::BitwiseNot, Constant::I32(value)) => Some(Constant::I32(!value)),
            (UnaryOperator::Negate, Constant::I32(value)) => Some(Constant::I32(value.wrapping_neg())),
            _ => None,
        }
    }

    pub fn binary(operator: BinaryOperator, left: Self, right: Self) -> Option<Self> {
        match (left, right) {
            (Constant::Bool(a), Constant::Bool(b)) => bools(operator, a, b),
            (Constant::U32(a), Constant::U32(b)) => unsigned(operator, a, b),
            (Constant::I32(a), Constant::I32(b)) => signed(operator, a, b),
            // The right operand of a shift is unsigned.
            (Constant::I32(a), Constant::U32(b)) => match operator {
                BinaryOperator::ShiftLeft => Some(Constant::I32(a.wrapping_shl(b))),
                BinaryOperator::ShiftRight => Some(Constant::I32(a.wrapping_shr(b))),
                _ => None,
            },
            _ => None,
        }
    }
}

fn bools(operator: BinaryOperator, a: bool, b: bool) -> Option<Constant> {
    let value = match operator {
        BinaryOperator::Equal => a == b,
        BinaryOperator::NotEqual => a != b,
        BinaryOperator::And | BinaryOperator::LogicalAnd => a && b,
        BinaryOperator::InclusiveOr | BinaryOperator::LogicalOr => a || b,
        _ => return None,
    };
    Some(Constant::Bool(value))
}

fn compared<T: PartialOrd>(operator: BinaryOperator, a: T, b: T) -> Option<Constant> {
    let value = match operator {
        BinaryOperator::Equal => a == b,
        BinaryOperator::NotEqual => a != b,
        BinaryOperator::Less => a < b,
        BinaryOperator::LessEqual => a <= b,
        BinaryOperator::Greater => a > b,
        BinaryOperator::GreaterEqual => a >= b,
        _ => return None,
    };
    Some(Constant::Bool(value))
}

fn unsigned(operator: BinaryOperator, a: u32, b: u32) -> Option<Constant> {
    let value = match operator {
        BinaryOperator::Add => a.wrapping_add(b),
        BinaryOperator::Subtract => a.wrapping_sub(b),
        BinaryOperator::Multiply => a.wrapping_mul(b),
        BinaryOperator::Divide => a.checked_div(b)?,
        BinaryOperator::Modulo => a.checked_rem(b)?,
        BinaryOperator::And => a & b,
        BinaryOperator::InclusiveOr => a | b,
        BinaryOperator::ExclusiveOr => a ^ b,
        BinaryOperator::ShiftLeft => a.wrapping_shl(b),
        BinaryOperator::ShiftRight => a.wrapping_shr(b),
        _ => return compared(operator, a, b),
    };
    Some(Constant::U32(value))
}

fn signed(operator: BinaryOperator, a: i32, b: i32) -> Option<Constant> {
    let value = match operator {
        BinaryOperator::Add => a.wrapping_add(b),
        BinaryOperator::Subtract => a.wrapping_sub(b),
        BinaryOperator::Multiply => a.wrapping_mul(b),
        BinaryOperator::Divide => a.checked_div(b)?,
        BinaryOperator::Modulo => a.checked_rem(b)?,
        BinaryOperator::And => a & b,
        BinaryOperator::InclusiveOr => a | b,
        BinaryOperator::ExclusiveOr => a ^ b,
        _ => return compared(operator, a, b),
    };
    Some(Constant::I32(value))
}
