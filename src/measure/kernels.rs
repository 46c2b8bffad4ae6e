//! Typical kernels, each beside the roof that bounds it.
//!
//! Products with one token are bound by the bytes of their weights, in the packed layout; so are attention of one token (bytes of the
//! cache), argmax and top-k. Products with many tokens, convolutions and attention of a prompt are bound by arithmetic; norms, softmax
//! and elementwise ops by the bytes that they read and write.

use serde::{Deserialize, Serialize};

use super::repeat::{Case, Operand, time};
use super::{Effort, Progress, Roofs};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernel::Expr;
use crate::kernel::expr::Operator;
use crate::ops::{
    ArgMax, Attention, BatchMatMul, Conv, DenseAttention, Elementwise, MatMul, Norm, Normalize, Op, RmsNorm, Softmax, TopK,
};
use crate::quant::Format;
use crate::tensor::Tensor;

/// Columns of the logits of SmolLM2.
const VOCABULARY: usize = 49152;

/// The roof that a kernel is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Bytes read.
    Read,
    /// Bytes read and written.
    Copy,
    /// f32 operations.
    F32,
}

/// What a kernel must do at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// The roof that it is under.
    pub bound: Bound,
    /// Bytes that it must read and write.
    pub bytes: usize,
    /// f32 operations.
    pub flops: usize,
}

/// A kernel, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelFigure {
    /// What it does, on what.
    pub name: String,
    /// The op.
    pub op: String,
    /// Stem of the shader file.
    pub shader: String,
    /// Seconds of one run, the median of several.
    pub seconds: f64,
    /// The distance of the longest from the shortest, as a part of the median.
    pub spread: f64,
    /// Bytes that it must read and write.
    pub bytes: u64,
    /// f32 operations.
    pub flops: u64,
    /// The roof that it is under.
    pub bound: Bound,
    /// What it reaches of that roof; above 1 where its data stayed in a cache, which the roof's does not.
    pub share: f64,
}

impl KernelFigure {
    /// Bytes per second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }

    /// f32 operations per second.
    pub fn flops_per_second(&self) -> f64 {
        self.flops as f64 / self.seconds
    }
}

/// A kernel to measure.
pub struct NamedCase {
    /// What it does, on what.
    pub name: String,
    /// What it must do at least.
    pub work: Work,
    /// The op with its operands.
    pub case: Case,
}

/// Which kernels are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One of each kind, small: to see that everything works.
    Quick,
    /// What models spend their time in.
    Typical,
    /// In every format and shape that somebody works on.
    All,
}

/// Measures the kernels of a scope.
///
/// # Errors
/// As [`measure_one`].
pub fn measure(gpu: &Gpu, roofs: &Roofs, scope: Scope, effort: &Effort, progress: Progress<'_>) -> Result<Vec<KernelFigure>> {
    let cases = cases(scope)?;
    let all = cases.len();
    let measured = cases.into_iter().enumerate().map(|(done, case)| {
        progress(done, all);
        measure_one(gpu, roofs, case, effort)
    });
    measured.collect()
}

/// Measures a kernel.
///
/// # Errors
/// Those of planning and running.
pub fn measure_one(gpu: &Gpu, roofs: &Roofs, case: NamedCase, effort: &Effort) -> Result<KernelFigure> {
    let NamedCase { name, work, case } = case;
    let (sample, shader) = time(gpu, &case, effort)?;
    let (amount, roof) = match work.bound {
        Bound::Read => (work.bytes, roofs.memory.read),
        Bound::Copy => (work.bytes, roofs.memory.copy),
        Bound::F32 => (work.flops, roofs.f32_flops),
    };
    Ok(KernelFigure {
        name,
        op: case.op.name().into(),
        shader,
        seconds: sample.median,
        spread: sample.spread,
        bytes: work.bytes as u64,
        flops: work.flops as u64,
        bound: work.bound,
        share: amount as f64 / sample.median / roof,
    })
}

