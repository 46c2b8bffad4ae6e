//! Keeping the slices for which a condition holds.

use crate::error::{Error, Result};
use crate::ops::indexing::{expect_axis, pick, slices_at};
use crate::tensor::Tensor;

/// The slices of `x` along `axis`, or without one the elements of `x` in row-major order, whose element of `condition` (i64 of
/// one dimension) is not 0; those beyond its end are left out.
///
/// # Errors
/// [`Error::Shape`] when `condition` is of another type or rank or holds where `x` has no slice, or when there is no such axis;
/// [`Error::Unsupported`] unless `x` is f32 or i64.
pub fn compress(x: &Tensor, condition: &Tensor, axis: Option<usize>) -> Result<Tensor> {
    let mut shape = if axis.is_some() { x.shape().to_vec() } else { vec![x.len()] };
    let axis = axis.unwrap_or(0);
    expect_axis("Compress", axis, &shape)?;
    if condition.shape().len() != 1 {
        return Err(Error::shape(
            "Compress",
            format!("'condition' has the shape {:?}, expected one dimension", condition.shape()),
        ));
    }
    let holds = condition.as_i64()?.iter().enumerate().filter(|(_, c)| **c != 0);
    let kept: Vec<usize> = holds.map(|(i, _)| i).collect();
    let n = shape[axis];
    if let Some(outside) = kept.last().filter(|i| **i >= n) {
        return Err(Error::shape("Compress", format!("'condition' holds at {outside}, 'x' has {n} slices")));
    }
    let sources = slices_at(&shape, axis, &kept);
    shape[axis] = kept.len();
    pick(x, &shape, &sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], values: &[i64]) -> Tensor {
        Tensor::i64(shape, values.to_vec()).unwrap()
    }

    #[test]
    fn slices_and_elements_are_kept_as_numpy_does() {
        let x = ints(&[3, 2], &[1, 2, 3, 4, 5, 6]);
        let kept = |condition: &[i64], axis| compress(&x, &ints(&[condition.len()], condition), axis).unwrap();
        assert_eq!(kept(&[0, 1, 1], Some(0)), ints(&[2, 2], &[3, 4, 5, 6]));
        assert_eq!(kept(&[0, 1], Some(1)), ints(&[3, 1], &[2, 4, 6]));
        assert_eq!(kept(&[0, 1, 0, 0, 1], None), ints(&[2], &[2, 5]));
        assert_eq!(kept(&[0, 0, 0, 0], Some(0)), ints(&[0, 2], &[]));
        assert_eq!(kept(&[], Some(1)), ints(&[3, 0], &[]));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let x = ints(&[2, 2], &[1, 2, 3, 4]);
        assert!(compress(&x, &ints(&[3], &[0, 0, 1]), Some(0)).is_err());
        assert!(compress(&x, &ints(&[1], &[1]), Some(2)).is_err());
        assert!(compress(&x, &ints(&[1, 1], &[1]), Some(0)).is_err());
    }
}
