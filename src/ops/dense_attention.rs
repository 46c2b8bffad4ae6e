//! Attention of queries to keys and values that are all there, without storing scores.

use super::elementwise::collapse;
use super::indexing::dims;
use super::lowering::NARROW_ITERATIONS;
use super::{BatchMatMul, Elementwise, Input, Lowering, ROUNDING, Rule, Softmax, Strided, Tolerance, kind, sum_error, tail};
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::expr::Kind;
use crate::kernel::{Access, Dispatch, Expr, Extremes, Kernel, Tail, TailOperand, linear_grid};
use crate::shape::TensorType;
use crate::tensor::{Data, Tensor};

/// `out[.., i, e] = sum_j w[.., i, j] * v[.., j, e]` with `w[.., i] = softmax_j(score(scale * q[.., i] . k[.., j], masks[.., i, j]...))`,
/// scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762).
///
/// Inputs: `q` `[.., Q, D]`, `k` `[.., K, D]`, `v` `[.., K, E]` f32, their leading dimensions broadcast as NumPy does (heads that share
/// keys are a dimension where `k` and `v` have 1); then what the score is made of beside the product, f32 or i64, broadcast to
/// `[.., Q, K]` of `q` and `k`. Output `[.., Q, E]`. An input may be read through a view. Queries that see scores of minus infinity
/// alone yield no number, as the softmax does.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseAttention {
    /// What each product is multiplied by, usually `1 / sqrt(D)`.
    pub scale: f32,
    /// What is made of each scaled product (its operand 0) before the softmax.
    pub score: Expr,
    /// What the operands are of the inputs, where they are not these as they lie; empty where all are.
    pub views: Vec<Option<Strided>>,
}

/// The most columns of queries, and of values: an invocation keeps rows of both.
const MOST_COLUMNS: usize = 128;
/// The most inputs beside `q`, `k` and `v`: they and the output have eight storage bindings.
const MOST_MASKS: usize = 4;
/// Scores that no device has to hold: the 128 MiB of a binding that every device offers.
const MOST_SCORES: usize = 32 << 20;

impl DenseAttention {
    /// Whether kernels can do it: `[batches, Q, K, D, E]`, and the number of masks.
    pub fn supports([batches, queries, keys, depth, width]: [usize; 5], masks: usize) -> bool {
        let columns = 1..=MOST_COLUMNS;
        // What is too long for narrow devices is left to wide ones where the scores would go nowhere else either.
        let short = iterations(keys, depth) <= 3 * NARROW_ITERATIONS;
        let scores = [batches, queries, keys].iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        columns.contains(&depth)
            && columns.contains(&width)
            && masks <= MOST_MASKS
            && scores.is_some_and(|n| n > 0 && (short || n > MOST_SCORES))
    }

    fn view(&self, i: usize) -> Option<Strided> {
        self.views.get(i).cloned().flatten()
    }

    /// The product of queries and keys.
    fn products(&self) -> BatchMatMul {
        let views = [self.view(0), self.view(1)];
        BatchMatMul { transpose_b: true, scale: self.scale, views, ..BatchMatMul::plain() }
    }

    /// What makes scores of products and masks.
    fn scores(&self) -> Elementwise {
        let views = [None].into_iter().chain(self.views.iter().skip(3).cloned()).collect();
        Elementwise { expr: self.score.clone(), views }
    }

    /// The product of weights and values.
    fn mixed(&self) -> BatchMatMul {
        BatchMatMul { views: [None, self.view(2)], ..BatchMatMul::plain() }
    }

    /// Products, scores and weights `[.., Q, K]`.
    fn weights(&self, inputs: &[Input]) -> Result<[Tensor; 3]> {
        let one = |mut outputs: Vec<Tensor>| outputs.pop().ok_or_else(|| Error::shape("DenseAttention", "a part has no output"));
        let products = one(self.products().reference(inputs[..2].to_vec())?)?;
        let scores = one(self.scores().reference(self.with_masks(&products, inputs))?)?;
        let weights = one(Softmax { log: false }.reference(vec![Input::Tensor(scores.clone().into())])?)?;
        Ok([products, scores, weights])
    }

    fn with_masks(&self, products: &Tensor, inputs: &[Input]) -> Vec<Input> {
        [Input::Tensor(products.clone().into())].into_iter().chain(inputs[3..].iter().cloned()).collect()
    }

