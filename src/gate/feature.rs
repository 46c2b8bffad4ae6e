//! What a kernel needs of a device's shading language.

use std::collections::BTreeSet;
use std::fmt;

use naga::valid::{Capabilities, ModuleInfo};
use naga::{
    AddressSpace, Binding, BuiltIn, Expression, Function, MathFunction, Module, Scalar, ScalarKind, Statement, TypeInner,
};

/// A feature beyond plain WGSL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Operations within a subgroup.
    Subgroups,
    /// Floats of 16 bits.
    F16,
    /// Integers of 16 bits.
    I16,
    /// Integers of 64 bits.
    I64,
    /// `dot4I8Packed` and its kin.
    PackedDot,
    /// Cooperative matrices.
    CooperativeMatrix,
    /// Immediates, which Vulkan calls push constants.
    Immediates,
}

impl Feature {
    /// All of them.
    pub const ALL: [Feature; 7] = [
        Feature::Subgroups,
        Feature::F16,
        Feature::I16,
        Feature::I64,
        Feature::PackedDot,
        Feature::CooperativeMatrix,
        Feature::Immediates,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Subgroups => "subgroups",
            Feature::F16 => "f16",
            Feature::I16 => "i16",
            Feature::I64 => "i64",
            Feature::PackedDot => "packed-dot",
            Feature::CooperativeMatrix => "cooperative-matrix",
            Feature::Immediates => "immediates",
        }
    }

    /// What the validator must allow.
    pub(super) fn capabilities(self) -> Capabilities {
        match self {
            Feature::Subgroups => Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER,
            Feature::F16 => Capabilities::SHADER_FLOAT16,
            Feature::I16 => Capabilities::SHADER_INT16,
            Feature::I64 => Capabilities::SHADER_INT64,
            Feature::PackedDot => Capabilities::empty(),
            Feature::CooperativeMatrix => Capabilities::COOPERATIVE_MATRIX,
            Feature::Immediates => Capabilities::IMMEDIATES,
        }
    }

    fn of_scalar(scalar: Scalar) -> Option<Feature> {
        match (scalar.kind, scalar.width) {
            (ScalarKind::Float, 2) => Some(Feature::F16),
            (ScalarKind::Sint | ScalarKind::Uint, 2) => Some(Feature::I16),
            (ScalarKind::Sint | ScalarKind::Uint, 8) => Some(Feature::I64),
            _ => None,
        }
    }

    fn of_type(inner: &TypeInner) -> Option<Feature> {
        match inner {
            TypeInner::CooperativeMatrix { .. } => Some(Feature::CooperativeMatrix),
            other => other.scalar().and_then(Feature::of_scalar),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The features that a validated module uses anywhere: drivers and browsers refuse them in functions that are never called, too.
pub(super) fn of_module(module: &Module, info: &ModuleInfo) -> BTreeSet<Feature> {
    let mut found: BTreeSet<Feature> = module.types.iter().filter_map(|(_, ty)| Feature::of_type(&ty.inner)).collect();
    if module.global_variables.iter().any(|(_, variable)| variable.space == AddressSpace::Immediate) {
        found.insert(Feature::Immediates);
    }
    let functions = module.functions.iter().map(|(handle, function)| (function, &info[handle]));
    let entries = module.entry_points.iter().enumerate().map(|(i, entry)| (&entry.function, info.get_entry_point(i)));
    for (function, info) in functions.chain(entries) {
        for (handle, expression) in function.expressions.iter() {
            found.extend(Feature::of_type(info[handle].ty.inner_with(&module.types)));
            if let Expression::Math { fun: MathFunction::Dot4I8Packed | MathFunction::Dot4U8Packed, .. } = expression {
                found.insert(Feature::PackedDot);
            }
        }
        if uses_subgroups(function) {
            found.insert(Feature::Subgroups);
        }
    }
    found
}

fn uses_subgroups(function: &Function) -> bool {
    let builtin = |binding: &Option<Binding>| {
        use BuiltIn::{NumSubgroups, SubgroupId, SubgroupInvocationId, SubgroupSize};
        let subgroup = |b: &BuiltIn| matches!(b, NumSubgroups | SubgroupId | SubgroupInvocationId | SubgroupSize);
        matches!(binding, Some(Binding::BuiltIn(b)) if subgroup(b))
    };
    function.arguments.iter().any(|argument| builtin(&argument.binding)) || block_uses_subgroups(&function.body)
}

fn block_uses_subgroups(block: &naga::Block) -> bool {
    block.iter().any(|statement| match statement {
        Statement::SubgroupBallot { .. } | Statement::SubgroupGather { .. } | Statement::SubgroupCollectiveOperation { .. } => {
            true
        }
        Statement::ControlBarrier(barrier) => barrier.contains(naga::Barrier::SUB_GROUP),
        other => nested(other).any(block_uses_subgroups),
    })
}

/// The blocks inside a statement.
pub(super) fn nested(statement: &Statement) -> impl Iterator<Item = &naga::Block> {
    let (two, cases) = match statement {
        Statement::Block(block) => ([Some(block), None], &[][..]),
        Statement::If { accept, reject, .. } => ([Some(accept), Some(reject)], &[][..]),
        Statement::Loop { body, continuing, .. } => ([Some(body), Some(continuing)], &[][..]),
        Statement::Switch { cases, .. } => ([None, None], &cases[..]),
        _ => ([None, None], &[][..]),
    };
    two.into_iter().flatten().chain(cases.iter().map(|case| &case.body))
}
