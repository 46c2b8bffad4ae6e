//! Which kernel multiplies with a weight.

use super::MatMul;
use crate::dtype::DType;
use crate::kernel::caps::Width;
use crate::kernel::{Caps, Kernel};
use crate::ops::lowering::{Matrices, PackedWeight};
use crate::ops::{Lowering, RmsNorm};
use crate::quant::GROUP;

/// A kernel and what one of its workgroups covers.
pub(in crate::ops) struct Choice {
    pub kernel: Kernel,
    /// Rows of the weight.
    pub rows: usize,
    pub tokens: usize,
    /// The norm that the kernel does by itself, and the value of its gain.
    pub norm: Option<(RmsNorm, usize)>,
    /// The value of the scales, where rows are bytes.
    pub scales: Option<usize>,
    /// Whether the kernel makes outputs of pairs by itself.
    pub pairs: bool,
    /// Whether the weight is decoded first, for a plain product instead of the kernel.
    pub decoded: bool,
}

impl Choice {
    /// A kernel that only multiplies.
    pub fn plain(kernel: Kernel, rows: usize, tokens: usize) -> Self {
        Choice { kernel, rows, tokens, norm: None, scales: None, pairs: false, decoded: false }
    }
}

/// What a lane takes of a weight's row at a time, by the provider that loads it, and how many of these a row has.
fn spans(weight: &PackedWeight<'_>) -> (&'static str, usize) {
    match weight.format.shares_scales() && weight.groups.is_multiple_of(2) {
        true => ("load/pairs", weight.groups / 2),
        false => ("load/groups", weight.groups),
    }
}

/// Lanes that share `n` pieces of a row: as many as there are, up to a whole subgroup, so that none of its lanes idle.
fn shared_lanes(cx: &Lowering<'_>, n: usize) -> u32 {
    let subgroup = cx.caps.subgroup.map_or(32, |(_, max)| max.clamp(32, 64));
    (n.next_power_of_two() as u32).clamp(8, subgroup)
}

/// Whether a kernel of weight rows can make outputs of pairs by itself, which must then lie in one chunk, and the provider with
/// which it stores its sums.
fn stored_sums(paired: bool, weight: &PackedWeight<'_>) -> (bool, &'static str) {
    let whole = weight.operand.chunks.iter().all(|rows| rows.start % 2 + rows.len() % 2 == 0);
    if paired && whole { (true, "sums/paired") } else { (false, "sums/single") }
}

/// Chooses the kernel of a product.
pub(super) fn choose(op: &MatMul, cx: &Lowering<'_>, weight: &PackedWeight<'_>) -> Choice {
    match cx.caps.width {
        Width::Narrow => narrow(op, cx, weight),
        Width::Wide => wide(op, cx, weight),
    }
}

/// Measured on lavapipe: barriers and workgroup memory lose; a lane that owns whole rows wins. For one token four rows a lane
/// decode a quarter faster than one.
fn narrow(op: &MatMul, cx: &Lowering<'_>, weight: &PackedWeight<'_>) -> Choice {
    let (tokens, k) = (cx.inputs[0].rows(), cx.inputs[0].columns());
    let whole_groups = k.is_multiple_of(GROUP);
    let x_provider = match whole_groups {
        true if cx.caps.subgroup_at_least(8) => "load/x_broadcast",
        true => "load/x_quads",
        false => "load/x_scalars",
    };
    let kernel = |shader| Kernel::new(shader).provider(weight.provider());
    if tokens == 1 {
        // A dispatch costs as much as 300 000 weights there, so norms and pairs are worth having in one.
        let (pairs, sums) = stored_sums(op.paired, weight);
        let norm = own_norm(op, cx);
        let rows = if pairs { "mat_vec/paired" } else { "mat_vec/single" };
        if let Some(provider) = long_pairs(cx.caps, weight, k) {
            let x = if norm.is_some() { "load/long/x_normed" } else { "load/long/x" };
            let kernel = Kernel::new("mat_vec_pairs").provider(provider).provider(rows).provider(sums).provider(x);
            return Choice { norm, pairs, ..Choice::plain(kernel, 32, 1) };
        }
        let kernel = kernel("mat_vec_rows").provider(rows).provider(sums);
        let kernel = match x_provider {
            "load/x_broadcast" if norm.is_some() => kernel.provider("load/x_broadcast_normed"),
            "load/x_quads" if norm.is_some() => kernel.provider("load/x_quads_normed").provider("reduce/own"),
            plain => kernel.provider(plain),
        };
        return Choice { norm, pairs, ..Choice::plain(kernel, 32, 1) };
    }
    Choice { decoded: decodes(cx, weight, tokens), ..few_rows(weight, x_provider, tokens) }
}

