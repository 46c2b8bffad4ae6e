//! The kernels of attention, and which one runs.

use super::Attention;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Caps, Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::ops::lowering::Matrices;
use crate::ops::{Lowering, Operand};

/// Workgroups that keep a large GPU busy: below, positions are shared out over several.
const FULL: usize = 256;

/// Most workgroups that positions are shared out over: whoever joins their parts reads each.
const MOST_SPLITS: usize = 64;

/// Query rows and keys of a tile of `attention_tiles`.
const TILE: usize = 64;

/// Those of `attention_cooperative`.
const SMALL_TILE: usize = 32;

/// A kernel for a step, and how the step is cut for it.
struct Choice {
    kernel: Kernel,
    /// Workgroups by query rows or heads, and by tokens or key-value heads.
    grid: [usize; 2],
    /// Positions of a tile, where tiles may be shared out over several workgroups.
    tile: Option<usize>,
}

/// Emits the dispatches of a step.
///
/// # Errors
/// [`Error::Unsupported`] for heads that are too long and steps of too many tokens.
pub(super) fn lower(op: &Attention, cx: &mut Lowering<'_>) -> Result<()> {
    let choice = choose(op, cx)?;
    let [q, k, v, slots, positions, blocks] = [0, 1, 2, 3, 4, 5].map(|i| cx.inputs[i].clone());
    let out = cx.outputs[0].clone();
    let [across, down] = choice.grid;
    if across.max(down) > cx.caps.max_grid as usize {
        return Err(Error::Unsupported(format!("attention of {} tokens in one step", q.rows())));
    }
    let capacity = blocks.columns() * k.shape[2];
    let splits = choice.tile.map_or(1, |tile| splits(cx, across * down, capacity.div_ceil(tile), out.len() * 4));

    let params = [q.rows(), op.heads, op.kv_heads, blocks.columns()].map(|n| n as u32);
    let sizes = [op.scale.to_bits(), blocks.rows() as u32, k.shape[0] as u32, splits as u32];
    let params = params.into_iter().chain(sizes).collect();
    let kernel = choice.kernel.constant("QUADS", (op.head_dim / 4) as u32).constant("PAGE", k.shape[2] as u32);
    let bind = |kernel: Kernel| {
        let dispatch = Dispatch::new(kernel, params, [across as u32, down as u32, splits as u32]);
        [&k, &v, &q, &slots, &positions, &blocks].iter().fold(dispatch, |d, operand| d.read(operand.value))
    };
    let Some(tile) = choice.tile.filter(|_| splits > 1) else {
        let kernel = if choice.tile.is_some() { kernel.provider("attention/whole") } else { kernel };
        cx.emit(bind(kernel).write(out.value));
        return Ok(());
    };
    let rows = q.rows() * op.heads;
    let sums = cx.scratch(DType::F32, &[splits, rows, op.head_dim]);
    let parts = cx.scratch(DType::F32, &[splits, rows, 2]);
    cx.emit(bind(kernel.provider("attention/part")).write(sums.value).write(parts.value));
    combine(op, cx, [&sums, &parts, &slots, &positions, &out], tile);
    Ok(())
}

