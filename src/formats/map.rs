//! The bytes of a model file.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

/// A file's bytes: memory-mapped, or held by the program itself (where there are no files, and in tests).
#[derive(Debug)]
pub(super) enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    /// Maps the file at `path` for reading.
    pub(super) fn map(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        // SAFETY: the map is read-only. As with any mapped file, another program that truncates or rewrites the file while
        // it is open here can change or fault what is read; model files are not modified in place, and copying gigabytes
        // to rule that out would cost more than the map saves.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) };
        Ok(Bytes::Mapped(map.map_err(|error| Error::io(path, error))?))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
