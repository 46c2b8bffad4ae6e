//! Writes small GGUF files, sound or broken, for tests.
#![allow(dead_code)] // Every test file uses its own part.

use wavelane::dtype::DType;
use wavelane::formats::gguf::{Array, GgmlType, Value};

/// A file in the making. What `finish` writes is sound as long as only `value`, `tensor` and their shorthands are used.
pub struct GgufWriter {
    pub version: u32,
    pub alignment: usize,
    entries: Vec<Vec<u8>>,
    tensors: Vec<RawTensor>,
}

/// A tensor as the file describes it.
pub struct RawTensor {
    pub name: Vec<u8>,
    /// Innermost first.
    pub dimensions: Vec<u64>,
    pub ggml_type: u32,
    /// From the start of the data; the next free place when `None`.
    pub offset: Option<u64>,
    pub data: Vec<u8>,
}

impl GgufWriter {
    pub fn new() -> Self {
        GgufWriter { version: 3, alignment: 32, entries: Vec::new(), tensors: Vec::new() }
    }

    /// Adds a metadata entry.
    pub fn value(self, key: &str, value: &Value) -> Self {
        let (kind, bytes) = encode(value);
        self.raw_value(key.as_bytes(), kind, &bytes)
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.value(key, &Value::U32(value))
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.value(key, &Value::F32(value))
    }

    pub fn bool(self, key: &str, value: bool) -> Self {
        self.value(key, &Value::Bool(value))
    }

    pub fn str(self, key: &str, text: &str) -> Self {
        self.value(key, &Value::String(text.as_bytes().into()))
    }

    pub fn strs<S: AsRef<[u8]>>(self, key: &str, texts: &[S]) -> Self {
        self.value(key, &Value::Array(Array::String(texts.iter().collect())))
    }

    /// Writes `alignment` into the metadata and keeps to it.
    pub fn aligned(mut self, alignment: u32) -> Self {
        self.alignment = alignment as usize;
        self.u32("general.alignment", alignment)
    }

    /// Adds a metadata entry of any type number and any bytes.
    pub fn raw_value(mut self, key: &[u8], kind: u32, bytes: &[u8]) -> Self {
        self.entries.push([&string(key), &kind.to_le_bytes()[..], bytes].concat());
        self
    }

    /// Adds a tensor; `shape` is outermost first.
    pub fn tensor(self, name: &str, dtype: DType, shape: &[usize], data: &[u8]) -> Self {
        let ggml_type = (0..).map_while(GgmlType::of).find(|known| known.dtype == Some(dtype)).unwrap().id;
        let dimensions = shape.iter().rev().map(|size| *size as u64).collect();
        self.raw_tensor(RawTensor { name: name.into(), dimensions, ggml_type, offset: None, data: data.into() })
    }

    pub fn raw_tensor(mut self, tensor: RawTensor) -> Self {
        self.tensors.push(tensor);
        self
    }

    /// The bytes of the file.
    pub fn finish(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.entries.len() as u64).to_le_bytes());
        file.extend(self.entries.concat());
        let mut data = Vec::new();
        for tensor in &self.tensors {
            file.extend(string(&tensor.name));
            file.extend((tensor.dimensions.len() as u32).to_le_bytes());
            file.extend(tensor.dimensions.iter().flat_map(|size| size.to_le_bytes()));
            file.extend(tensor.ggml_type.to_le_bytes());
            data.resize(data.len().next_multiple_of(self.alignment), 0);
            file.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
        }
        file.resize(file.len().next_multiple_of(self.alignment), 0);
        file.extend(data);
        file
    }
}

/// A string as GGUF stores it: a length and the bytes.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// The header of an array: element type and count.
pub fn array_header(kind: u32, count: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat()
}

/// The type number of a value and its bytes.
fn encode(value: &Value) -> (u32, Vec<u8>) {
    match value {
        Value::U8(value) => (0, value.to_le_bytes().into()),
        Value::I8(value) => (1, value.to_le_bytes().into()),
        Value::U16(value) => (2, value.to_le_bytes().into()),
        Value::I16(value) => (3, value.to_le_bytes().into()),
        Value::U32(value) => (4, value.to_le_bytes().into()),
        Value::I32(value) => (5, value.to_le_bytes().into()),
        Value::F32(value) => (6, value.to_le_bytes().into()),
        Value::Bool(value) => (7, vec![u8::from(*value)]),
        Value::String(text) => (8, string(text)),
        Value::Array(array) => (9, encode_array(array)),
        Value::U64(value) => (10, value.to_le_bytes().into()),
        Value::I64(value) => (11, value.to_le_bytes().into()),
        Value::F64(value) => (12, value.to_le_bytes().into()),
    }
}

fn encode_array(array: &Array) -> Vec<u8> {
    fn all<T: Clone>(values: &[T], value: fn(T) -> Value) -> Vec<(u32, Vec<u8>)> {
        values.iter().map(|element| encode(&value(element.clone()))).collect()
    }
    let (kind, elements) = match array {
        Array::U8(values) => (0, all(values, Value::U8)),
        Array::I8(values) => (1, all(values, Value::I8)),
        Array::U16(values) => (2, all(values, Value::U16)),
        Array::I16(values) => (3, all(values, Value::I16)),
        Array::U32(values) => (4, all(values, Value::U32)),
        Array::I32(values) => (5, all(values, Value::I32)),
        Array::F32(values) => (6, all(values, Value::F32)),
        Array::Bool(values) => (7, all(values, Value::Bool)),
        Array::String(values) => (8, values.iter().map(|text| (8, string(text))).collect()),
        Array::Array(values) => (9, all(values, Value::Array)),
        Array::U64(values) => (10, all(values, Value::U64)),
        Array::I64(values) => (11, all(values, Value::I64)),
        Array::F64(values) => (12, all(values, Value::F64)),
    };
    let mut bytes = array_header(kind, elements.len() as u64);
    bytes.extend(elements.into_iter().flat_map(|(_, element)| element));
    bytes
}
