//! Causal attention of a step's tokens over a paged cache, with grouped query heads.

mod kernels;

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::cache_write::{NO_SLOT, Pages, example_position, expect_cache};
use super::{Input, Lowering, ROUNDING, Rule, StateWork, Tolerance, expect, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Extremes;
use crate::shape::TensorType;
use crate::tensor::{Data, Tensor};

/// `out[t, h] = softmax_p(scale * q[t, h] . k[p, h / G]) . v[p, h / G]` over the positions `p <= positions[t]` of the
/// token's sequence, with `G = heads / kv_heads` (grouped queries: Ainslie et al. 2023, arXiv:2305.13245).
///
/// Inputs: `q` `[T, heads * head_dim]` f32, `k` and `v` caches as in [`super::CacheWrite`], `slots` `[T]`, `positions`
/// `[T]`, `blocks` `[slots, blocks]` u32. Output: as `q`; zeros for tokens without a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Factor of the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Whether steps of many tokens may round queries, keys, values and weights to f16, where a device does so faster.
    pub half: bool,
}

/// The relative error of rounding to f16, and twice the absolute one of what is below its normal numbers.
const HALF_ROUNDING: f32 = 1.0 / 2048.0;
const HALF_LEAST: f32 = 1.0 / 16_777_216.0;

/// What one token and head attends to.
struct Row {
    /// The largest score's magnitude bound: `scale * |q| . |k|`, for the tolerance.
    score_magnitude: f32,
    /// `[head_dim]`: the output.
    out: Vec<f32>,
    /// `[head_dim]`: the weighted sum of magnitudes.
    magnitude: Vec<f32>,
    /// The largest magnitude of a value.
    largest: f32,
    /// The most that a key's magnitudes and the query's, scaled, add up to.
    score_terms: f32,
}

impl Attention {
    fn rows(&self, inputs: &[Input]) -> Result<Vec<Option<Row>>> {
        let [q, k, v, slots, positions, blocks] = operands("Attention", inputs.iter().collect())?;
        let (q, k, v, blocks) = (q.tensor()?, k.tensor()?, v.tensor()?, blocks.tensor()?);
        let (slots, positions) = (slots.tensor()?.as_u32()?, positions.tensor()?.as_u32()?);
        let pages = Pages::new(k, blocks)?;
        let (dim, group) = (self.head_dim, self.heads / self.kv_heads);
        let queries: Vec<&[f32]> = q.as_f32()?.chunks_exact(dim).collect();
        let element = |cache: &Tensor, i: usize| match cache.data() {
            Data::F32(d) => d[i],
            Data::F16(d) => d[i].to_f32(),
            Data::U32(_) | Data::I64(_) => f32::NAN,
        };
        let one = |(index, q): (usize, &&[f32])| {
            let (token, head) = (index / self.heads, index % self.heads);
            if slots[token] == NO_SLOT {
                return Ok(None);
            }
            let at = (0..=positions[token] as usize).map(|p| pages.element(slots[token], p, head / group));
            let at = at.collect::<Result<Vec<usize>>>()?;
            let score = |a: &usize, f: fn(f32) -> f32| (0..dim).fold(0.0, |s, i| s + f(q[i] * element(k, a + i))) * self.scale;
            let scores: Vec<f32> = at.iter().map(|a| score(a, |x| x)).collect();
            let score_magnitude = at.iter().map(|a| score(a, f32::abs).abs()).fold(0.0, f32::max);
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
            // Summed in f64, since over a long context f32 would drift.
            let total = weights.iter().fold(0.0f64, |s, w| s + f64::from(*w));
            let sum = |i: usize, f: fn(f32) -> f32| {
                let terms = at.iter().zip(&weights).map(|(a, w)| f64::from(f(w * element(v, a + i))));
                (terms.sum::<f64>() / total) as f32
            };
            let out = (0..dim).map(|i| sum(i, |x| x)).collect();
            let magnitude = (0..dim).map(|i| sum(i, f32::abs)).collect();
            let values = at.iter().flat_map(|a| (0..dim).map(move |i| a + i));
            let largest = values.map(|i| element(v, i).abs()).fold(0.0, f32::max);
            let terms = |a: &usize| (0..dim).fold(0.0, |s, i| s + (q[i] * self.scale).abs() + element(k, a + i).abs());
            let score_terms = at.iter().map(terms).fold(0.0, f32::max);
            Ok(Some(Row { score_magnitude, out, magnitude, largest, score_terms }))
        };
        queries.par_iter().enumerate().map(one).collect()
    }
}

