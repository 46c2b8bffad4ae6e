//! IQ4_NL: 32 4-bit codes of a non-linear codebook with one scale, in blocks like those of Q4_0; 4.5 bits a weight.

use super::q4_0::{Block, pack};
use super::{Format, GROUP, bits};
use crate::dtype::DType;

pub(super) static FORMAT: Format = Format { dtype: DType::IQ4_NL, unit: GROUP, quants: 16, scales: 2, high: 0, dequantize, pack };

/// What each code stands for (`kvalues_iq4nl` of ggml): dense near zero, where most weights lie.
pub const CODEBOOK: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// `d * CODEBOOK[q]`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [f32; GROUP]>(out)) {
        let d = bits::half(block.d);
        *out = bits::nibbles(&block.qs).map(|q| d * f32::from(CODEBOOK[usize::from(q & 15)]));
    }
}
