//! Products with weights and embedding lookups, for every weight format.

use wavelane::dtype::DType;
use wavelane::gpu::Gpu;
use wavelane::kernel::Expr;
use wavelane::kernel::expr::Function;
use wavelane::ops::{Embed, MatMul, QuantizeRows, QuantizedMatMul, RmsNorm};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, devices, ids, input, vector, weight};
use crate::random::Numbers;

/// `[T, N]` that hurt: single, odd, prime, tiles (32 and 64 by 128) and one more.
const SIZES: [(usize, usize); 10] = [(1, 1), (1, 7), (2, 65), (3, 64), (5, 13), (8, 67), (9, 66), (65, 129), (64, 64), (33, 130)];

#[test]
fn products_of_every_format_match_the_reference() {
    for dtype in DType::WEIGHTS {
        let dense = dtype.block().0 == 1;
        let depths: &[usize] = match dtype.block().0 {
            1 => &[1, 3, 31, 36, 64, 97],
            32 => &[32, 96, 544],
            _ => &[256, 768],
        };
        let mut cases = Vec::new();
        for (i, (t, n)) in SIZES.iter().enumerate() {
            // Dense formats take every depth at the first sizes; further sizes rotate through the depths.
            let some = if dense && i < 2 { depths } else { &depths[i % depths.len()..][..1] };
            for k in some {
                let seed = (i * 100 + k) as u64;
                let operands = vec![input(&[*t, *k], seed), weight(dtype, *n, *k, seed + 1)];
                cases.push(Case::new(format!("{dtype} T={t} N={n} K={k}"), MatMul::plain(), operands));
            }
        }
        check(&cases);
    }
}

/// In f16 where the device has it, whose tolerance follows from its eleven bits.
#[test]
fn products_that_may_round_to_half_match_the_reference() {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F16, DType::Q4_0, DType::Q6_K] {
        for (t, n, k) in [(1, 5, 256), (9, 66, 256), (33, 130, 768), (65, 129, 256), (64, 1, 512)] {
            let operands = vec![input(&[t, k], 1), weight(dtype, n, k, 2)];
            cases.push(Case::new(format!("half {dtype} T={t} N={n} K={k}"), MatMul { half: true, ..MatMul::plain() }, operands));
        }
    }
    let operands = vec![input(&[70, 33], 1), weight(DType::F32, 66, 33, 2), vector(33, 3)];
    let norm = Some(RmsNorm { epsilon: 1e-5 });
    cases.push(Case::new(
        "half, norm, pairs",
        MatMul { norm, paired: true, half: true, tail: Expr::sum(Expr::operand(0), Expr::operand(1)) },
        operands,
    ));
    check(&cases);
    let half = |gpu: &Gpu| gpu.info().caps.half && gpu.info().name.contains("llvmpipe");
    assert!(!cases.is_empty() && devices().iter().any(half), "no device ran these products in f16");
}

/// From 2048 rows on, a workgroup takes more of them.
#[test]
fn products_with_many_rows_match_the_reference() {
    let case = |dtype: DType, n: usize, k: usize| {
        let operands = vec![input(&[1, k], n as u64), weight(dtype, n, k, k as u64)];
        Case::new(format!("{dtype} T=1 N={n} K={k}"), MatMul::plain(), operands)
    };
    let whole = DType::WEIGHTS.iter().map(|dtype| case(*dtype, 2049, 256));
    let odd = [DType::F32, DType::Q4_0, DType::Q8_0].map(|dtype| case(dtype, 2050, 96));
    check(&whole.chain(odd).collect::<Vec<_>>());
    // Workgroups of 64 lanes, where subgroups may be as large.
    let long = [DType::F16, DType::Q4_0, DType::Q4_K].map(|dtype| case(dtype, 5, 4096));
    check_with(&long, |c| c.subgroup = Some((4, 64)));
}

#[test]
fn quantised_rows_are_those_of_the_reference() {
    let mut numbers = Numbers::new(3);
    let mut scaled = |scale: f32| numbers.units(32).into_iter().map(|x| x * scale).collect::<Vec<f32>>();
    let ties: Vec<f32> = (0..32).map(|i| i as f32 * 0.5).chain([127.0]).skip(1).collect();
    let one = |at: usize, x: f32| (0..32).map(|i| if i == at { x } else { 1.0 }).collect::<Vec<f32>>();
    let groups = [
        vec![0.0; 32],
        ties,
        scaled(1.0),
        scaled(3e38),
        scaled(1e-30),
        // Around the least magnitude that is no zero, below the normal numbers, and what is not finite.
        scaled(2.0f32.powi(-110)),
        scaled(1e-40),
        one(0, f32::INFINITY),
        one(17, f32::NAN),
        one(31, f32::MAX),
        one(5, f32::MIN_POSITIVE),
    ];
    let n = groups.len();
    let edges = Operand::Input(Tensor::f32(&[n, 32], groups.concat()).unwrap());
    let case = |name: &str, x| Case::new(name, QuantizeRows::default(), vec![x]);
    let sizes = [[1, 32], [3, 96], [7, 2080]].map(|shape| case(&format!("{shape:?}"), input(&shape, 5)));
    let cases: Vec<Case> = sizes.into_iter().chain([case("edges", edges)]).collect();
    check(&cases);
    check_with(&cases, |c| c.max_grid = 7);
}

