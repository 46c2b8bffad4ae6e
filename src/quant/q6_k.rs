//! Q6_K: super-blocks of 256 signed 6-bit codes with a signed 8-bit scale for every 16 weights; 6.5625 bits a weight.

use super::bits::{self, Codes};
use super::{Format, Planes, SUPER};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format =
    Format { dtype: DType::Q6_K, unit: SUPER, quants: 128, scales: 20, high: 64, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    /// Bits 0..4 of group `4h + 2n + c`: nibble `n` of bytes `[h][c]`.
    ql: [[[u8; 32]; 2]; 2],
    /// Bits 4 and 5 of group `4h + k`: bits `2k` of bytes `[h]`.
    qh: [[u8; 32]; 2],
    scales: [u8; 16],
    d: [u8; 2],
}

impl Block {
    fn codes(&self) -> [Codes; 8] {
        std::array::from_fn(|g| {
            let (half, k) = (g / 4, g % 4);
            let (low, high) = (&self.ql[half][k % 2], &self.qh[half]);
            std::array::from_fn(|at| ((low[at] >> (4 * (k / 2))) & 15) | ((high[at] >> (2 * k)) & 3) << 4)
        })
    }
}

/// `(d * scale) * (q - 32)`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [[f32; 16]; 16]>(out)) {
        let (d, codes) = (bits::half(block.d), block.codes());
        for ((codes, out), scale) in bits::cut::<u8, [u8; 16]>(codes.as_flattened()).iter().zip(out).zip(block.scales) {
            let scale = d * f32::from(scale.cast_signed());
            *out = codes.map(|q| scale * (i32::from(q) - 32) as f32);
        }
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales)).zip(bits::cut_mut(planes.high));
    for (block, ((quants, scales), high)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        let codes = block.codes();
        *quants = codes.map(|group| bits::pack4(&group));
        *scales = bits::super_scales(block.d, [0; 2], block.scales);
        *high = codes.map(|group| bits::pack2(&group, 4));
    }
}
