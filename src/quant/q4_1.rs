//! Q4_1: 32 unsigned 4-bit codes with a scale and an offset; 5 bits a weight.

use super::{Format, GROUP, Planes, bits};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format = Format { dtype: DType::Q4_1, unit: GROUP, quants: 16, scales: 4, high: 0, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    m: [u8; 2],
    qs: [u8; 16],
}

/// `d * q + m`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [f32; GROUP]>(out)) {
        let (d, m) = (bits::half(block.d), bits::half(block.m));
        *out = bits::nibbles(&block.qs).map(|q| d * f32::from(q) + m);
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales));
    for (block, (quants, scales)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        *quants = bits::pack4(&bits::nibbles(&block.qs));
        *scales = [block.d, block.m];
    }
}
