//! GGUF, the container of llama.cpp and its kin: metadata and tensors, quantised or not, in one file.
//!
//! Versions 2 and 3, little-endian, are read. Version 1 (32-bit counts, 2023 only) and big-endian files are refused by
//! name. The format is described in `docs/gguf.md` of ggml.
//!
//! ```text
//! "GGUF"  version u32  tensor count u64  metadata count u64
//! metadata:  key string, type u32, value                                     (see value.rs)
//! tensors:   name string, dimension count u32, dimensions u64, innermost first, type u32, offset u64
//! padding to a multiple of general.alignment (32 unless the metadata says otherwise)
//! data:      every tensor at its offset, itself a multiple of the alignment
//! ```

mod convert;
mod reader;
mod types;
mod value;

pub use convert::FromValue;
pub use types::GgmlType;
pub use value::{Array, Strings, Value};

use super::map::Bytes;
use crate::dtype::DType;
use crate::error::{Error, Result};
use reader::{Part, Reader};
use std::collections::HashMap;
use std::path::Path;

const DEFAULT_ALIGNMENT: usize = 32;
/// The longest key that the format allows.
const MAX_KEY: usize = 65_535;
/// The most dimensions that ggml has.
const MAX_DIMENSIONS: u32 = 4;

/// An open GGUF file.
#[derive(Debug)]
pub struct Gguf {
    name: String,
    bytes: Bytes,
    version: u32,
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    keys: HashMap<String, usize>,
    names: HashMap<String, usize>,
}

/// What a file says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name.
    pub name: String,
    /// The type that the file gives it.
    pub ggml_type: &'static GgmlType,
    /// The same as an element type of this crate; `None` for types that can be listed but not loaded.
    pub dtype: Option<DType>,
    /// The shape, outermost dimension first: `[rows, columns]` for a matrix (ggml's `ne`, reversed).
    pub shape: Vec<usize>,
    /// Where the data starts, in bytes from the start of the file.
    pub offset: usize,
    /// Bytes of data; 0 for a removed type, whose blocks have no size any more.
    pub bytes: usize,
}

impl AsRef<[u8]> for Gguf {
    /// The whole file.
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Gguf {
    /// Maps and reads the file at `path`. The tensors' data stays in the map.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, [`Error::Format`] when it breaks the format, with the place,
    /// [`Error::Unsupported`] for version 1, big-endian files, later versions, and tensor types without a known name.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::read(Bytes::map(path)?, name)
    }

    /// Reads a file that is in memory already; `name` stands for it in errors.
    ///
    /// # Errors
    /// As for [`Gguf::open`].
    pub fn from_bytes(bytes: Vec<u8>, name: impl Into<String>) -> Result<Self> {
        Self::read(Bytes::Owned(bytes), name.into())
    }

    fn read(bytes: Bytes, name: String) -> Result<Self> {
        let mut reader = Reader::new(&name, &bytes);
        let (version, tensor_count, entry_count) = read_header(&mut reader)?;

        let (mut metadata, mut keys, mut alignment) = (Vec::new(), HashMap::new(), DEFAULT_ALIGNMENT);
        for index in 0..entry_count {
            reader.part = Part::Key(index);
            let key = reader.name()?;
            if key.len() > MAX_KEY {
                return Err(reader.fail(format!("{} bytes, but a key has {MAX_KEY} at most", key.len())));
            }
            if keys.insert(key.to_owned(), metadata.len()).is_some() {
                return Err(reader.fail(format!("key '{key}' occurs twice")));
            }
            reader.part = Part::Value(key);
            let value = Value::read(&mut reader)?;
            if key == "general.alignment" {
                alignment = read_alignment(&value).map_err(|what| reader.fail(what))?;
            }
            metadata.push((key.to_owned(), value));
        }

        let (mut tensors, mut names) = (Vec::new(), HashMap::new());
        for index in 0..tensor_count {
            reader.part = Part::TensorName(index);
            let name = reader.name()?;
            if names.insert(name.to_owned(), tensors.len()).is_some() {
                return Err(reader.fail(format!("name '{name}' occurs twice")));
            }
            reader.part = Part::Tensor(name);
            tensors.push(read_tensor(&mut reader, name, alignment)?);
        }
        place_tensors(&mut tensors, &reader, alignment)?;
        Ok(Gguf { name, bytes, version, metadata, tensors, keys, names })
    }

    /// The name of the file, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All metadata, in the order of the file.
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.metadata
    }

    /// The metadata value of `key`, as it is stored.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).and_then(|index| self.metadata.get(*index)).map(|(_, value)| value)
    }

    /// The metadata value of `key` as a `T`: for example `file.require::<u32>("llama.block_count")`.
    ///
    /// # Errors
    /// [`Error::Format`], naming the key, when there is no such key or the value is not a `T`.
    pub fn require<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T> {
        self.optional(key)?.ok_or_else(|| Error::format(format!("{}: metadata value '{key}'", self.name), "missing"))
    }

    /// The metadata value of `key` as a `T`, or `None` when there is no such key.
    ///
    /// # Errors
    /// [`Error::Format`], naming the key, when the value is not a `T`.
    pub fn optional<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>> {
        let refuse = |what| Error::format(format!("{}: metadata value '{key}'", self.name), what);
        self.get(key).map(|value| T::from_value(value).map_err(refuse)).transpose()
    }

    /// All tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.names.get(name).and_then(|index| self.tensors.get(*index))
    }

    /// The bytes of a tensor of this file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when no [`DType`] corresponds to the tensor's type; [`Error::Format`] for a tensor of another,
    /// larger file.
    pub fn data(&self, tensor: &TensorInfo) -> Result<&[u8]> {
        if tensor.dtype.is_none() {
            let removed = if tensor.ggml_type.removed() { ", which ggml has removed" } else { "" };
            let what = format!("{}: tensor '{}' has type {}{removed}", self.name, tensor.name, tensor.ggml_type.name);
            return Err(Error::Unsupported(what));
        }
        let data = self.bytes.get(tensor.offset..).and_then(|rest| rest.get(..tensor.bytes));
        data.ok_or_else(|| Error::format(format!("{}: tensor '{}'", self.name, tensor.name), "lies outside this file"))
    }
}

