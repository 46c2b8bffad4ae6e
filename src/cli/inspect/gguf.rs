//! What a GGUF file holds, and the memory that running it takes.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use wavelane::formats::{Gguf, gguf};
use wavelane::generate::Options;
use wavelane::kernel::Caps;
use wavelane::models::{LanguageModel, Outputs};
use wavelane::session::pages::CacheShape;
use wavelane::{DType, Error, Result};

use super::{shorten, size};
use crate::cli::debug::step_plan;
use crate::cli::output::print;

/// Bytes that a run takes on a device.
struct Memory {
    context: usize,
    /// Tokens of the step whose activations are counted.
    step: usize,
    weights: u64,
    cache_f16: u64,
    cache_f32: u64,
    activations: u64,
}

/// Prints what the file at `path` holds, and its memory for a context length.
///
/// # Errors
/// Those of [`Gguf::open`]; [`Error::Request`] for a context that the model does not have.
pub fn show(path: &Path, context: Option<usize>, json: bool) -> Result<()> {
    let file = Gguf::open(path)?;
    let memory = match memory(Gguf::open(path)?, context) {
        Err(e @ Error::Request(_)) => return Err(e),
        other => other,
    };
    if json { print_json(&file, memory) } else { print_text(path, &file, memory) }
}

fn print_text(path: &Path, file: &Gguf, memory: Result<Memory>) -> Result<()> {
    print(format_args!("{} (GGUF version {})\n\nmetadata\n", path.display(), file.version()))?;
    for (key, value) in file.metadata() {
        print(format_args!("  {key} = {}\n", shorten(&value.to_string())))?;
    }
    print("\ntensors\n")?;
    for t in file.tensors() {
        print(format_args!("  {} {} {:?} {}\n", t.name, t.ggml_type.name, t.shape, size(t.bytes as u64)))?;
    }
    print("\nformats\n")?;
    for (name, (count, bytes)) in formats(file) {
        print(format_args!("  {name}: {count} tensors, {}\n", size(bytes)))?;
    }
    match memory {
        Ok(m) => {
            print(format_args!("\nmemory at a context of {}\n  weights {}\n", m.context, size(m.weights)))?;
            print(format_args!("  key-value cache {} in f16, {} in f32\n", size(m.cache_f16), size(m.cache_f32)))?;
            print(format_args!("  activations {} (steps of {} tokens)\n", size(m.activations), m.step))
        }
        Err(e) => print(format_args!("\nthis version cannot run the model: {e}\n")),
    }
}

fn print_json(file: &Gguf, memory: Result<Memory>) -> Result<()> {
    let metadata: Map<String, Value> = file.metadata().iter().map(|(key, value)| (key.clone(), to_json(value))).collect();
    let tensor = |t: &gguf::TensorInfo| json!({ "name": t.name, "format": t.ggml_type.name, "shape": t.shape, "bytes": t.bytes });
    let tensors: Vec<Value> = file.tensors().iter().map(tensor).collect();
    let format = |(name, (count, bytes)): (&str, (usize, u64))| (name.into(), json!({ "tensors": count, "bytes": bytes }));
    let formats: Map<String, Value> = formats(file).into_iter().map(format).collect();
    let memory = match memory {
        Ok(m) => json!({
            "context": m.context, "step": m.step, "weights": m.weights, "cache_f16": m.cache_f16,
            "cache_f32": m.cache_f32, "activations": m.activations,
        }),
        Err(e) => json!({ "error": e.to_string() }),
    };
    let object = json!({
        "version": file.version(), "metadata": metadata, "tensors": tensors, "formats": formats, "memory": memory,
    });
    print(format_args!("{object}\n"))
}

/// Tensors and bytes of each format.
fn formats(file: &Gguf) -> BTreeMap<&'static str, (usize, u64)> {
    let mut formats = BTreeMap::new();
    for t in file.tensors() {
        let entry: &mut (usize, u64) = formats.entry(t.ggml_type.name).or_default();
        *entry = (entry.0 + 1, entry.1 + t.bytes as u64);
    }
    formats
}

/// What a run takes, by compiling its plan for a device whose limits do not matter.
fn memory(file: Gguf, context: Option<usize>) -> Result<Memory> {
    let model = LanguageModel::from_gguf(file)?;
    let options = Options { context, ..Options::default() };
    let cache = CacheShape { slots: 1, context: options.context_of(&model)? };
    let (graph, _) = model.graph(&cache, DType::F16)?;
    let step = options.chunk.min(cache.context.next_power_of_two());
    let roomy = Caps { max_binding: u64::from(u32::MAX), max_buffer: u64::MAX, ..Caps::plain() };
    let plan = step_plan(&graph, step, 1, Outputs::BEST, &roomy)?;
    Ok(Memory {
        context: cache.context,
        step,
        weights: plan.weight_bytes(),
        cache_f16: model.cache_bytes(&cache, DType::F16),
        cache_f32: model.cache_bytes(&cache, DType::F32),
        activations: plan.arena_bytes,
    })
}

/// A metadata value as JSON: scalars and texts as they are, of arrays what they hold and how much.
fn to_json(value: &gguf::Value) -> Value {
    match value {
        gguf::Value::U8(v) => json!(v),
        gguf::Value::I8(v) => json!(v),
        gguf::Value::U16(v) => json!(v),
        gguf::Value::I16(v) => json!(v),
        gguf::Value::U32(v) => json!(v),
        gguf::Value::I32(v) => json!(v),
        gguf::Value::U64(v) => json!(v),
        gguf::Value::I64(v) => json!(v),
        gguf::Value::F32(v) => json!(v),
        gguf::Value::F64(v) => json!(v),
        gguf::Value::Bool(v) => json!(v),
        gguf::Value::String(text) => json!(String::from_utf8_lossy(text)),
        gguf::Value::Array(array) => {
            let (kind, length) = array.kind_and_len();
            json!({ "type": kind, "length": length })
        }
    }
}
