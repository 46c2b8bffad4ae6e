//! Writing keys or values of a step into a paged cache.
//!
//! # The paged cache
//! A pool of pages, each with room for `page` positions of every key-value head:
//! `[pages, kv_heads, page, head_dim]`, f32 or f16. A sequence owns a slot; row `slot` of the block table lists its
//! pages in order, so position `p` lies in page `table[slot, p / page]` at `p % page`. A token whose slot is
//! [`NO_SLOT`] fills up a step and touches nothing.

use std::sync::Arc;

use half::f16;

use super::{Input, Lowering, Rule, StateWork, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::TensorType;
use crate::tensor::{Data, Tensor};

/// The slot of a token that only fills up a step.
pub const NO_SLOT: u32 = u32::MAX;

/// Stores each token's row at its position of the cache.
///
/// Inputs: `x` `[T, kv_heads * head_dim]` f32, `cache` `[pages, kv_heads, page, head_dim]`, `slots` `[T]`, `positions`
/// `[T]`, `blocks` `[slots, blocks]` u32. Output: the cache, in the same storage.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheWrite;

/// Where a paged cache keeps things.
pub(super) struct Pages<'a> {
    /// `[pages, kv_heads, page, head_dim]`.
    pub shape: [usize; 4],
    /// `[slots, blocks]`.
    pub blocks: &'a [u32],
    /// Blocks of one slot.
    pub per_slot: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(cache: &Tensor, blocks: &'a Tensor) -> Result<Self> {
        let shape = <[usize; 4]>::try_from(cache.shape()).map_err(|_| Error::shape("cache", format!("{:?}", cache.shape())))?;
        Ok(Pages { shape, blocks: blocks.as_u32()?, per_slot: blocks.columns() })
    }

    /// The first element of `head` at `position` of `slot`.
    pub(super) fn element(&self, slot: u32, position: usize, head: usize) -> Result<usize> {
        let [pages, heads, page, dim] = self.shape;
        let block = position / page;
        let index = (block < self.per_slot).then(|| slot as usize * self.per_slot + block);
        let entry = index.and_then(|i| self.blocks.get(i)).filter(|p| (**p as usize) < pages);
        let entry = *entry.ok_or_else(|| Error::Request(format!("slot {slot} has no page for position {position}")))? as usize;
        Ok(((entry * heads + head) * page + position % page) * dim)
    }
}

/// What an example holds as element `i` of the positions of `tokens` tokens: positions that follow on each other and reach into a
/// second page where the cache `[pages, _, page, _]` has room.
pub(super) fn example_position(cache: &[usize], blocks: usize, tokens: usize, i: usize) -> usize {
    let room = cache[0].min(blocks) * cache[2];
    (room.saturating_sub(tokens).min(cache[2] + 5) + i).min(room.saturating_sub(1))
}

