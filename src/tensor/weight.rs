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

/// The bytes of a tensor's values.
struct Values(Arc<Tensor>);

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        match &self.0.data {
            Data::F32(v) => bytemuck::cast_slice(v),
            Data::F16(v) => bytemuck::cast_slice(v),
            Data::U32(v) => bytemuck::cast_slice(v),
            Data::I64(v) => bytemuck::cast_slice(v),
        }
    }
}

/// Rows that lie one after another in memory, or side by side as the columns of a matrix.
#[derive(Clone)]
struct Part {
    owner: Owner,
    range: Range<usize>,
    transposed: bool,
}

impl Part {
    fn bytes(&self) -> &[u8] {
        // The range was checked when the weight was made.
        &(*self.owner).as_ref()[self.range.clone()]
    }

    /// Copies rows from number `first` on into `out`, as many as it holds; `stride` bytes each, `size` an element.
    fn copy_rows(&self, first: usize, stride: usize, size: usize, out: &mut [u8]) {
        match (self.transposed, size) {
            (false, _) => out.copy_from_slice(&self.bytes()[first * stride..][..out.len()]),
            (true, 2) => copy_columns::<2>(self.bytes(), first, stride, out),
            (true, _) => copy_columns::<4>(self.bytes(), first, stride, out),
        }
    }
}

