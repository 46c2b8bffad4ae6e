//! Element types. Quantisation is a property of a tensor, so block formats are element types like any other.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a tensor's elements.
///
/// Dense types have blocks of one element. The block formats are those of GGUF (`ggml-common.h` of ggml is the
/// source of their layouts): a block covers consecutive elements of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, non_camel_case_types)]
pub enum DType {
    F32,
    F16,
    BF16,
    U32,
    I32,
    /// Integers and booleans of ONNX graphs. The host computes them in 64 bits; devices hold them in 32, and what does not
    /// fit there is refused when it is uploaded.
    I64,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
}

impl DType {
    /// All types a weight matrix may have.
    pub const WEIGHTS: [DType; 14] = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::Q4_0,
        DType::Q4_1,
        DType::Q5_0,
        DType::Q5_1,
        DType::Q8_0,
        DType::Q2_K,
        DType::Q3_K,
        DType::Q4_K,
        DType::Q5_K,
        DType::Q6_K,
        DType::IQ4_NL,
    ];

    /// `(elements, bytes)` of one block in a file.
    pub const fn block(self) -> (usize, usize) {
        match self {
            DType::F32 | DType::U32 | DType::I32 => (1, 4),
            DType::I64 => (1, 8),
            DType::F16 | DType::BF16 => (1, 2),
            DType::Q4_0 | DType::IQ4_NL => (32, 18),
            DType::Q4_1 => (32, 20),
            DType::Q5_0 => (32, 22),
            DType::Q5_1 => (32, 24),
            DType::Q8_0 => (32, 34),
            DType::Q2_K => (256, 84),
            DType::Q3_K => (256, 110),
            DType::Q4_K => (256, 144),
            DType::Q5_K => (256, 176),
            DType::Q6_K => (256, 210),
        }
    }

    /// Bytes that `elements` dense elements take on a device.
    pub fn device_bytes(self, elements: usize) -> u64 {
        let (n, bytes) = if self == DType::I64 { (1, 4) } else { self.block() };
        elements as u64 / n as u64 * bytes as u64
    }

    /// Bytes that a row of `elements` takes in a file, or `None` when the row is no whole number of blocks or overflows.
    pub fn row_bytes(self, elements: usize) -> Option<usize> {
        let (n, bytes) = self.block();
        elements.is_multiple_of(n).then(|| (elements / n).checked_mul(bytes)).flatten()
    }

    /// The lower-case name; for weights also the stem of the WGSL provider in `shaders/load/`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::U32 => "u32",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::Q4_0 => "q4_0",
            DType::Q4_1 => "q4_1",
            DType::Q5_0 => "q5_0",
            DType::Q5_1 => "q5_1",
            DType::Q8_0 => "q8_0",
            DType::Q2_K => "q2_k",
            DType::Q3_K => "q3_k",
            DType::Q4_K => "q4_k",
            DType::Q5_K => "q5_k",
            DType::Q6_K => "q6_k",
            DType::IQ4_NL => "iq4_nl",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
