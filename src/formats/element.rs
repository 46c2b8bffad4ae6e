//! The element types of ONNX and what their bytes mean.

pub use super::minifloat::ScaleRounding;
use super::minifloat::{self, MiniFloat};
use crate::error::{Error, Result};
use crate::tensor::Data;
use half::{bf16, f16};

/// The type of a tensor's elements in an ONNX file (`TensorProto.DataType`) or in a NumPy array.
///
/// Host tensors know fewer types: all floats become f32, all integers and booleans i64 (64-bit unsigned ones keep their bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ElementType {
    Float = 1,
    Uint8 = 2,
    Int8 = 3,
    Uint16 = 4,
    Int16 = 5,
    Int32 = 6,
    Int64 = 7,
    String = 8,
    Bool = 9,
    Float16 = 10,
    Double = 11,
    Uint32 = 12,
    Uint64 = 13,
    Complex64 = 14,
    Complex128 = 15,
    Bfloat16 = 16,
    Float8E4M3Fn = 17,
    Float8E4M3Fnuz = 18,
    Float8E5M2 = 19,
    Float8E5M2Fnuz = 20,
    Uint4 = 21,
    Int4 = 22,
    Float4E2M1 = 23,
    Float8E8M0 = 24,
    Uint2 = 25,
    Int2 = 26,
    Float6E2M3 = 27,
    Float6E3M2 = 28,
}

/// What an element type's bits are.
enum Layout {
    /// IEEE formats and bfloat16.
    Float,
    Mini(MiniFloat),
    Scale,
    Signed,
    Unsigned,
    Bool,
    /// Known by name only.
    Opaque,
}

impl ElementType {
    /// All types, by number.
    pub const ALL: [ElementType; 28] = {
        use ElementType::*;
        [
            Float,
            Uint8,
            Int8,
            Uint16,
            Int16,
            Int32,
            Int64,
            String,
            Bool,
            Float16,
            Double,
            Uint32,
            Uint64,
            Complex64,
            Complex128,
            Bfloat16,
            Float8E4M3Fn,
            Float8E4M3Fnuz,
            Float8E5M2,
            Float8E5M2Fnuz,
            Uint4,
            Int4,
            Float4E2M1,
            Float8E8M0,
            Uint2,
            Int2,
            Float6E2M3,
            Float6E3M2,
        ]
    };

    /// The type with this number in ONNX; `None` for `UNDEFINED` and for numbers that this crate does not know.
    pub fn from_onnx(number: i32) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// The number in ONNX.
    pub const fn onnx(self) -> i32 {
        self as i32
    }

