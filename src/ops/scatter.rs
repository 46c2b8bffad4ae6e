//! What the ops that write updates into a tensor have in common.

use super::Tolerance;
use super::indexing::dims;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::expr::{Operator, Scalar};
use crate::kernel::{Extremes, Kernel, LINEAR_WORKGROUP};
use crate::shape::TensorType;
use crate::tensor::{Data, Tensor};

/// How an update meets the element that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// It takes the element's place.
    Replace,
    /// It is added.
    Add,
    /// The element is multiplied by it.
    Mul,
    /// The larger one stays; NaN counts as the largest.
    Max,
    /// The smaller one stays; NaN counts as the smallest.
    Min,
}

impl Update {
    fn operator(self) -> Option<Operator> {
        match self {
            Update::Replace => None,
            Update::Add => Some(Operator::Add),
            Update::Mul => Some(Operator::Mul),
            Update::Max => Some(Operator::Max),
            Update::Min => Some(Operator::Min),
        }
    }

    fn combine(self, old: Scalar, update: Scalar) -> Scalar {
        self.operator().map_or(update, |operator| operator.apply(old, update))
    }

    /// `data` after the updates, in order: each target is the place of an element in `data`, and that of its update in
    /// `updates`.
    pub(super) fn apply(
        self,
        data: &Tensor,
        updates: &Tensor,
        targets: impl Iterator<Item = Result<(usize, usize)>>,
    ) -> Result<Tensor> {
        let mut out = data.clone();
        match out.data_mut() {
            Data::F32(out) => {
                let updates = updates.as_f32()?;
                for target in targets {
                    let (at, from) = target?;
                    out[at] = self.combine(Scalar::Float(out[at]), Scalar::Float(updates[from])).float();
                }
            }
            Data::I64(out) => {
                let updates = updates.as_i64()?;
                for target in targets {
                    let (at, from) = target?;
                    out[at] = self.combine(Scalar::Int(out[at]), Scalar::Int(updates[from])).int();
                }
            }
            _ => return Err(Error::Unsupported(format!("scattering into {}", data.dtype()))),
        }
        Ok(out)
    }

    /// What is promised of extreme numbers; products of many factors leave the normal ones on their way.
    pub(super) fn extremes(self) -> Extremes {
        match self {
            Update::Replace | Update::Max | Update::Min => Extremes::Kept,
            Update::Add => Extremes::Poisoned,
            Update::Mul => Extremes::Unspecified,
        }
    }

    /// Exact: updates come in a fixed order, and every sum and product is correctly rounded. What devices may do is to take
    /// what is too small for a normal number as 0, wherever they compute.
    pub(super) fn tolerance(self, out: &Tensor) -> Tolerance {
        match (self, out.dtype()) {
            (Update::Replace, _) | (_, DType::I64) => Tolerance::Exact,
            _ => Tolerance::Absolute(vec![f32::MIN_POSITIVE; out.len()]),
        }
    }

    /// Links `combine` of `shaders/combine.wgsl` for elements of that type.
    pub(super) fn link(self, kernel: Kernel, dtype: DType) -> Kernel {
        let kernel = kernel.constant("REDUCTION", self as u32).constant("INTEGERS", (dtype == DType::I64).into());
        kernel.provider("combine")
    }
}

/// Refuses `updates` unless it is of the type of `data` and of `shape`.
pub(super) fn expect_updates(op: &str, data: &TensorType, updates: &TensorType, shape: &[usize]) -> Result<()> {
    if updates.dtype == data.dtype && dims(op, "updates", updates)? == shape {
        return Ok(());
    }
    Err(Error::shape(op, format!("operand 'updates' is {updates}, expected {}{shape:?}", data.dtype)))
}

/// Operations of `lanes` lanes that apply `updates` each, one after another: a lane that walks alone holds a whole workgroup.
pub(super) fn walk_flops(lanes: usize, updates: usize, each: usize) -> u64 {
    (lanes.max(LINEAR_WORKGROUP as usize) * updates * each) as u64
}
