//! Graphs of the ops of language models.

use crate::dtype::DType;
use crate::graph::{Graph, GraphBuilder};
use crate::kernel::Expr;
use crate::kernel::expr::Function;
use crate::ops::*;

use super::support::{one, vector, weight};

pub fn graphs() -> Vec<Graph> {
    let mut graphs = Vec::new();
    let silu = Expr::call(Function::Silu, Expr::operand(0));
    let tails = [Expr::operand(0), Expr::sum(Expr::product(silu, Expr::operand(1)), Expr::operand(2))];
    for dtype in DType::WEIGHTS {
        // Whole groups or not, an even or an odd number of them; few rows and many.
        let depths: &[usize] = match dtype.block().0 {
            1 => &[33, 64, 832],
            32 => &[96, 256, 832],
            _ => &[256, 768],
        };
        for (tail, k) in tails.iter().flat_map(|t| depths.iter().map(move |k| (t, *k))) {
            for (t, n) in [(1, 79), (1, 2053), (2, 80), (3, 79), (5, 67), (8, 80), (9, 65), (70, 80)] {
                graphs.push(one(MatMul { tail: tail.clone(), ..MatMul::plain() }, |b| {
                    let mut ids = vec![b.input("x", DType::F32, &[t, k][..]), b.weight("w", weight(dtype, n, k))];
                    ids.extend((1..tail.operands()).map(|i| b.input(format!("{i}"), DType::F32, &[t, n][..])));
                    ids
                }));
            }
        }
        // One output, a row more than tiles have, a depth a group beyond whole blocks of 256, and tokens that fill no tile.
        let [short, long] = if dtype.block().0 <= 32 { [288, 544] } else { [256, 1280] };
        for (t, n, k) in [(1, 1, short), (1, 127, long), (4, 3, long), (33, 257, short), (499, 37, short)] {
            graphs
                .push(one(MatMul::plain(), |b| vec![b.input("x", DType::F32, &[t, k][..]), b.weight("w", weight(dtype, n, k))]));
        }
        let blocks = if dtype.block().0 == 1 { &[] } else { depths };
        for (t, k) in [1, 2, 3, 5, 9].iter().flat_map(|t| blocks.iter().map(move |k| (*t, *k))) {
            graphs.push(one(QuantizedMatMul { paired: false, tail: Expr::operand(0) }, |b| {
                let bytes = b.input("bytes", DType::U32, &[t, k / 4][..]);
                vec![bytes, b.input("scales", DType::F32, &[t, k / 32][..]), b.weight("w", weight(dtype, 80 - t % 2, k))]
            }));
        }
        graphs.push(one(Embed, |b| vec![b.input("t", DType::U32, &[3][..]), b.weight("w", weight(dtype, 8, 256))]));
    }
    graphs.push(one(QuantizeRows::default(), |b| vec![b.input("x", DType::F32, &[3, 64][..])]));
    for k in [32, 576, 4096] {
        let op = QuantizeRows { norm: Some(RmsNorm { epsilon: 1e-5 }) };
        graphs.push(one(op, |b| vec![b.input("x", DType::F32, &[3, k][..]), b.weight("g", vector(k))]));
    }
    for n in [1, 33, 577, 49157] {
        let x = |b: &mut GraphBuilder| b.input("x", DType::F32, &[3, n][..]);
        graphs.push(one(RmsNorm { epsilon: 1e-5 }, |b| vec![x(b), b.weight("g", vector(n))]));
        graphs.extend([false, true].map(|log| one(Softmax { log }, |b| vec![x(b)])));
        graphs.push(one(ArgMax, |b| vec![x(b)]));
        graphs.push(one(Nll, |b| vec![x(b), b.input("t", DType::U32, &[3][..])]));
        graphs.push(one(GatherRows, |b| vec![x(b), b.input("r", DType::U32, &[2][..])]));
        graphs.extend([1, 3, 64, 256, 1024].iter().filter(|k| **k <= n).map(|k| one(TopK { k: *k }, |b| vec![x(b)])));
    }
    for (norm, paired) in [(true, false), (false, true), (true, true)] {
        let tail = if paired { tails[1].clone() } else { Expr::operand(0) };
        let op = MatMul { norm: norm.then_some(RmsNorm { epsilon: 1e-5 }), paired, tail, ..MatMul::plain() };
        let dense = [(33, 1), (64, 1), (64, 3), (64, 70)].map(|(k, t)| (DType::F32, k, t));
        let packed = [DType::Q4_0, DType::Q4_1, DType::Q4_K, DType::Q8_0].map(|dtype| (dtype, 256, 1));
        for (dtype, k, t) in dense.into_iter().chain(packed) {
            graphs.push(one(op.clone(), |b| {
                let mut ids = vec![b.input("x", DType::F32, &[t, k][..]), b.weight("w", weight(dtype, 80, k))];
                ids.extend(norm.then(|| b.weight("g", vector(k))));
                ids.extend(paired.then(|| b.input("y", DType::F32, &[t, 40][..])));
                ids
            }));
        }
    }
    for (dtype, k, t) in [(DType::F32, 33, 70), (DType::Q4_0, 64, 20), (DType::Q6_K, 256, 70)] {
        let op = MatMul { half: true, ..MatMul::plain() };
        graphs.push(one(op, |b| vec![b.input("x", DType::F32, &[t, k][..]), b.weight("w", weight(dtype, 80, k))]));
    }
    for pairing in [Pairing::Interleaved, Pairing::Halves] {
        graphs.push(one(Rope { head_dim: 64, dim: 32, pairing }, |b| {
            let table = b.weight("table", rope::table(&[1.0; 16], 128).unwrap());
            vec![b.input("x", DType::F32, &[3, 128][..]), b.input("p", DType::U32, &[3][..]), table]
        }));
    }
    for (dtype, heads, kv_heads, head_dim) in [
        (DType::F32, 9, 3, 64),
        (DType::F16, 32, 4, 128),
        (DType::F16, 8, 8, 80),
        (DType::F16, 7, 1, 64),
        (DType::F32, 8, 1, 256),
        (DType::F32, 2, 1, 512),
    ] {
        let cache = |b: &mut GraphBuilder, name: &str| b.state(name, dtype, &[4, kv_heads, 64, head_dim][..]);
        let steps = |b: &mut GraphBuilder| {
            let blocks = b.input("blocks", DType::U32, &[1, 4][..]);
            [b.input("slots", DType::U32, &[3][..]), b.input("positions", DType::U32, &[3][..]), blocks]
        };
        // One token, few; many tokens of which each workgroup takes all positions, and so many that it takes a part of them.
        for (tokens, blocks, half) in
            [(1, 4, false), (3, 4, false), (128, 1, false), (128, 16, false), (128, 1, true), (128, 16, true)]
        {
            let attention = Attention { heads, kv_heads, head_dim, scale: 0.125, half };
            graphs.push(one(attention, |b| {
                let ids = vec![b.input("q", DType::F32, &[tokens, heads * head_dim][..]), cache(b, "k"), cache(b, "v")];
                let [slots, positions] = ["slots", "positions"].map(|name| b.input(name, DType::U32, &[tokens][..]));
                ids.into_iter().chain([slots, positions, b.input("blocks", DType::U32, &[1, blocks][..])]).collect()
            }));
        }
        let op = RopeCache { heads, kv_heads, rope: Rope { head_dim, dim: 32, pairing: Pairing::Halves } };
        graphs.push(one(op, |b| {
            let qkv = b.input("qkv", DType::F32, &[3, (heads + 2 * kv_heads) * head_dim][..]);
            let [slots, positions, blocks] = steps(b);
            let table = b.weight("table", rope::table(&[1.0; 16], 128).unwrap());
            vec![qkv, positions, table, cache(b, "k"), cache(b, "v"), slots, blocks]
        }));
        graphs.push(one(CacheWrite, |b| {
            let ids = vec![b.input("x", DType::F32, &[3, kv_heads * head_dim][..]), cache(b, "k")];
            ids.into_iter().chain(steps(b)).collect()
        }));
    }
    graphs
}