/// The kernels of a scope.
///
/// # Errors
/// None but bugs: those of making the operands.
pub fn cases(scope: Scope) -> Result<Vec<NamedCase>> {
    use DType::{F16, F32, Q4_0, Q4_1, Q4_K, Q6_K, Q8_0};
    let quick = scope == Scope::Quick;
    let size = if quick { 512 } else { 4096 };
    let mut cases = Vec::new();
    let (tokens, formats): (&[usize], &[DType]) = match scope {
        Scope::Quick => (&[1, 64], &[Q4_0, F16]),
        Scope::Typical => (&[1, 8, 512], &[F16, Q4_0, Q8_0, Q4_K, Q6_K]),
        Scope::All => (&[1, 8, 64, 512], &[F32, F16, Q4_0, Q4_1, Q8_0, Q4_K, Q6_K]),
    };
    for t in tokens {
        for dtype in formats {
            cases.push(product(*dtype, size, *t)?);
        }
    }
    let dense: &[(usize, usize, bool)] = match scope {
        Scope::Quick => &[(256, 256, false)],
        Scope::Typical => &[(1024, 1024, false), (4096, 1, true)],
        Scope::All => {
            &[(1024, 1, false), (1024, 1, true), (4096, 1, false), (4096, 1, true), (1024, 1024, false), (1024, 1024, true)]
        }
    };
    cases.extend(dense.iter().map(|(size, t, transpose_b)| batched(*transpose_b, *size, *t)));
    for t in [1, 512] {
        let gain = Operand::Weight { dtype: F32, shape: vec![size], copies: 1 };
        cases.push(rows(format!("rms_norm {t}x{size}"), RmsNorm { epsilon: 1e-5 }.into(), [t, size], vec![gain], 4));
    }
    let norm = Normalize { kind: Norm::Layer, epsilon: 1e-5, tail: Expr::operand(0) };
    cases.push(rows("layer_norm 512x1024".into(), norm.into(), [512, 1024], Vec::new(), 5));
    cases.push(rows("softmax 512x1024".into(), Softmax { log: false }.into(), [512, 1024], Vec::new(), 4));
    cases.push(elementwise(if quick { 512 } else { 2048 }));
    let convolutions: &[[usize; 6]] = match scope {
        Scope::Quick => &[[16, 32, 28, 3, 1, 1], [32, 32, 28, 3, 1, 32]],
        _ => &CONVOLUTIONS,
    };
    cases.extend(convolutions.iter().map(|c| convolution(*c)));
    cases.push(attention(1, 1024)?);
    if !quick {
        cases.push(attention(256, 256)?);
        cases.push(dense_attention(8, 1024, 64));
    }
    cases.push(dense_attention(6, if quick { 64 } else { 257 }, 64));
    for (name, op) in [("arg_max", Op::from(ArgMax)), ("top_k 64 of", Op::from(TopK { k: 64 }))] {
        let case = Case { op, x: vec![1, VOCABULARY], rest: Vec::new() };
        let work = Work { bound: Bound::Read, bytes: VOCABULARY * 4, flops: VOCABULARY };
        cases.push(NamedCase { name: format!("{name} 1x{VOCABULARY}"), work, case });
    }
    Ok(cases)
}

/// Channels, filters, height and width of the image, height and width of the kernel, stride and groups.
const CONVOLUTIONS: [[usize; 6]; 8] = [
    [64, 64, 56, 3, 1, 1],
    [256, 256, 14, 3, 1, 1],
    [128, 128, 56, 3, 2, 1],
    [256, 64, 56, 1, 1, 1],
    [160, 960, 7, 1, 1, 1],
    [3, 64, 224, 7, 2, 1],
    [32, 32, 112, 3, 1, 32],
    [96, 96, 112, 3, 2, 96],
];

/// Copies of a weight of `bytes` that no cache holds all of.
fn copies(bytes: usize) -> usize {
    const BEYOND_CACHES: usize = 256 << 20;
    BEYOND_CACHES.div_ceil(bytes).min(64)
}

/// An op over rows, with so many operations for each element.
fn rows(name: String, op: Op, shape: [usize; 2], rest: Vec<Operand>, flops: usize) -> NamedCase {
    let elements = shape[0] * shape[1];
    let work = Work { bound: Bound::Copy, bytes: 2 * elements * 4, flops: flops * elements };
    NamedCase { name, work, case: Case { op, x: shape.to_vec(), rest } }
}

/// `t` tokens times a square weight.
fn product(dtype: DType, size: usize, t: usize) -> Result<NamedCase> {
    let format = Format::of(dtype).ok_or_else(|| Error::invalid("measurement", format!("{dtype} has no packed layout")))?;
    let bytes: usize = format.plane_bytes(size, size).iter().sum();
    // A few tokens are as fast as one where the kernel is as it should be.
    let (bound, copies) = if t <= 8 { (Bound::Read, copies(bytes)) } else { (Bound::F32, 1) };
    let work = Work { bound, bytes: if t <= 8 { bytes } else { bytes + 2 * t * size * 4 }, flops: 2 * t * size * size };
    let case = Case {
        op: MatMul::plain().into(),
        x: vec![t, size],
        rest: vec![Operand::Weight { dtype, shape: vec![size, size], copies }],
    };
    Ok(NamedCase { name: format!("product {dtype} {size}x{size} T={t}"), work, case })
}

