//! Values in files of their own (`.pb`): the messages of `onnx-data.proto`.

use super::external::External;
use super::model::ValueKind;
use super::proto::{OptionalProto, SequenceProto, SparseTensorProto, TensorProto};
use super::{OnnxTensor, decode};
use crate::error::{Error, Result};
use crate::formats::element::ElementType;
use crate::tensor::Tensor;
use bytes::Bytes;
use prost::Message;

/// A value of any type that models take and yield.
#[derive(Clone, Debug, PartialEq)]
pub enum OnnxValue {
    /// A tensor.
    Tensor(OnnxTensor),
    /// Values of one type.
    Sequence(Vec<OnnxValue>),
    /// A value, or nothing.
    Optional(Option<Box<OnnxValue>>),
}

/// Reads a `TensorProto`, a tensor in a file of its own.
///
/// # Errors
/// [`Error::Format`] when the bytes are no such message, or its data does not fill its shape; [`Error::Unsupported`] for data
/// in other files.
pub fn read_tensor_proto(bytes: &[u8]) -> Result<OnnxTensor> {
    let place = "TensorProto";
    OnnxTensor::read(decode(Bytes::copy_from_slice(bytes), place)?, &mut External::new(None), place)
}

/// Reads a value of type `kind`: a `TensorProto`, `SparseTensorProto`, `SequenceProto` or `OptionalProto`.
///
/// # Errors
/// As for [`read_tensor_proto`]; [`Error::Unsupported`] for maps, opaque and unknown types.
pub fn read_value(kind: &ValueKind, bytes: &[u8]) -> Result<OnnxValue> {
    let (bytes, external) = (Bytes::copy_from_slice(bytes), &mut External::new(None));
    match kind {
        ValueKind::Tensor { .. } => tensor(decode(bytes, "TensorProto")?, external),
        ValueKind::SparseTensor { .. } => sparse_tensor(decode(bytes, "SparseTensorProto")?, external),
        ValueKind::Sequence(_) => sequence(decode(bytes, "SequenceProto")?, external),
        ValueKind::Optional(_) => optional(decode(bytes, "OptionalProto")?, external),
        other => Err(Error::Unsupported(format!("values of type {other:?}"))),
    }
}

fn tensor(proto: TensorProto, external: &mut External) -> Result<OnnxValue> {
    OnnxTensor::read(proto, external, "TensorProto").map(OnnxValue::Tensor)
}

fn sparse_tensor(proto: SparseTensorProto, external: &mut External) -> Result<OnnxValue> {
    OnnxTensor::read_sparse(proto, external, "SparseTensorProto").map(OnnxValue::Tensor)
}

/// The elements of a sequence, which are all in one of the fields.
fn sequence(proto: SequenceProto, external: &mut External) -> Result<OnnxValue> {
    let mut values = Vec::new();
    for value in proto.tensor_values {
        values.push(tensor(value, external)?);
    }
    for value in proto.sparse_tensor_values {
        values.push(sparse_tensor(value, external)?);
    }
    for value in proto.sequence_values {
        values.push(sequence(value, external)?);
    }
    for value in proto.optional_values {
        values.push(optional(value, external)?);
    }
    Ok(OnnxValue::Sequence(values))
}

fn optional(proto: OptionalProto, external: &mut External) -> Result<OnnxValue> {
    let value = if let Some(value) = proto.tensor_value {
        Some(tensor(value, external)?)
    } else if let Some(value) = proto.sparse_tensor_value {
        Some(sparse_tensor(value, external)?)
    } else if let Some(value) = proto.sequence_value {
        Some(sequence(value, external)?)
    } else if let Some(value) = proto.optional_value {
        Some(optional(*value, external)?)
    } else {
        None
    };
    Ok(OnnxValue::Optional(value.map(Box::new)))
}

/// The bytes of a `TensorProto` with the values of `tensor` in type `ty`, see [`ElementType::encode`].
///
/// # Errors
/// As [`ElementType::encode`].
pub fn write_tensor_proto(ty: ElementType, tensor: &Tensor, name: &str) -> Result<Vec<u8>> {
    let dims = tensor.shape().iter().map(|dim| i64::try_from(*dim)).collect::<Result<_, _>>();
    let proto = TensorProto {
        dims: dims.map_err(|_| Error::shape("write_tensor_proto", format!("the shape {:?}", tensor.shape())))?,
        data_type: ty.onnx(),
        name: name.to_owned(),
        raw_data: Some(Bytes::from(ty.encode(tensor.data())?)),
        ..TensorProto::default()
    };
    Ok(proto.encode_to_vec())
}
