//! Q4_0: 32 signed 4-bit codes with one scale; 4.5 bits a weight.

use super::{Format, GROUP, Planes, bits};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format = Format { dtype: DType::Q4_0, unit: GROUP, quants: 16, scales: 2, high: 0, dequantize, pack };

/// A scale and 32 codes of 4 bits; IQ4_NL has the same.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Block {
    pub d: [u8; 2],
    pub qs: [u8; 16],
}

/// `d * (q - 8)`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [f32; GROUP]>(out)) {
        let d = bits::half(block.d);
        *out = bits::nibbles(&block.qs).map(|q| d * (i32::from(q) - 8) as f32);
    }
}

pub(super) fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales));
    for (block, (quants, scales)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        *quants = bits::pack4(&bits::nibbles(&block.qs));
        *scales = block.d;
    }
}
