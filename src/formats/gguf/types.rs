//! Every tensor type that ggml has given a number.

use crate::dtype::DType;

/// A tensor type as GGUF files number them (`enum ggml_type` of ggml's `ggml.h`; block sizes from `ggml-common.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgmlType {
    /// The number in the file.
    pub id: u32,
    /// ggml's name.
    pub name: &'static str,
    /// Elements of one block, 0 for a type that ggml has removed.
    pub block_elements: usize,
    /// Bytes of one block, 0 for a type that ggml has removed.
    pub block_bytes: usize,
    /// The element type that this crate computes with, if it does.
    pub dtype: Option<DType>,
}

impl GgmlType {
    /// The type with number `id`, or `None` when ggml had none when this table was made.
    pub fn of(id: u32) -> Option<&'static GgmlType> {
        TYPES.iter().find(|known| known.id == id)
    }

    /// Whether ggml once had the type and gave it up, so that nothing says any more how to read it.
    pub fn removed(&self) -> bool {
        self.block_elements == 0
    }
}

const fn loadable(id: u32, name: &'static str, dtype: DType) -> GgmlType {
    let (block_elements, block_bytes) = dtype.block();
    GgmlType { id, name, block_elements, block_bytes, dtype: Some(dtype) }
}

const fn known(id: u32, name: &'static str, block_elements: usize, block_bytes: usize) -> GgmlType {
    GgmlType { id, name, block_elements, block_bytes, dtype: None }
}

const fn removed(id: u32, name: &'static str) -> GgmlType {
    known(id, name, 0, 0)
}

static TYPES: [GgmlType; 42] = [
    loadable(0, "F32", DType::F32),
    loadable(1, "F16", DType::F16),
    loadable(2, "Q4_0", DType::Q4_0),
    loadable(3, "Q4_1", DType::Q4_1),
    removed(4, "Q4_2"),
    removed(5, "Q4_3"),
    loadable(6, "Q5_0", DType::Q5_0),
    loadable(7, "Q5_1", DType::Q5_1),
    loadable(8, "Q8_0", DType::Q8_0),
    known(9, "Q8_1", 32, 36),
    loadable(10, "Q2_K", DType::Q2_K),
    loadable(11, "Q3_K", DType::Q3_K),
    loadable(12, "Q4_K", DType::Q4_K),
    loadable(13, "Q5_K", DType::Q5_K),
    loadable(14, "Q6_K", DType::Q6_K),
    known(15, "Q8_K", 256, 292),
    known(16, "IQ2_XXS", 256, 66),
    known(17, "IQ2_XS", 256, 74),
    known(18, "IQ3_XXS", 256, 98),
    known(19, "IQ1_S", 256, 50),
    loadable(20, "IQ4_NL", DType::IQ4_NL),
    known(21, "IQ3_S", 256, 110),
    known(22, "IQ2_S", 256, 82),
    known(23, "IQ4_XS", 256, 136),
    known(24, "I8", 1, 1),
    known(25, "I16", 1, 2),
    loadable(26, "I32", DType::I32),
    known(27, "I64", 1, 8),
    known(28, "F64", 1, 8),
    known(29, "IQ1_M", 256, 56),
    loadable(30, "BF16", DType::BF16),
    removed(31, "Q4_0_4_4"),
    removed(32, "Q4_0_4_8"),
    removed(33, "Q4_0_8_8"),
    known(34, "TQ1_0", 256, 54),
    known(35, "TQ2_0", 256, 66),
    removed(36, "IQ4_NL_4_4"),
    removed(37, "IQ4_NL_4_8"),
    removed(38, "IQ4_NL_8_8"),
    known(39, "MXFP4", 32, 17),
    known(40, "NVFP4", 64, 36),
    known(41, "Q1_0", 128, 18),
];
