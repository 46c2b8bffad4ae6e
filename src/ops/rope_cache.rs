//! Rotary embedding of a step's queries and keys and the writing of its keys and values, in one.

use super::cache_write::{example_position, expect_cache, stored_error, written};
use super::{CacheWrite, Input, Lowering, Rope, Rule, StateWork, Tolerance, expect, operands, rope};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::Tensor;

/// What two [`Rope`] and two [`CacheWrite`] do with the columns of one product.
///
/// Inputs: `qkv` `[T, (heads + 2 kv_heads) * head_dim]` f32, in which queries, keys and values follow on each other, `positions` `[T]`
/// u32, `table` as of [`Rope`], the caches of keys and of values as of [`CacheWrite`], `slots` `[T]`, `blocks` `[slots, blocks]` u32.
/// Outputs: the turned queries `[T, heads * head_dim]`, and both caches in the same storage, the keys in theirs turned too.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeCache {
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and of values.
    pub kv_heads: usize,
    /// How queries and keys are turned.
    pub rope: Rope,
}

/// The operands in their order.
struct Operands {
    q: Input,
    k: Input,
    v: Input,
    positions: Input,
    table: Input,
    k_cache: Input,
    v_cache: Input,
    slots: Input,
    blocks: Input,
}

impl RopeCache {
    /// Columns of queries, and of keys as of values.
    fn widths(&self) -> [usize; 2] {
        [self.heads * self.rope.head_dim, self.kv_heads * self.rope.head_dim]
    }

    /// The operands, `qkv` taken apart.
    fn split(&self, inputs: Vec<Input>) -> Result<Operands> {
        let [qkv, positions, table, k_cache, v_cache, slots, blocks] = operands("RopeCache", inputs)?;
        let qkv = qkv.tensor()?;
        let [many, few] = self.widths();
        let part = |first: usize, width: usize| {
            let rows = qkv.as_f32()?.chunks_exact(qkv.columns());
            let values = rows.flat_map(|row| &row[first..first + width]).copied().collect();
            Ok::<_, Error>(Input::from(Tensor::f32(&[qkv.shape()[0], width], values)?))
        };
        let (q, k, v) = (part(0, many)?, part(many, few)?, part(many + few, few)?);
        Ok(Operands { q, k, v, positions, table, k_cache, v_cache, slots, blocks })
    }
}

/// The only output of an op.
fn only(mut outputs: Vec<Tensor>) -> Result<Tensor> {
    outputs.pop().ok_or_else(|| Error::invalid("RopeCache", "a part has no output"))
}

impl Rule for RopeCache {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [qkv, positions, table, k_cache, v_cache, slots, blocks] = operands("RopeCache", inputs.to_vec())?;
        expect("RopeCache", "qkv", qkv, DType::F32, 2)?;
        expect("RopeCache", "slots", slots, DType::U32, 1)?;
        expect("RopeCache", "blocks", blocks, DType::U32, 2)?;
        let [many, few] = self.widths();
        if qkv.shape.columns() != Some(many + 2 * few) || k_cache != v_cache || slots.shape != positions.shape {
            let what =
                format!("'qkv' {qkv}, caches {k_cache} and {v_cache}, 'slots' {slots}, 'positions' {positions} do not agree");
            return Err(Error::shape("RopeCache", what));
        }
        expect_cache("RopeCache", k_cache, Some(few))?;
        let q = TensorType::new(DType::F32, Shape(vec![qkv.shape.0[0].clone(), Dim::Const(many)]));
        let turned = self.rope.infer(&[&q, positions, table])?;
        Ok(turned.into_iter().chain([k_cache.clone(), v_cache.clone()]).collect())
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let Operands { q, k, v, positions, table, k_cache, v_cache, slots, blocks } = self.split(inputs)?;
        let turn = |x: Input| only(self.rope.reference(vec![x, positions.clone(), table.clone()])?);
        let write = |x: Input, cache: Input| {
            only(CacheWrite.reference(vec![x, cache, slots.clone(), positions.clone(), blocks.clone()])?)
        };
        Ok(vec![turn(q)?, write(turn(k)?.into(), k_cache)?, write(v, v_cache)?])
    }

    /// Those of [`Rope`] and [`CacheWrite`]; what a key may be off is written to its place, and storing it adds its own.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let Operands { q, k, positions, table, slots, blocks, .. } = self.split(Vec::from(inputs))?;
        let turning = |x: Input| match self.rope.tolerance(&[x, positions.clone(), table.clone()], &[])?.pop() {
            Some(Tolerance::Absolute(bounds)) => Ok(bounds),
            _ => Err(Error::invalid("RopeCache", "the rope has no bounds")),
        };
        let shape = k.tensor()?.shape().to_vec();
        let bounds = Tensor::f32(&shape, turning(k)?)?;
        let nothing = Tensor::zeros(DType::F32, outputs[1].shape())?;
        let of_keys = CacheWrite.reference(vec![bounds.into(), nothing.into(), slots, positions.clone(), blocks])?;
        let stored = |cache: &Tensor, more: &[f32]| {
            let error = |(v, more): (&f32, &f32)| stored_error(cache.dtype(), v.abs() + more) + more;
            Tolerance::Absolute(cache.to_f32().iter().zip(more).map(error).collect())
        };
        let values = stored(&outputs[2], &vec![0.0; outputs[2].len()]);
        Ok(vec![Tolerance::Absolute(turning(q)?), stored(&outputs[1], only(of_keys)?.as_f32()?), values])
    }

    /// WGSL leaves open what packing into f16 makes of an infinity.
    fn extremes(&self) -> Extremes {
        Extremes::Finite
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [qkv, positions, table, k, _, slots, blocks] = [0, 1, 2, 3, 4, 5, 6].map(|i| &cx.inputs[i]);
        let [pages, page] = [k.shape[0], k.shape[2]];
        let Rope { head_dim, dim, pairing } = self.rope;
        let halves = u32::from(pairing == rope::Pairing::Halves);
        let kernel = Kernel::new("rope_cache").provider(format!("load/cache_{}", k.dtype)).constant("HALVES", halves);
        let strides = table.rows() - rope::STRIDE;
        let numbers =
            [qkv.rows(), self.heads, self.kv_heads, head_dim, dim, strides, page, blocks.columns(), blocks.rows(), pages];
        let grid = linear_grid((qkv.len() / 4).div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, numbers.map(|n| n as u32).to_vec(), grid).read(qkv.value).read(positions.value);
        let dispatch = cx.outputs.iter().fold(dispatch.constant(table.value), |d, out| d.write(out.value));
        cx.emit(dispatch.read(slots.value).read(blocks.value));
        Ok(())
    }

    fn updates(&self) -> &'static [(usize, usize)] {
        &[(1, 3), (2, 4)]
    }

    fn example_index(&self, inputs: &[Vec<usize>], operand: usize, element: usize) -> usize {
        match operand {
            1 => example_position(&inputs[3], inputs[6][1], inputs[0][0], element),
            6 => element % inputs[3][0],
            _ => 0,
        }
    }

    fn state_work(&self, inputs: &[Vec<usize>], known: &dyn Fn(usize) -> Option<Vec<u32>>) -> Option<StateWork> {
        let [_, few] = self.widths();
        let tokens = written(known(5)?);
        Some(StateWork { flops: 6 * tokens * inputs[0][1] as u64, elements: 2 * tokens * few as u64 })
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        6 * inputs[0].iter().product::<usize>() as u64
    }
}
