//! A cursor over the bytes of a GGUF file that knows, for errors, what it is reading.

use crate::error::{Error, Result};
use std::fmt;

/// The part of a file that is being read.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Header,
    Key(u64),
    Value(&'a str),
    TensorName(u64),
    Tensor(&'a str),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Header => f.write_str("header"),
            Part::Key(index) => write!(f, "key of metadata entry {index}"),
            Part::Value(key) => write!(f, "metadata value '{key}'"),
            Part::TensorName(index) => write!(f, "name of tensor {index}"),
            Part::Tensor(name) => write!(f, "tensor '{name}'"),
        }
    }
}

/// Reads little-endian fields one after another.
pub(super) struct Reader<'a> {
    /// The file's name, for errors.
    file: &'a str,
    bytes: &'a [u8],
    /// Where the next field starts.
    at: usize,
    /// Where the field that was read last starts.
    field: usize,
    /// What is being read, for errors.
    pub(super) part: Part<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, bytes: &'a [u8]) -> Self {
        Reader { file, bytes, at: 0, field: 0, part: Part::Header }
    }

    /// The file's name.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// The offset of the next field.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The size of the file.
    pub(super) fn file_len(&self) -> usize {
        self.bytes.len()
    }

    /// The error that the field read last is wrong.
    pub(super) fn fail(&self, what: impl Into<String>) -> Error {
        self.fail_at(self.part, self.field, what)
    }

    /// The error that `part`, at byte `at`, is wrong.
    pub(super) fn fail_at(&self, part: Part<'_>, at: usize, what: impl Into<String>) -> Error {
        Error::format(format!("{}: {part} at byte {at}", self.file), what)
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        self.field = self.at;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(field) = usize::try_from(count).ok().and_then(|count| rest.get(..count)) else {
            return Err(self.fail(format!("{count} bytes expected, but the file ends after {}", rest.len())));
        };
        self.at += field.len();
        Ok(field)
    }

    /// One number, decoded by its type's `from_le_bytes`.
    pub(super) fn number<const N: usize, T>(&mut self, decode: fn([u8; N]) -> T) -> Result<T> {
        let field = self.take(N as u64)?;
        field.first_chunk().map(|bytes| decode(*bytes)).ok_or_else(|| self.fail("truncated"))
    }

    /// `count` numbers in a row.
    pub(super) fn numbers<const N: usize, T>(&mut self, count: u64, decode: fn([u8; N]) -> T) -> Result<Vec<T>> {
        let bytes = count.checked_mul(N as u64).ok_or_else(|| self.fail(format!("absurd count {count}")))?;
        let (numbers, _) = self.take(bytes)?.as_chunks();
        Ok(numbers.iter().map(|bytes| decode(*bytes)).collect())
    }

    /// A number of things that take at least `smallest` bytes each: what cannot fit into the rest of the file is refused.
    pub(super) fn count(&mut self, things: &str, smallest: u64) -> Result<u64> {
        let count = self.number(u64::from_le_bytes)?;
        let rest = (self.bytes.len() - self.at) as u64;
        if count > rest / smallest {
            return Err(self.fail(format!("{count} {things} cannot fit into the {rest} bytes that follow")));
        }
        Ok(count)
    }

    /// A length and as many bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8]> {
        let length = self.number(u64::from_le_bytes)?;
        self.take(length)
    }

    /// A [`Reader::string`] that has to be UTF-8.
    pub(super) fn name(&mut self) -> Result<&'a str> {
        let bytes = self.string()?;
        std::str::from_utf8(bytes).map_err(|error| self.fail(format!("not UTF-8: {error}")))
    }
}