    /// Where the operands lie that are inputs of these shapes, under which the output has these batches.
    fn layout(&self, shapes: &[&[usize]], batch: &[usize]) -> Layout {
        let seen = |(i, shape): (usize, &&[usize])| self.view(i).unwrap_or_else(|| Strided::of(shape));
        let operands: Vec<Strided> = shapes.iter().enumerate().map(seen).collect();
        // Aligned at the last dimension, and the same again along dimensions of 1.
        let steps = |x: &Strided| {
            let own = x.shape.iter().zip(&x.steps).map(|(n, step)| if *n == 1 { 0 } else { *step });
            let all: Vec<usize> = std::iter::repeat_n(0, (batch.len() + 2).saturating_sub(x.shape.len())).chain(own).collect();
            (all[..batch.len()].to_vec(), [all[batch.len()], all[batch.len() + 1]])
        };
        let (mut lists, inner): (Vec<Vec<usize>>, Vec<[usize; 2]>) = operands.iter().map(steps).unzip();
        let dims = collapse(batch, &mut lists);
        Layout { starts: operands.iter().map(|x| x.start).collect(), inner, dims, steps: lists }
    }
}

/// Iterations of one invocation of the tiled kernel, which does most, as far as loops are not unrolled.
fn iterations(keys: usize, depth: usize) -> usize {
    keys.div_ceil(64) * (18 * depth.div_ceil(16) + 144)
}

/// Where elements lie, in elements of each input.
struct Layout {
    starts: Vec<usize>,
    /// From one row to the next, and from one column to the next.
    inner: Vec<[usize; 2]>,
    /// Dimensions of the batches, neighbours joined where possible.
    dims: Vec<usize>,
    /// By operand, from one coordinate of each of `dims` to the next.
    steps: Vec<Vec<usize>>,
}

impl Layout {
    /// Whether operand `i` can be read four columns at once.
    fn in_quads(&self, i: usize) -> bool {
        let [row, column] = self.inner[i];
        column == 1 && [self.starts[i], row].iter().chain(&self.steps[i]).all(|at| at.is_multiple_of(4))
    }

    /// One number of each mask.
    fn masks(&self, of: impl Fn(usize) -> usize) -> [u32; MOST_MASKS] {
        std::array::from_fn(|i| if i + 3 < self.starts.len() { of(i + 3) as u32 } else { 0 })
    }
}