#[test]
fn normalised_rows_are_quantised_as_in_the_reference() {
    let case = |shape: [usize; 2]| {
        let op = QuantizeRows { norm: Some(RmsNorm { epsilon: 1e-5 }) };
        Case::new(format!("{shape:?}"), op, vec![input(&shape, 7), vector(shape[1], 8)])
    };
    let cases = [[1, 32], [3, 96], [7, 2080], [1, 576], [5, 4096]].map(case);
    check(&cases);
    check_with(&cases, |c| c.max_grid = 3);
    check_with(&cases, |c| c.subgroup = None);
}

#[test]
fn products_of_quantised_rows_match_the_reference() {
    let mut cases = Vec::new();
    for dtype in DType::WEIGHTS.into_iter().filter(|dtype| dtype.block().0 > 1) {
        let depths: &[usize] = if dtype.block().0 == 32 { &[32, 96, 544] } else { &[256, 768] };
        for (i, (t, n)) in [(1, 1), (1, 7), (2, 65), (5, 13), (9, 66), (70, 129)].into_iter().enumerate() {
            let k = depths[i % depths.len()];
            cases.push(quantised(dtype, t, n, k, false));
        }
    }
    cases.extend([1, 3, 33].map(|t| quantised(DType::Q4_1, t, 34, 96, true)));
    check(&cases);
    // A row for more lanes than the smallest subgroup has, and subgroups that may be larger.
    let wide: Vec<Case> = [DType::Q4_0, DType::Q4_K].map(|dtype| quantised(dtype, 1, 5, 4096, false)).into();
    check_with(&wide, |c| c.subgroup = Some((4, 64)));
}

/// A case of a product of random bytes with `n` rows, or with pairs of rows and a gate.
fn quantised(dtype: DType, t: usize, n: usize, k: usize, paired: bool) -> Case {
    let seed = (t * n + k) as u64;
    let word = |quad: &[f32]| u32::from_le_bytes([0, 1, 2, 3].map(|i| (quad[i] * 127.0) as i8 as u8));
    let words = Numbers::new(seed).units(t * k).chunks_exact(4).map(word).collect();
    let bytes = Operand::Input(Tensor::u32(&[t, k / 4], words).unwrap());
    let operands = vec![bytes, input(&[t, k / 32], seed + 1), weight(dtype, n, k, seed + 2)];
    let gate = Expr::product(Expr::call(Function::Silu, Expr::operand(0)), Expr::operand(1));
    let op = QuantizedMatMul { paired, tail: if paired { gate } else { Expr::operand(0) } };
    Case::new(format!("{dtype} of bytes T={t} N={n} K={k} paired {paired}"), op, operands)
}

#[test]
fn weights_split_by_rows_at_a_binding_limit() {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::Q4_0, DType::Q5_1, DType::Q6_K] {
        for t in [1, 3, 70] {
            let operands = vec![input(&[t, 256], 7), weight(dtype, 203, 256, 8)];
            cases.push(Case::new(format!("split {dtype} T={t}"), MatMul::plain(), operands));
        }
        let operands = vec![ids(&[0, 202, 31, 101, 31]), weight(dtype, 203, 256, 9)];
        cases.push(Case::new(format!("split embedding {dtype}"), Embed, operands));
    }
    // 70 x 256 f32 activations need 71680 bytes; 203 x 256 weights need more in every format but the smallest planes.
    check_with(&cases, |c| c.max_binding = 72 << 10);
    let small: Vec<Case> = cases.into_iter().filter(|c| c.name.contains("T=1") || c.name.contains("embedding")).collect();
    check_with(&small, |c| c.max_binding = 9 << 10);
}

/// One token and rows of whole pairs of groups, which narrow devices load in words of 64 bits; with norms and pairs, and rows that
/// fill no workgroup.
#[test]
fn products_by_pairs_of_groups_match_the_reference() {
    let gate = Expr::product(Expr::call(Function::Silu, Expr::operand(0)), Expr::operand(1));
    let mut cases = Vec::new();
    for (dtype, depths) in [
        (DType::F32, [64, 192, 832]),
        (DType::Q4_0, [64, 320, 1536]),
        (DType::Q4_1, [64, 576, 4160]),
        (DType::Q8_0, [128, 192, 576]),
        (DType::Q4_K, [256, 768, 1280]),
    ] {
        for ((k, n), (norm, paired)) in depths
            .into_iter()
            .flat_map(|k| [(k, 1), (k, 33), (k, 70)])
            .zip([(false, false), (true, false), (true, true), (false, true)].into_iter().cycle())
        {
            let tail = if paired { gate.clone() } else { Expr::operand(0) };
            let op = MatMul { norm: norm.then_some(RmsNorm { epsilon: 1e-5 }), paired, tail, ..MatMul::plain() };
            let mut operands = vec![input(&[1, k], n as u64), weight(dtype, n * op.sums(), k, k as u64)];
            operands.extend(norm.then(|| vector(k, 3)));
            cases.push(Case::new(format!("{dtype} N={n} K={k} norm {norm} paired {paired}"), op, operands));
        }
    }
    check(&cases);
    // Without such words, and with chunks of weights.
    check_with(&cases, |c| c.long = false);
    check_with(&cases, |c| c.max_binding = 32 << 10);
    let long = |gpu: &Gpu| gpu.info().caps.long && gpu.info().name.contains("llvmpipe");
    assert!(devices().iter().any(long), "no device ran these products by words of 64 bits");
}