    /// The name in ONNX type strings, such as the `float16` of `tensor(float16)`.
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::Float => "float",
            ElementType::Uint8 => "uint8",
            ElementType::Int8 => "int8",
            ElementType::Uint16 => "uint16",
            ElementType::Int16 => "int16",
            ElementType::Int32 => "int32",
            ElementType::Int64 => "int64",
            ElementType::String => "string",
            ElementType::Bool => "bool",
            ElementType::Float16 => "float16",
            ElementType::Double => "double",
            ElementType::Uint32 => "uint32",
            ElementType::Uint64 => "uint64",
            ElementType::Complex64 => "complex64",
            ElementType::Complex128 => "complex128",
            ElementType::Bfloat16 => "bfloat16",
            ElementType::Float8E4M3Fn => "float8e4m3fn",
            ElementType::Float8E4M3Fnuz => "float8e4m3fnuz",
            ElementType::Float8E5M2 => "float8e5m2",
            ElementType::Float8E5M2Fnuz => "float8e5m2fnuz",
            ElementType::Uint4 => "uint4",
            ElementType::Int4 => "int4",
            ElementType::Float4E2M1 => "float4e2m1",
            ElementType::Float8E8M0 => "float8e8m0",
            ElementType::Uint2 => "uint2",
            ElementType::Int2 => "int2",
            ElementType::Float6E2M3 => "float6e2m3",
            ElementType::Float6E3M2 => "float6e3m2",
        }
    }

    /// Bits of one element where elements are packed; 0 for strings.
    pub const fn bits(self) -> usize {
        match self {
            ElementType::String => 0,
            ElementType::Uint2 | ElementType::Int2 => 2,
            ElementType::Uint4 | ElementType::Int4 | ElementType::Float4E2M1 => 4,
            ElementType::Float6E2M3 | ElementType::Float6E3M2 => 6,
            ElementType::Uint8 | ElementType::Int8 | ElementType::Bool => 8,
            ElementType::Float8E4M3Fn | ElementType::Float8E4M3Fnuz | ElementType::Float8E8M0 => 8,
            ElementType::Float8E5M2 | ElementType::Float8E5M2Fnuz => 8,
            ElementType::Uint16 | ElementType::Int16 | ElementType::Float16 | ElementType::Bfloat16 => 16,
            ElementType::Float | ElementType::Uint32 | ElementType::Int32 => 32,
            ElementType::Double | ElementType::Uint64 | ElementType::Int64 | ElementType::Complex64 => 64,
            ElementType::Complex128 => 128,
        }
    }

    /// Bytes that `n` packed elements take, or `None` where that overflows and for strings.
    pub fn bytes(self, n: usize) -> Option<usize> {
        match self.bits() {
            0 => None,
            bits if bits < 8 => Some(n.checked_mul(bits)?.div_ceil(8)),
            bits => n.checked_mul(bits / 8),
        }
    }

    fn layout(self) -> Layout {
        match self {
            ElementType::Float | ElementType::Float16 | ElementType::Double | ElementType::Bfloat16 => Layout::Float,
            ElementType::Float8E4M3Fn => Layout::Mini(minifloat::E4M3FN),
            ElementType::Float8E4M3Fnuz => Layout::Mini(minifloat::E4M3FNUZ),
            ElementType::Float8E5M2 => Layout::Mini(minifloat::E5M2),
            ElementType::Float8E5M2Fnuz => Layout::Mini(minifloat::E5M2FNUZ),
            ElementType::Float4E2M1 => Layout::Mini(minifloat::E2M1),
            ElementType::Float6E2M3 => Layout::Mini(minifloat::E2M3),
            ElementType::Float6E3M2 => Layout::Mini(minifloat::E3M2),
            ElementType::Float8E8M0 => Layout::Scale,
            ElementType::Int2 | ElementType::Int4 | ElementType::Int8 => Layout::Signed,
            ElementType::Int16 | ElementType::Int32 | ElementType::Int64 => Layout::Signed,
            ElementType::Uint2 | ElementType::Uint4 | ElementType::Uint8 => Layout::Unsigned,
            ElementType::Uint16 | ElementType::Uint32 | ElementType::Uint64 => Layout::Unsigned,
            ElementType::Bool => Layout::Bool,
            ElementType::String | ElementType::Complex64 | ElementType::Complex128 => Layout::Opaque,
        }
    }

    /// Whether elements are real floating-point numbers, [`Data::F32`] on the host.
    pub fn is_float(self) -> bool {
        matches!(self.layout(), Layout::Float | Layout::Mini(_) | Layout::Scale)
    }

    /// Whether elements are integers or booleans, [`Data::I64`] on the host.
    pub fn is_integer(self) -> bool {
        self.integer_range().is_some()
    }

    /// The least and the greatest integer of the type (0 and 1 for booleans); `None` for other types.
    pub fn integer_range(self) -> Option<(i128, i128)> {
        match self.layout() {
            Layout::Signed => Some((-(1 << (self.bits() - 1)), (1 << (self.bits() - 1)) - 1)),
            Layout::Unsigned => Some((0, (1 << self.bits()) - 1)),
            Layout::Bool => Some((0, 1)),
            _ => None,
        }
    }

    /// The first `n` elements of little-endian `bytes`. Types below eight bits are packed without gaps, low bits first.
    ///
    /// # Errors
    /// [`Error::Format`] when there are not exactly the bytes that `n` elements take; [`Error::Unsupported`] for strings and
    /// complex numbers.
    pub fn decode(self, bytes: &[u8], n: usize) -> Result<Data> {
        if matches!(self.layout(), Layout::Opaque) {
            return Err(self.opaque());
        }
        if self.bytes(n) != Some(bytes.len()) {
            return Err(Error::format(format!("{n} elements of {}", self.name()), format!("they have {} bytes", bytes.len())));
        }
        Ok(match self.layout() {
            Layout::Float => Data::F32(self.decode_floats(bytes)),
            Layout::Mini(format) => {
                let values: Vec<f32> = (0..=u8::MAX).map(|code| format.decode(code)).collect();
                Data::F32(unpack(bytes, self.bits(), n).map(|code| values[usize::from(code)]).collect())
            }
            Layout::Scale => Data::F32(bytes.iter().map(|code| minifloat::decode_e8m0(*code)).collect()),
            Layout::Bool => Data::I64(bytes.iter().map(|byte| i64::from(*byte != 0)).collect()),
            _ => Data::I64(self.decode_integers(bytes, n)),
        })
    }

    fn decode_floats(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            ElementType::Float16 => words(bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            ElementType::Bfloat16 => words(bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
            ElementType::Double => words(bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
            _ => words(bytes).map(f32::from_le_bytes).collect(),
        }
    }

    fn decode_integers(self, bytes: &[u8], n: usize) -> Vec<i64> {
        match self {
            ElementType::Int8 => bytes.iter().map(|b| i64::from(*b as i8)).collect(),
            ElementType::Uint8 => bytes.iter().map(|b| i64::from(*b)).collect(),
            ElementType::Int16 => words(bytes).map(|b| i64::from(i16::from_le_bytes(b))).collect(),
            ElementType::Uint16 => words(bytes).map(|b| i64::from(u16::from_le_bytes(b))).collect(),
            ElementType::Int32 => words(bytes).map(|b| i64::from(i32::from_le_bytes(b))).collect(),
            ElementType::Uint32 => words(bytes).map(|b| i64::from(u32::from_le_bytes(b))).collect(),
            ElementType::Int2 | ElementType::Int4 => {
                let unused = 8 - self.bits();
                unpack(bytes, self.bits(), n).map(|code| i64::from((code << unused) as i8 >> unused)).collect()
            }
            ElementType::Uint2 | ElementType::Uint4 => unpack(bytes, self.bits(), n).map(i64::from).collect(),
            _ => words(bytes).map(i64::from_le_bytes).collect(),
        }
    }

    /// The little-endian bytes of `data`, the inverse of [`ElementType::decode`]. Floats are rounded to nearest, ties to even,
    /// and saturate in the types below 16 bits; integers lose the bits that the type lacks; booleans are 0 or 1.
    ///
    /// # Errors
    /// [`Error::Shape`] for floats as integers or the reverse; [`Error::Unsupported`] for strings and complex numbers.
    pub fn encode(self, data: &Data) -> Result<Vec<u8>> {
        match (data, self.is_float(), self.is_integer()) {
            (_, false, false) => Err(self.opaque()),
            (Data::F32(values), true, _) => Ok(self.encode_floats(values.iter().copied())),
            (Data::F16(values), true, _) => Ok(self.encode_floats(values.iter().map(|x| x.to_f32()))),
            (Data::I64(values), _, true) => Ok(self.encode_integers(values.iter().copied())),
            (Data::U32(values), _, true) => Ok(self.encode_integers(values.iter().map(|x| i64::from(*x)))),
            (Data::F32(_) | Data::F16(_), ..) => Err(Error::shape("encode", format!("floats as {}", self.name()))),
            (Data::I64(_) | Data::U32(_), ..) => Err(Error::shape("encode", format!("integers as {}", self.name()))),
        }
    }

    fn encode_floats(self, values: impl Iterator<Item = f32>) -> Vec<u8> {
        match (self, self.layout()) {
            (_, Layout::Mini(format)) => pack(values.map(|x| format.encode(x, true)), self.bits()),
            (_, Layout::Scale) => values.map(|x| minifloat::encode_e8m0(x, ScaleRounding::Nearest, true)).collect(),
            (ElementType::Float16, _) => values.flat_map(|x| f16::from_f32(x).to_le_bytes()).collect(),
            (ElementType::Bfloat16, _) => values.flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect(),
            (ElementType::Double, _) => values.flat_map(|x| f64::from(x).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        }
    }

    fn encode_integers(self, values: impl Iterator<Item = i64>) -> Vec<u8> {
        match (self, self.bits()) {
            (ElementType::Bool, _) => values.map(|x| u8::from(x != 0)).collect(),
            (_, 64) => values.flat_map(i64::to_le_bytes).collect(),
            (_, 32) => values.flat_map(|x| (x as u32).to_le_bytes()).collect(),
            (_, 16) => values.flat_map(|x| (x as u16).to_le_bytes()).collect(),
            (_, bits) => pack(values.map(|x| x as u8), bits),
        }
    }

    /// `x` rounded to a number of this type, to nearest with ties to even; `x` itself where the type is no float, or no
    /// narrower than f32.
    ///
    /// `saturate` is that of ONNX `Cast`: whether what is out of range becomes the largest number, rather than infinity or NaN.
    /// As there, it matters for the 8-bit types only. For E8M0 see also [`ElementType::round_scale`].
    pub fn round(self, x: f32, saturate: bool) -> f32 {
        match (self, self.layout()) {
            (ElementType::Float16, _) => f16::from_f32(x).to_f32(),
            (ElementType::Bfloat16, _) => bf16::from_f32(x).to_f32(),
            (_, Layout::Mini(format)) => format.decode(format.encode(x, saturate)),
            (_, Layout::Scale) => Self::round_scale(x, ScaleRounding::Nearest, saturate),
            _ => x,
        }
    }

    /// `x` rounded to a power of two, 2^-127 to 2^127, as [`ElementType::Float8E8M0`] stores them. NaN and numbers below zero
    /// are NaN; zero and what is out of range are NaN unless `saturate`.
    pub fn round_scale(x: f32, rounding: ScaleRounding, saturate: bool) -> f32 {
        minifloat::decode_e8m0(minifloat::encode_e8m0(x, rounding, saturate))
    }

    fn opaque(self) -> Error {
        Error::Unsupported(format!("elements of type {}", self.name()))
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// The first `n` codes of `bits` (at most 8) in a stream whose bytes are filled from the low bits up.
fn unpack(bytes: &[u8], bits: usize, n: usize) -> impl Iterator<Item = u8> {
    let byte = move |index| bytes.get(index).copied().unwrap_or(0);
    (0..n).map(move |i| {
        let (first, shift) = (i * bits / 8, i * bits % 8);
        let window = u16::from_le_bytes([byte(first), byte(first + 1)]);
        (window >> shift) as u8 & (u8::MAX >> (8 - bits))
    })
}

/// The inverse of [`unpack`]; the last byte is filled with zeros.
pub(super) fn pack(codes: impl Iterator<Item = u8>, bits: usize) -> Vec<u8> {
    let (mut bytes, mut window, mut filled) = (Vec::new(), 0u16, 0);
    for code in codes {
        window |= u16::from(code & (u8::MAX >> (8 - bits))) << filled;
        filled += bits;
        if filled >= 8 {
            bytes.push(window as u8);
            window >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        bytes.push(window as u8);
    }
    bytes
}
