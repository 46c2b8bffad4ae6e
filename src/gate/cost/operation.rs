//! What a single expression, load or store counts.

use naga::{AddressSpace, ArraySize, BinaryOperator, Expression, Handle, MathFunction, Module, ScalarKind, TypeInner};

use super::{Count, Counts};

/// Calls `each` with the bytes of every scalar or vector that a value of the type is made of, which are loaded or stored at once.
fn pieces(module: &Module, inner: &TypeInner, each: &mut impl FnMut(u32)) {
    match inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => each(scalar.width.into()),
        TypeInner::Vector { size, scalar } => each(*size as u32 * u32::from(scalar.width)),
        TypeInner::Matrix { columns, rows, scalar } => {
            (0..*columns as u32).for_each(|_| each(*rows as u32 * u32::from(scalar.width)));
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } => {
            (0..n.get()).for_each(|_| pieces(module, &module.types[*base].inner, each));
        }
        TypeInner::Struct { members, .. } => {
            members.iter().for_each(|member| pieces(module, &module.types[member.ty].inner, each));
        }
        _ => {}
    }
}

/// Counts a load (or a store) through a pointer of that type. Uniforms and an invocation's own variables count nothing.
pub fn access(module: &Module, pointer: &TypeInner, stores: bool, counts: &mut Counts) {
    let (space, whole) = match pointer {
        TypeInner::Pointer { base, space } => (*space, module.types[*base].inner.clone()),
        TypeInner::ValuePointer { size: Some(size), scalar, space } => {
            (*space, TypeInner::Vector { size: *size, scalar: *scalar })
        }
        TypeInner::ValuePointer { size: None, scalar, space } => (*space, TypeInner::Scalar(*scalar)),
        _ => return,
    };
    match space {
        AddressSpace::Storage { .. } => pieces(module, &whole, &mut |bytes| {
            counts.add(if stores { Count::store(bytes) } else { Count::load(bytes) }, 1);
        }),
        AddressSpace::WorkGroup => pieces(module, &whole, &mut |_| {
            counts.add(if stores { Count::SharedStores } else { Count::SharedLoads }, 1);
        }),
        _ => {}
    }
}

/// Counts an expression whose value is not known beforehand; `type_of` yields types of expressions.
pub fn evaluation<'a>(
    module: &'a Module,
    expression: &Expression,
    result: &TypeInner,
    type_of: impl Fn(Handle<Expression>) -> &'a TypeInner,
    counts: &mut Counts,
) {
    match expression {
        Expression::Load { pointer } => access(module, type_of(*pointer), false, counts),
        Expression::Binary { op, left, right } if is_arithmetic(*op) => {
            let (left, right) = (type_of(*left), type_of(*right));
            let each = if *op == BinaryOperator::Multiply { product(left, right) } else { 1 };
            tally(result, each * components(result), counts);
        }
        Expression::Math { fun, arg, .. } => function(*fun, type_of(*arg), result, counts),
        Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. } => counts.add(Count::Matrix, 1),
        _ => {}
    }
}

fn is_arithmetic(operator: BinaryOperator) -> bool {
    use BinaryOperator::{Add, And, Divide, ExclusiveOr, InclusiveOr, Modulo, Multiply, ShiftLeft, ShiftRight, Subtract};
    let all = [Add, Subtract, Multiply, Divide, Modulo, And, ExclusiveOr, InclusiveOr, ShiftLeft, ShiftRight];
    all.contains(&operator)
}

/// Operations for a component of a product: those of a sum of products where matrices are multiplied, else one.
fn product(left: &TypeInner, right: &TypeInner) -> u64 {
    let terms = match (left, right) {
        (TypeInner::Matrix { columns, .. }, TypeInner::Matrix { .. } | TypeInner::Vector { .. }) => *columns as u64,
        (TypeInner::Vector { size, .. }, TypeInner::Matrix { .. }) => *size as u64,
        _ => 1,
    };
    2 * terms - 1
}

fn components(inner: &TypeInner) -> u64 {
    match inner {
        TypeInner::Vector { size, .. } => *size as u64,
        TypeInner::Matrix { columns, rows, .. } => *columns as u64 * *rows as u64,
        _ => 1,
    }
}

/// Adds `n` operations on what `inner` is made of.
fn tally(inner: &TypeInner, n: u64, counts: &mut Counts) {
    match inner.scalar_kind() {
        Some(ScalarKind::Float) => counts.add(Count::Flops, n),
        Some(ScalarKind::Sint | ScalarKind::Uint) => counts.add(Count::Ints, n),
        _ => {}
    }
}

fn function(function: MathFunction, argument: &TypeInner, result: &TypeInner, counts: &mut Counts) {
    use MathFunction as F;
    let n = components(argument);
    match function {
        F::Fma => tally(argument, 2 * n, counts),
        F::Dot => tally(argument, 2 * n - 1, counts),
        F::Dot4I8Packed | F::Dot4U8Packed => counts.add(Count::Ints, 7),
        // Packing and unpacking work on words, whatever the words hold.
        F::Pack4x8snorm | F::Pack4x8unorm | F::Pack2x16snorm | F::Pack2x16unorm | F::Pack2x16float => counts.add(Count::Ints, 1),
        F::Unpack4x8snorm | F::Unpack4x8unorm | F::Unpack2x16snorm | F::Unpack2x16unorm | F::Unpack2x16float => {
            counts.add(Count::Ints, 1);
        }
        F::Pack4xI8 | F::Pack4xU8 | F::Pack4xI8Clamp | F::Pack4xU8Clamp | F::Unpack4xI8 | F::Unpack4xU8 => {
            counts.add(Count::Ints, 1)
        }
        _ => tally(argument, components(result), counts),
    }
}
