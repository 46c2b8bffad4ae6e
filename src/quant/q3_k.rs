//! Q3_K: super-blocks of 256 signed 3-bit codes with a signed 6-bit scale for every 16 weights; 3.4375 bits a weight.

use super::bits::{self, Codes};
use super::{Format, Planes, SUPER};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format = Format { dtype: DType::Q3_K, unit: SUPER, quants: 64, scales: 20, high: 32, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    /// Bit 2 of the codes of group `g`: bit `g` of each byte.
    hmask: [u8; 32],
    /// Bits 0 and 1 of the codes of group `4h + k`: bits `2k` of the `h`-th 32 bytes.
    qs: [[u8; 32]; 2],
    /// Low nibbles of the scales (0..8 in the low half of 8 bytes, 8..16 in the high half), then their upper 2 bits
    /// (scale `4k + b`: bits `2k` of byte `8 + b`).
    scales: [u8; 12],
    d: [u8; 2],
}

impl Block {
    fn codes(&self) -> [Codes; 8] {
        std::array::from_fn(|g| {
            let (low, high) = (&self.qs[g / 4], &self.hmask);
            std::array::from_fn(|at| ((low[at] >> (2 * (g % 4))) & 3) | ((high[at] >> g) & 1) << 2)
        })
    }

    /// The scale of every sub-block, in `-32..32`.
    fn scales(&self) -> [i8; 16] {
        std::array::from_fn(|s| {
            let low = (self.scales[s % 8] >> (4 * (s / 8))) & 15;
            let high = (self.scales[8 + s % 4] >> (2 * (s / 4))) & 3;
            (low | high << 4).cast_signed() - 32
        })
    }
}

/// `(d * scale) * (q - 4)`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [[f32; 16]; 16]>(out)) {
        let (d, codes) = (bits::half(block.d), block.codes());
        for ((codes, out), scale) in bits::cut::<u8, [u8; 16]>(codes.as_flattened()).iter().zip(out).zip(block.scales()) {
            let scale = d * f32::from(scale);
            *out = codes.map(|q| scale * (i32::from(q) - 4) as f32);
        }
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales)).zip(bits::cut_mut(planes.high));
    for (block, ((quants, scales), high)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        let codes = block.codes();
        *quants = codes.map(|group| bits::pack2(&group, 0));
        *scales = bits::super_scales(block.d, [0; 2], block.scales().map(i8::cast_unsigned));
        *high = codes.map(|group| bits::pack1(&group, 2));
    }
}