/// The provider that loads a weight by pairs of groups in words of 64 bits, where the device has such words and the format such a
/// provider. Rows of columns that are no whole pairs, and operands that no whole load begins at, are left to others.
fn long_pairs(caps: &Caps, weight: &PackedWeight<'_>, columns: usize) -> Option<&'static str> {
    if !caps.long_words() || !caps.subgroup_at_least(8) || !columns.is_multiple_of(2 * GROUP) {
        return None;
    }
    match weight.operand.dtype {
        DType::F32 => Some("load/long/f32"),
        DType::Q4_0 => Some("load/long/q4_0"),
        DType::Q4_1 => Some("load/long/q4_1"),
        DType::Q4_K => Some("load/long/q4_k"),
        DType::Q8_0 => Some("load/long/q8_0"),
        _ => None,
    }
}

/// Rows of the weight by a few tokens, on narrow devices.
fn few_rows(weight: &PackedWeight<'_>, x_provider: &'static str, tokens: usize) -> Choice {
    let cols = tokens.next_power_of_two().min(8);
    let kernel = Kernel::new("mat_mul_rows").provider(weight.provider()).provider(x_provider);
    Choice::plain(kernel.constant("COLS", cols as u32), 8, cols)
}

/// The norm and its gain, where a kernel that loads quads of single rows can do it by the way.
fn own_norm(op: &MatMul, cx: &Lowering<'_>) -> Option<(RmsNorm, usize)> {
    let norm = op.norm.clone().filter(|_| cx.inputs[0].columns().is_multiple_of(GROUP))?;
    Some((norm, cx.inputs[2].value))
}

/// By reasoning: up to eight tokens the weights' bytes bound the time and each should be read once. Activations are loaded once
/// for four rows, unless too few workgroups were left to fill a device.
fn wide(op: &MatMul, cx: &Lowering<'_>, weight: &PackedWeight<'_>) -> Choice {
    let (tokens, k) = (cx.inputs[0].rows(), cx.inputs[0].columns());
    let x_provider = if k.is_multiple_of(GROUP) { "load/x_quads" } else { "load/x_scalars" };
    let (pairs, sums) = stored_sums(op.paired, weight);
    let kernel = |shader| Kernel::new(shader).provider(weight.provider()).provider(sums);
    if tokens == 1 {
        let rows = if weight.operand.rows() >= 2048 { 4 } else { 2 };
        let (span, spans) = spans(weight);
        // Every workgroup squares the whole row: two operations an activation beside three for each of its rows, and no dispatch
        // that all others wait for. With more tokens the rows have less to do for each activation, and it no longer pays.
        let norm = own_norm(op, cx);
        let x_provider = if norm.is_some() { "load/x_quads_normed" } else { x_provider };
        let kernel = kernel("mat_vec").provider(span).provider(x_provider).constant("ROWS", rows as u32);
        return Choice { norm, pairs, ..Choice::plain(cx.reduction(kernel, shared_lanes(cx, spans)), rows, 1) };
    }
    if tokens <= 8 {
        let cols = tokens.next_power_of_two();
        // Four rows of f32 or f16 would take all registers.
        let rows = if weight.format.quants > 32 && weight.format.unit == GROUP { 2 } else { 4 };
        let kernel = kernel("mat_vec_few").provider(x_provider).constant("COLS", cols as u32).constant("ROWS", rows as u32);
        return Choice { pairs, ..Choice::plain(cx.reduction(kernel, shared_lanes(cx, weight.groups)), rows, cols) };
    }
    tiles(cx.caps, weight, x_provider, tokens, op.paired, op.half)
}

/// Tiles of many tokens by many rows, on wide devices.
fn tiles(caps: &Caps, weight: &PackedWeight<'_>, x_provider: &'static str, tokens: usize, paired: bool, half: bool) -> Choice {
    let (pairs, sums) = stored_sums(paired, weight);
    let kernel = |shader| Kernel::new(shader).provider(weight.provider()).provider(sums).provider(x_provider);
    // By reasoning: few tokens would leave half of a tile of 64 empty.
    let few = tokens <= 32;
    if let Some(Matrices { provider, fewest, most }) = Matrices::of(caps, half).filter(|_| !few) {
        let kernel = kernel("mat_mul_cooperative").provider(provider).constant("PARTS", fewest).constant("SLABS", most);
        return Choice { pairs, ..Choice::plain(kernel, 64, 64) };
    }
    // Single loads of both operands would take too many registers beside tiles in f16.
    let ragged = x_provider == "load/x_scalars" && weight.operand.dtype == DType::F32;
    let kernel = match half && caps.half && !ragged {
        true => kernel("mat_mul").provider("product/half").provider("product/totals_half"),
        false => kernel("mat_mul").provider("product/float").provider("product/totals_float"),
    };
    let down = if few { 1 } else { 2 };
    let kernel = kernel.provider("product/tiles").constant("ACROSS", 2).constant("DOWN", down);
    Choice { pairs, ..Choice::plain(kernel, 128, 32 * down as usize) }
}

/// Chooses the kernel of a product of bytes, whose scales are the value `scales`. By reasoning: few tokens are multiplied as
/// integers while the weights pass by, in which each lane has its own part of a row; for more, tiles of floats are made of them.
pub(in crate::ops) fn choose_of_bytes(
    cx: &Lowering<'_>,
    weight: &PackedWeight<'_>,
    tokens: usize,
    paired: bool,
    scales: usize,
) -> Choice {
    let choice = if tokens <= 8 {
        // Sums of eight tokens and four rows fit the registers that a GPU has for several workgroups at once; with scales and minima of
        // every 16 weights they do not.
        let cols = tokens.next_power_of_two();
        let rows = if cols == 8 && weight.operand.dtype == DType::Q2_K { 2 } else { 4 };
        let (span, spans) = spans(weight);
        let (pairs, sums) = stored_sums(paired, weight);
        let kernel = Kernel::new("quantized_mat_mul").provider(weight.provider()).provider(sums).provider(span);
        let kernel = kernel.constant("COLS", cols as u32).constant("ROWS", rows as u32);
        Choice { pairs, ..Choice::plain(cx.reduction(kernel, shared_lanes(cx, spans)), rows, cols) }
    } else {
        match cx.caps.width {
            Width::Narrow => few_rows(weight, "load/x_bytes", tokens),
            Width::Wide => tiles(cx.caps, weight, "load/x_bytes", tokens, paired, false),
        }
    };
    Choice { scales: Some(scales), ..choice }
}

/// Tokens from which on a narrow device decodes a weight before it multiplies: decoding writes and reads four bytes a weight, for
/// which the kernel of plain products is twice as fast as the one that decodes for every eight tokens.
const MANY: usize = 64;
/// Bytes of the largest weight that is decoded as a whole.
const DECODED: usize = 64 << 20;

/// Whether the weight is decoded before it is multiplied.
fn decodes(cx: &Lowering<'_>, weight: &PackedWeight<'_>, tokens: usize) -> bool {
    let bytes = weight.operand.len().saturating_mul(4);
    let one = weight.operand.chunks.len() == 1 && weight.operand.columns().is_multiple_of(4);
    cx.caps.width == Width::Narrow && tokens >= MANY && one && bytes <= DECODED && bytes as u64 <= cx.caps.max_binding
}
