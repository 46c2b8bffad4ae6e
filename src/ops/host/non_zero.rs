//! Where a tensor is not zero.

use crate::error::{Error, Result};
use crate::ops::view::row_major;
use crate::tensor::{Data, Tensor};

/// The coordinates of all elements that are not 0, in row-major order: i64 `[rank, n]`. NaN is not 0.
///
/// # Errors
/// [`Error::Unsupported`] unless `x` is f32 or i64.
pub fn non_zero(x: &Tensor) -> Result<Tensor> {
    let found: Vec<usize> = match x.data() {
        Data::F32(v) => v.iter().enumerate().filter(|(_, x)| **x != 0.0).map(|(i, _)| i).collect(),
        Data::I64(v) => v.iter().enumerate().filter(|(_, x)| **x != 0).map(|(i, _)| i).collect(),
        _ => return Err(Error::Unsupported(format!("NonZero of {}", x.dtype()))),
    };
    let along = |(n, stride): (&usize, usize)| found.iter().map(move |i| (i / stride % n) as i64).collect::<Vec<_>>();
    let coordinates: Vec<i64> = x.shape().iter().zip(row_major(x.shape())).flat_map(along).collect();
    Tensor::i64(&[x.shape().len(), found.len()], coordinates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_come_by_dimension() {
        let x = Tensor::i64(&[2, 3], vec![1, 0, 3, 0, 0, -2]).unwrap();
        assert_eq!(non_zero(&x).unwrap(), Tensor::i64(&[2, 3], vec![0, 0, 1, 0, 2, 2]).unwrap());
        let x = Tensor::f32(&[4], vec![-0.0, f32::NAN, 0.0, 1e-45]).unwrap();
        assert_eq!(non_zero(&x).unwrap(), Tensor::i64(&[1, 2], vec![1, 3]).unwrap());
    }

    #[test]
    fn nothing_and_scalars_have_coordinates_too() {
        let none = Tensor::f32(&[2, 0, 3], Vec::new()).unwrap();
        assert_eq!(non_zero(&none).unwrap(), Tensor::i64(&[3, 0], Vec::new()).unwrap());
        let scalar = Tensor::i64(&[], vec![5]).unwrap();
        assert_eq!(non_zero(&scalar).unwrap(), Tensor::i64(&[0, 1], Vec::new()).unwrap());
    }
}
