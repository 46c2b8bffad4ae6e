//! Elements of a tensor read in another order without a copy.

use super::view::{Axis, Border, View, row_major};
use crate::error::{Error, Result};
use crate::shape::{Dim, TensorType};

/// A tensor of `shape` whose element at `c` is element `start + sum_d steps[d] * c[d]` of the operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Strided {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The operand's element that comes first.
    pub start: usize,
    /// Elements of the operand from one coordinate to the next.
    pub steps: Vec<usize>,
}

impl Strided {
    /// A tensor as it lies.
    pub fn of(shape: &[usize]) -> Self {
        Strided { shape: shape.to_vec(), start: 0, steps: row_major(shape) }
    }

    /// What a view reads, where no place is outside and none of its axes runs backwards.
    pub fn of_view(view: &View) -> Option<Self> {
        if view.border != Border::None {
            return None;
        }
        let start =
            view.axes.iter().try_fold(0usize, |at, a| at.checked_add(usize::try_from(a.start).ok()?.checked_mul(a.stride)?))?;
        let step = |a: &Axis| usize::try_from(a.step).ok()?.checked_mul(a.stride);
        Some(Strided { shape: view.shape(), start, steps: view.axes.iter().map(step).collect::<Option<_>>()? })
    }

    /// The same as a view, where some axis can begin at the first element.
    pub fn to_view(&self) -> Option<View> {
        let axis = |(len, step): (&usize, &usize)| Axis {
            len: *len,
            start: 0,
            step: i64::from(*step > 0),
            extent: if *step > 0 { *len } else { 1 },
            stride: (*step).max(1),
        };
        let mut axes: Vec<Axis> = self.shape.iter().zip(&self.steps).map(axis).collect();
        if self.start > 0 {
            // An axis of one coordinate can begin anywhere.
            let free = axes.iter_mut().find(|a| a.len == 1 || a.step == 0);
            if let Some(axis) = free {
                *axis = Axis { start: i64::try_from(self.start).ok()?, step: 0, extent: self.start + 1, stride: 1, ..*axis };
            } else {
                let axis = axes.iter_mut().find(|a| self.start.is_multiple_of(a.stride))?;
                let places = self.start / axis.stride;
                *axis = Axis { start: i64::try_from(places).ok()?, extent: axis.extent + places, ..*axis };
            }
        }
        Some(View { axes, border: Border::None })
    }

    /// The same elements, in their order, as a tensor of another shape; `None` where one dimension of it would have to be read in
    /// more than one step.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        if self.shape.iter().chain(shape).any(|d| *d == 0) {
            return None;
        }
        let runs = self.shape.iter().zip(&self.steps).filter(|(n, _)| **n > 1);
        let mut runs: Vec<(usize, usize)> = runs.map(|(n, step)| (*n, *step)).collect();
        let mut steps = vec![0; shape.len()];
        for (n, out) in shape.iter().zip(&mut steps).rev().filter(|(n, _)| **n > 1) {
            let (mut len, step) = runs.pop()?;
            // Runs that go on as one are joined until they are long enough.
            while len < *n {
                let (outer, outer_step) = runs.pop()?;
                if outer_step != step * len {
                    return None;
                }
                len *= outer;
            }
            if !len.is_multiple_of(*n) {
                return None;
            }
            *out = step;
            if len > *n {
                runs.push((len / n, step * n));
            }
        }
        runs.is_empty().then(|| Strided { shape: shape.to_vec(), start: self.start, steps })
    }

    /// What `outer` reads of this tensor; `None` where one of its steps crosses dimensions.
    pub fn then(&self, outer: &Strided) -> Option<Self> {
        let rows = row_major(&self.shape);
        let coordinates = |mut at: usize| -> Vec<usize> {
            let coordinate = |row: &usize| {
                let c = at / row;
                at %= row;
                c
            };
            rows.iter().map(coordinate).collect()
        };
        let first = coordinates(outer.start);
        let mut last = first.clone();
        let place = |c: &[usize]| c.iter().zip(&self.steps).map(|(c, s)| c * s).sum::<usize>();
        let mut steps = Vec::with_capacity(outer.steps.len());
        for (n, step) in outer.shape.iter().zip(&outer.steps) {
            let by = coordinates(*step);
            last.iter_mut().zip(&by).for_each(|(l, b)| *l += b * (n - 1));
            steps.push(place(&by));
        }
        let inside = last.iter().zip(&self.shape).all(|(l, n)| l < n);
        inside.then(|| Strided { shape: outer.shape.clone(), start: self.start + place(&first), steps })
    }

    /// Refuses what would read outside of the operand `x`.
    pub(super) fn check(&self, op: &str, x: &TensorType) -> Result<()> {
        let count = x.shape.0.iter().map(Dim::constant).try_fold(1usize, |n, d| n.checked_mul(d?));
        let last = self
            .shape
            .iter()
            .zip(&self.steps)
            .try_fold(self.start, |at, (n, step)| at.checked_add(n.checked_sub(1)?.checked_mul(*step)?));
        match (count, last) {
            (Some(count), Some(last)) if last < count && self.steps.len() == self.shape.len() => Ok(()),
            _ => Err(Error::shape(op, format!("{self:?} leaves the operand {x}"))),
        }
    }
}