/// Emits the kernel that joins the parts of all splits.
fn combine(op: &Attention, cx: &mut Lowering<'_>, operands: [&Operand; 5], tile: usize) {
    let [sums, parts, slots, positions, out] = operands;
    let kernel = Kernel::new("attention_combine").constant("QUADS", (op.head_dim / 4) as u32);
    let params = [out.rows(), op.heads, sums.shape[0], tile].map(|n| n as u32).to_vec();
    let grid = linear_grid((out.len() / 4).div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
    let dispatch = Dispatch::new(kernel, params, grid).read(sums.value).read(parts.value).read(slots.value);
    cx.emit(dispatch.read(positions.value).write(out.value));
}

/// Over how many workgroups each row's positions are shared out, where there are `workgroups` without. How many positions there
/// are is known only when a step runs, so workgroups beyond them end at once.
fn splits(cx: &Lowering<'_>, workgroups: usize, tiles: usize, bytes: usize) -> usize {
    let fitting = (cx.caps.max_binding / bytes.max(1) as u64) as usize;
    (FULL / workgroups.max(1)).min(tiles).min(fitting).min(cx.caps.max_grid as usize).clamp(1, MOST_SPLITS)
}

/// Chooses the kernel.
fn choose(op: &Attention, cx: &Lowering<'_>) -> Result<Choice> {
    let (tokens, cache) = (cx.inputs[0].rows(), &cx.inputs[1]);
    let (group, page) = (op.heads / op.kv_heads, cache.shape[2]);
    if cx.caps.width == Width::Wide && (16..=256).contains(&op.head_dim) && op.head_dim.is_multiple_of(8) {
        // Reasoned: from half a tile of query rows on, a tile takes fewer instructions and loads than its rows one by one.
        if tokens > 1 && tokens * group >= TILE / 2 {
            let matrices = Matrices::of(cx.caps, op.half).filter(|_| op.head_dim <= 128);
            return Ok(match matrices {
                Some(matrices) => by_matrices(op, tokens, cache.dtype, matrices),
                None => tiles(op, tokens, cache.dtype),
            });
        }
        if page.is_multiple_of(4) {
            return Ok(few(op, tokens, cache.dtype));
        }
    }
    if lanes_suit(op, cx.caps, tokens, page) {
        let kernel = Kernel::new("attention_lanes").constant("GROUP", group as u32);
        let grid = [tokens, op.kv_heads];
        return Ok(Choice { kernel: kernel.provider(format!("load/long/cache_{}", cache.dtype)), grid, tile: None });
    }
    // Measured on lavapipe: prompts of 512 tokens went from 64 to 149 tokens/s; the plain kernel pays for its barriers.
    if cx.caps.width == Width::Narrow && cx.caps.subgroup_at_least(8) && op.head_dim.is_multiple_of(32) && op.head_dim <= 256 {
        let grid = [(tokens * group).div_ceil(8), op.kv_heads];
        if grid.iter().all(|n| *n <= cx.caps.max_grid as usize) {
            let kernel = Kernel::new("attention_rows").constant("GROUP", group as u32);
            return Ok(Choice { kernel: kernel.provider(format!("load/cache_{}", cache.dtype)), grid, tile: None });
        }
    }
    if op.head_dim > 1024 {
        return Err(Error::Unsupported(format!("attention heads of {} elements", op.head_dim)));
    }
    // The queries of the heads of a workgroup stand in workgroup memory.
    let together = together(group, |n| n <= 8 && n * op.head_dim <= 1024);
    let kernel = Kernel::new("attention").constant("HEADS", together as u32);
    let grid = [op.heads / together, tokens];
    Ok(Choice { kernel: kernel.provider(format!("load/cache_{}", cache.dtype)), grid, tile: None })
}

/// Whether a lane for every eighth position suits: one token has too few rows for a lane each, and what a lane keeps of all heads of
/// a key must stay in the nearest cache.
fn lanes_suit(op: &Attention, caps: &Caps, tokens: usize, page: usize) -> bool {
    let loads = caps.long_words() && caps.subgroup_at_least(8);
    let small = op.head_dim.is_multiple_of(32) && op.head_dim / 4 * op.heads <= 128 * op.kv_heads;
    caps.width == Width::Narrow && tokens == 1 && loads && small && page.is_multiple_of(8)
}

/// The most of `group` heads that a workgroup can serve with each key and value it reads, so that all workgroups serve as many.
fn together(group: usize, fits: impl Fn(usize) -> bool) -> usize {
    (1..=group).rev().find(|n| group.is_multiple_of(*n) && fits(*n)).unwrap_or(1)
}

/// Tiles of query rows, which are tokens and the heads that share a key-value head, against tiles of keys.
fn tiles(op: &Attention, tokens: usize, dtype: DType) -> Choice {
    let group = op.heads / op.kv_heads;
    // Values that stand in workgroup memory at a time: 512 quads.
    let chunk = (512 / (op.head_dim / 4)).min(32);
    let chunk = if chunk.is_power_of_two() { chunk } else { chunk.next_power_of_two() / 2 };
    let kernel = Kernel::new("attention_tiles").provider("attention/turns").provider(format!("load/cache_pairs_{dtype}"));
    let kernel = kernel.constant("GROUP", group as u32).constant("CHUNK", chunk as u32);
    Choice { kernel, grid: [(tokens * group).div_ceil(TILE), op.kv_heads], tile: Some(TILE) }
}

/// Smaller tiles, by matrices that subgroups multiply together. Queries of longer heads would take too many registers.
fn by_matrices(op: &Attention, tokens: usize, dtype: DType, matrices: Matrices) -> Choice {
    let Matrices { provider, fewest, most } = matrices;
    let group = op.heads / op.kv_heads;
    let kernel = Kernel::new("attention_cooperative").provider("attention/turns").provider(format!("load/cache_pairs_{dtype}"));
    let kernel = kernel.provider(provider).constant("GROUP", group as u32).constant("PARTS", fewest);
    let surplus = if most > fewest { SMALL_TILE * SMALL_TILE } else { 0 };
    let kernel = kernel.constant("SURPLUS", surplus as u32);
    Choice { kernel, grid: [(tokens * group).div_ceil(SMALL_TILE), op.kv_heads], tile: Some(SMALL_TILE) }
}

/// One token at a time.
fn few(op: &Attention, tokens: usize, dtype: DType) -> Choice {
    // Lanes that share a key, a pair of quads each.
    let across = (op.head_dim / 8).next_power_of_two();
    // More heads take more registers than some GPUs have, and a lane adds up no more than one score of four keys.
    let together = together(op.heads / op.kv_heads, |n| n <= across.min(7));
    let units = (across / together).min(4usize.div_ceil(together));
    let kernel = Kernel::new("attention_few").provider(format!("load/cache_pairs_{dtype}"));
    let kernel = kernel.constant("ACROSS", across as u32).constant("HEADS", together as u32).constant("UNITS", units as u32);
    Choice { kernel, grid: [op.heads / together, tokens], tile: Some(units * 4 * (64 / across)) }
}
