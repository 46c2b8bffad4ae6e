//! The Llama family: Llama, Mistral, SmolLM (Touvron et al. 2023, arXiv:2302.13971), with GGUF's tensor names.

use super::language::{StepInputs, Tensors};
use super::rope::RopeScaling;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::formats::Gguf;
use crate::graph::{GraphBuilder, ValueId};
use crate::kernel::Expr;
use crate::kernel::expr::Function;
use crate::ops::{Attention, CacheWrite, Elementwise, Embed, GatherRows, MatMul, Pairing, RmsNorm, Rope, RopeCache, rope};
use crate::session::pages::{CacheShape, PAGE};
use crate::shape::Dim;
use crate::tensor::Weight;

/// Contexts beyond this are cut, so that a file's claim cannot make the rotary table large: with the largest head it
/// takes about 64 MiB.
const MOST_CONTEXT: usize = 1 << 20;

/// Elements of the largest head that attention kernels take.
const MOST_HEAD_DIM: usize = 1024;

/// More heads than any model has, few enough that no product of sizes overflows.
const MOST_HEADS: usize = 1 << 16;

/// The numbers of a model.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Llama {
    pub layers: usize,
    pub width: usize,
    pub feed_forward: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocabulary: usize,
    pub context: usize,
    pub epsilon: f32,
    pub rope_dim: usize,
    pub rope_base: f32,
    pub rope_scaling: RopeScaling,
}

impl Llama {
    /// Reads the numbers from the keys `<arch>.*`.
    ///
    /// # Errors
    /// [`Error::Format`] naming a key that is missing, of another type or impossible.
    pub fn from_gguf(file: &Gguf, arch: &str) -> Result<Self> {
        let key = |name: &str| format!("{arch}.{name}");
        let count = |name: &str| -> Result<usize> {
            match file.require(&key(name))? {
                0usize => Err(Error::format(key(name), "must not be 0")),
                n => Ok(n),
            }
        };
        let embedding = file.tensor("token_embd.weight");
        let embedding = embedding.ok_or_else(|| Error::format(file.name(), "the tensor 'token_embd.weight' is missing"))?;
        let [vocabulary, width] = embedding.shape[..] else {
            return Err(Error::format(
                "token_embd.weight",
                format!("the shape {:?} is not [vocabulary, width]", embedding.shape),
            ));
        };
        let heads = count("attention.head_count")?;
        let kv_heads = file.optional(&key("attention.head_count_kv"))?.unwrap_or(heads);
        let head_dim = file.optional(&key("attention.key_length"))?.unwrap_or(width / heads);
        let model = Llama {
            layers: count("block_count")?,
            width: count("embedding_length")?,
            feed_forward: count("feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            vocabulary,
            context: count("context_length")?.min(MOST_CONTEXT),
            epsilon: file.require(&key("attention.layer_norm_rms_epsilon"))?,
            rope_dim: file.optional(&key("rope.dimension_count"))?.unwrap_or(head_dim),
            rope_base: file.optional(&key("rope.freq_base"))?.unwrap_or(10000.0),
            rope_scaling: RopeScaling::from_gguf(file, arch)?,
        };
        let value_dim = file.optional(&key("attention.value_length"))?.unwrap_or(head_dim);
        let rules = [
            (model.width == width, "embedding_length", format!("is {}, 'token_embd.weight' has {width}", model.width)),
            (
                kv_heads > 0 && heads.is_multiple_of(kv_heads),
                "attention.head_count_kv",
                format!("{kv_heads} does not divide {heads}"),
            ),
            (
                (4..=MOST_HEAD_DIM).contains(&head_dim) && head_dim.is_multiple_of(4),
                "attention.key_length",
                format!("{head_dim} is no multiple of 4 up to {MOST_HEAD_DIM}"),
            ),
            (heads <= MOST_HEADS, "attention.head_count", format!("is {heads}, at most {MOST_HEADS} are sane")),
            (
                model.epsilon >= 0.0 && model.epsilon.is_finite(),
                "attention.layer_norm_rms_epsilon",
                format!("is {}", model.epsilon),
            ),
            (value_dim == head_dim, "attention.value_length", format!("{value_dim} differs from {head_dim}")),
            (
                model.rope_dim > 0 && model.rope_dim <= head_dim && model.rope_dim.is_multiple_of(2),
                "rope.dimension_count",
                format!("{} of {head_dim}", model.rope_dim),
            ),
            (model.rope_base > 0.0 && model.rope_base.is_finite(), "rope.freq_base", format!("is {}", model.rope_base)),
            (
                model.layers <= file.tensors().len(),
                "block_count",
                format!("{} blocks, {} tensors", model.layers, file.tensors().len()),
            ),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, name, what)) => Err(Error::format(key(name), what)),
            None => Ok(model),
        }
    }

    /// Builds a step up to its logits, `[R, vocabulary]`.
    pub(super) fn build(
        &self,
        b: &mut GraphBuilder,
        tensors: &Tensors<'_>,
        inputs: &StepInputs,
        cache: &CacheShape,
        cache_dtype: DType,
    ) -> Result<ValueId> {
        let embedding = b.weight("token_embd.weight", tensors.require("token_embd.weight")?);
        let table = self.rope_table(b, tensors)?;
        let mut h = b.one("token_embd", Embed, &[inputs.tokens, embedding])?; // [T, width]
        for i in 0..self.layers {
            h = Layer { model: self, b, tensors, inputs, i }.build(h, table, cache, cache_dtype)?;
        }
        let h = b.one("output_rows", GatherRows, &[h, inputs.rows])?; // [R, width]
        let gain = b.weight("output_norm.weight", tensors.require("output_norm.weight")?);
        let h = b.one("output_norm", RmsNorm { epsilon: self.epsilon }, &[h, gain])?;
        let output = match tensors.optional("output.weight")? {
            Some(weight) => b.weight("output.weight", weight),
            None => embedding,
        };
        b.one("output", MatMul::plain(), &[h, output])
    }

    /// The rotary table; `rope_freqs.weight` divides the frequencies where a file has it (Llama 3.1 and later).
    fn rope_table(&self, b: &mut GraphBuilder, tensors: &Tensors<'_>) -> Result<ValueId> {
        let mut frequencies = self.rope_scaling.frequencies(f64::from(self.rope_base), self.rope_dim);
        if let Some(factors) = tensors.optional("rope_freqs.weight")? {
            let factors = factors.to_f32()?;
            if factors.len() != frequencies.len() || !factors.iter().all(|f| *f > 0.0 && f.is_finite()) {
                return Err(Error::format("rope_freqs.weight", format!("must hold {} positive factors", frequencies.len())));
            }
            frequencies.iter_mut().zip(factors).for_each(|(f, factor)| *f /= f64::from(factor));
        }
        Ok(b.weight("rope.table", rope::table(&frequencies, self.context)?))
    }
}

