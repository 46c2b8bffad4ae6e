//! The different elements or slices of a tensor.

use std::cmp::Ordering;

use crate::error::Result;
use crate::ops::indexing::{expect_axis, pick, product, slices_at};
use crate::tensor::{Data, Tensor};

/// What [`unique`] finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Unique {
    /// The different elements `[n]`, or `x` with n different slices along the axis.
    pub values: Tensor,
    /// Where each of them comes first: i64 `[n]`.
    pub indices: Tensor,
    /// Which of them each element or slice of `x` is: i64, as many as there are.
    pub inverse: Tensor,
    /// How often each of them occurs: i64 `[n]`.
    pub counts: Tensor,
}

/// The different slices of `x` along `axis`, or without one its different elements; in ascending order where `sorted`, else in
/// the order in which they come first. Slices are compared element by element; NaN equals NaN and is the largest, both zeros
/// are equal.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when there is no such axis; [`Error::Unsupported`](crate::Error::Unsupported) unless
/// `x` is f32 or i64.
pub fn unique(x: &Tensor, axis: Option<usize>, sorted: bool) -> Result<Unique> {
    let mut shape = if axis.is_some() { x.shape().to_vec() } else { vec![x.len()] };
    let axis = axis.unwrap_or(0);
    expect_axis("Unique", axis, &shape)?;
    let (outer, n, inner) = (product(&shape[..axis]), shape[axis], product(&shape[axis + 1..]));
    let places = |slice: usize| (0..outer).flat_map(move |o| (o * n + slice) * inner..(o * n + slice + 1) * inner);
    let order = |a: usize, b: usize| places(a).zip(places(b)).map(|(a, b)| compare(x.data(), a, b)).find(|o| o.is_ne());
    let order = |a: &usize, b: &usize| order(*a, *b).unwrap_or(Ordering::Equal);
    let mut slices: Vec<usize> = (0..n).collect();
    slices.sort_by(order);
    // The sort is stable: the first of a group comes first in `x`.
    let mut groups: Vec<&[usize]> = slices.chunk_by(|a, b| order(a, b).is_eq()).collect();
    if !sorted {
        groups.sort_by_key(|group| group[0]);
    }
    let mut inverse = vec![0; n];
    for (g, group) in groups.iter().enumerate() {
        group.iter().for_each(|slice| inverse[*slice] = g as i64);
    }
    let firsts: Vec<usize> = groups.iter().map(|group| group[0]).collect();
    let sources = slices_at(&shape, axis, &firsts);
    shape[axis] = groups.len();
    let count = [groups.len()];
    Ok(Unique {
        values: pick(x, &shape, &sources)?,
        indices: Tensor::i64(&count, firsts.iter().map(|i| *i as i64).collect())?,
        inverse: Tensor::i64(&[n], inverse)?,
        counts: Tensor::i64(&count, groups.iter().map(|group| group.len() as i64).collect())?,
    })
}

/// The order of two elements; other types than f32 and i64 are refused when they are picked.
fn compare(data: &Data, a: usize, b: usize) -> Ordering {
    match data {
        Data::F32(v) => v[a].partial_cmp(&v[b]).unwrap_or_else(|| v[a].is_nan().cmp(&v[b].is_nan())),
        Data::I64(v) => v[a].cmp(&v[b]),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], values: &[i64]) -> Tensor {
        Tensor::i64(shape, values.to_vec()).unwrap()
    }

    fn expect(found: &Unique, values: &Tensor, lists: [&[i64]; 3]) {
        let [indices, inverse, counts] = lists.map(|l| ints(&[l.len()], l));
        assert_eq!(*found, Unique { values: values.clone(), indices, inverse, counts });
    }

    #[test]
    fn elements_come_sorted_or_as_they_appear() {
        let x = ints(&[2, 3], &[2, 1, 1, 3, 4, 3]);
        let found = unique(&x, None, true).unwrap();
        expect(&found, &ints(&[4], &[1, 2, 3, 4]), [&[1, 0, 3, 4], &[1, 0, 0, 2, 3, 2], &[2, 1, 2, 1]]);
        let found = unique(&x, None, false).unwrap();
        expect(&found, &ints(&[4], &[2, 1, 3, 4]), [&[0, 1, 3, 4], &[0, 1, 1, 2, 3, 2], &[1, 2, 2, 1]]);
    }

    #[test]
    fn slices_along_every_axis_are_as_numpy_gives_them() {
        let row = [1, 1, 0, 1, 2, 1, 0, 1];
        let x = ints(&[2, 4, 2], &[row, row].concat());
        expect(&unique(&x, Some(0), true).unwrap(), &ints(&[1, 4, 2], &row), [&[0], &[0, 0], &[2]]);
        let found = unique(&x, Some(1), true).unwrap();
        let values = ints(&[2, 3, 2], &[0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 2, 1]);
        expect(&found, &values, [&[1, 0, 2], &[1, 0, 2, 0], &[2, 1, 1]]);
        expect(&unique(&x, Some(2), true).unwrap(), &x, [&[0, 1], &[0, 1], &[1, 1]]);
    }

    #[test]
    fn nan_is_one_value_and_zeros_are_equal() {
        let x = Tensor::f32(&[6], vec![f32::NAN, 1.0, f32::NAN, -0.0, 0.0, f32::NEG_INFINITY]).unwrap();
        let found = unique(&x, None, true).unwrap();
        assert_eq!(found.indices, ints(&[4], &[5, 3, 1, 0]));
        assert_eq!(found.inverse, ints(&[6], &[3, 2, 3, 1, 1, 0]));
        assert_eq!(found.counts, ints(&[4], &[1, 2, 1, 2]));
    }

    #[test]
    fn nothing_has_no_different_elements() {
        expect(&unique(&ints(&[0], &[]), None, true).unwrap(), &ints(&[0], &[]), [&[], &[], &[]]);
        assert!(unique(&ints(&[1], &[1]), Some(1), true).is_err());
    }
}
