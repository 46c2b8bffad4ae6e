//! Q2_K: super-blocks of 256 unsigned 2-bit codes; a 4-bit scale and min for every 16 weights; 2.625 bits a weight.

use super::bits::{self, Codes};
use super::{Format, Planes, SUPER};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format = Format { dtype: DType::Q2_K, unit: SUPER, quants: 64, scales: 20, high: 0, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    /// Sub-block `s`: scale in the low nibble of byte `s`, min in the high one.
    scales: [u8; 16],
    /// Group `4h + k`: bits `2k` of the `h`-th 32 bytes.
    qs: [[u8; 32]; 2],
    d: [u8; 2],
    dmin: [u8; 2],
}

impl Block {
    fn codes(&self) -> [Codes; 8] {
        std::array::from_fn(|g| self.qs[g / 4].map(|byte| (byte >> (2 * (g % 4))) & 3))
    }
}

/// `(d * scale) * q - (dmin * min)`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [[f32; 16]; 16]>(out)) {
        let (d, dmin, codes) = (bits::half(block.d), bits::half(block.dmin), block.codes());
        for ((codes, out), scales) in bits::cut::<u8, [u8; 16]>(codes.as_flattened()).iter().zip(out).zip(block.scales) {
            let (scale, min) = (d * f32::from(scales & 15), dmin * f32::from(scales >> 4));
            *out = codes.map(|q| scale * f32::from(q) - min);
        }
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales));
    for (block, (quants, scales)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        *quants = block.codes().map(|group| bits::pack2(&group, 0));
        *scales = bits::super_scales(block.d, block.dmin, block.scales);
    }
}