/// One transformer block under construction.
struct Layer<'a, 'b> {
    model: &'a Llama,
    b: &'a mut GraphBuilder,
    tensors: &'a Tensors<'b>,
    inputs: &'a StepInputs,
    i: usize,
}

impl Layer<'_, '_> {
    fn build(mut self, h: ValueId, table: ValueId, cache: &CacheShape, cache_dtype: DType) -> Result<ValueId> {
        let &Llama { heads, kv_heads, head_dim, .. } = self.model;
        let &StepInputs { slots, positions, blocks, .. } = self.inputs;

        let x = self.norm("attn_norm", h)?;
        let pool: [Dim; 4] = [cache.pages().into(), kv_heads.into(), PAGE.into(), head_dim.into()];
        let keys = self.b.state(self.name("cache_k"), cache_dtype, pool.clone());
        let values = self.b.state(self.name("cache_v"), cache_dtype, pool);
        let [q, keys, values] = match self.weights(["attn_q", "attn_k", "attn_v"])? {
            [q, k, v] if [&k, &v].iter().all(|w| w.dtype() == q.dtype() && w.columns() == q.columns()) => {
                let qkv = self.multiply("attn_qkv", MatMul::plain(), x, Weight::stacked(&[&q, &k, &v])?)?;
                self.turn_and_store(qkv, table, keys, values)?
            }
            weights => self.turn_and_store_apart(x, weights, table, keys, values)?,
        };
        let attention = Attention { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), half: false };
        let a = self.b.one(self.name("attn"), attention, &[q, keys, values, slots, positions, blocks])?;
        let a = self.product("attn_output", a)?; // [T, width]
        let h = self.b.one(self.name("attn_residual"), Elementwise::add(), &[a, h])?;