/// Copies columns of a matrix of elements of `SIZE` bytes, from number `first` on, into rows of `stride` bytes.
fn copy_columns<const SIZE: usize>(matrix: &[u8], first: usize, stride: usize, out: &mut [u8]) {
    /// Columns that share the cache lines in which they lie.
    const TOGETHER: usize = 16;
    let columns = matrix.len() / stride * SIZE;
    for (i, rows) in out.chunks_mut(TOGETHER * stride).enumerate() {
        let at = (first + i * TOGETHER) * SIZE;
        for (k, line) in matrix.chunks_exact(columns).enumerate() {
            let elements = line[at..].as_chunks::<SIZE>().0;
            for (row, element) in rows.chunks_exact_mut(stride).zip(elements) {
                row[k * SIZE..][..SIZE].copy_from_slice(element);
            }
        }
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
    parts: Vec<(usize, usize, usize, bool)>,
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
        Ok(Weight {
            dtype,
            shape: shape.to_vec(),
            order: Order::Stacked,
            parts: Arc::new([Part { owner, range, transposed: false }]),
        })
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

    /// The values of a dense tensor as a weight; no byte is copied.
    ///
    /// # Errors
    /// As [`Weight::new`].
    pub fn from_tensor(tensor: impl Into<Arc<Tensor>>) -> Result<Self> {
        let tensor = tensor.into();
        let (dtype, shape, values) = (tensor.dtype(), tensor.shape.clone(), Values(tensor));
        let n = values.as_ref().len();
        Weight::new(dtype, &shape, Arc::new(values), 0..n)
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

    /// A matrix `[K, N]` as `[N, K]`; no byte is copied.
    ///
    /// # Errors
    /// [`Error::Shape`] unless it is a matrix of elements of 2 or 4 bytes that is not made of parts.
    pub fn transposed(&self) -> Result<Self> {
        let (Order::Stacked, [part], [k, n], (1, 2 | 4)) = (self.order, &self.parts[..], &self.shape[..], self.dtype.block())
        else {
            return Err(Error::shape("weight", format!("{self:?} cannot be transposed")));
        };
        let part = Part { transposed: !part.transposed, ..part.clone() };
        Ok(Weight { dtype: self.dtype, shape: vec![*n, *k], order: self.order, parts: Arc::new([part]) })
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

    /// The file's bytes of some of its rows, copied where they lie in several places.
    pub(crate) fn row_bytes(&self, rows: Range<usize>) -> Cow<'_, [u8]> {
        let stride = self.dtype.row_bytes(self.columns()).unwrap_or(0);
        if let [part] = &self.parts[..]
            && !part.transposed
        {
            return Cow::Borrowed(&part.bytes()[rows.start * stride..rows.end * stride]);
        }
        let mut bytes = vec![0; rows.len() * stride];
        let mut rest = &mut bytes[..];
        let mut row = rows.start;
        while !rest.is_empty() {
            let (part, first, count) = self.run(row, stride);
            let (run, after) = rest.split_at_mut((count * stride).min(rest.len()));
            part.copy_rows(first, stride, self.dtype.block().1, run);
            (row, rest) = (row + count, after);
        }
        Cow::Owned(bytes)
    }

    /// The part with a row, the row's number there, and how many rows follow one another there from it on.
    fn run(&self, row: usize, stride: usize) -> (&Part, usize, usize) {
        if self.order == Order::Interleaved {
            return (&self.parts[row % self.parts.len()], row / self.parts.len(), 1);
        }
        let (mut part, mut first) = (0, row);
        let rows = |part: usize| self.parts[part].range.len() / stride;
        while first >= rows(part) {
            first -= rows(part);
            part += 1;
        }
        (&self.parts[part], first, rows(part) - first)
    }

    /// Dequantises one row into `out` (`[columns]`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length or the row does not exist.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        self.dequantize_rows(row..row + 1, out)
    }

    /// Dequantises some rows into `out` (`[rows, columns]`).
    ///
    /// # Errors
    /// [`Error::Shape`] when `out` has another length or the rows do not exist.
    pub fn dequantize_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        if rows.end > self.rows() {
            return Err(Error::shape("weight", format!("rows {rows:?} of {} rows", self.rows())));
        }
        quant::dequantize(self.dtype, &self.row_bytes(rows), out)
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
        let in_order = matches!(&self.parts[..], [part] if !part.transposed);
        let keeps_rows = in_order || shape.last() == self.shape.last();
        if need(self.dtype, shape) != Some(self.byte_len()) || !keeps_rows {
            return Err(Error::shape("weight", format!("{self:?} cannot be {shape:?}")));
        }
        Ok(Weight { shape: shape.to_vec(), ..self.clone() })
    }

    /// What two weights share when they are the same bytes.
    pub fn identity(&self) -> Identity {
        let place = |p: &Part| (Arc::as_ptr(&p.owner).cast::<u8>() as usize, p.range.start, p.range.end, p.transposed);
        Identity { order: self.order, parts: self.parts.iter().map(place).collect() }
    }

    /// Whether no clone of this weight is left.
    pub fn is_only_handle(&self) -> bool {
        Arc::strong_count(&self.parts) == 1
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix whose element in row r and column c is `100 r + c`.
    fn matrix(rows: usize, columns: usize) -> Weight {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i / columns * 100 + i % columns) as f32).collect();
        Weight::from_f32(&[rows, columns], &values).unwrap()
    }

    #[test]
    fn columns_become_rows_wherever_they_are_read() {
        // More columns than are copied together, and no multiple of them.
        let weight = matrix(5, 37).transposed().unwrap();
        assert_eq!(weight.shape(), [37, 5]);
        let expected = |rows: Range<usize>| rows.flat_map(|r| (0..5).map(move |k| (k * 100 + r) as f32)).collect::<Vec<f32>>();
        assert_eq!(weight.to_f32().unwrap(), expected(0..37));
        for rows in [0..1, 3..4, 7..30, 36..37] {
            let mut out = vec![0.0; rows.len() * 5];
            weight.dequantize_rows(rows.clone(), &mut out).unwrap();
            assert_eq!(out, expected(rows));
        }
        assert_eq!(weight.transposed().unwrap().to_f32().unwrap(), matrix(5, 37).to_f32().unwrap());
        assert_ne!(weight.identity(), weight.transposed().unwrap().identity());
        assert!(weight.reshaped(&[5, 37]).is_err(), "rows that lie apart cannot be cut anew");
    }

    #[test]
    fn parts_may_be_transposed() {
        let (a, b) = (matrix(4, 3).transposed().unwrap(), matrix(3, 4));
        let row = |weight: &Weight, r: usize| {
            let mut out = vec![0.0; 4];
            weight.row(r, &mut out).unwrap();
            out
        };
        let stacked = Weight::stacked(&[&a, &b]).unwrap();
        let turns = Weight::interleaved(&[&a, &b]).unwrap();
        for r in 0..3 {
            assert_eq!([row(&stacked, r), row(&stacked, 3 + r)], [row(&a, r), row(&b, r)]);
            assert_eq!([row(&turns, 2 * r), row(&turns, 2 * r + 1)], [row(&a, r), row(&b, r)]);
        }
    }

    #[test]
    fn what_is_no_plain_matrix_is_not_transposed() {
        let bytes = Arc::new(vec![0u8; 18]);
        let blocks = Weight::new(DType::Q4_0, &[1, 32], bytes, 0..18).unwrap();
        let stacked = Weight::stacked(&[&matrix(2, 2), &matrix(2, 2)]).unwrap();
        let vector = Weight::from_f32(&[2], &[0.0; 2]).unwrap();
        for weight in [blocks, stacked, vector] {
            assert!(weight.transposed().is_err(), "{weight:?}");
        }
    }
}
