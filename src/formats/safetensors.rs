//! safetensors: the dense container of Hugging Face, in one file or in shards with an index.
//!
//! A file is a u64 length, a JSON header of that length (name to dtype, shape, byte range) and the data. The `safetensors`
//! crate parses the header and checks that shapes, ranges and types agree and leave no holes.

mod arrays;

pub use arrays::write_safetensors;

use super::map::Bytes;
use crate::dtype::DType;
use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, Metadata};
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

/// The longest header that is parsed. Real ones stay under 10 MB.
const MAX_HEADER: u64 = 100_000_000;
/// What a folder holds when the model is in one file, and when it is in several.
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// An open model: one file or several that an index joins.
#[derive(Debug)]
pub struct SafeTensors {
    files: Vec<(String, Bytes)>,
    metadata: BTreeMap<String, String>,
    tensors: Vec<TensorInfo>,
    names: HashMap<String, usize>,
}

/// What a file says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name.
    pub name: String,
    /// The name of the stored type, for example `I64`.
    pub stored: String,
    /// The same as an element type of this crate; `None` for types that can be listed but not loaded.
    pub dtype: Option<DType>,
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Which of the files holds the data.
    pub file: usize,
    /// Where the data starts, in bytes from the start of that file.
    pub offset: usize,
    /// Bytes of data.
    pub bytes: usize,
}

impl SafeTensors {
    /// Opens a `.safetensors` file, a `.safetensors.index.json` with its shards beside it, or a folder that holds
    /// `model.safetensors` or `model.safetensors.index.json`. The tensors' data stays in the memory map.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be opened; [`Error::Format`], naming file and tensor, when one breaks the format, when
    /// an index names a shard outside its own folder, or a tensor that the shard does not hold.
    pub fn open(path: &Path) -> Result<Self> {
        let (single, index) = (path.join(SINGLE), path.join(INDEX));
        match path {
            _ if single.is_file() => Self::open_files(&[&single], None),
            _ if index.is_file() => Self::open_sharded(&index),
            _ if path.extension().is_some_and(|extension| extension == "json") => Self::open_sharded(path),
            _ => Self::open_files(&[path], None),
        }
    }

    /// Reads a file that is in memory already; `name` stands for it in errors.
    ///
    /// # Errors
    /// As for [`SafeTensors::open`].
    pub fn from_bytes(bytes: Vec<u8>, name: impl Into<String>) -> Result<Self> {
        Self::read(vec![(name.into(), Bytes::Owned(bytes))], None)
    }

    fn open_sharded(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let place = file_name(path);
        let index: Index = serde_json::from_slice(&text).map_err(|error| Error::format(&place, error.to_string()))?;
        let mut shards: Vec<&str> = index.weight_map.values().map(String::as_str).collect();
        shards.sort_unstable();
        shards.dedup();
        if let Some(shard) = shards.iter().find(|shard| !is_plain_file_name(shard)) {
            return Err(Error::format(place, format!("shard '{}' is no plain file name", shard.escape_debug())));
        }
        let paths: Vec<_> = shards.iter().map(|shard| path.with_file_name(shard)).collect();
        let paths: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
        Self::open_files(&paths, Some(&index.weight_map))
    }

    fn open_files(paths: &[&Path], weight_map: Option<&BTreeMap<String, String>>) -> Result<Self> {
        let files = paths.iter().map(|path| Ok((file_name(path), Bytes::map(path)?))).collect::<Result<_>>()?;
        Self::read(files, weight_map)
    }

    /// Reads the headers of `files`. With a weight map, a tensor counts only in the file that the map gives it.
    fn read(files: Vec<(String, Bytes)>, weight_map: Option<&BTreeMap<String, String>>) -> Result<Self> {
        let (mut tensors, mut metadata) = (Vec::new(), BTreeMap::new());
        for (number, (name, bytes)) in files.iter().enumerate() {
            let (header, data) = read_header(name, bytes)?;
            let belongs = |tensor: &String| weight_map.is_none_or(|map| map.get(tensor) == Some(name));
            let found = header.tensors().into_iter().filter(|(tensor, _)| belongs(tensor));
            tensors.extend(found.map(|(name, info)| {
                let (start, end) = info.data_offsets;
                TensorInfo {
                    name,
                    stored: format!("{:?}", info.dtype),
                    dtype: dtype(info.dtype),
                    shape: info.shape.clone(),
                    file: number,
                    offset: data + start,
                    bytes: end - start,
                }
            }));
            metadata.extend(header.metadata().clone().unwrap_or_default());
        }
        tensors.sort_by(|a, b| (a.file, a.offset, &a.name).cmp(&(b.file, b.offset, &b.name)));
        let names: HashMap<_, _> = tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.clone(), index)).collect();
        let missing = weight_map.into_iter().flatten().find(|(tensor, _)| !names.contains_key(*tensor));
        if let Some((tensor, shard)) = missing {
            return Err(Error::format(shard, format!("tensor '{tensor}', which the index places here, is not in it")));
        }
        Ok(SafeTensors { files, metadata, tensors, names })
    }

    /// The free-form metadata of the header, of all shards together.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All tensors, in the order of their data.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.names.get(name).and_then(|index| self.tensors.get(*index))
    }

    /// The bytes of a tensor of this model, little-endian, not necessarily aligned.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when no [`DType`] corresponds to the stored type; [`Error::Format`] for a tensor of another model.
    pub fn data(&self, tensor: &TensorInfo) -> Result<&[u8]> {
        if tensor.dtype.is_none() {
            let name = self.files.get(tensor.file).map_or("", |(name, _)| name);
            return Err(Error::Unsupported(format!("{name}: tensor '{}' has type {}", tensor.name, tensor.stored)));
        }
        self.stored_bytes(tensor)
    }

    /// The bytes of a tensor of this model, whatever its type.
    fn stored_bytes(&self, tensor: &TensorInfo) -> Result<&[u8]> {
        let (name, bytes) = self.files.get(tensor.file).map_or(("", &[][..]), |(name, bytes)| (name, bytes));
        let data = bytes.get(tensor.offset..).and_then(|rest| rest.get(..tensor.bytes));
        data.ok_or_else(|| Error::format(format!("{name}: tensor '{}'", tensor.name), "lies outside this file"))
    }
}

/// `model.safetensors.index.json`: which shard holds a tensor.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The header and the offset of the data, with all ranges checked to lie in the file.
///
/// The crate's own `SafeTensors::read_metadata` adds sizes from the header without a check for overflow, so the
/// lengths are compared here.
fn read_header(name: &str, bytes: &[u8]) -> Result<(Metadata, usize)> {
    let refuse = |what: String| Error::format(format!("{name}: header"), what);
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(refuse(format!("the file has only {} bytes", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().filter(|_| length <= MAX_HEADER).and_then(|length| rest.get(..length));
    let header = header.ok_or_else(|| refuse(format!("{length} bytes long, but {} follow", rest.len())))?;
    let metadata: Metadata = serde_json::from_slice(header).map_err(|error| refuse(error.to_string()))?;
    let data = rest.len() - header.len();
    if metadata.data_len() != data {
        return Err(refuse(format!("its tensors take {} bytes, but {data} follow", metadata.data_len())));
    }
    Ok((metadata, bytes.len() - data))
}

fn dtype(stored: Dtype) -> Option<DType> {
    Some(match stored {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::U32 => DType::U32,
        Dtype::I32 => DType::I32,
        _ => return None,
    })
}

/// Whether a name from an index stays in the index's own folder, on every system.
fn is_plain_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    plain && !name.contains(['/', '\\', ':', '\0'])
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
