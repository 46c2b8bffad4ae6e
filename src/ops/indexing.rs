//! What ops have in common that pick or place elements by indices.

use super::kind_of;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dim, TensorType};
use crate::tensor::{Data, Tensor};

/// The dimensions of operand `name`, which must be constant; its elements must be f32 or i64.
pub(super) fn dims(op: &str, name: &str, t: &TensorType) -> Result<Vec<usize>> {
    kind_of(op, t)?;
    let dims: Option<Vec<usize>> = t.shape.0.iter().map(Dim::constant).collect();
    dims.ok_or_else(|| Error::shape(op, format!("operand '{name}' is {t}, expected constant dimensions")))
}

/// The dimensions of operand `name`, which must be of integers.
pub(super) fn index_dims(op: &str, name: &str, t: &TensorType) -> Result<Vec<usize>> {
    if t.dtype != DType::I64 {
        return Err(Error::shape(op, format!("operand '{name}' is {t}, expected i64")));
    }
    dims(op, name, t)
}

/// Refuses an axis that a tensor of those dimensions does not have.
pub(super) fn expect_axis(op: &str, axis: usize, dims: &[usize]) -> Result<()> {
    if axis < dims.len() { Ok(()) } else { Err(Error::shape(op, format!("axis {axis} of the shape {dims:?}"))) }
}

/// The place that `index` names among `n`; negative ones count from the end.
///
/// # Errors
/// [`Error::Shape`] naming the index and `n` where there is no such place.
pub(super) fn place(op: &str, index: i64, n: usize) -> Result<usize> {
    let place = if index < 0 { index.checked_add_unsigned(n as u64) } else { Some(index) };
    let place = place.and_then(|p| usize::try_from(p).ok()).filter(|p| *p < n);
    place.ok_or_else(|| Error::shape(op, format!("index {index} is outside of -{n} .. {n}")))
}

/// The product of dimensions.
pub(super) fn product(dims: &[usize]) -> usize {
    dims.iter().product()
}

/// Where element `i`, in row-major order, of a tensor of `dims` lies under `strides`.
pub(super) fn offset(i: usize, dims: &[usize], strides: &[usize]) -> usize {
    let (mut rest, mut at) = (i, 0);
    for (n, stride) in dims.iter().zip(strides).rev() {
        at += rest % n * stride;
        rest /= n;
    }
    at
}

/// The tensor of `shape` whose elements are those of `x` at `sources`.
pub(super) fn pick(x: &Tensor, shape: &[usize], sources: &[usize]) -> Result<Tensor> {
    let data = match x.data() {
        Data::F32(v) => Data::F32(sources.iter().map(|s| v[*s]).collect()),
        Data::I64(v) => Data::I64(sources.iter().map(|s| v[*s]).collect()),
        _ => return Err(Error::Unsupported(format!("picking elements of {}", x.dtype()))),
    };
    Tensor::new(shape, data)
}

/// Where the elements of the slices at `places` along `axis` of a tensor of `dims` lie, for every slice before that axis in
/// turn.
pub(super) fn slices_at(dims: &[usize], axis: usize, places: &[usize]) -> Vec<usize> {
    let (outer, n, inner) = (product(&dims[..axis]), dims[axis], product(&dims[axis + 1..]));
    let slice = |o: usize, p: usize| (o * n + p) * inner..(o * n + p + 1) * inner;
    (0..outer).flat_map(|o| places.iter().flat_map(move |p| slice(o, *p))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_outside_are_refused_by_value_and_bound() {
        for (index, expected) in [(0, 0), (4, 4), (-1, 4), (-5, 0)] {
            assert_eq!(place("Op", index, 5).unwrap(), expected);
        }
        for (index, n) in [(5, 5), (-6, 5), (0, 0), (-1, 0), (i64::MIN, 5), (i64::MAX, 5)] {
            let message = place("Op", index, n).unwrap_err().to_string();
            assert_eq!(message, format!("Op: index {index} is outside of -{n} .. {n}"));
        }
    }
}
