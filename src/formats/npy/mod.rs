//! NumPy arrays: `.npy`, one array in a file, and `.npz`, a ZIP archive of such files.
//!
//! Format versions 1 to 3 are read, and 1.0 written. The format is described in `numpy.lib.format`.
//!
//! ```text
//! "\x93NUMPY"  major u8  minor u8  header length u16 (version 1) or u32  header  elements
//! header:      {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }            (see header.rs)
//! ```

mod archive;
mod header;

pub use archive::{read_npz, write_npz};

use super::element::ElementType;
use crate::error::{Error, Result};
use crate::tensor::{Data, Tensor};
use header::Header;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The elements start at a multiple of this.
const ALIGNMENT: usize = 64;

/// Reads an array of numbers or booleans. Columns-first (Fortran) order and big-endian elements are brought into the usual order.
///
/// # Errors
/// [`Error::Format`] when the bytes are no `.npy` file, or not exactly as many as its shape needs; [`Error::Unsupported`] for
/// element types without a counterpart, such as structures, objects and text.
pub fn read_npy(bytes: &[u8]) -> Result<(ElementType, Tensor)> {
    let refuse = |what: String| Error::format("NumPy array", what);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| refuse("it does not begin as one".to_owned()))?;
    let (header, data) = split_header(rest).ok_or_else(|| refuse("the header is cut off".to_owned()))?;
    let header = Header::parse(header?)?;
    let elements = header.shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
    let need = elements.and_then(|n| header.ty.bytes(n));
    let (Some(elements), Some(need)) = (elements, need) else {
        return Err(refuse(format!("the shape {:?} has too many elements", header.shape)));
    };
    if data.len() != need {
        return Err(refuse(format!("{:?} of {} needs {need} bytes, {} follow", header.shape, header.ty, data.len())));
    }
    let size = header.ty.bits() / 8;
    let data = match header.big_endian && size > 1 {
        true => header
            .ty
            .decode(&data.chunks_exact(size).flat_map(|word| word.iter().rev().copied()).collect::<Vec<_>>(), elements)?,
        false => header.ty.decode(data, elements)?,
    };
    let data = match (header.columns_first, data) {
        (true, Data::F32(values)) => Data::F32(rows_first(&values, &header.shape)),
        (true, Data::I64(values)) => Data::I64(rows_first(&values, &header.shape)),
        (_, data) => data,
    };
    Ok((header.ty, Tensor::new(&header.shape, data)?))
}

/// The header and what follows it; `None` where the bytes end too soon, an error for an unknown version.
fn split_header(bytes: &[u8]) -> Option<(Result<&[u8]>, &[u8])> {
    let ([major, minor], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        _ => return Some((Err(Error::Unsupported(format!("NumPy array version {major}.{minor}"))), rest)),
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((Ok(header), data))
}

/// Elements in row-major order from those in column-major order.
fn rows_first<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let strides: Vec<usize> = shape.iter().scan(1, |next, dim| Some(std::mem::replace(next, *next * dim))).collect();
    let (mut index, mut source) = (vec![0; shape.len()], 0);
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[source]);
        // The next index, counting the last dimension fastest, and its place.
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            source += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            source -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    out
}

/// The bytes of a `.npy` file with the values of `tensor` in type `ty`, see [`ElementType::encode`].
///
/// # Errors
/// [`Error::Unsupported`] for types that NumPy itself does not have; [`Error::Shape`] for floats as integers or the reverse.
pub fn write_npy(ty: ElementType, tensor: &Tensor) -> Result<Vec<u8>> {
    let header = Header { ty, big_endian: false, columns_first: false, shape: tensor.shape().to_vec() }.write()?;
    // The length field ends the ten bytes that stand before the header, and a line feed ends the header.
    let start = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(ALIGNMENT);
    let length = start - MAGIC.len() - 4;
    let field = u16::try_from(length)
        .map_err(|_| Error::shape("write_npy", format!("a shape of {} dimensions", tensor.shape().len())))?;
    let mut bytes = [MAGIC, &[1, 0], &field.to_le_bytes(), header.as_bytes()].concat();
    bytes.resize(start - 1, b' ');
    bytes.push(b'\n');
    bytes.extend(ty.encode(tensor.data())?);
    Ok(bytes)
}
