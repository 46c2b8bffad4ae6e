//! Tensor data that is not in the model: in files beside it, and the zeros of sparse tensors.

use super::proto::StringStringEntryProto;
use crate::error::{Error, Result};
use crate::formats::map;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Component, Path, PathBuf};

/// The most bytes that a model's sparse tensors may have when they are made dense: a size that stands in no relation to the
/// file's.
const MAX_DENSE: usize = 1 << 28;

/// The files that a model's tensors refer to, each mapped once.
pub(super) struct External {
    folder: Option<PathBuf>,
    files: BTreeMap<PathBuf, Bytes>,
    /// What is left of [`MAX_DENSE`].
    room: usize,
}

impl External {
    /// Files of `folder`; without one, no tensor may have its data outside the model.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        External { folder, files: BTreeMap::new(), room: MAX_DENSE }
    }

    /// The files that were opened.
    pub(super) fn into_files(self) -> Vec<PathBuf> {
        self.files.into_keys().collect()
    }

    /// Whether a sparse tensor of `bytes` can still be made dense.
    pub(super) fn take_room(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    /// The `need` bytes that a tensor's `external_data` points to.
    pub(super) fn slice(&mut self, entries: &[StringStringEntryProto], need: usize, place: &str) -> Result<Bytes> {
        let entry = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => match text.parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Error::format(place, format!("the {key} of its external data is '{}'", text.escape_debug()))),
            },
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if let Some(length) = length.filter(|length| *length != need) {
            return Err(Error::format(place, format!("{length} bytes of external data, but its shape and type need {need}")));
        }
        let location = entry("location").ok_or_else(|| Error::format(place, "external data without a location"))?;
        let file = self.file(location, place)?;
        match offset.checked_add(need) {
            Some(end) if end <= file.len() => Ok(file.slice(offset..end)),
            _ => {
                let there = format!("'{}' has {} bytes", location.escape_debug(), file.len());
                Err(Error::format(place, format!("needs {need} bytes at {offset}, but {there}")))
            }
        }
    }

    /// The file at `location`, which must not leave the folder, neither by its path nor through a link.
    fn file(&mut self, location: &str, place: &str) -> Result<&Bytes> {
        let Some(folder) = &self.folder else {
            let what = format!("{place}: external data '{}' of a model without a folder", location.escape_debug());
            return Err(Error::Unsupported(what));
        };
        let refuse =
            || Error::format(place, format!("external data '{}' is not inside the model's folder", location.escape_debug()));
        let inside = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
        if location.is_empty() || location.contains(['\\', '\0']) || !Path::new(location).components().all(inside) {
            return Err(refuse());
        }
        let joined = folder.join(location);
        let resolve = |path: &Path| path.canonicalize().map_err(|error| Error::io(path, error));
        let (path, root) = (resolve(&joined)?, resolve(folder)?);
        if !path.starts_with(root) {
            return Err(refuse());
        }
        if !path.is_file() {
            return Err(Error::format(place, format!("external data '{}' is no file", location.escape_debug())));
        }
        match self.files.entry(path) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let mapped = map::Bytes::map(entry.key())?;
                Ok(entry.insert(Bytes::from_owner(mapped)))
            }
        }
    }
}
