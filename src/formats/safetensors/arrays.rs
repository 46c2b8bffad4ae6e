//! Tensors of safetensors files as arrays of the host, and back.

use std::borrow::Cow;

use safetensors::Dtype;
use safetensors::tensor::{View, serialize};

use super::SafeTensors;
use crate::error::{Error, Result};
use crate::formats::element::ElementType;
use crate::tensor::Tensor;

/// The stored types that have a counterpart.
const TYPES: [(Dtype, ElementType); 13] = [
    (Dtype::BOOL, ElementType::Bool),
    (Dtype::U8, ElementType::Uint8),
    (Dtype::I8, ElementType::Int8),
    (Dtype::U16, ElementType::Uint16),
    (Dtype::I16, ElementType::Int16),
    (Dtype::U32, ElementType::Uint32),
    (Dtype::I32, ElementType::Int32),
    (Dtype::U64, ElementType::Uint64),
    (Dtype::I64, ElementType::Int64),
    (Dtype::F16, ElementType::Float16),
    (Dtype::BF16, ElementType::Bfloat16),
    (Dtype::F32, ElementType::Float),
    (Dtype::F64, ElementType::Double),
];

impl SafeTensors {
    /// The tensor called `name`, of any type that [`ElementType::decode`] reads.
    ///
    /// # Errors
    /// [`Error::Request`] when there is none of that name; [`Error::Unsupported`] for other types.
    pub fn array(&self, name: &str) -> Result<(ElementType, Tensor)> {
        let missing = || Error::Request(format!("there is no tensor '{}'", name.escape_debug()));
        let info = self.tensor(name).ok_or_else(missing)?;
        let found = TYPES.iter().find(|(stored, _)| format!("{stored:?}") == info.stored);
        let unsupported = || Error::Unsupported(format!("tensor '{}' of type {}", info.name, info.stored));
        let (_, ty) = found.ok_or_else(unsupported)?;
        let bytes = self.stored_bytes(info)?;
        Ok((*ty, Tensor::new(&info.shape, ty.decode(bytes, info.shape.iter().product())?)?))
    }
}

/// A tensor with its bytes as they are written.
struct Stored<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Vec<u8>,
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The bytes of a file with these arrays.
///
/// # Errors
/// [`Error::Unsupported`] for types that the format does not have; as [`ElementType::encode`].
pub fn write_safetensors(arrays: &[(&str, ElementType, &Tensor)]) -> Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(arrays.len());
    for (name, ty, tensor) in arrays {
        let found = TYPES.iter().find(|(_, known)| known == ty);
        let (dtype, _) = found.ok_or_else(|| Error::Unsupported(format!("{ty} in a safetensors file")))?;
        stored.push((*name, Stored { dtype: *dtype, shape: tensor.shape(), bytes: ty.encode(tensor.data())? }));
    }
    serialize(stored, None).map_err(|e| Error::Request(format!("safetensors file: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let floats = Tensor::f32(&[2, 1], vec![0.5, -2.0]).unwrap();
        let integers = Tensor::i64(&[3], vec![1, 0, 1]).unwrap();
        for ty in [ElementType::Float, ElementType::Float16, ElementType::Bfloat16, ElementType::Double] {
            let bytes = write_safetensors(&[("a", ty, &floats)]).unwrap();
            assert_eq!(SafeTensors::from_bytes(bytes, "x").unwrap().array("a").unwrap(), (ty, floats.clone()));
        }
        for ty in [ElementType::Bool, ElementType::Uint8, ElementType::Int64, ElementType::Uint16] {
            let bytes = write_safetensors(&[("f", ElementType::Float, &floats), ("i", ty, &integers)]).unwrap();
            let file = SafeTensors::from_bytes(bytes, "x").unwrap();
            assert_eq!(file.array("i").unwrap(), (ty, integers.clone()));
            assert!(file.array("g").is_err());
        }
        assert!(write_safetensors(&[("i", ElementType::Int4, &integers)]).is_err());
    }
}
