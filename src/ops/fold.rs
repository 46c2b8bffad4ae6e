//! How reductions and running totals put elements together; `shaders/fold.wgsl` is the same for kernels.

use super::sum_error;
use crate::dtype::DType;
use crate::kernel::{Extremes, Kernel};

/// What is made of elements. Integers wrap around: in 64 bits in the reference, in 32 on devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their product.
    Product,
    /// The greatest; NaN where there is one.
    Max,
    /// The least; NaN where there is one.
    Min,
    /// The sum of their squares.
    SumSquares,
    /// The sum of their magnitudes.
    SumAbs,
}

impl Reduction {
    /// All of them.
    pub const ALL: [Reduction; 6] =
        [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min, Reduction::SumSquares, Reduction::SumAbs];

    /// Sets the constants that `fold.wgsl` depends on.
    pub(super) fn link(self, kernel: Kernel, dtype: DType) -> Kernel {
        // NaN must come out of a comparison with any number.
        let nan_key = if self == Reduction::Min { 0 } else { u32::MAX };
        let kernel = kernel.constant("KIND", self as u32).constant("FLOAT", (dtype == DType::F32).into());
        kernel.constant("NAN_KEY", nan_key)
    }

    /// What is promised of extreme numbers; products of many factors leave the normal ones on their way.
    pub(super) fn extremes(self) -> Extremes {
        match self {
            Reduction::Max | Reduction::Min => Extremes::Kept,
            Reduction::Product => Extremes::Unspecified,
            _ => Extremes::Poisoned,
        }
    }

    /// What makes the sum of the magnitudes of its terms.
    pub(super) fn magnitudes(self) -> Reduction {
        if self == Reduction::SumSquares { self } else { Reduction::SumAbs }
    }

    /// How far a device may be from `value`, made of `n` floats whose terms have magnitudes of this sum: factors round one
    /// after another, as terms do, but relative to the product; comparisons are exact.
    pub(super) fn error(self, n: usize, magnitudes: f64, value: f32) -> f32 {
        match self {
            Reduction::Max | Reduction::Min => 0.0,
            Reduction::Product => sum_error(n) * value.abs() + f32::MIN_POSITIVE,
            _ => sum_error(n + 1) * magnitudes as f32 + f32::MIN_POSITIVE,
        }
    }
}

/// Numbers that totals are computed in: f64 of floats, i64 of integers.
pub(super) trait Total: Copy {
    /// The total of nothing.
    fn start(kind: Reduction) -> Self;
    /// What an element adds to a total.
    fn term(self, kind: Reduction) -> Self;
    /// The total of two totals.
    fn join(self, other: Self, kind: Reduction) -> Self;
}

impl Total for f64 {
    fn start(kind: Reduction) -> Self {
        match kind {
            Reduction::Product => 1.0,
            Reduction::Max => f64::NEG_INFINITY,
            Reduction::Min => f64::INFINITY,
            Reduction::Sum | Reduction::SumSquares | Reduction::SumAbs => 0.0,
        }
    }

    fn term(self, kind: Reduction) -> Self {
        match kind {
            Reduction::SumSquares => self * self,
            Reduction::SumAbs => self.abs(),
            _ => self,
        }
    }

    fn join(self, other: Self, kind: Reduction) -> Self {
        match kind {
            Reduction::Product => self * other,
            Reduction::Max if self.is_nan() || self > other => self,
            Reduction::Min if self.is_nan() || self < other => self,
            Reduction::Max | Reduction::Min => other,
            Reduction::Sum | Reduction::SumSquares | Reduction::SumAbs => self + other,
        }
    }
}

impl Total for i64 {
    fn start(kind: Reduction) -> Self {
        match kind {
            Reduction::Product => 1,
            Reduction::Max => i64::MIN,
            Reduction::Min => i64::MAX,
            Reduction::Sum | Reduction::SumSquares | Reduction::SumAbs => 0,
        }
    }

    fn term(self, kind: Reduction) -> Self {
        match kind {
            Reduction::SumSquares => self.wrapping_mul(self),
            Reduction::SumAbs => self.wrapping_abs(),
            _ => self,
        }
    }

    fn join(self, other: Self, kind: Reduction) -> Self {
        match kind {
            Reduction::Product => self.wrapping_mul(other),
            Reduction::Max => self.max(other),
            Reduction::Min => self.min(other),
            Reduction::Sum | Reduction::SumSquares | Reduction::SumAbs => self.wrapping_add(other),
        }
    }
}

/// The total of a column.
pub(super) fn fold<T: Total>(kind: Reduction, column: impl Iterator<Item = T>) -> T {
    column.fold(T::start(kind), |total, x| total.join(x.term(kind), kind))
}