impl Rule for Attention {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [q, k, v, slots, positions, blocks] = operands("Attention", inputs.to_vec())?;
        expect("Attention", "q", q, DType::F32, 2)?;
        expect("Attention", "slots", slots, DType::U32, 1)?;
        expect("Attention", "positions", positions, DType::U32, 1)?;
        expect("Attention", "blocks", blocks, DType::U32, 2)?;
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::shape("Attention", format!("{} heads cannot share {}", self.heads, self.kv_heads)));
        }
        if q.shape.columns() != Some(self.heads * self.head_dim) {
            return Err(Error::shape("Attention", format!("'q' is {q}, expected {} heads of {}", self.heads, self.head_dim)));
        }
        for cache in [k, v] {
            expect_cache("Attention", cache, Some(self.kv_heads * self.head_dim))?;
        }
        let geometry = |i: usize| k.shape.0[i].constant();
        if (geometry(1), geometry(3)) != (Some(self.kv_heads), Some(self.head_dim)) {
            let what = format!("'k' is {k}, expected {} heads of {}", self.kv_heads, self.head_dim);
            return Err(Error::shape("Attention", what));
        }
        if k != v {
            return Err(Error::shape("Attention", format!("'k' {k} and 'v' {v} differ")));
        }
        Ok(vec![q.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let rows = self.rows(&inputs)?;
        let out = rows.into_iter().flat_map(|r| r.map_or_else(|| vec![0.0; self.head_dim], |r| r.out));
        Ok(vec![Tensor::f32(inputs[0].tensor()?.shape(), out.collect())?])
    }

    /// A score is off by `e = sum_error * scale |q|.|k|`, with one rounding more for a scale in units of log 2. A weight is a
    /// product of powers, each off by `3 + 2 |x|` units of its exponent: of its own, of one correction for every time that the
    /// largest score so far grew (in a random order `1 + ln n` times), and of one where parts are joined. The exponents of
    /// weights that count, those above e^-20, add up to at most 20, which is 29 for powers of two. All this changes a weight by a
    /// factor `1 +- 2e` or so after normalising; the weighted sum adds its own error. Everything multiplies the sum of magnitudes.
    /// Where scores are so large that `e` is no small number any more, any value may get the weight of any other.
    /// In f16 a query, scaled, and a key are rounded to 11 bits each, or to a multiple of 2^-24 where they are small; so are a weight, which
    /// is at most 1 while the weights of a row add up to 1 or more, and a value.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let positions = inputs[4].tensor()?.as_u32()?;
        let rows = self.rows(inputs)?;
        let bound = rows.iter().enumerate().flat_map(|(index, row)| {
            let Some(row) = row else { return vec![0.0; self.head_dim] };
            let n = positions[index / self.heads] as usize + 1;
            let powers = 3.0 * (3.0 + (n as f32).ln()) + 2.0 * 29.0;
            let mut score = sum_error(self.head_dim + 1) * row.score_magnitude + powers * 2.0 * ROUNDING;
            let (mut relative, mut absolute) = (2.0 * sum_error(n), f32::MIN_POSITIVE);
            if self.half {
                score += 2.0 * HALF_ROUNDING * row.score_magnitude + HALF_LEAST * row.score_terms;
                relative += 2.0 * HALF_ROUNDING;
                absolute += HALF_LEAST * (n as f32 * row.largest + 1.0);
            }
            relative += 4.0 * score;
            if score > 0.1 {
                return vec![2.0 * row.largest + f32::MIN_POSITIVE; self.head_dim];
            }
            row.magnitude.iter().map(|m| relative * m + absolute).collect()
        });
        Ok(vec![Tolerance::Absolute(bound.collect())])
    }

    fn extremes(&self) -> Extremes {
        // Scaled queries may leave the range of f16.
        if self.half { Extremes::Unspecified } else { Extremes::Apart }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        kernels::lower(self, cx)
    }

    fn example_index(&self, inputs: &[Vec<usize>], operand: usize, element: usize) -> usize {
        match operand {
            4 => example_position(&inputs[1], inputs[5][1], inputs[0][0], element),
            5 => element % inputs[1][0],
            _ => 0,
        }
    }

    /// Keys and values of a sequence are read once, however many of its tokens attend to them.
    fn state_work(&self, _: &[Vec<usize>], known: &dyn Fn(usize) -> Option<Vec<u32>>) -> Option<StateWork> {
        let (mut seen, mut longest) = (0, BTreeMap::new());
        for (slot, position) in known(3)?.into_iter().zip(known(4)?).filter(|(slot, _)| *slot != NO_SLOT) {
            let length = u64::from(position) + 1;
            seen += length;
            let longest = longest.entry(slot).or_insert(0);
            *longest = length.max(*longest);
        }
        let heads = |n: usize| (n * self.head_dim) as u64;
        let elements = 2 * heads(self.kv_heads) * longest.values().sum::<u64>();
        Some(StateWork { flops: 4 * heads(self.heads) * seen, elements })
    }

    /// For the whole pool but at most 4096 positions, since lengths are known only when a step runs.
    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        let context = (inputs[1][0] * inputs[1][2]) as u64;
        4 * inputs[0].iter().product::<usize>() as u64 * context.min(4096)
    }
}
