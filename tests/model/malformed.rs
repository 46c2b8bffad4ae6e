//! Files that are no sound model: an error with its place, never a panic.

use wavelane::dtype::DType;
use wavelane::error::{Error, Result};
use wavelane::formats::Gguf;
use wavelane::formats::gguf::Value;
use wavelane::generate::Engine;
use wavelane::models::LanguageModel;
use wavelane::session::Device;
use wavelane::session::pages::CacheShape;

use crate::gguf_writer::GgufWriter;
use crate::tiny::Tiny;

/// Everything that happens to a file before a device sees it.
fn load(bytes: Vec<u8>) -> Result<()> {
    let model = LanguageModel::from_gguf(Gguf::from_bytes(bytes, "test.gguf")?)?;
    model.graph(&CacheShape { slots: 1, context: 64 }, DType::F16)?;
    Engine::new(model, Device::Cpu).map(|_| ())
}

type Tensors = Vec<(String, DType, Vec<usize>)>;

/// A tiny model with its tensors changed.
fn with_tensors(change: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let tiny = Tiny::default();
    let mut tensors = tiny.tensors();
    change(&mut tensors);
    let add = |w: GgufWriter, (name, dtype, shape): (String, DType, Vec<usize>)| {
        let data = tiny.data(1, dtype, &shape);
        w.tensor(&name, dtype, &shape, &data)
    };
    tensors.into_iter().fold(tiny.metadata(), add).finish()
}

/// A tiny model with more metadata.
fn tiny_with(more: impl FnOnce(GgufWriter) -> GgufWriter) -> Vec<u8> {
    let tiny = Tiny::default();
    let add = |w: GgufWriter, (name, dtype, shape): (String, DType, Vec<usize>)| {
        let data = tiny.data(1, dtype, &shape);
        w.tensor(&name, dtype, &shape, &data)
    };
    tiny.tensors().into_iter().fold(more(tiny.metadata()), add).finish()
}

fn refuses(bytes: Vec<u8>, parts: &[&str]) {
    let error = load(bytes).expect_err(&format!("expected an error with {parts:?}"));
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "expected {parts:?} in: {text}");
}

#[test]
fn the_tiny_model_itself_loads() {
    load(Tiny::default().gguf()).unwrap();
}

#[test]
fn truncation_at_every_percent_is_refused() {
    let whole = Tiny::default().gguf();
    for percent in 0..100 {
        let error = load(whole[..whole.len() * percent / 100].to_vec()).expect_err(&format!("{percent} % of the file"));
        assert!(matches!(error, Error::Format { .. }), "{percent} %: {error}");
    }
}

#[test]
fn missing_wrong_and_unknown_tensors_are_named() {
    let named = |name: &'static str| move |t: &(String, DType, Vec<usize>)| t.0 == name;
    let at = |t: &Tensors, name| t.iter().position(named(name)).unwrap();
    for name in ["token_embd.weight", "blk.1.attn_k.weight", "output_norm.weight", "blk.0.ffn_norm.weight"] {
        refuses(with_tensors(|t| drop(t.remove(at(t, name)))), &[name, "missing"]);
    }
    let reshape = |name: &'static str, shape: &[usize]| {
        let shape = shape.to_vec();
        with_tensors(move |t| {
            let i = at(t, name);
            t[i].2 = shape;
        })
    };
    refuses(reshape("blk.0.attn_q.weight", &[96, 64]), &["attn_q", "Rope"].map(|_| "blk.0"));
    refuses(reshape("blk.0.attn_q.weight", &[64, 96]), &["MatMul 'blk.0.attn_q'", "agree in K"]);
    refuses(reshape("blk.1.ffn_up.weight", &[64, 64]), &["blk.1.ffn_act"]);
    refuses(reshape("blk.1.ffn_down.weight", &[32, 96]), &["blk.1.ffn_residual"]);
    refuses(reshape("output_norm.weight", &[32]), &["output_norm"]);
    refuses(reshape("token_embd.weight", &[257, 32]), &["embedding_length"]);
    refuses(reshape("token_embd.weight", &[64]), &["token_embd.weight"]);
    refuses(reshape("blk.0.attn_norm.weight", &[1, 64]), &["attn_norm"]);
    refuses(with_tensors(|t| t.push(("blk.0.attn_q.bias".into(), DType::F32, vec![64]))), &["blk.0.attn_q.bias"]);
    refuses(with_tensors(|t| t.push(("rope_freqs.weight".into(), DType::F32, vec![3]))), &["rope_freqs.weight"]);
}

#[test]
fn impossible_numbers_are_named() {
    let tiny = Tiny::default();
    let model = |change: &dyn Fn(&mut Tiny)| {
        let mut other = tiny.clone();
        change(&mut other);
        // The tensors stay those of a sound model.
        let add = |w: GgufWriter, (name, dtype, shape): (String, DType, Vec<usize>)| {
            let data = tiny.data(1, dtype, &shape);
            w.tensor(&name, dtype, &shape, &data)
        };
        tiny.tensors().into_iter().fold(other.metadata(), add).finish()
    };
    refuses(model(&|t| t.layers = 0), &["llama.block_count"]);
    refuses(model(&|t| t.layers = 4_000_000_000), &["llama.block_count"]);
    refuses(model(&|t| t.layers = 3), &["blk.2", "missing"]);
    refuses(model(&|t| t.layers = 1), &["blk.1", "tensor"]);
    refuses(model(&|t| t.heads = 0), &["llama.attention.head_count"]);
    refuses(model(&|t| t.heads = 3), &["llama.attention"]);
    refuses(model(&|t| t.kv_heads = 0), &["llama.attention.head_count_kv"]);
    refuses(model(&|t| t.kv_heads = 3), &["llama.attention.head_count_kv"]);
    refuses(model(&|t| t.width = 65), &["llama.embedding_length"]);
    refuses(model(&|t| t.heads = 1 << 20), &["llama."]);
    let long = |length: u64| tiny_with(|w| w.value("llama.attention.key_length", &Value::U64(length)));
    refuses(long(1 << 40), &["llama.attention.key_length"]);
    refuses(long(32), &["blk.0"]);
}

#[test]
fn other_architectures_and_bad_keys_are_named() {
    let writer = GgufWriter::new();
    refuses(writer.finish(), &["general.architecture"]);
    refuses(GgufWriter::new().str("general.architecture", "mamba").finish(), &["mamba"]);
    refuses(GgufWriter::new().u32("general.architecture", 3).finish(), &["general.architecture"]);
    let scaled = |kind: &str| tiny_with(|w| w.str("llama.rope.scaling.type", kind).f32("llama.rope.scaling.factor", 0.0));
    refuses(scaled("yarn"), &["yarn"]);
    refuses(scaled("linear"), &["llama.rope.scaling.factor"]);
}
