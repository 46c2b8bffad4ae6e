//! The kernels of decoding and of prompts, each beside the device's roof: `cargo bench --bench kernels`.
//!
//! `cargo bench --bench kernels -- q4_0 T=1` measures what has all of these words in its name, `--json` prints one JSON object
//! instead of a table. `WAVELANE_DEVICE` picks the device by an index or a part of its name; the default is the best one.
//!
//! Products with one token are bound by the bytes of their weights, in the packed layout, and are given in GB/s of those
//! beside the read roof; so are attention of one token (bytes of the cache), argmax and top-k. Products with many tokens,
//! convolutions and attention of a prompt are given in GFLOP/s beside the arithmetic roof, norms and softmax in GB/s read and
//! written beside the copy roof. A share above 100 % says that the data stayed in a cache, which the roof's does not, or that the
//! machine was busier while the roof was measured.

mod support;

use serde_json::json;
use support::repeat::{Case, Operand, time};
use support::table::{Cell, Table};
use support::{Arguments, Result, device, print_head, roof};
use wavelane::dtype::DType;
use wavelane::kernel::Expr;
use wavelane::ops::{ArgMax, Attention, BatchMatMul, Conv, DenseAttention, MatMul, Op, RmsNorm, Softmax, TopK};
use wavelane::quant::Format;
use wavelane::tensor::Tensor;

/// Rows and columns of the products' weights.
const SIZE: usize = 4096;
/// Bytes of weights that no cache holds at once.
const BEYOND_CACHES: usize = 256 << 20;
/// Columns of the logits of SmolLM2.
const VOCABULARY: usize = 49152;

/// Channels, filters, height and width of the image, height and width of the kernel, stride and groups.
const CONVOLUTIONS: [(usize, usize, usize, usize, usize, usize); 8] = [
    (64, 64, 56, 3, 1, 1),
    (256, 256, 14, 3, 1, 1),
    (128, 128, 56, 3, 2, 1),
    (256, 64, 56, 1, 1, 1),
    (160, 960, 7, 1, 1, 1),
    (3, 64, 224, 7, 2, 1),
    (32, 32, 112, 3, 1, 32),
    (96, 96, 112, 3, 2, 96),
];

/// What a kernel must do at least, and so which roof it is under.
enum Work {
    /// Bytes read.
    Read(usize),
    /// Bytes read and written.
    Move(usize),
    /// f32 operations.
    Calculate(usize),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json"])?;
    let gpu = device()?;
    let roof = roof::measure(gpu.info())?;
    if !arguments.json {
        print_head(gpu.info(), &roof);
    }
    let columns =
        &[("kernel", 34), ("shader", 14), ("us", 10), ("spread %", 8), ("rate", 8), ("unit", 7), ("roof", 8), ("% of roof", 9)];
    let mut table = Table::new(columns, arguments.json);
    for (name, work, case) in cases()?.into_iter().filter(|(name, ..)| arguments.wants(name)) {
        let (sample, shader) = time(&gpu, &case)?;
        let (amount, unit, most) = match work {
            Work::Read(bytes) => (bytes, "GB/s", roof.read),
            Work::Move(bytes) => (bytes, "GB/s", roof.copy),
            Work::Calculate(operations) => (operations, "GFLOP/s", roof.flops),
        };
        let rate = amount as f64 / sample.median;
        table.row(vec![
            Cell::Text(name),
            Cell::Text(shader),
            Cell::Number(sample.median * 1e6, 1),
            Cell::Number(sample.spread * 100.0, 1),
            Cell::Number(rate / 1e9, 2),
            unit.into(),
            Cell::Number(most / 1e9, 1),
            Cell::Number(rate / most * 100.0, 1),
        ]);
    }
    if arguments.json {
        println!("{}", json!({ "device": gpu.info(), "roof": roof, "kernels": table.into_json() }));
    }
    Ok(())
}

type Named = (String, Work, Case);

fn cases() -> Result<Vec<Named>> {
    let mut cases = Vec::new();
    for t in [1, 64, 512] {
        for dtype in [DType::F32, DType::F16, DType::Q4_0, DType::Q4_1, DType::Q8_0, DType::Q4_K, DType::Q6_K] {
            cases.push(product(dtype, SIZE, t)?);
        }
    }
    cases.push(product(DType::F32, 1024, 1024)?);
    for t in [1, 1024] {
        for transpose_b in [false, true] {
            cases.push(batched(transpose_b, 1024, t));
        }
    }
    for t in [1, 512] {
        let gain = Operand::Weight { dtype: DType::F32, shape: vec![SIZE], copies: 1 };
        let case = Case { op: RmsNorm { epsilon: 1e-5 }.into(), x: vec![t, SIZE], rest: vec![gain] };
        cases.push((format!("rms_norm {t}x{SIZE}"), Work::Move(2 * t * SIZE * 4), case));
    }
    let case = Case { op: Softmax { log: false }.into(), x: vec![512, 1024], rest: Vec::new() };
    cases.push(("softmax 512x1024".into(), Work::Move(2 * 512 * 1024 * 4), case));
    for (channels, filters, size, kernel, stride, groups) in CONVOLUTIONS {
        cases.push(convolution(channels, filters, size, kernel, stride, groups));
    }
    cases.push(attention(1, 1024)?);
    cases.push(attention(256, 256)?);
    cases.push(dense_attention(6, 257, 64));
    cases.push(dense_attention(8, 1024, 64));
    for (name, op) in [("arg_max", Op::from(ArgMax)), ("top_k 64 of", Op::from(TopK { k: 64 }))] {
        let case = Case { op, x: vec![1, VOCABULARY], rest: Vec::new() };
        cases.push((format!("{name} 1x{VOCABULARY}"), Work::Read(VOCABULARY * 4), case));
    }
    Ok(cases)
}

