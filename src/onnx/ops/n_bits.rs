//! Products with weights of few bits in blocks: `MatMulNBits` of ONNX Runtime.

use half::f16;
use rayon::prelude::*;
use std::sync::Arc;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::{Constant, Value};
use super::{Operator, contrib};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::ops::{BatchMatMul, MatMul};
use crate::quant::GROUP;
use crate::tensor::Weight;

pub const OPERATORS: &[Operator] = &[contrib("MatMulNBits", mat_mul_n_bits)];

/// How the weight `[n, k]` lies in the node's operands.
#[derive(Clone, Copy, Debug)]
struct Layout {
    n: usize,
    k: usize,
    bits: usize,
    /// Weights of one row that share a scale.
    block: usize,
}

impl Layout {
    fn of(cx: &Context) -> Traced<Self> {
        let size = |name: &str, default: i64| {
            let n = cx.int(name, default);
            usize::try_from(n).ok().filter(|n| (1..1 << 31).contains(n)).ok_or_else(|| cx.error(format!("'{name}' is {n}")))
        };
        let (n, k, bits, block) = (size("N", 0)?, size("K", 0)?, size("bits", 4)?, size("block_size", 0)?);
        if !matches!(bits, 4 | 8) {
            return Err(cx.unsupported(format!("weights of {bits} bits")));
        }
        if block < 16 || !block.is_power_of_two() {
            return Err(cx.error(format!("blocks of {block} weights")));
        }
        Ok(Layout { n, k, bits, block })
    }

    /// Blocks of one row.
    fn blocks(&self) -> usize {
        self.k.div_ceil(self.block)
    }

    /// Bytes of the codes of one row.
    fn row_bytes(&self) -> usize {
        self.blocks() * (self.block * self.bits / 8)
    }

    /// Bytes of the packed zero points of one row.
    fn zero_bytes(&self) -> usize {
        (self.blocks() * self.bits).div_ceil(8)
    }

    /// Code `i` of packed ones.
    fn code(&self, bytes: &[u8], i: usize) -> u8 {
        match self.bits {
            4 => bytes[i / 2] >> (i % 2 * 4) & 15,
            _ => bytes[i],
        }
    }
}

/// The weight's parts: `(code - zero) * scale`.
struct Parts<'a> {
    layout: Layout,
    codes: &'a [u8],
    /// By row and block.
    scales: Vec<f32>,
    zeros: Vec<f32>,
}

