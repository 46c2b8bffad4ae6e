//! Attention over a paged cache, and the writes that fill it.

use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::gpu::{Runner, WeightStore};
use wavelane::graph::GraphBuilder;
use wavelane::ops::cache_write::NO_SLOT;
use wavelane::ops::{Attention, CacheWrite, Pairing, Rope, RopeCache, rope};
use wavelane::plan::Request;
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
            attend(heads, kv_heads, dim, dtype);
        }
    }
}

/// Fills two sequences in one step of 40 tokens, then runs a step of three tokens of which one is idle, checking every
/// node of both.
fn attend(heads: usize, kv_heads: usize, dim: usize, dtype: DType) {
    let mut b = GraphBuilder::new();
    let t = || wavelane::shape::Dim::sym("T");
    let q = b.input("q", DType::F32, [t(), (heads * dim).into()]);
    let k = b.input("k", DType::F32, [t(), (kv_heads * dim).into()]);
    let v = b.input("v", DType::F32, [t(), (kv_heads * dim).into()]);
    let slots = b.input("slots", DType::U32, [t()]);
    let positions = b.input("positions", DType::U32, [t()]);
    let table = b.input("blocks", DType::U32, [2.into(), 3.into()]);
    let cache = [6.into(), kv_heads.into(), 32.into(), dim.into()];
    let (keys, values) = (b.state("keys", dtype, cache.clone()), b.state("values", dtype, cache));
    let keys = b.one("write keys", CacheWrite, &[k, keys, slots, positions, table]).unwrap();
    let values = b.one("write values", CacheWrite, &[v, values, slots, positions, table]).unwrap();
    let op = Attention { heads, kv_heads, head_dim: dim, scale: 1.0 / (dim as f32).sqrt() };
    let out = b.one("attention", op, &[q, keys, values, slots, positions, table]).unwrap();
    b.output(out);
    let graph = Arc::new(b.finish().unwrap());

    // 90 positions of slot 0 and 5 of slot 1: over a tile of 64, over a page of 32.
    let first: (Vec<u32>, Vec<u32>) = (0..95).map(|i| if i < 90 { (0, i) } else { (1, i - 90) }).unzip();
    let second: (Vec<u32>, Vec<u32>) = (vec![1, NO_SLOT, 0], vec![5, 7, 90]);
    for gpu in devices().iter().flat_map(families) {
        let mut runner = Runner::new(&gpu, graph.clone(), WeightStore::new(&gpu)).unwrap();
        for (seed, (slots, positions)) in [&first, &second].into_iter().enumerate() {
            let t = slots.len();
            let mut numbers = Numbers::new(seed as u64 + 11);
            let mut rows = |n: usize| Tensor::f32(&[t, n], numbers.units(t * n).iter().map(|v| v * 3.0).collect()).unwrap();
            let inputs = [
                rows(heads * dim),
                rows(kv_heads * dim),
                rows(kv_heads * dim),
                Tensor::u32(&[t], slots.clone()).unwrap(),
                Tensor::u32(&[t], positions.clone()).unwrap(),
                Tensor::u32(&[2, 3], BLOCKS.to_vec()).unwrap(),
            ];
            let request = Request { symbols: Symbols::from([("T".into(), t)]), outputs: vec![0] };
            let out = runner
                .check(&request, &inputs, &mut |_| {})
                .unwrap_or_else(|e| panic!("{heads}/{kv_heads} x {dim} {dtype}: {e}"));
            if t == 3 {
                let idle = &out[0].as_f32().unwrap()[heads * dim..2 * heads * dim];
                assert!(idle.iter().all(|v| *v == 0.0), "an idle token must yield zeros");
            }
        }
    }
}
