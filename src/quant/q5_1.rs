//! Q5_1: 32 unsigned 5-bit codes with a scale and an offset; 6 bits a weight.

use super::bits::{self, Codes};
use super::{Format, GROUP, Planes};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format = Format { dtype: DType::Q5_1, unit: GROUP, quants: 16, scales: 4, high: 4, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    m: [u8; 2],
    qh: [u8; 4],
    qs: [u8; 16],
}

impl Block {
    fn codes(&self) -> Codes {
        let mut codes = bits::nibbles(&self.qs);
        bits::add_fifth_bit(&mut codes, self.qh);
        codes
    }
}

/// `d * q + m`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [f32; GROUP]>(out)) {
        let (d, m) = (bits::half(block.d), bits::half(block.m));
        *out = block.codes().map(|q| d * f32::from(q) + m);
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales)).zip(bits::cut_mut(planes.high));
    for (block, ((quants, scales), high)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        let codes = block.codes();
        *quants = bits::pack4(&codes);
        *scales = [block.d, block.m];
        *high = bits::pack1(&codes, 4);
    }
}