impl Parts<'_> {
    fn new<'a>(layout: Layout, codes: &'a [u8], scales: Vec<f32>, zeros: Vec<f32>) -> Result<Parts<'a>> {
        let blocks = layout.n.checked_mul(layout.blocks());
        if layout.n.checked_mul(layout.row_bytes()) != Some(codes.len())
            || blocks != Some(scales.len())
            || blocks != Some(zeros.len())
        {
            let found = format!("{} bytes, {} scales and {} zero points", codes.len(), scales.len(), zeros.len());
            return Err(Error::shape("MatMulNBits", format!("{found} for {layout:?}")));
        }
        Ok(Parts { layout, codes, scales, zeros })
    }

    /// The code of an element less its block's zero point.
    fn step(&self, row: usize, column: usize) -> f32 {
        let l = &self.layout;
        let bytes = &self.codes[row * l.row_bytes()..(row + 1) * l.row_bytes()];
        f32::from(l.code(bytes, column)) - self.zeros[row * l.blocks() + column / l.block]
    }

    /// The packed format that holds exactly these weights, if there is one.
    fn format(&self) -> Option<DType> {
        let l = &self.layout;
        let halves = |s: &f32| f16::from_f32(*s).to_f32() == *s;
        if !l.k.is_multiple_of(GROUP) || !l.block.is_multiple_of(GROUP) || !self.scales.iter().all(halves) {
            return None;
        }
        let zeros_are = |f: fn(f32) -> bool| self.zeros.iter().all(|z| f(*z));
        match l.bits {
            4 if zeros_are(|z| z == 8.0) => Some(DType::Q4_0),
            4 if zeros_are(|z| z.fract() == 0.0 && (0.0..=15.0).contains(&z)) => Some(DType::Q5_0),
            8 if zeros_are(|z| z == 128.0) => Some(DType::Q8_0),
            _ => None,
        }
    }

    /// The weight `[n, k]`: in blocks of GGUF's where these hold it exactly, else in f32.
    fn weight(&self) -> Result<Weight> {
        let Layout { n, k, block, .. } = self.layout;
        let Some(format) = self.format() else {
            let mut values = vec![0.0; n * k];
            values.par_chunks_mut(k).enumerate().for_each(|(row, out)| {
                let scale = |column: usize| self.scales[row * self.layout.blocks() + column / block];
                out.iter_mut().enumerate().for_each(|(column, w)| *w = self.step(row, column) * scale(column));
            });
            return Weight::from_f32(&[n, k], &values);
        };
        let size = format.block().1;
        let mut bytes = vec![0; n * (k / GROUP) * size];
        bytes.par_chunks_mut(k / GROUP * size).enumerate().for_each(|(row, out)| {
            for (group, out) in out.chunks_exact_mut(size).enumerate() {
                let scale = self.scales[row * self.layout.blocks() + group * GROUP / block];
                let steps = std::array::from_fn(|i| self.step(row, group * GROUP + i) as i32);
                out[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
                pack(format, &steps, &mut out[2..]);
            }
        });
        let len = bytes.len();
        Weight::new(format, &[n, k], Arc::new(bytes), 0..len)
    }
}

/// The codes of a block after its scale, as GGUF lays them out: nibbles of elements `i` and `i + 16` share a byte, and fifth
/// bits come first, the lowest of them that of element 0.
fn pack(format: DType, steps: &[i32; GROUP], out: &mut [u8]) {
    let nibbles = |codes: [u8; GROUP], out: &mut [u8]| {
        out.iter_mut().enumerate().for_each(|(i, byte)| *byte = (codes[i] & 15) | (codes[i + GROUP / 2] & 15) << 4);
    };
    match format {
        DType::Q8_0 => out.iter_mut().zip(steps).for_each(|(byte, step)| *byte = *step as i8 as u8),
        DType::Q5_0 => {
            let codes = steps.map(|s| (s + 16) as u8);
            let fifth = codes.iter().enumerate().fold(0u32, |bits, (i, c)| bits | u32::from(c >> 4 & 1) << i);
            out[..4].copy_from_slice(&fifth.to_le_bytes());
            nibbles(codes, &mut out[4..]);
        }
        _ => nibbles(steps.map(|s| (s + 8) as u8), out),
    }
}

/// The weight of the node, made from its constant operands: codes, scales, and zero points if there are any.
fn weight(layout: Layout, types: &[ElementType], from: &[Arc<Constant>]) -> Result<Weight> {
    let [codes, scales, zeros @ ..] = from else { return Err(Error::shape("MatMulNBits", "operands are missing")) };
    let count = layout.n.saturating_mul(layout.blocks());
    let scales = scales.tensor()?.to_f32();
    let zeros = match (zeros.first(), types.get(2)) {
        (Some(zeros), Some(ElementType::Uint8)) => {
            let (bytes, stride) = (zeros.bytes(ElementType::Uint8)?, layout.zero_bytes());
            if layout.n.checked_mul(stride) != Some(bytes.len()) {
                return Err(Error::shape("MatMulNBits", format!("{} bytes of zero points for {layout:?}", bytes.len())));
            }
            let row = |bytes: &[u8]| (0..layout.blocks()).map(|i| layout.code(bytes, i).into()).collect::<Vec<f32>>();
            bytes.chunks_exact(stride).flat_map(row).collect()
        }
        (Some(zeros), _) => zeros.tensor()?.to_f32(),
        // As many as there are scales, which the file must hold.
        _ => vec![(1 << (layout.bits - 1)) as f32; count.min(scales.len())],
    };
    Parts::new(layout, &codes.bytes(ElementType::Uint8)?, scales, zeros)?.weight()
}

