//! A tiny Llama with random weights and a byte-level vocabulary, as GGUF bytes.

use wavelane::dtype::DType;

use super::gguf_writer::GgufWriter;
use super::random::weight_bytes;

/// The sizes and types of a tiny model.
#[derive(Clone, Debug)]
pub struct Tiny {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub feed_forward: usize,
    /// The type of the matrices.
    pub dtype: DType,
    /// Whether there is an output matrix of its own.
    pub untied: bool,
}

impl Default for Tiny {
    fn default() -> Self {
        Tiny { layers: 2, width: 64, heads: 4, kv_heads: 2, feed_forward: 96, dtype: DType::Q4_1, untied: false }
    }
}

/// Tokens of the vocabulary: all bytes, and an end token.
pub const VOCABULARY: usize = 257;

impl Tiny {
    /// The name, type and shape of every tensor.
    pub fn tensors(&self) -> Vec<(String, DType, Vec<usize>)> {
        let (d, f) = (self.width, self.feed_forward);
        let kv = d / self.heads * self.kv_heads;
        let mut list = vec![("token_embd.weight".to_owned(), self.dtype, vec![VOCABULARY, d])];
        for i in 0..self.layers {
            let blk = |name: &str| format!("blk.{i}.{name}.weight");
            let matrices = [("attn_q", d, d), ("attn_k", kv, d), ("attn_v", kv, d), ("attn_output", d, d)];
            let feed = [("ffn_gate", f, d), ("ffn_up", f, d), ("ffn_down", d, f)];
            list.extend(matrices.into_iter().chain(feed).map(|(name, n, k)| (blk(name), self.dtype, vec![n, k])));
            list.extend(["attn_norm", "ffn_norm"].map(|name| (blk(name), DType::F32, vec![d])));
        }
        list.push(("output_norm.weight".into(), DType::F32, vec![d]));
        if self.untied {
            list.push(("output.weight".into(), self.dtype, vec![VOCABULARY, d]));
        }
        list
    }

    /// The metadata without tensors.
    pub fn metadata(&self) -> GgufWriter {
        let number = |w: GgufWriter, key: &str, n: usize| w.u32(&format!("llama.{key}"), n as u32);
        let w = GgufWriter::new().str("general.architecture", "llama");
        let w = number(w, "block_count", self.layers);
        let w = number(w, "embedding_length", self.width);
        let w = number(w, "feed_forward_length", self.feed_forward);
        let w = number(w, "attention.head_count", self.heads);
        let w = number(w, "attention.head_count_kv", self.kv_heads);
        let w = number(w, "context_length", 512);
        let w = w.f32("llama.attention.layer_norm_rms_epsilon", 1e-5).f32("llama.rope.freq_base", 10000.0);
        let mut tokens: Vec<String> = (0..=255u8).map(byte_token).collect();
        tokens.push("<|end|>".into());
        let w = w.str("tokenizer.ggml.model", "gpt2").str("tokenizer.ggml.pre", "gpt-2").strs("tokenizer.ggml.tokens", &tokens);
        let merges: [&str; 0] = [];
        w.strs("tokenizer.ggml.merges", &merges).u32("tokenizer.ggml.eos_token_id", 256)
    }

    /// The data of one tensor.
    pub fn data(&self, seed: u64, dtype: DType, shape: &[usize]) -> Vec<u8> {
        let (rows, columns) = if shape.len() == 1 { (1, shape[0]) } else { (shape[0], shape[1]) };
        weight_bytes(dtype, rows, columns, seed, 0.02)
    }

    /// The bytes of the file.
    pub fn gguf(&self) -> Vec<u8> {
        let add = |w: GgufWriter, (i, (name, dtype, shape)): (usize, (String, DType, Vec<usize>))| {
            w.tensor(&name, dtype, &shape, &self.data(i as u64, dtype, &shape))
        };
        self.tensors().into_iter().enumerate().fold(self.metadata(), add).finish()
    }
}

/// How byte-level BPE writes a byte: printable Latin-1 as itself, the rest from U+0100 on in order (GPT-2's table).
fn byte_token(byte: u8) -> String {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let hidden = (0..byte).filter(|b| !printable(*b)).count() as u32;
    char::from_u32(if printable(byte) { u32::from(byte) } else { 0x100 + hidden }).into_iter().collect()
}