impl Rule for DenseAttention {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let refuse = |what: String| Err(Error::shape("DenseAttention", what));
        let [q, k, v, masks @ ..] = inputs else {
            return refuse(format!("takes queries, keys, values and masks, got {} inputs", inputs.len()));
        };
        let one = |types: Vec<TensorType>| match <[TensorType; 1]>::try_from(types) {
            Ok([ty]) => Ok(ty),
            Err(types) => Err(Error::shape("DenseAttention", format!("a part has {} outputs", types.len()))),
        };
        let products = one(self.products().infer(&[q, k])?)?;
        let masked: Vec<&TensorType> = [&products].into_iter().chain(masks.iter().copied()).collect();
        let scores = one(self.scores().infer(&masked)?)?;
        if scores != products {
            return refuse(format!("scores of {products} are {scores}"));
        }
        let weights = one(Softmax { log: false }.infer(&[&scores])?)?;
        let out = one(self.mixed().infer(&[&weights, v])?)?;
        let [scored, made] = [("scores", &scores), ("output", &out)].map(|(name, ty)| dims("DenseAttention", name, ty));
        let depth = self.view(0).map_or_else(|| q.shape.columns(), |v| v.shape.last().copied());
        let (&[.., queries, keys], &[ref batch @ .., _, width], Some(depth)) = (&scored?[..], &made?[..], depth) else {
            return refuse(format!("queries are {q}, scores {scores}"));
        };
        let sizes = [batch.iter().product(), queries, keys, depth, width];
        if !DenseAttention::supports(sizes, masks.len()) {
            return refuse(format!("no kernel has [batches, Q, K, D, E] of {sizes:?} with {} masks", masks.len()));
        }
        Ok(vec![out])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let [.., weights] = self.weights(&inputs)?;
        self.mixed().reference(vec![Input::Tensor(weights.into()), inputs[2].clone()])
    }

    /// A score's error is that of its product, and what its expression makes of it; it multiplies the weight. So do `exp` (`3 + 2 |x|`
    /// units) and the difference in its exponent, and the corrections of what came before: their exponents add up to as much again,
    /// and each has four units more, after every four keys at most. The total's relative error is the weighted mean of its terms'.
    /// Errors of weights then multiply the magnitudes of values, as does that of the sum.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let [products, scores, weights] = self.weights(inputs)?;
        let off = match self.products().tolerance(&inputs[..2], std::slice::from_ref(&products))?.pop() {
            Some(Tolerance::Absolute(off)) => off,
            _ => vec![0.0; products.len()],
        };
        let errors = self.scores().bounds(&self.with_masks(&products, inputs), &|i| off[i])?;
        let keys = scores.columns().max(1);
        let corrections = 2.0 * ROUNDING * 12.0 + 4.0 * sum_error(keys.div_ceil(4)) + sum_error(keys);
        let mut shares = weights.as_f32()?.to_vec();
        for ((row, errors), shares) in scores.as_f32()?.chunks(keys).zip(errors.chunks(keys)).zip(shares.chunks_mut(keys)) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let own = |(score, error): (&f32, &f32)| error + 8.0 * ROUNDING * (largest - score).min(100.0) + corrections;
            let total: f32 = row.iter().zip(errors).zip(&*shares).map(|(at, share)| share * own(at).exp_m1()).sum();
            // Shares lie between 0 and 1, however far off scores are.
            let off = |share: f32, at| (share * (own(at).exp_m1() + total)).min(1.0);
            row.iter().zip(errors).zip(shares).for_each(|(at, share)| *share = off(*share, at));
        }
        let values = inputs[2].dense()?;
        let magnitudes = Tensor::f32(values.shape(), values.as_f32()?.iter().map(|x| x.abs()).collect())?;
        let shares = Input::Tensor(Tensor::f32(weights.shape(), shares)?.into());
        let bounds = self.mixed().reference(vec![shares, Input::Tensor(magnitudes.into())])?;
        let bound = |t: &Tensor| match t.data() {
            Data::F32(bounds) => Tolerance::Absolute(bounds.iter().map(|b| b + f32::MIN_POSITIVE).collect()),
            _ => Tolerance::Exact,
        };
        Ok(bounds.iter().map(bound).collect())
    }

    fn extremes(&self) -> Extremes {
        Extremes::Apart
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let shapes: Vec<&[usize]> = cx.inputs.iter().map(|x| &x.shape[..]).collect();
        let (out, keys) = (&cx.outputs[0], self.view(1).map_or_else(|| cx.inputs[1].shape.clone(), |v| v.shape));
        let (&[ref batch @ .., queries, width], &[.., keys, depth]) = (&out.shape[..], &keys[..]) else {
            return Err(Error::shape("DenseAttention", format!("keys of shape {keys:?}")));
        };
        let layout = self.layout(&shapes, batch);
        let (kernel, rows) = choose(cx, queries);
        cx.check_iterations(iterations(keys, depth))?;
        let down = queries.div_ceil(rows);
        let batches: usize = layout.dims.iter().product();
        let mut params = [queries, keys, down, batches].map(|n| n as u32).to_vec();
        params.push(self.scale.to_bits());
        params.extend(layout.starts[..3].iter().map(|n| *n as u32));
        params.extend(layout.inner[..3].iter().flatten().map(|n| *n as u32));
        params.extend([0, 0]);
        params.extend(layout.masks(|i| layout.starts[i]));
        params.extend(layout.masks(|i| layout.inner[i][0]));
        params.extend(layout.masks(|i| layout.inner[i][1]));
        for (d, len) in layout.dims.iter().enumerate() {
            params.extend([*len, layout.steps[0][d], layout.steps[1][d], layout.steps[2][d]].map(|n| n as u32));
            params.extend(layout.masks(|i| layout.steps[i][d]));
        }
        let quads = depth.is_multiple_of(4) && width.is_multiple_of(4) && (0..3).all(|i| layout.in_quads(i));
        let operand = |(i, x): (usize, &super::Operand)| TailOperand { kind: kind(x.dtype), access: Access::Strided(i as u32) };
        let operands = cx.inputs[3..].iter().enumerate().map(operand).collect();
        let kernel = kernel
            .provider("dense_attention/operands")
            .provider(if quads { "dense_attention/quads" } else { "dense_attention/scalars" })
            .constant("DEPTH", depth as u32)
            .constant("WIDTH", width as u32)
            .constant("RANK", layout.dims.len() as u32)
            .tail(Tail { expr: self.score.clone(), operands, given: vec![Kind::Float] });
        let [q, k, v] = [0, 1, 2].map(|i| cx.inputs[i].value);
        let dispatch = Dispatch::new(kernel, params, linear_grid(down * batches, cx.caps)).read(q).read(k).read(v);
        let dispatch = tail::bind(dispatch.write(out.value), &cx.inputs[3..]);
        cx.emit(dispatch);
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let keys = self.view(1).map_or_else(|| inputs[1].clone(), |v| v.shape);
        let [.., keys, depth] = keys[..] else { return 0 };
        let [ref rows @ .., width] = outputs[0][..] else { return 0 };
        let scores = rows.iter().product::<usize>() as u64 * keys as u64;
        scores * (2 * (depth + width) + 8 + self.score.size()) as u64
    }
}

/// Chooses the kernel, and the rows of queries of one of its workgroups.
fn choose(cx: &Lowering<'_>, queries: usize) -> (Kernel, usize) {
    // Measured on lavapipe, beside two products and a softmax: 1.7 times as fast for 257 tokens and 6 heads of 64, 3 times for 128 tokens
    // and 12 heads of 32.
    if cx.caps.width == Width::Narrow && cx.caps.subgroup_at_least(8) {
        return (Kernel::new("dense_attention_rows"), 32);
    }
    // By reasoning: larger tiles read keys and values less often, smaller ones leave less of a tile empty.
    let down = if queries > 32 { 16 } else { 8 };
    (Kernel::new("dense_attention").constant("DOWN", down), 4 * down as usize)
}