        let x = self.norm("ffn_norm", h)?;
        let gate = Expr::product(Expr::call(Function::Silu, Expr::operand(0)), Expr::operand(1));
        let x = match self.weights(["ffn_gate", "ffn_up"])? {
            [gates, ups] if gates.dtype() == ups.dtype() && gates.shape() == ups.shape() => {
                let op = MatMul { paired: true, tail: gate, ..MatMul::plain() };
                self.multiply("ffn_gate_up", op, x, Weight::interleaved(&[&gates, &ups])?)? // [T, feed_forward]
            }
            [gates, ups] => {
                let gates = self.multiply("ffn_gate", MatMul::plain(), x, gates)?; // [T, feed_forward]
                let ups = self.multiply("ffn_up", MatMul::plain(), x, ups)?;
                self.b.one(self.name("ffn_act"), Elementwise::from(gate), &[gates, ups])?
            }
        };
        let x = self.product("ffn_down", x)?; // [T, width]
        self.b.one(self.name("ffn_residual"), Elementwise::add(), &[x, h])
    }

    fn rope(&self) -> Rope {
        Rope { head_dim: self.model.head_dim, dim: self.model.rope_dim, pairing: Pairing::Interleaved }
    }

    /// From the columns of one product to turned queries and the caches after the step.
    fn turn_and_store(&mut self, qkv: ValueId, table: ValueId, keys: ValueId, values: ValueId) -> Result<[ValueId; 3]> {
        let &Llama { heads, kv_heads, .. } = self.model;
        let &StepInputs { slots, positions, blocks, .. } = self.inputs;
        let op = RopeCache { heads, kv_heads, rope: self.rope() };
        let outputs = self.b.node(self.name("rope_cache"), op, &[qkv, positions, table, keys, values, slots, blocks])?;
        outputs.try_into().map_err(|_| Error::invalid("llama", "the op has other outputs"))
    }

    /// The same where the weights are of several types, as in mixtures of k-quants, and so need several products.
    fn turn_and_store_apart(
        &mut self,
        x: ValueId,
        weights: [Weight; 3],
        table: ValueId,
        keys: ValueId,
        values: ValueId,
    ) -> Result<[ValueId; 3]> {
        let &StepInputs { slots, positions, blocks, .. } = self.inputs;
        let [q, k, v] = weights;
        let q = self.multiply("attn_q", MatMul::plain(), x, q)?; // [T, heads * head_dim]
        let k = self.multiply("attn_k", MatMul::plain(), x, k)?; // [T, kv_heads * head_dim]
        let v = self.multiply("attn_v", MatMul::plain(), x, v)?; // [T, kv_heads * head_dim]
        let q = self.b.one(self.name("rope_q"), self.rope(), &[q, positions, table])?;
        let k = self.b.one(self.name("rope_k"), self.rope(), &[k, positions, table])?;
        let keys = self.b.one(self.name("write_k"), CacheWrite, &[k, keys, slots, positions, blocks])?;
        let values = self.b.one(self.name("write_v"), CacheWrite, &[v, values, slots, positions, blocks])?;
        Ok([q, keys, values])
    }

    fn name(&self, what: &str) -> String {
        format!("blk.{}.{what}", self.i)
    }

    fn weights<const N: usize>(&self, what: [&str; N]) -> Result<[Weight; N]> {
        let weights = what.map(|what| self.tensors.require(&format!("{}.weight", self.name(what))));
        let weights = weights.into_iter().collect::<Result<Vec<Weight>>>()?;
        weights.try_into().map_err(|_| Error::invalid("llama", "a weight is missing"))
    }

    fn multiply(&mut self, what: &str, op: MatMul, x: ValueId, weight: Weight) -> Result<ValueId> {
        let name = self.name(what);
        let weight = self.b.weight(format!("{name}.weight"), weight);
        self.b.one(name, op, &[x, weight])
    }

    fn product(&mut self, what: &str, x: ValueId) -> Result<ValueId> {
        let [weight] = self.weights([what])?;
        self.multiply(what, MatMul::plain(), x, weight)
    }

    fn norm(&mut self, what: &str, x: ValueId) -> Result<ValueId> {
        let name = self.name(what);
        let gain = self.tensors.require(&format!("{name}.weight"))?;
        let gain = self.b.weight(format!("{name}.weight"), gain);
        self.b.one(name, RmsNorm { epsilon: self.model.epsilon }, &[x, gain])
    }
}