/// `t` tokens times a square weight.
fn product(dtype: DType, size: usize, t: usize) -> Result<Named> {
    let format = Format::of(dtype).ok_or("the format has no packed layout")?;
    let bytes: usize = format.plane_bytes(size, size).iter().sum();
    let (work, copies) = match t {
        1 => (Work::Read(bytes), BEYOND_CACHES.div_ceil(bytes)),
        _ => (Work::Calculate(2 * t * size * size), 1),
    };
    let weight = Operand::Weight { dtype, shape: vec![size, size], copies };
    Ok((
        format!("product {dtype} {size}x{size} T={t}"),
        work,
        Case { op: MatMul::plain().into(), x: vec![t, size], rest: vec![weight] },
    ))
}

/// A product of `t` rows with a square matrix that is not packed.
fn batched(transpose_b: bool, size: usize, t: usize) -> Named {
    let bytes = size * size * 4;
    let (work, copies) = match t {
        1 => (Work::Read(bytes), BEYOND_CACHES.div_ceil(bytes)),
        _ => (Work::Calculate(2 * t * size * size), 1),
    };
    let op = BatchMatMul { transpose_b, ..BatchMatMul::plain() };
    let b = Operand::Weight { dtype: DType::F32, shape: vec![size, size], copies };
    let layout = if transpose_b { "b^T" } else { "b" };
    (format!("a {layout} {size}x{size} T={t}"), work, Case { op: op.into(), x: vec![t, size], rest: vec![b] })
}

/// A convolution of a square image, padded so that stride 1 keeps its size.
fn convolution(channels: usize, filters: usize, size: usize, kernel: usize, stride: usize, groups: usize) -> Named {
    let all = |n: usize| vec![n; 2];
    let (strides, pads) = (all(stride), all(kernel / 2));
    let op = Conv { strides, pads_begin: pads.clone(), pads_end: pads, groups, ..Conv::plain(2) };
    let shape = vec![filters, channels / groups, kernel, kernel];
    let outputs = filters * size.div_ceil(stride).pow(2);
    let work = Work::Calculate(2 * outputs * shape[1..].iter().product::<usize>());
    let kind = if groups > 1 { "depthwise" } else { "convolution" };
    let name = format!("{kind} {channels}->{filters} {kernel}x{kernel}/{stride} {size}x{size}");
    let weight = Operand::Weight { dtype: DType::F32, shape, copies: 1 };
    (name, work, Case { op: op.into(), x: vec![1, channels, size, size], rest: vec![weight] })
}

/// The last `t` of `positions` tokens of one sequence attend to those up to their own: 32 heads of 128 that share 8 heads of
/// an f16 cache, as in Llama 3 8B.
fn attention(t: usize, positions: usize) -> Result<Named> {
    const PAGE: usize = wavelane::session::pages::PAGE;
    let (heads, kv_heads, head_dim) = (32, 8, 128);
    let pages = positions.div_ceil(PAGE);
    let cache = || Operand::Cache(DType::F16, vec![pages, kv_heads, PAGE, head_dim]);
    let indices = |list: Vec<u32>, shape: &[usize]| Ok::<_, wavelane::Error>(Operand::Indices(Tensor::u32(shape, list)?));
    let rest = vec![
        cache(),
        cache(),
        indices(vec![0; t], &[t])?,
        indices(((positions - t) as u32..positions as u32).collect(), &[t])?,
        indices((0..pages as u32).collect(), &[1, pages])?,
    ];
    let work = match t {
        1 => Work::Read(2 * positions * kv_heads * head_dim * 2),
        _ => Work::Calculate(4 * heads * head_dim * (positions - t + 1..=positions).sum::<usize>()),
    };
    let op = Attention { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt() };
    Ok((format!("attention T={t} of {positions}"), work, Case { op: op.into(), x: vec![t, heads * head_dim], rest }))
}

/// As many queries as keys and values in each of `heads`, as in encoders of images and text.
fn dense_attention(heads: usize, tokens: usize, size: usize) -> Named {
    let shape = vec![heads, tokens, size];
    let other = || Operand::Weight { dtype: DType::F32, shape: shape.clone(), copies: 1 };
    let op = DenseAttention { scale: 1.0 / (size as f32).sqrt(), score: Expr::operand(0), views: Vec::new() };
    let case = Case { op: op.into(), x: shape.clone(), rest: vec![other(), other()] };
    (format!("attention {heads}x{tokens}x{size}"), Work::Calculate(4 * heads * tokens * tokens * size), case)
}
