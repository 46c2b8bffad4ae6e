//! Weights in the layout of their file, and weights whose rows are those of several others.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::{Data, Tensor};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::quant;

/// Bytes that something else owns: a memory map or a vector.
pub type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Rows that lie one after another in memory.
#[derive(Clone)]
struct Part {
    owner: Owner,
    range: Range<usize>,
}

impl Part {
    fn bytes(&self) -> &[u8] {
        // The range was checked when the weight was made.
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

/// How the rows of a weight come from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Order {
    /// All of one part, then all of the next.
    Stacked,
    /// A row of each part in turn.
    Interleaved,
}

/// What two weights share when they are the same bytes of the same owners in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    order: Order,
    parts: Vec<(usize, usize, usize)>,
}

/// A weight of any element type, in the layout of its file. Cloning shares the bytes.
#[derive(Clone)]
pub struct Weight {
    dtype: DType,
    shape: Vec<usize>,
    order: Order,
    /// One or more.
    parts: Arc<[Part]>,
}

impl Weight {
    /// The weight that `range` of `owner` holds: `shape` outermost first, rows stored one after another.
    ///
    /// # Errors
    /// [`Error::Shape`] when the range does not hold exactly the rows of that shape.
    pub fn new(dtype: DType, shape: &[usize], owner: Owner, range: Range<usize>) -> Result<Self> {
        let bytes = owner.as_ref().as_ref().get(range.clone()).map(<[u8]>::len);
        let need = need(dtype, shape);
        if need.is_none() || need != bytes {
            return Err(Error::shape("weight", format!("{dtype}{shape:?} needs {need:?} bytes, there are {bytes:?}")));
        }
        Ok(Weight { dtype, shape: shape.to_vec(), order: Order::Stacked, parts: Arc::new([Part { owner, range }]) })
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

    /// The rows of `parts` (`[N_i, K]`) one part after another, `[sum N_i, K]`; no byte is copied.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the parts are matrices of one element type and K that are not made of parts themselves.
    pub fn stacked(parts: &[&Weight]) -> Result<Self> {
        Weight::join(Order::Stacked, parts)
    }

    /// The rows of `parts` (`[N, K]`) in turn, `[parts N, K]`: row r is row `r / parts` of part `r % parts`; no byte is copied.
    ///
    /// # Errors
    /// As [`Weight::stacked`], and when the parts differ in N.
    pub fn interleaved(parts: &[&Weight]) -> Result<Self> {
        if parts.windows(2).any(|pair| pair[0].rows() != pair[1].rows()) {
            return Err(Error::shape("weight", format!("{parts:?} have no rows to take in turn")));
        }
        Weight::join(Order::Interleaved, parts)
    }

    fn join(order: Order, parts: &[&Weight]) -> Result<Self> {
        let refuse = || Error::shape("weight", format!("{parts:?} do not go together"));
        let first = parts.first().ok_or_else(refuse)?;
        let sound = |w: &&Weight| w.shape.len() == 2 && w.columns() == first.columns() && w.dtype == first.dtype;
        if !parts.iter().all(|w| sound(w) && w.parts.len() == 1) {
            return Err(refuse());
        }
        let rows = parts.iter().map(|w| w.rows()).sum();
        let all = parts.iter().flat_map(|w| w.parts.iter().cloned()).collect();
        Ok(Weight { dtype: first.dtype, shape: vec![rows, first.columns()], order, parts: all })
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

    /// The number of the file's bytes.
    pub fn byte_len(&self) -> usize {
        self.parts.iter().map(|part| part.range.len()).sum()
    }

    /// The file's bytes, copied where they lie in several places.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        self.row_bytes(0..self.rows())
    }

    /// The file's bytes of some rows, copied where they lie in several places.
    pub fn row_bytes(&self, rows: Range<usize>) -> Cow<'_, [u8]> {
        let stride = self.dtype.row_bytes(self.columns()).unwrap_or(0);
        if let [part] = &self.parts[..] {
            return Cow::Borrowed(&part.bytes()[rows.start * stride..rows.end * stride]);
        }
        let mut bytes = Vec::with_capacity(rows.len() * stride);
        rows.for_each(|row| bytes.extend_from_slice(self.row_of_parts(row, stride)));
        Cow::Owned(bytes)
    }

    /// The bytes of one row of a weight that has several parts.
    fn row_of_parts(&self, row: usize, stride: usize) -> &[u8] {
        let (mut at, mut part) = (row / self.parts.len(), row % self.parts.len());
        if self.order == Order::Stacked {
            (at, part) = (row * stride, 0);
            while at >= self.parts[part].range.len() {
                at -= self.parts[part].range.len();
                part += 1;
            }
            at /= stride.max(1);
        }
        &self.parts[part].bytes()[at * stride..][..stride]
    }

    /// Dequantises one row into `out` (`[columns]`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length or the row does not exist.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        if row >= self.rows() {
            return Err(Error::shape("weight", format!("row {row} of {} rows", self.rows())));
        }
        quant::dequantize(self.dtype, &self.row_bytes(row..row + 1), out)
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
        let keeps_rows = self.parts.len() == 1 || shape.last() == self.shape.last();
        if need(self.dtype, shape) != Some(self.byte_len()) || !keeps_rows {
            return Err(Error::shape("weight", format!("{self:?} cannot be {shape:?}")));
        }
        Ok(Weight { shape: shape.to_vec(), ..self.clone() })
    }

    /// What two weights share when they are the same bytes.
    pub fn identity(&self) -> Identity {
        let place = |p: &Part| (Arc::as_ptr(&p.owner).cast::<u8>() as usize, p.range.start, p.range.end);
        Identity { order: self.order, parts: self.parts.iter().map(place).collect() }
    }

    /// Whether nothing but this weight keeps its bytes.
    pub fn is_only_owner(&self) -> bool {
        Arc::strong_count(&self.parts) == 1 && self.parts.iter().all(|part| Arc::strong_count(&part.owner) == 1)
    }

    /// All values as f32.
    ///
    /// # Errors
    /// As [`Weight::row`].
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.rows() * self.columns()];
        quant::dequantize(self.dtype, &self.bytes(), &mut out)?;
        Ok(out)
    }
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weight({}{:?}, {} bytes)", self.dtype, self.shape, self.byte_len())
    }
}

/// The bytes of a weight of that shape.
fn need(dtype: DType, shape: &[usize]) -> Option<usize> {
    let (rows, columns) = shape.split_at(shape.len().saturating_sub(1));
    let rows = rows.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    dtype.row_bytes(columns.first().copied().unwrap_or(1))?.checked_mul(rows)
}