impl Rule for CacheWrite {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, cache, slots, positions, blocks] = operands("CacheWrite", inputs.to_vec())?;
        expect("CacheWrite", "x", x, DType::F32, 2)?;
        expect("CacheWrite", "slots", slots, DType::U32, 1)?;
        expect("CacheWrite", "positions", positions, DType::U32, 1)?;
        expect("CacheWrite", "blocks", blocks, DType::U32, 2)?;
        expect_cache("CacheWrite", cache, x.shape.columns())?;
        Ok(vec![cache.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let [x, cache, slots, positions, blocks] = operands("CacheWrite", inputs)?;
        let Input::Tensor(mut cache) = cache else { return Err(Error::shape("CacheWrite", "the cache is a weight")) };
        let (x, slots, positions) = (x.tensor()?, slots.tensor()?.as_u32()?, positions.tensor()?.as_u32()?);
        let pages = Pages::new(&cache, blocks.tensor()?)?;
        let dim = pages.shape[3];
        let target = Arc::make_mut(&mut cache).data_mut();
        for ((row, slot), position) in x.as_f32()?.chunks_exact(x.columns()).zip(slots).zip(positions) {
            if *slot == NO_SLOT {
                continue;
            }
            for (head, values) in row.chunks_exact(dim).enumerate() {
                let at = pages.element(*slot, *position as usize, head)?;
                match target {
                    Data::F32(data) => data[at..at + dim].copy_from_slice(values),
                    Data::F16(data) => data[at..at + dim].iter_mut().zip(values).for_each(|(d, v)| *d = f16::from_f32(*v)),
                    Data::U32(_) | Data::I64(_) => return Err(Error::shape("CacheWrite", "the cache holds integers")),
                }
            }
        }
        Ok(vec![Arc::unwrap_or_clone(cache)])
    }

    /// Exact in f32. In f16 a device may round either way (WGSL leaves `pack2x16float`'s direction open): one unit.
    fn tolerance(&self, _: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        if outputs[0].dtype() == DType::F32 {
            return Ok(vec![Tolerance::Exact]);
        }
        Ok(vec![Tolerance::Absolute(outputs[0].to_f32().iter().map(|v| stored_error(DType::F16, *v)).collect())])
    }

    /// WGSL leaves open what packing into f16 makes of an infinity.
    fn extremes(&self) -> Extremes {
        Extremes::Finite
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [x, cache, slots, positions, blocks] = [0, 1, 2, 3, 4].map(|i| &cx.inputs[i]);
        let [pages, heads, page, dim] = [0, 1, 2, 3].map(|i| cache.shape[i]);
        let kernel = Kernel::new("cache_write").provider(format!("load/cache_{}", cache.dtype));
        let quads = x.len() / 4;
        let params = [x.rows(), heads, page, dim / 4, blocks.columns(), blocks.rows(), pages].map(|n| n as u32).to_vec();
        let grid = linear_grid(quads.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, params, grid).write(cx.outputs[0].value).read(x.value).read(slots.value);
        cx.emit(dispatch.read(positions.value).read(blocks.value));
        Ok(())
    }

    fn updates(&self) -> &'static [(usize, usize)] {
        &[(0, 1)]
    }

    fn example_index(&self, inputs: &[Vec<usize>], operand: usize, element: usize) -> usize {
        match operand {
            3 => example_position(&inputs[1], inputs[4][1], inputs[0][0], element),
            4 => element % inputs[1][0],
            _ => 0,
        }
    }

    fn state_work(&self, inputs: &[Vec<usize>], known: &dyn Fn(usize) -> Option<Vec<u32>>) -> Option<StateWork> {
        let elements = written(known(2)?) * inputs[0][1] as u64;
        Some(StateWork { flops: elements, elements })
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        inputs[0].iter().product::<usize>() as u64
    }
}

/// Tokens that a step writes: those with slots.
pub(super) fn written(slots: Vec<u32>) -> u64 {
    slots.into_iter().filter(|slot| *slot != NO_SLOT).count() as u64
}

/// How far a value may be from where it was stored, for the reasons of [`CacheWrite`]'s tolerance.
pub(super) fn stored_error(cache: DType, value: f32) -> f32 {
    match cache {
        DType::F16 => f16::EPSILON.to_f32() * value.abs() + f16::from_bits(1).to_f32(),
        _ => 0.0,
    }
}

/// Refuses a cache that is not `[pages, kv_heads, page, head_dim]` of f32 or f16 with `kv_heads * head_dim == columns`.
pub(super) fn expect_cache(op: &str, cache: &TensorType, columns: Option<usize>) -> Result<()> {
    let dims: Vec<usize> = cache.shape.0.iter().filter_map(|d| d.constant()).collect();
    let sound = matches!(cache.dtype, DType::F32 | DType::F16)
        && matches!(dims[..], [_, heads, page, dim] if Some(heads * dim) == columns && page > 0 && dim > 0 && dim.is_multiple_of(4));
    if sound {
        return Ok(());
    }
    let columns = columns.map_or("?".to_owned(), |n| n.to_string());
    Err(Error::shape(op, format!("operand 'cache' is {cache}, expected f32 or f16 of kv_heads * head_dim = {columns} in quads")))
}