fn mat_mul_n_bits(cx: &mut Context) -> Traced<Vec<Value>> {
    let (a, codes, scales, zeros) = (cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.optional(3));
    if cx.optional(4).is_some() {
        return Err(cx.unsupported("an order of groups"));
    }
    if cx.int("weight_prepacked", 0) != 0 {
        return Err(cx.unsupported("weights packed for another device"));
    }
    let layout = Layout::of(cx)?;
    if codes.ty != ElementType::Uint8 || a.shape.last() != Some(&layout.k) {
        return Err(cx.error(format!("{:?} with {} for {layout:?}", a.shape, codes.ty.name())));
    }
    let from: Vec<&Value> = [&codes, &scales].into_iter().chain(&zeros).collect();
    let types: Vec<ElementType> = from.iter().map(|v| v.ty).collect();
    let weight = cx.derive_weight(&format!("{layout:?}"), &from, |from| weight(layout, &types, from))?;
    let bias = cx.optional(5);
    let tail = if bias.is_some() { Expr::sum(Expr::operand(0), Expr::operand(1)) } else { Expr::operand(0) };
    let operands: Vec<&Value> = [&a, &weight].into_iter().chain(&bias).collect();
    // Packed weights are no operands of what the host computes at once.
    if a.constant().is_some() {
        let op = BatchMatMul { transpose_b: true, tail, ..BatchMatMul::plain() };
        return Ok(vec![cx.apply(op, &operands, a.ty)?]);
    }
    Ok(vec![cx.apply(MatMul { tail, ..MatMul::plain() }, &operands, a.ty)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(code - zero) * scale` of every element, from packed formats and from f32.
    fn check(bits: usize, zeros: &[f32], scale: f32, format: Option<DType>) {
        let layout = Layout { n: 2, k: 96, bits, block: 32 };
        let codes: Vec<u8> = (0..layout.n * layout.row_bytes()).map(|i| (i * 37 + 11) as u8).collect();
        let scales: Vec<f32> = (0..6).map(|i| scale * (i as f32 - 2.5)).collect();
        let zeros: Vec<f32> = zeros.iter().copied().cycle().take(6).collect();
        let parts = Parts::new(layout, &codes, scales.clone(), zeros.clone()).unwrap();
        assert_eq!(parts.format(), format);
        let weight = parts.weight().unwrap();
        assert_eq!(weight.dtype(), format.unwrap_or(DType::F32));
        for (i, found) in weight.to_f32().unwrap().into_iter().enumerate() {
            let code = if bits == 4 { codes[i / 2] >> (i % 2 * 4) & 15 } else { codes[i] };
            assert_eq!(found, (f32::from(code) - zeros[i / 32]) * scales[i / 32], "element {i}");
        }
    }

    #[test]
    fn weights_keep_their_values() {
        check(4, &[8.0], 0.25, Some(DType::Q4_0));
        check(4, &[0.0, 15.0, 7.0], 0.25, Some(DType::Q5_0));
        check(8, &[128.0], 0.5, Some(DType::Q8_0));
        check(8, &[3.0, 200.0], 0.5, None);
        check(4, &[8.5], 0.25, None);
        check(4, &[8.0], 0.1, None);
    }

    #[test]
    fn operands_of_other_sizes_are_refused() {
        let layout = Layout { n: 2, k: 33, bits: 4, block: 32 };
        assert!(Parts::new(layout, &[0; 64], vec![1.0; 4], vec![8.0; 4]).is_ok());
        assert!(Parts::new(layout, &[0; 63], vec![1.0; 4], vec![8.0; 4]).is_err());
        assert!(Parts::new(layout, &[0; 64], vec![1.0; 3], vec![8.0; 4]).is_err());
    }
}
