//! Attention over a paged cache, and the writes that fill it.

use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::gpu::{Gpu, Runner, WeightStore};
use wavelane::graph::{Graph, GraphBuilder};
use wavelane::ops::cache_write::NO_SLOT;
use wavelane::ops::{Attention, CacheWrite, Pairing, Rope, RopeCache, rope};
use wavelane::plan::{Plan, Request};
use wavelane::shape::Symbols;
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, devices, families, ids, input};
use crate::random::Numbers;

/// Two slots of three pages each, in an order that no sequence would have by chance.
const BLOCKS: [u32; 6] = [4, 1, 5, 0, 3, 2];

fn blocks() -> Operand {
    Operand::Input(Tensor::u32(&[2, 3], BLOCKS.to_vec()).unwrap())
}

#[test]
fn writes_reach_their_page_and_touch_nothing_else() {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        for (heads, dim) in [(1, 4), (3, 64), (2, 20)] {
            let state = Operand::State(dtype, vec![6, heads, 16, dim]);
            let (slots, positions) = ([0, 1, NO_SLOT, 1, 0], [0, 17, 3, 47, 15]);
            let operands = vec![input(&[5, heads * dim], 1), state, ids(&slots), ids(&positions), blocks()];
            cases.push(Case::new(format!("cache write {dtype} {heads} x {dim}"), CacheWrite, operands));
        }
    }
    check(&cases);
}

#[test]
fn turned_queries_and_keys_and_values_reach_their_places() {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        for pairing in [Pairing::Interleaved, Pairing::Halves] {
            for (heads, kv_heads, head_dim, dim) in [(1, 1, 4, 4), (9, 3, 64, 64), (3, 1, 20, 12), (4, 2, 8, 6)] {
                let frequencies: Vec<f64> = (0..dim / 2).map(|i| 100f64.powf(-(i as f64) / dim as f64)).collect();
                let table = Operand::Weight(rope::table(&frequencies, 512).unwrap());
                let cache = || Operand::State(dtype, vec![6, kv_heads, 32, head_dim]);
                let (slots, positions) = ([0, 1, NO_SLOT, 1, 0], [0, 65, 3, 95, 31]);
                let qkv = input(&[5, (heads + 2 * kv_heads) * head_dim], 1);
                let operands = vec![qkv, ids(&positions), table, cache(), cache(), ids(&slots), blocks()];
                let op = RopeCache { heads, kv_heads, rope: Rope { head_dim, dim, pairing } };
                cases.push(Case::new(format!("{op:?} {dtype}"), op, operands));
            }
        }
    }
    check(&cases);
}

#[test]
fn attention_matches_the_reference() {
    // (heads, kv_heads, head_dim): one head, groups of 3 and 8 and 7, wide heads.
    for (heads, kv_heads, dim) in [(1, 1, 4), (9, 3, 64), (8, 1, 32), (7, 1, 20), (4, 2, 128), (2, 1, 256)] {
        for dtype in [DType::F32, DType::F16] {
            attend(heads, kv_heads, dim, dtype, 90);
        }
    }
}

#[test]
fn long_contexts_are_shared_out_over_workgroups() {
    // Groups of 1, 3, 7 and 8; pairs of quads that fill their lanes and pairs that do not.
    let [f16, f32] = [DType::F16, DType::F32];
    let shapes =
        [(2, 2, 64, f16), (3, 1, 80, f32), (7, 1, 64, f16), (8, 1, 128, f16), (1, 1, 24, f32), (2, 1, 200, f16), (3, 1, 16, f32)];
    for (heads, kv_heads, dim, dtype) in shapes {
        attend(heads, kv_heads, dim, dtype, 261);
    }
}

/// Values that are infinite or no number reach the tokens that attend to them, and no token before these or of another sequence.
#[test]
fn values_that_are_no_numbers_stay_with_those_who_see_them() {
    let op = |heads, kv_heads, head_dim| Attention { heads, kv_heads, head_dim, scale: 0.2, half: false };
    let mut cases = Vec::new();
    for (heads, kv_heads, dim, dtype) in [(1, 1, 32, DType::F32), (6, 2, 64, DType::F16), (2, 2, 20, DType::F32)] {
        // Two sequences in turn, and one alone.
        for sequences in [2, 1] {
            let step: Vec<(u32, u32)> = (0..90).map(|i| (i % sequences, i / sequences)).collect();
            let (slots, positions): (Vec<u32>, Vec<u32>) = step.iter().copied().unzip();
            let width = kv_heads * dim;
            let mut values = Numbers::new(4).units(90 * width);
            for (token, value) in [(37, f32::INFINITY), (41, f32::NAN), (89, f32::NEG_INFINITY)] {
                // WGSL leaves open what packing makes of an infinity.
                values[token * width + token % width] = if dtype == DType::F16 { f32::NAN } else { value };
            }
            cases.push((op(heads, kv_heads, dim), dtype, slots, positions, values));
        }
    }
    for (op, dtype, slots, positions, values) in cases {
        let (graph, pages) = writes_and_attention(op.clone(), dtype, 90);
        let rows = |n: usize, seed| Tensor::f32(&[90, n], Numbers::new(seed).units(90 * n)).unwrap();
        let inputs = [
            rows(op.heads * op.head_dim, 1),
            rows(op.kv_heads * op.head_dim, 2),
            Tensor::f32(&[90, op.kv_heads * op.head_dim], values).unwrap(),
            Tensor::u32(&[90], slots).unwrap(),
            Tensor::u32(&[90], positions).unwrap(),
            pages,
        ];
        for gpu in devices().iter().flat_map(families) {
            let mut runner = Runner::new(&gpu, graph.clone(), WeightStore::new(&gpu)).unwrap();
            let request = Request { symbols: Symbols::from([("T".into(), 90)]), outputs: vec![0] };
            let out = runner.check(&request, &inputs, &mut |_| {}).unwrap_or_else(|e| panic!("{op:?} {dtype}: {e}"));
            let before = &out[0].as_f32().unwrap()[..37 * op.heads * op.head_dim];
            assert!(before.iter().all(|v| v.is_finite()));
        }
    }
}

