//! Metadata values.

use super::reader::Reader;
use crate::error::Result;
use std::fmt;

/// How deep arrays may lie in arrays. Real files do not nest at all.
const MAX_NESTING: usize = 8;

/// One metadata value, with the type that the file gives it.
///
/// Strings are kept as the bytes that the file holds: GGUF says UTF-8, but token texts in the wild need not be.
/// [`Gguf::require`](super::Gguf::require) hands them out as `&str` and refuses what is not UTF-8.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(Box<[u8]>),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of metadata values, all of one type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Strings),
    Array(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// Many strings in one buffer: vocabularies hold tens of thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    text: Vec<u8>,
    /// Where each string ends; it starts where the one before ends.
    ends: Vec<usize>,
}

impl Strings {
    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of string `index`, which are UTF-8 in a sound file.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..*self.ends.get(index)?)
    }

    /// The bytes of every string, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    fn push(&mut self, string: &[u8]) {
        self.text.extend_from_slice(string);
        self.ends.push(self.text.len());
    }
}

impl<S: AsRef<[u8]>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut all = Strings::default();
        strings.into_iter().for_each(|string| all.push(string.as_ref()));
        all
    }
}

impl Value {
    /// The type's name, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::U8(_) => "u8",
            Value::I8(_) => "i8",
            Value::U16(_) => "u16",
            Value::I16(_) => "i16",
            Value::U32(_) => "u32",
            Value::I32(_) => "i32",
            Value::F32(_) => "f32",
            Value::Bool(_) => "bool",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::U64(_) => "u64",
            Value::I64(_) => "i64",
            Value::F64(_) => "f64",
        }
    }

    /// Reads a type and a value of it.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match reader.number(u32::from_le_bytes)? {
            0 => Value::U8(reader.number(u8::from_le_bytes)?),
            1 => Value::I8(reader.number(i8::from_le_bytes)?),
            2 => Value::U16(reader.number(u16::from_le_bytes)?),
            3 => Value::I16(reader.number(i16::from_le_bytes)?),
            4 => Value::U32(reader.number(u32::from_le_bytes)?),
            5 => Value::I32(reader.number(i32::from_le_bytes)?),
            6 => Value::F32(reader.number(f32::from_le_bytes)?),
            7 => Value::Bool(read_bools(reader, 1)? == [true]),
            8 => Value::String(reader.string()?.into()),
            9 => Value::Array(Array::read(reader, 1)?),
            10 => Value::U64(reader.number(u64::from_le_bytes)?),
            11 => Value::I64(reader.number(i64::from_le_bytes)?),
            12 => Value::F64(reader.number(f64::from_le_bytes)?),
            unknown => return Err(reader.fail(format!("there is no value type {unknown}"))),
        })
    }
}

impl Array {
    /// The element type's name and the number of elements.
    pub fn kind_and_len(&self) -> (&'static str, usize) {
        match self {
            Array::U8(all) => ("u8", all.len()),
            Array::I8(all) => ("i8", all.len()),
            Array::U16(all) => ("u16", all.len()),
            Array::I16(all) => ("i16", all.len()),
            Array::U32(all) => ("u32", all.len()),
            Array::I32(all) => ("i32", all.len()),
            Array::F32(all) => ("f32", all.len()),
            Array::Bool(all) => ("bool", all.len()),
            Array::String(all) => ("string", all.len()),
            Array::Array(all) => ("array", all.len()),
            Array::U64(all) => ("u64", all.len()),
            Array::I64(all) => ("i64", all.len()),
            Array::F64(all) => ("f64", all.len()),
        }
    }

    /// Reads an element type, a count and the elements.
    fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self> {
        let kind = reader.number(u32::from_le_bytes)?;
        if kind > 12 {
            return Err(reader.fail(format!("there is no value type {kind}")));
        }
        if kind == 9 && depth == MAX_NESTING {
            return Err(reader.fail(format!("arrays nest deeper than {MAX_NESTING}")));
        }
        // The smallest element of each kind: a byte, an empty string, an empty array.
        let count = reader.count("elements", [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8][kind as usize])?;
        Ok(match kind {
            0 => Array::U8(reader.numbers(count, u8::from_le_bytes)?),
            1 => Array::I8(reader.numbers(count, i8::from_le_bytes)?),
            2 => Array::U16(reader.numbers(count, u16::from_le_bytes)?),
            3 => Array::I16(reader.numbers(count, i16::from_le_bytes)?),
            4 => Array::U32(reader.numbers(count, u32::from_le_bytes)?),
            5 => Array::I32(reader.numbers(count, i32::from_le_bytes)?),
            6 => Array::F32(reader.numbers(count, f32::from_le_bytes)?),
            7 => Array::Bool(read_bools(reader, count)?),
            8 => {
                let mut strings = Strings::default();
                for _ in 0..count {
                    strings.push(reader.string()?);
                }
                Array::String(strings)
            }
            9 => Array::Array((0..count).map(|_| Array::read(reader, depth + 1)).collect::<Result<_>>()?),
            10 => Array::U64(reader.numbers(count, u64::from_le_bytes)?),
            11 => Array::I64(reader.numbers(count, i64::from_le_bytes)?),
            _ => Array::F64(reader.numbers(count, f64::from_le_bytes)?),
        })
    }
}

fn read_bools(reader: &mut Reader<'_>, count: u64) -> Result<Vec<bool>> {
    let bytes = reader.take(count)?;
    match bytes.iter().find(|byte| **byte > 1) {
        Some(byte) => Err(reader.fail(format!("{byte} is no bool, which is 0 or 1"))),
        None => Ok(bytes.iter().map(|byte| *byte == 1).collect()),
    }
}

/// As a listing shows it: scalars and texts in full, arrays as `[type; length]`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U8(value) => value.fmt(f),
            Value::I8(value) => value.fmt(f),
            Value::U16(value) => value.fmt(f),
            Value::I16(value) => value.fmt(f),
            Value::U32(value) => value.fmt(f),
            Value::I32(value) => value.fmt(f),
            Value::F32(value) => value.fmt(f),
            Value::Bool(value) => value.fmt(f),
            Value::String(text) => String::from_utf8_lossy(text).fmt(f),
            Value::Array(array) => {
                let (kind, len) = array.kind_and_len();
                write!(f, "[{kind}; {len}]")
            }
            Value::U64(value) => value.fmt(f),
            Value::I64(value) => value.fmt(f),
            Value::F64(value) => value.fmt(f),
        }
    }
}
