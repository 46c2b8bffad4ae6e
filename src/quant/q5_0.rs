//! Q5_0: 32 signed 5-bit codes with one scale; 5.5 bits a weight.

use super::bits::{self, Codes};
use super::{Format, GROUP, Planes};
use crate::dtype::DType;
use bytemuck::{Pod, Zeroable};

pub(super) static FORMAT: Format = Format { dtype: DType::Q5_0, unit: GROUP, quants: 16, scales: 2, high: 4, dequantize, pack };

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
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

/// `d * (q - 16)`
fn dequantize(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bits::cut::<_, Block>(bytes).iter().zip(bits::cut_mut::<_, [f32; GROUP]>(out)) {
        let d = bits::half(block.d);
        *out = block.codes().map(|q| d * (i32::from(q) - 16) as f32);
    }
}

fn pack(bytes: &[u8], planes: Planes<'_>) {
    let planes = bits::cut_mut(planes.quants).iter_mut().zip(bits::cut_mut(planes.scales)).zip(bits::cut_mut(planes.high));
    for (block, ((quants, scales), high)) in bits::cut::<_, Block>(bytes).iter().zip(planes) {
        let codes = block.codes();
        *quants = bits::pack4(&codes);
        *scales = block.d;
        *high = bits::pack1(&codes, 4);
    }
}
