//! ONNX, the exchange format of trained models: a protobuf message, and files with tensor data beside it.
//!
//! The messages are those of `onnx.proto`, the rules those of the ONNX intermediate representation specification (`IR.md`).
//! Tensors stay in the memory map of their file. What a model leaves to its readers is done here: nodes are put in order,
//! sparse tensors made dense, and calls of the model's own functions replaced by their bodies ([`expand_functions`]).

mod convert;
mod data;
mod external;
mod functions;
mod model;
mod order;
mod proto;
mod size;
mod tensor;

pub use data::{OnnxValue, read_tensor_proto, read_value, write_tensor_proto};
pub use functions::expand_functions;
pub use model::{Attribute, Dim, Function, Graph, Model, Node, ValueInfo, ValueKind};
pub use tensor::OnnxTensor;

use super::map;
use crate::error::{Error, Result};
use bytes::Bytes;
use external::External;
use prost::Message;
use std::path::{Path, PathBuf};

/// An open ONNX model.
#[derive(Debug)]
pub struct OnnxFile {
    /// The checked model.
    pub model: Model,
    /// The files beside it that hold its tensors' data.
    pub data_files: Vec<PathBuf>,
}

impl OnnxFile {
    /// Maps and reads the model at `path`, with the data files in its folder.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be opened; [`Error::Format`], naming graph, node or tensor, when the model breaks the
    /// format or its data lies outside the model's folder; [`Error::Unsupported`] for versions of the format that are not
    /// known here, for graphs nested too deep and for sparse data too large.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Self::read(Bytes::from_owner(map::Bytes::map(path)?), Some(folder.to_owned()), &name)
    }

    /// Reads a model that is in memory already. Data files are looked for in `folder`.
    ///
    /// # Errors
    /// As for [`OnnxFile::open`]; [`Error::Unsupported`] also for data files where there is no folder.
    pub fn from_bytes(bytes: Vec<u8>, folder: Option<PathBuf>) -> Result<Self> {
        Self::read(Bytes::from(bytes), folder, "ONNX model")
    }

    fn read(bytes: Bytes, folder: Option<PathBuf>, name: &str) -> Result<Self> {
        let proto = decode(bytes, name)?;
        let mut external = External::new(folder);
        let model = convert::model(proto, &mut external, name)?;
        Ok(OnnxFile { model, data_files: external.into_files() })
    }
}

/// Decodes a message; its byte fields share `bytes`.
fn decode<M: Message + Default>(bytes: Bytes, name: &str) -> Result<M> {
    M::decode(bytes).map_err(|error| Error::format(name, error.to_string()))
}
