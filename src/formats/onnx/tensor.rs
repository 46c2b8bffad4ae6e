//! Tensors of ONNX files: raw or typed data, inside the message or beside it, dense or sparse.

use super::external::External;
use super::proto::{SparseTensorProto, TensorProto};
use crate::error::{Error, Result};
use crate::formats::element::{self, ElementType};
use crate::tensor::{Owner, Tensor};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A constant as its file has it. Cloning shares the data.
#[derive(Clone, PartialEq)]
pub struct OnnxTensor {
    ty: ElementType,
    shape: Vec<usize>,
    elements: usize,
    data: Storage,
}

#[derive(Clone, PartialEq)]
enum Storage {
    /// Little-endian and packed; exactly what the shape needs.
    Bytes(Bytes),
    Strings(Arc<[Bytes]>),
}

impl OnnxTensor {
    /// The element type.
    pub fn ty(&self) -> ElementType {
        self.ty
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// The elements, little-endian and packed; nothing for strings.
    pub fn raw(&self) -> &[u8] {
        match &self.data {
            Storage::Bytes(bytes) => bytes,
            Storage::Strings(_) => &[],
        }
    }

    /// The elements of a float, float16 or bfloat16 tensor, shared with the file; what a [`crate::tensor::Weight`] takes.
    pub fn bytes(&self) -> Option<(Owner, Range<usize>)> {
        match (self.ty, &self.data) {
            (ElementType::Float | ElementType::Float16 | ElementType::Bfloat16, Storage::Bytes(bytes)) => {
                Some((Arc::new(bytes.clone()), 0..bytes.len()))
            }
            _ => None,
        }
    }

    /// The elements of a tensor of strings, which should be UTF-8.
    pub fn strings(&self) -> Option<Vec<&[u8]>> {
        match &self.data {
            Storage::Bytes(_) => None,
            Storage::Strings(strings) => Some(strings.iter().map(|string| &string[..]).collect()),
        }
    }

    /// The values as a host tensor, see [`ElementType::decode`].
    ///
    /// # Errors
    /// [`Error::Unsupported`] for strings and complex numbers.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Tensor::new(&self.shape, self.ty.decode(self.raw(), self.elements)?)
    }

    /// Reads and checks a tensor, which errors call `place`.
    pub(super) fn read(proto: TensorProto, external: &mut External, place: &str) -> Result<Self> {
        let ty = element_type(proto.data_type, place)?;
        let (shape, elements) = read_shape(&proto.dims, place)?;
        if proto.segment.is_some() {
            return Err(Error::Unsupported(format!("{place}: a tensor in segments")));
        }
        if ty == ElementType::String {
            if proto.string_data.len() != elements || proto.raw_data.is_some() || proto.data_location != 0 {
                let found = proto.string_data.len();
                return Err(Error::format(place, format!("{found} strings, but its shape {shape:?} needs {elements}")));
            }
            return Ok(OnnxTensor { ty, shape, elements, data: Storage::Strings(proto.string_data.into()) });
        }
        let Some(need) = ty.bytes(elements) else {
            return Err(Error::format(place, format!("{shape:?} elements of {ty} are too many")));
        };
        let data = match (proto.data_location, &proto.raw_data) {
            (0, Some(raw)) => raw.clone(),
            (0, None) => typed_data(proto, ty, place)?,
            (1, _) => external.slice(&proto.external_data, need, place)?,
            (other, _) => return Err(Error::format(place, format!("data location {other} is unknown"))),
        };
        if data.len() != need {
            let what = format!("{} bytes of data, but its shape {shape:?} and type {ty} need {need}", data.len());
            return Err(Error::format(place, what));
        }
        Ok(OnnxTensor { ty, shape, elements, data: Storage::Bytes(data) })
    }

