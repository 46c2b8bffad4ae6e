//! A tensor as columns along neighbouring dimensions: what reductions, running totals and sorts work on.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use super::Lowering;
use super::lowering::NARROW_ITERATIONS;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Kernel, linear_grid};
use crate::shape::TensorType;

/// Columns of `len` elements that are `stride` apart. Blocks of `stride` columns lie side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    /// Columns that there are.
    pub count: usize,
    /// Elements of each.
    pub len: usize,
    /// Elements from one of a column to its next.
    pub stride: usize,
}

impl Columns {
    /// The columns of a tensor of `shape` along the dimensions `axes`.
    pub fn along(shape: &[usize], axes: Range<usize>) -> Self {
        let (outer, stride): (usize, usize) = (shape[..axes.start].iter().product(), shape[axes.end..].iter().product());
        Columns { count: outer * stride, len: shape[axes].iter().product(), stride }
    }

    /// The index of element `i` of column `c`.
    fn index(&self, c: usize, i: usize) -> usize {
        (c / self.stride * self.len + i) * self.stride + c % self.stride
    }

    /// `f` of every column of `x`: `len` values each, which are the columns of what it returns.
    pub fn map<T: Copy + Send + Sync, U: Copy + Default + Send>(
        &self,
        x: &[T],
        len: usize,
        f: impl Fn(&[T]) -> Vec<U> + Sync,
    ) -> Vec<U> {
        let column = |buffer: &mut Vec<T>, c| {
            buffer.clear();
            buffer.extend((0..self.len).map(|i| x[self.index(c, i)]));
            f(buffer)
        };
        let results: Vec<Vec<U>> = (0..self.count).into_par_iter().map_init(Vec::new, column).collect();
        let to = Columns { len, ..*self };
        let mut out = vec![U::default(); self.count * len];
        for (c, values) in results.into_iter().enumerate() {
            values.into_iter().enumerate().for_each(|(i, value)| out[to.index(c, i)] = value);
        }
        out
    }

    /// The words by which kernels find columns.
    pub fn params(&self) -> Vec<u32> {
        [self.count, self.len, self.stride].map(|n| n as u32).to_vec()
    }

    /// Sets how a workgroup shares its columns out, and returns the grid.
    ///
    /// By reasoning. Wide devices: as many columns as lie side by side, so that neighbours read neighbouring words, and
    /// four elements or more an invocation. Narrow ones: a column an invocation, since barriers are dear, unless there are
    /// too few columns to occupy them or the columns are too long.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for columns too long for the loops of a narrow device.
    pub fn share(&self, kernel: Kernel, cx: &Lowering<'_>) -> Result<(Kernel, [u32; 3])> {
        let (columns, slices) = match cx.caps.width {
            Width::Wide => {
                let side = self.stride.min(64).next_power_of_two();
                let slices = self.len.div_ceil(4).min(256).next_power_of_two().min(256 / side);
                (side.max(64 / slices.min(64)), slices)
            }
            Width::Narrow => {
                let few = if self.count < 64 && self.len >= 64 { 8 } else { 1 };
                let slices = self.len.div_ceil(NARROW_ITERATIONS).next_power_of_two().max(few);
                (8 / slices.min(8), slices)
            }
        };
        if slices > 256 {
            return Err(Error::Unsupported(format!("a line of {} elements on a narrow device", self.len)));
        }
        cx.check_iterations(self.len.div_ceil(slices))?;
        let kernel = kernel.constant("COLUMNS", columns as u32).constant("SLICES", slices as u32);
        Ok((kernel.constant("LANES", (columns * slices) as u32), linear_grid(self.count.div_ceil(columns), cx.caps)))
    }
}

/// Whether `axis` is a dimension of `x`.
pub(super) fn has_axis(x: &TensorType, axis: usize) -> bool {
    axis < x.shape.rank()
}

/// Elements that can be put in order.
pub(super) trait Element: Copy + PartialOrd + Send + Sync {
    /// Whether it is no number.
    fn is_nan(self) -> bool;

    /// The order of numbers, with NaN after all of them.
    fn order(self, other: Self) -> Ordering {
        self.partial_cmp(&other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
    }
}

impl Element for f32 {
    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

impl Element for i64 {
    fn is_nan(self) -> bool {
        false
    }
}