fn read_alignment(value: &Value) -> Result<usize, String> {
    let alignment = u32::from_value(value)?;
    if alignment.is_power_of_two() { Ok(alignment as usize) } else { Err(format!("{alignment} is no power of two")) }
}

/// Reads up to the metadata: version, number of tensors, number of metadata entries.
fn read_header(reader: &mut Reader<'_>) -> Result<(u32, u64, u64)> {
    if reader.take(4)? != b"GGUF" {
        return Err(reader.fail("this is no GGUF file: it does not begin with 'GGUF'"));
    }
    let version = reader.number(u32::from_le_bytes)?;
    let refuse = |what: String| Err(Error::Unsupported(format!("{}: {what}", reader.file())));
    match (version, version.swap_bytes()) {
        (2 | 3, _) => {}
        (1, _) => return refuse("GGUF version 1; converting the model anew gives version 3".into()),
        (_, swapped @ 1..=3) => return refuse(format!("big-endian GGUF (version {swapped})")),
        _ => return refuse(format!("GGUF version {version}; versions 2 and 3 are read")),
    }
    // The smallest tensor has an empty name and one dimension, the smallest entry an empty key and a byte.
    let tensors = reader.count("tensors", 8 + 4 + 8 + 4 + 8)?;
    let entries = reader.count("metadata entries", 8 + 4 + 1)?;
    Ok((version, tensors, entries))
}

/// Reads what follows a tensor's name. The offset is still that from the start of the data.
fn read_tensor(reader: &mut Reader<'_>, name: &str, alignment: usize) -> Result<TensorInfo> {
    let count = reader.number(u32::from_le_bytes)?;
    if !(1..=MAX_DIMENSIONS).contains(&count) {
        return Err(reader.fail(format!("{count} dimensions; a tensor has 1 to {MAX_DIMENSIONS}")));
    }
    let mut shape = Vec::with_capacity(MAX_DIMENSIONS as usize);
    for _ in 0..count {
        let dimension = reader.number(u64::from_le_bytes)?;
        let size = usize::try_from(dimension).ok().filter(|size| *size > 0);
        shape.push(size.ok_or_else(|| reader.fail(format!("a dimension of {dimension}")))?);
    }
    shape.reverse();

    let id = reader.number(u32::from_le_bytes)?;
    let Some(ggml_type) = GgmlType::of(id) else {
        return Err(Error::Unsupported(format!("{}: tensor '{name}' has unknown ggml type {id}", reader.file())));
    };
    let bytes = data_bytes(ggml_type, &shape).map_err(|what| reader.fail(what))?;

    let offset = reader.number(u64::from_le_bytes)?;
    let aligned = usize::try_from(offset).ok().filter(|offset| offset.is_multiple_of(alignment));
    let offset = aligned.ok_or_else(|| reader.fail(format!("offset {offset} is no multiple of the alignment {alignment}")))?;
    Ok(TensorInfo { name: name.to_owned(), ggml_type, dtype: ggml_type.dtype, shape, offset, bytes })
}

/// Bytes of data of a tensor with this type and shape, or what is wrong with them.
fn data_bytes(ggml_type: &GgmlType, shape: &[usize]) -> Result<usize, String> {
    let overflow = || format!("shape {shape:?} overflows");
    let elements = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size)).ok_or_else(overflow)?;
    if ggml_type.removed() {
        return Ok(0);
    }
    let (row, block) = (shape.last().copied().unwrap_or(1), ggml_type.block_elements);
    if !row.is_multiple_of(block) {
        return Err(format!("a row of {row} elements is no whole number of {} blocks of {block}", ggml_type.name));
    }
    (elements / block).checked_mul(ggml_type.block_bytes).ok_or_else(overflow)
}

/// Makes the offsets those from the start of the file, and checks that every tensor lies inside it and apart from the others.
fn place_tensors(tensors: &mut [TensorInfo], reader: &Reader<'_>, alignment: usize) -> Result<()> {
    let refuse = |tensor: &TensorInfo, what: String| reader.fail_at(Part::Tensor(&tensor.name), tensor.offset, what);
    let start = reader.position().checked_next_multiple_of(alignment).unwrap_or(usize::MAX);
    let end = reader.file_len();
    for tensor in tensors.iter_mut() {
        tensor.offset = start.saturating_add(tensor.offset);
        if tensor.offset.checked_add(tensor.bytes).is_none_or(|last| last > end) {
            return Err(refuse(tensor, format!("its {} bytes end past the {end} bytes of the file", tensor.bytes)));
        }
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|tensor| (tensor.offset, tensor.bytes));
    for (before, after) in order.iter().zip(order.iter().skip(1)) {
        if before.offset + before.bytes > after.offset {
            return Err(refuse(after, format!("overlaps tensor '{}'", before.name)));
        }
    }
    Ok(())
}