    /// Reads a sparse tensor in coordinate format, zero wherever it says nothing.
    pub(super) fn read_sparse(proto: SparseTensorProto, external: &mut External, place: &str) -> Result<Self> {
        let (Some(values), Some(indices)) = (proto.values, proto.indices) else {
            return Err(Error::format(place, "a sparse tensor without values or indices"));
        };
        let values = Self::read(values, external, place)?;
        let indices = Self::read(indices, external, &format!("{place}, indices"))?;
        let (shape, elements) = read_shape(&proto.dims, place)?;
        let size = values.ty.bits() / 8;
        if size == 0 {
            return Err(Error::Unsupported(format!("{place}: a sparse tensor of {}", values.ty)));
        }
        let bytes = elements.checked_mul(size).filter(|bytes| external.take_room(*bytes));
        let bytes =
            bytes.ok_or_else(|| Error::Unsupported(format!("{place}: sparse data too large, here of shape {shape:?}")))?;
        let width = match indices.shape[..] {
            [count] if count == values.elements => 1,
            [count, rank] if count == values.elements && rank == shape.len() => rank,
            _ => 0,
        };
        if indices.ty != ElementType::Int64 || values.shape.len() != 1 || (width == 0 && values.elements > 0) {
            let found = format!("values {:?}, {} indices {:?}", values.shape, indices.ty, indices.shape);
            return Err(Error::format(place, format!("{found} do not make a sparse tensor of {shape:?}")));
        }
        let linear = indices.shape.len() == 1;
        let extents: &[usize] = if linear { &[elements] } else { &shape };
        let mut dense = vec![0; bytes];
        let coordinates = indices.raw().as_chunks::<8>().0.chunks_exact(width.max(1));
        for (coordinate, value) in coordinates.zip(values.raw().chunks_exact(size)) {
            let place_of = |index: usize, (raw, extent): (&[u8; 8], &usize)| {
                let along = usize::try_from(i64::from_le_bytes(*raw)).ok().filter(|along| along < extent)?;
                Some(index * extent + along)
            };
            let index = coordinate.iter().zip(extents).try_fold(0, place_of);
            let slot = index.and_then(|index| dense.get_mut(index * size..(index + 1) * size));
            slot.ok_or_else(|| Error::format(place, format!("an index outside {shape:?}")))?.copy_from_slice(value);
        }
        Ok(OnnxTensor { ty: values.ty, shape, elements, data: Storage::Bytes(Bytes::from(dense)) })
    }
}

impl std::fmt::Debug for OnnxTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnnxTensor({}{:?}, {} bytes)", self.ty, self.shape, self.raw().len())
    }
}

/// The element type with this number.
pub(super) fn element_type(number: i32, place: &str) -> Result<ElementType> {
    ElementType::from_onnx(number).ok_or_else(|| Error::format(place, format!("element type {number} is unknown")))
}

/// Dimensions and the number of elements.
fn read_shape(dims: &[i64], place: &str) -> Result<(Vec<usize>, usize)> {
    let shape: Option<Vec<usize>> = dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.ok_or_else(|| Error::format(place, format!("the shape {dims:?} has a negative dimension")))?;
    let elements = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
    match elements {
        Some(elements) => Ok((shape, elements)),
        None => Err(Error::format(place, format!("the shape {shape:?} has too many elements"))),
    }
}

/// The bytes of the field that the type's elements are kept in. Packed types have one byte of elements in each number, but
/// the 6-bit types one element.
fn typed_data(proto: TensorProto, ty: ElementType, place: &str) -> Result<Bytes> {
    Ok(match (ty, ty.bits()) {
        (ElementType::Float | ElementType::Complex64, _) => words(proto.float_data),
        (ElementType::Double | ElementType::Complex128, _) => words(proto.double_data),
        (ElementType::Int64, _) => words(proto.int64_data),
        (ElementType::Int32, _) => words(proto.int32_data),
        (ElementType::Uint64, _) => words(proto.uint64_data),
        (ElementType::Uint32, _) => words(narrow::<_, u32>(&proto.uint64_data, ty, place)?),
        (ElementType::Int8, _) => words(narrow::<_, i8>(&proto.int32_data, ty, place)?),
        (ElementType::Int16, _) => words(narrow::<_, i16>(&proto.int32_data, ty, place)?),
        (_, 16) => words(narrow::<_, u16>(&proto.int32_data, ty, place)?),
        (_, 6) => Bytes::from(element::pack(narrow::<_, u8>(&proto.int32_data, ty, place)?.into_iter(), 6)),
        _ => words(narrow::<_, u8>(&proto.int32_data, ty, place)?),
    })
}

/// The numbers in the type that they are meant for.
fn narrow<T: Copy, N: TryFrom<T>>(numbers: &[T], ty: ElementType, place: &str) -> Result<Vec<N>> {
    let narrowed: Option<Vec<N>> = numbers.iter().map(|number| N::try_from(*number).ok()).collect();
    narrowed.ok_or_else(|| Error::format(place, format!("a number that is no {ty}")))
}

/// The bytes of numbers (little-endian hosts), not copied.
fn words<T: bytemuck::NoUninit + Send>(numbers: Vec<T>) -> Bytes {
    struct Words<T>(Vec<T>);
    impl<T: bytemuck::NoUninit> AsRef<[u8]> for Words<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    Bytes::from_owner(Words(numbers))
}
