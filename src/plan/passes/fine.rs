//! Shapes under which reshaped tensors and what is broadcast to them go together.

use crate::shape::{Dim, TensorType};

/// The dimensions of a type, where all are constants.
pub fn dims(ty: &TensorType) -> Option<Vec<usize>> {
    ty.shape.0.iter().map(Dim::constant).collect()
}

/// Dimensions of which those of several shapes with as many elements are made; none is 1.
pub struct Fine(pub Vec<usize>);

impl Fine {
    /// `None` where the shapes differ in the number of elements, have none, or cut them in places that do not go together.
    pub fn of(shapes: &[&[usize]]) -> Option<Self> {
        // Elements from one to the next wherever some shape has a dimension, outermost last.
        let ends = |shape: &&[usize]| {
            let next = |n: &mut usize, d: &usize| {
                *n = n.checked_mul(*d)?;
                Some(*n)
            };
            shape.iter().rev().scan(1usize, next).collect::<Vec<usize>>()
        };
        let lists: Vec<Vec<usize>> = shapes.iter().map(ends).collect();
        let count = shapes.first()?.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n > 0)?;
        if lists.iter().any(|list| list.last().copied().unwrap_or(1) != count) {
            return None;
        }
        let mut ends: Vec<usize> = lists.concat();
        ends.sort_unstable();
        ends.dedup();
        let (mut fine, mut before) = (Vec::new(), 1);
        for end in ends.into_iter().filter(|end| *end > 1) {
            if end % before != 0 {
                return None;
            }
            fine.push(end / before);
            before = end;
        }
        fine.reverse();
        Some(Fine(fine))
    }

    /// The shape of an operand of shape `own`, which is broadcast to `whole` and aligned at its last dimension, in fine dimensions.
    pub fn split(&self, own: &[usize], whole: &[usize]) -> Option<Vec<usize>> {
        let mut rest = self.0.iter().rev();
        let mut shape = Vec::with_capacity(self.0.len());
        for (i, n) in whole.iter().rev().enumerate() {
            let own = own.len().checked_sub(i + 1).map_or(1, |at| own[at]);
            let mut left = *n;
            while left > 1 {
                let fine = rest.next().filter(|fine| left.is_multiple_of(**fine))?;
                left /= fine;
                shape.push(if own == 1 { 1 } else { *fine });
            }
        }
        shape.reverse();
        (own.len() <= whole.len() && rest.next().is_none()).then_some(shape)
    }
}