#[test]
fn tails_are_applied_to_every_sum() {
    let gate = Expr::product(Expr::call(Function::Silu, Expr::operand(1)), Expr::operand(0));
    let tails = [
        Expr::sum(Expr::operand(0), Expr::operand(1)),
        gate.clone(),
        Expr::sum(Expr::product(Expr::call(Function::GeluTanh, Expr::operand(0)), Expr::operand(1)), Expr::operand(2)),
    ];
    let mut cases = Vec::new();
    for tail in tails {
        for (t, n) in [(1, 5), (7, 65), (66, 130)] {
            let mut operands = vec![input(&[t, 96], 1), weight(DType::Q4_1, n, 96, 2)];
            operands.extend((1..tail.operands()).map(|i| input(&[t, n], u64::from(i) + 3)));
            cases.push(Case::new(format!("tail {tail} T={t} N={n}"), MatMul { tail: tail.clone(), ..MatMul::plain() }, operands));
        }
    }
    check(&cases);
}

/// Norms before, pairs after, both: within the kernel where it does it, in steps elsewhere.
#[test]
fn norms_and_pairs_are_part_of_the_product() {
    let gate = Expr::product(Expr::call(Function::Silu, Expr::operand(0)), Expr::operand(1));
    let with = |n: u32| Expr::sum(Expr::product(gate.clone(), Expr::operand(2)), Expr::operand(n));
    let mut cases = Vec::new();
    for (norm, paired) in [(true, false), (false, true), (true, true)] {
        let tail = if paired { gate.clone() } else { Expr::operand(0) };
        let norm = norm.then_some(RmsNorm { epsilon: 1e-5 });
        let op = MatMul { norm: norm.clone(), paired, tail, ..MatMul::plain() };
        for (dtype, k) in [(DType::Q4_1, 96), (DType::F32, 33), (DType::F16, 64), (DType::Q6_K, 256)] {
            for (t, n) in [(1, 1), (1, 17), (1, 70), (2, 33), (9, 66), (67, 64)] {
                let rows = n * op.sums();
                let mut operands = vec![input(&[t, k], 1), weight(dtype, rows, k, 2)];
                operands.extend(norm.as_ref().map(|_| vector(k, 3)));
                cases.push(Case::new(
                    format!("norm {} paired {paired} {dtype} T={t} N={n} K={k}", norm.is_some()),
                    op.clone(),
                    operands,
                ));
            }
        }
    }
    // Tails that read more than the pair.
    for t in [1, 3] {
        let operands = vec![input(&[t, 64], 1), weight(DType::Q8_0, 60, 64, 2), input(&[t, 30], 3), input(&[30], 4)];
        let op = MatMul { paired: true, tail: with(3), ..MatMul::plain() };
        cases.push(Case::new(format!("pairs with a longer tail T={t}"), op, operands));
    }
    // Rows of which a workgroup takes more, and more groups than it has lanes.
    for (paired, dtype, n, k) in [(false, DType::Q8_0, 2049, 96), (true, DType::Q4_K, 1025, 256), (true, DType::Q4_0, 3, 4128)] {
        let norm = Some(RmsNorm { epsilon: 1e-5 });
        let op = MatMul { norm, paired, half: false, tail: if paired { gate.clone() } else { Expr::operand(0) } };
        let operands = vec![input(&[1, k], 5), weight(dtype, n * op.sums(), k, 6), vector(k, 7)];
        cases.push(Case::new(format!("norm paired {paired} {dtype} T=1 N={n} K={k}"), op, operands));
    }
    check(&cases);
    let tall: Vec<Case> = cases.into_iter().filter(|c| c.name.contains("N=70")).collect();
    // Bindings of 2 KiB cut the weights into chunks, some of them of an odd number of rows.
    check_with(&tall, |c| c.max_binding = 2 << 10);
}

#[test]
fn embeddings_of_every_format_match_the_reference() {
    let mut cases = Vec::new();
    for dtype in DType::WEIGHTS {
        let widths: &[usize] = match dtype.block().0 {
            1 => &[1, 5, 32, 67],
            32 => &[32, 160],
            _ => &[256, 512],
        };
        for d in widths {
            let operands = vec![ids(&[6, 0, 3, 3, 1]), weight(dtype, 7, *d, *d as u64)];
            cases.push(Case::new(format!("embedding {dtype} d={d}"), Embed, operands));
        }
    }
    check(&cases);
}