/// Fills two sequences in one step of `long + 5` tokens, then runs a step of three tokens of which one is idle, one of 33 in
/// which both sequences take turns, and some of one token, checking every node of all.
fn attend(heads: usize, kv_heads: usize, dim: usize, dtype: DType, long: u32) {
    let op = Attention { heads, kv_heads, head_dim: dim, scale: 1.0 / (dim as f32).sqrt(), half: false };
    devices().iter().flat_map(families).for_each(|gpu| drop(attend_on(&gpu, op.clone(), dtype, long)));
}

/// The same on one device; returns the plans that ran.
pub fn attend_on(gpu: &Gpu, op: Attention, dtype: DType, long: u32) -> Vec<Arc<Plan>> {
    let Attention { heads, kv_heads, head_dim: dim, .. } = op;
    let (graph, pages) = writes_and_attention(op, dtype, long);
    let fill = (0..long + 5).map(|i| if i < long { (0, i) } else { (1, i - long) });
    let few = [(1, 5), (NO_SLOT, 7), (0, long)];
    let mixed = (1..=33).map(|i| if i % 3 == 0 { (1, 5 + i / 3) } else { (0, long + i - i / 3) });
    let mixed = mixed.chain([(NO_SLOT, u32::MAX)]);
    let alone = [(0, long + 1), (1, 2), (NO_SLOT, 9)].map(|token| vec![token]);
    let steps = [fill.collect(), few.to_vec(), mixed.collect::<Vec<(u32, u32)>>()].into_iter().chain(alone);
    let steps: Vec<Vec<(u32, u32)>> = steps.collect();
    let mut runner = Runner::new(gpu, graph.clone(), WeightStore::new(gpu)).unwrap();
    for (seed, step) in steps.iter().enumerate() {
        let t = step.len();
        let (slots, positions): (Vec<u32>, Vec<u32>) = step.iter().copied().unzip();
        let mut numbers = Numbers::new(seed as u64 + 11);
        let mut rows = |n: usize| Tensor::f32(&[t, n], numbers.units(t * n).iter().map(|v| v * 3.0).collect()).unwrap();
        let inputs = [
            rows(heads * dim),
            rows(kv_heads * dim),
            rows(kv_heads * dim),
            Tensor::u32(&[t], slots).unwrap(),
            Tensor::u32(&[t], positions).unwrap(),
            pages.clone(),
        ];
        let request = Request { symbols: Symbols::from([("T".into(), t)]), outputs: vec![0] };
        let out = runner
            .check(&request, &inputs, &mut |_| {})
            .unwrap_or_else(|e| panic!("{heads}/{kv_heads} x {dim} {dtype}, {long} positions, {t} tokens: {e}"));
        for idle in step.iter().zip(out[0].as_f32().unwrap().chunks_exact(heads * dim)).filter(|(s, _)| s.0 == NO_SLOT) {
            assert!(idle.1.iter().all(|v| *v == 0.0), "an idle token must yield zeros");
        }
    }
    runner.plans().cloned().collect()
}

/// Both writes and attention, on a cache of two sequences of up to `long` positions and some; and the table of its pages.
fn writes_and_attention(op: Attention, dtype: DType, long: u32) -> (Arc<Graph>, Tensor) {
    let Attention { heads, kv_heads, head_dim: dim, .. } = op;
    let mut b = GraphBuilder::new();
    let t = || wavelane::shape::Dim::sym("T");
    let q = b.input("q", DType::F32, [t(), (heads * dim).into()]);
    let k = b.input("k", DType::F32, [t(), (kv_heads * dim).into()]);
    let v = b.input("v", DType::F32, [t(), (kv_heads * dim).into()]);
    let slots = b.input("slots", DType::U32, [t()]);
    let positions = b.input("positions", DType::U32, [t()]);
    // The pages of both slots are mixed, from the last to the first, and reach beyond what is filled.
    let per_slot = long.div_ceil(32) as usize + 2;
    let pages: Vec<u32> = (0..2 * per_slot).map(|i| (2 * (per_slot - 1 - i % per_slot) + i / per_slot) as u32).collect();
    let table = b.input("blocks", DType::U32, [2.into(), per_slot.into()]);
    let cache = [(2 * per_slot).into(), kv_heads.into(), 32.into(), dim.into()];
    let (keys, values) = (b.state("keys", dtype, cache.clone()), b.state("values", dtype, cache));
    let keys = b.one("write keys", CacheWrite, &[k, keys, slots, positions, table]).unwrap();
    let values = b.one("write values", CacheWrite, &[v, values, slots, positions, table]).unwrap();
    let out = b.one("attention", op, &[q, keys, values, slots, positions, table]).unwrap();
    b.output(out);
    (Arc::new(b.finish().unwrap()), Tensor::u32(&[2, per_slot], pages).unwrap())
}
