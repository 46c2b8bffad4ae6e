//! Q5_K: super-blocks of 256 unsigned 5-bit codes; a 6-bit scale and min for every 32 weights; 5.5 bits a weight.

use super::bits::{self, Codes};
use super::{Format, GROUP, Planes, SUPER};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format =
    Format { dtype: DType::Q5_K, unit: SUPER, quants: 128, scales: 20, high: 32, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    dmin: [u8; 2],
    /// See [`bits::six_bit_scales`].
    scales: [u8; 12],
    /// Bit 4 of the codes of group `g`: bit `g` of each byte.
    qh: [u8; 32],
    /// Bits 0..4 of groups `2p` (low nibbles) and `2p + 1` (high nibbles) in the `p`-th 32 bytes.
    qs: [[u8; 32]; 4],
}

impl Block {
    fn codes(&self) -> [Codes; 8] {
        std::array::from_fn(|g| {
            let (low, high) = (&self.qs[g / 2], &self.qh);
            std::array::from_fn(|at| ((low[at] >> (4 * (g % 2))) & 15) | ((high[at] >> g) & 1) << 4)
        })
    }
}

/// `(d * scale) * q - (dmin * min)`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [[f32; GROUP]; 8]>(out)) {
        let (d, dmin) = (bits::half(block.d), bits::half(block.dmin));
        for ((codes, out), [scale, min]) in block.codes().iter().zip(out).zip(bits::six_bit_scales(&block.scales)) {
            let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
            *out = codes.map(|q| scale * f32::from(q) - min);
        }
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales)).zip(bits::cut_mut(planes.high));
    for (block, ((quants, scales), high)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        let codes = block.codes();
        *quants = codes.map(|group| bits::pack4(&group));
        *scales = bits::super_scales(block.d, block.dmin, bytemuck::cast(bits::six_bit_scales(&block.scales)));
        *high = codes.map(|group| bits::pack1(&group, 4));
    }
}
