//! Host data: dense tensors that the reference computes with, and weights that stay in the file they came from.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use half::f16;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::quant;

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
    /// [`Error::Shape`] when the bytes do not fill the shape.
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

/// Bytes that something else owns: a memory map or a vector.
pub type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A weight of any element type, in the layout of its file. Cloning shares the bytes.
#[derive(Clone)]
pub struct Weight {
    dtype: DType,
    shape: Vec<usize>,
    owner: Owner,
    range: Range<usize>,
}

impl Weight {
    /// The weight that `range` of `owner` holds: `shape` outermost first, rows stored one after another.
    ///
    /// # Errors
    /// [`Error::Shape`] when the range does not hold exactly the rows of that shape.
    pub fn new(dtype: DType, shape: &[usize], owner: Owner, range: Range<usize>) -> Result<Self> {
        let bytes = owner.as_ref().as_ref().get(range.clone()).map(<[u8]>::len);
        let (rows, columns) = split(shape);
        let need = rows.and_then(|r| dtype.row_bytes(columns)?.checked_mul(r));
        if need.is_none() || need != bytes {
            return Err(Error::shape("weight", format!("{dtype}{shape:?} needs {need:?} bytes, there are {bytes:?}")));
        }
        Ok(Weight { dtype, shape: shape.to_vec(), owner, range })
    }

    /// A weight that owns its values.
    ///
    /// # Errors
    /// [`Error::Shape`] when the values do not fill the shape.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Result<Self> {
        let bytes: Vec<u8> = bytemuck::cast_slice(values).to_vec();
        let n = bytes.len();
        Weight::new(DType::F32, shape, Arc::new(bytes), 0..n)
    }

    /// A weight that owns the values of a dense tensor.
    ///
    /// # Errors
    /// As [`Weight::new`].
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let bytes: Vec<u8> = match &tensor.data {
            Data::F32(v) => bytemuck::cast_slice(v).to_vec(),
            Data::F16(v) => bytemuck::cast_slice(v).to_vec(),
            Data::U32(v) => bytemuck::cast_slice(v).to_vec(),
            Data::I64(v) => bytemuck::cast_slice(v).to_vec(),
        };
        let n = bytes.len();
        Weight::new(tensor.dtype(), &tensor.shape, Arc::new(bytes), 0..n)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All dimensions but the last, multiplied.
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// The last dimension.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        // The range was checked when the weight was made.
        &(*self.owner).as_ref()[self.range.clone()]
    }

    /// The file's bytes of some rows.
    pub fn row_bytes(&self, rows: Range<usize>) -> &[u8] {
        let stride = self.dtype.row_bytes(self.columns()).unwrap_or(0);
        &self.bytes()[rows.start * stride..rows.end * stride]
    }

    /// Dequantises one row into `out` (`[columns]`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length or the row does not exist.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        if row >= self.rows() {
            return Err(Error::shape("weight", format!("row {row} of {} rows", self.rows())));
        }
        quant::dequantize(self.dtype, self.row_bytes(row..row + 1), out)
    }

    /// The dense tensor: integers as they are, everything else as f32.
    ///
    /// # Errors
    /// As [`Weight::row`].
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self.dtype {
            DType::I64 => {
                let value = |b: &[u8]| b.try_into().map_or(0, i64::from_le_bytes);
                Tensor::i64(&self.shape, self.bytes().chunks_exact(8).map(value).collect())
            }
            _ => Tensor::f32(&self.shape, self.to_f32()?),
        }
    }

    /// The same bytes in another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fill it.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self> {
        Weight::new(self.dtype, shape, self.owner.clone(), self.range.clone())
    }

    /// A number that two weights share when they are the same bytes of the same owner.
    pub fn identity(&self) -> (usize, usize, usize) {
        (Arc::as_ptr(&self.owner).cast::<u8>() as usize, self.range.start, self.range.end)
    }

    /// Whether nothing but this weight keeps its bytes.
    pub fn is_only_owner(&self) -> bool {
        Arc::strong_count(&self.owner) == 1
    }

    /// All values as f32.
    ///
    /// # Errors
    /// As [`Weight::row`].
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.rows() * self.columns()];
        quant::dequantize(self.dtype, self.bytes(), &mut out)?;
        Ok(out)
    }
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weight({}{:?}, {} bytes)", self.dtype, self.shape, self.range.len())
    }
}

/// `(rows, columns)` of a shape; no rows where their product overflows.
fn split(shape: &[usize]) -> (Option<usize>, usize) {
    let (rows, columns) = shape.split_at(shape.len().saturating_sub(1));
    (rows.iter().try_fold(1usize, |n, d| n.checked_mul(*d)), columns.first().copied().unwrap_or(1))
}
