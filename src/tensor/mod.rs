//! Host data: dense tensors that the reference computes with, and weights that stay in the file they came from.

pub mod example;
mod weight;

use std::borrow::Cow;

use half::f16;

use crate::dtype::DType;
use crate::error::{Error, Result};

pub use weight::{Identity, Owner, Weight};

/// Elements of a dense host tensor.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Data {
    F32(Vec<f32>),
    F16(Vec<f16>),
    U32(Vec<u32>),
    I64(Vec<i64>),
}

/// A dense host tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of `shape`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `data` does not have as many elements as `shape` says.
    pub fn new(shape: &[usize], data: Data) -> Result<Self> {
        let tensor = Tensor { shape: shape.to_vec(), data };
        match shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) {
            Some(n) if n == tensor.len() => Ok(tensor),
            _ => Err(Error::shape("tensor", format!("{} elements cannot have the shape {shape:?}", tensor.len()))),
        }
    }

    /// An f32 tensor; see [`Tensor::new`].
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Result<Self> {
        Tensor::new(shape, Data::F32(data))
    }

    /// A u32 tensor; see [`Tensor::new`].
    pub fn u32(shape: &[usize], data: Vec<u32>) -> Result<Self> {
        Tensor::new(shape, Data::U32(data))
    }

    /// A tensor of integers; see [`Tensor::new`].
    pub fn i64(shape: &[usize], data: Vec<i64>) -> Result<Self> {
        Tensor::new(shape, Data::I64(data))
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an element type that host tensors do not have, [`Error::Shape`] for an impossible shape.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self> {
        let overflow = || Error::shape("tensor", format!("the shape {shape:?} has too many elements"));
        let n = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or_else(overflow)?;
        let data = match dtype {
            DType::F32 => Data::F32(vec![0.0; n]),
            DType::F16 => Data::F16(vec![f16::ZERO; n]),
            DType::U32 => Data::U32(vec![0; n]),
            DType::I64 => Data::I64(vec![0; n]),
            other => return Err(Error::Unsupported(format!("a dense host tensor of {other}"))),
        };
        Tensor::new(shape, data)
    }

    /// A tensor from little-endian bytes as a device holds them: integers in 32 bits.
    ///
    /// # Errors
    /// [`Error::Shape`] when the bytes do not fill the shape; [`Error::Unsupported`] for types that no device holds.
    pub fn from_device(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self> {
        let words = |size: usize| bytes.chunks_exact(size);
        let data = match dtype {
            DType::F32 => Data::F32(words(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            DType::U32 => Data::U32(words(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            DType::I64 => Data::I64(words(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect()),
            DType::F16 => Data::F16(words(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect()),
            other => return Err(Error::Unsupported(format!("a dense host tensor of {other}"))),
        };
        Tensor::new(shape, data)
    }

    /// The elements as the bytes a device holds (little-endian hosts).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an integer that needs more than 32 bits.
    pub fn to_device(&self) -> Result<Cow<'_, [u8]>> {
        let narrow = |v: &i64| {
            i32::try_from(*v).map_err(|_| Error::Unsupported(format!("the integer {v}: devices hold integers in 32 bits")))
        };
        Ok(match &self.data {
            Data::F32(v) => bytemuck::cast_slice(v).into(),
            Data::F16(v) => bytemuck::cast_slice(v).into(),
            Data::U32(v) => bytemuck::cast_slice(v).into(),
            Data::I64(v) => bytemuck::cast_slice(&v.iter().map(narrow).collect::<Result<Vec<i32>>>()?).to_vec().into(),
        })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::F32(v) => v.len(),
            Data::F16(v) => v.len(),
            Data::U32(v) => v.len(),
            Data::I64(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The last dimension, 1 for a scalar.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::F16(_) => DType::F16,
            Data::U32(_) => DType::U32,
            Data::I64(_) => DType::I64,
        }
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, to be changed in place.
    pub fn data_mut(&mut self) -> &mut Data {
        &mut self.data
    }

    /// The elements as f32.
    ///
    /// # Errors
    /// [`Error::Shape`] for another element type.
    pub fn as_f32(&self) -> Result<&[f32]> {
        match &self.data {
            Data::F32(v) => Ok(v),
            _ => Err(Error::shape("tensor", format!("expected f32, found {}", self.dtype()))),
        }
    }

    /// The elements as u32.
    ///
    /// # Errors
    /// [`Error::Shape`] for another element type.
    pub fn as_u32(&self) -> Result<&[u32]> {
        match &self.data {
            Data::U32(v) => Ok(v),
            _ => Err(Error::shape("tensor", format!("expected u32, found {}", self.dtype()))),
        }
    }

    /// The elements as integers.
    ///
    /// # Errors
    /// [`Error::Shape`] for another element type.
    pub fn as_i64(&self) -> Result<&[i64]> {
        match &self.data {
            Data::I64(v) => Ok(v),
            _ => Err(Error::shape("tensor", format!("expected i64, found {}", self.dtype()))),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shape has another number of elements.
    pub fn reshaped(self, shape: &[usize]) -> Result<Self> {
        Tensor::new(shape, self.data)
    }

    /// The elements converted to f32, whatever they are.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
            Data::U32(v) => v.iter().map(|x| *x as f32).collect(),
            Data::I64(v) => v.iter().map(|x| *x as f32).collect(),
        }
    }
}