/// A product of `t` rows with a square matrix that is not packed.
fn batched(transpose_b: bool, size: usize, t: usize) -> NamedCase {
    let bytes = size * size * 4;
    let (bound, copies) = if t == 1 { (Bound::Read, copies(bytes)) } else { (Bound::F32, 1) };
    let op = BatchMatMul { transpose_b, ..BatchMatMul::plain() };
    let b = Operand::Weight { dtype: DType::F32, shape: vec![size, size], copies };
    let layout = if transpose_b { "b^T" } else { "b" };
    let work = Work { bound, bytes: bytes + 2 * t * size * 4, flops: 2 * t * size * size };
    NamedCase {
        name: format!("a {layout} {size}x{size} T={t}"),
        work,
        case: Case { op: op.into(), x: vec![t, size], rest: vec![b] },
    }
}

/// `relu(x y + x)` of two square matrices.
fn elementwise(size: usize) -> NamedCase {
    let sum = Expr::sum(Expr::product(Expr::operand(0), Expr::operand(1)), Expr::operand(0));
    let op = Elementwise::from(Expr::binary(Operator::Max, sum, Expr::float(0.0)));
    let y = Operand::Weight { dtype: DType::F32, shape: vec![size, size], copies: 1 };
    let case = Case { op: op.into(), x: vec![size, size], rest: vec![y] };
    let work = Work { bound: Bound::Copy, bytes: 3 * size * size * 4, flops: 3 * size * size };
    NamedCase { name: format!("relu(x y + x) {size}x{size}"), work, case }
}

/// A convolution of a square image, padded so that stride 1 keeps its size.
fn convolution([channels, filters, size, kernel, stride, groups]: [usize; 6]) -> NamedCase {
    let all = |n: usize| vec![n; 2];
    let (strides, pads) = (all(stride), all(kernel / 2));
    let op = Conv { strides, pads_begin: pads.clone(), pads_end: pads, groups, ..Conv::plain(2) };
    let shape = vec![filters, channels / groups, kernel, kernel];
    let outputs = filters * size.div_ceil(stride).pow(2);
    let bytes = 4 * (channels * size * size + outputs + shape.iter().product::<usize>());
    let flops = 2 * outputs * shape[1..].iter().product::<usize>();
    let (kind, bound) = if groups > 1 { ("depthwise", Bound::Copy) } else { ("convolution", Bound::F32) };
    let name = format!("{kind} {channels}->{filters} {kernel}x{kernel}/{stride} {size}x{size}");
    let weight = Operand::Weight { dtype: DType::F32, shape, copies: 1 };
    let case = Case { op: op.into(), x: vec![1, channels, size, size], rest: vec![weight] };
    NamedCase { name, work: Work { bound, bytes, flops }, case }
}

/// The last `t` of `positions` tokens of one sequence attend to those up to their own: 32 heads of 128 that share 8 heads of
/// an f16 cache, as in Llama 3 8B.
fn attention(t: usize, positions: usize) -> Result<NamedCase> {
    const PAGE: usize = crate::session::pages::PAGE;
    let (heads, kv_heads, head_dim) = (32, 8, 128);
    let pages = positions.div_ceil(PAGE);
    let cache = || Operand::Cache(DType::F16, vec![pages, kv_heads, PAGE, head_dim]);
    let indices = |list: Vec<u32>, shape: &[usize]| Ok::<_, Error>(Operand::Indices(Tensor::u32(shape, list)?));
    let rest = vec![
        cache(),
        cache(),
        indices(vec![0; t], &[t])?,
        indices(((positions - t) as u32..positions as u32).collect(), &[t])?,
        indices((0..pages as u32).collect(), &[1, pages])?,
    ];
    let seen: usize = (positions - t + 1..=positions).sum();
    let bytes = 2 * positions * kv_heads * head_dim * 2 + 2 * t * heads * head_dim * 4;
    let work = Work { bound: if t == 1 { Bound::Read } else { Bound::F32 }, bytes, flops: 4 * heads * head_dim * seen };
    let op = Attention { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), half: false };
    Ok(NamedCase {
        name: format!("attention T={t} of {positions}"),
        work,
        case: Case { op: op.into(), x: vec![t, heads * head_dim], rest },
    })
}

/// As many queries as keys and values in each of `heads`, as in encoders of images and text.
fn dense_attention(heads: usize, tokens: usize, size: usize) -> NamedCase {
    let shape = vec![heads, tokens, size];
    let other = || Operand::Weight { dtype: DType::F32, shape: shape.clone(), copies: 1 };
    let op = DenseAttention { scale: 1.0 / (size as f32).sqrt(), score: Expr::operand(0), views: Vec::new() };
    let case = Case { op: op.into(), x: shape.clone(), rest: vec![other(), other()] };
    let work = Work { bound: Bound::F32, bytes: 4 * heads * tokens * size * 4, flops: 4 * heads * tokens * tokens * size };
    NamedCase { name: format!("attention {heads}x{tokens}x{size}"), work, case }
}
