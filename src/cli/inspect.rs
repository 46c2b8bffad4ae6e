//! `wavelane inspect`: what a model file holds and what running it takes. Needs no device.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wavelane::formats::Gguf;
use wavelane::formats::gguf;
use wavelane::kernel::Caps;
use wavelane::models::{LanguageModel, Outputs};
use wavelane::plan::{self, Place, Request, passes};
use wavelane::quant::Format;
use wavelane::session::pages::CacheShape;
use wavelane::shape::Symbols;
use wavelane::{DType, Result};

use super::End;
use super::output::print;

/// Tokens of the step whose activations are counted.
const STEP: usize = 256;

/// Arguments of `inspect`.
#[derive(Args)]
pub struct Inspect {
    /// A GGUF file.
    model: PathBuf,
    /// The context length for which memory is counted [default: 4096, or the model's where that is shorter].
    #[arg(long, value_name = "N")]
    ctx: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Bytes that a run takes on a device.
struct Memory {
    context: usize,
    weights: u64,
    cache_f16: u64,
    cache_f32: u64,
    activations: u64,
}

impl Inspect {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let file = Gguf::open(&self.model)?;
        let memory = memory(&self.model, self.ctx);
        if self.json { self.print_json(&file, memory) } else { self.print_text(&file, memory) }.map(|()| End::Done)
    }

    fn print_text(&self, file: &Gguf, memory: Result<Memory>) -> Result<()> {
        print(format_args!("{} (GGUF version {})\n\nmetadata\n", self.model.display(), file.version()))?;
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
            Ok(m) => print(format_args!(
                "\nmemory at a context of {}\n  weights {}\n  key-value cache {} in f16, {} in f32\n  activations {} (steps of {STEP} tokens)\n",
                m.context,
                size(m.weights),
                size(m.cache_f16),
                size(m.cache_f32),
                size(m.activations)
            )),
            Err(e) => print(format_args!("\nthis version cannot run the model: {e}\n")),
        }
    }

    fn print_json(&self, file: &Gguf, memory: Result<Memory>) -> Result<()> {
        let metadata: serde_json::Map<String, Value> =
            file.metadata().iter().map(|(key, value)| (key.clone(), shorten(&value.to_string()).into())).collect();
        let tensor =
            |t: &gguf::TensorInfo| json!({ "name": t.name, "format": t.ggml_type.name, "shape": t.shape, "bytes": t.bytes });
        let tensors: Vec<Value> = file.tensors().iter().map(tensor).collect();
        let formats: serde_json::Map<String, Value> = formats(file)
            .into_iter()
            .map(|(name, (count, bytes))| (name.into(), json!({ "tensors": count, "bytes": bytes })))
            .collect();
        let memory = match memory {
            Ok(m) => json!({
                "context": m.context, "weights": m.weights, "cache_f16": m.cache_f16, "cache_f32": m.cache_f32, "activations": m.activations,
            }),
            Err(e) => json!({ "error": e.to_string() }),
        };
        let object = json!({
            "version": file.version(), "metadata": metadata, "tensors": tensors, "formats": formats, "memory": memory,
        });
        print(format_args!("{object}\n"))
    }
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

/// What a run takes, by compiling its plan for the least that any device offers.
fn memory(path: &std::path::Path, context: Option<usize>) -> Result<Memory> {
    let model = LanguageModel::open(path)?;
    let context = context.unwrap_or(model.context().min(4096));
    let cache = CacheShape { slots: 1, context };
    let (graph, _) = model.graph(&cache, DType::F16)?;
    let outputs = vec![Outputs::BEST];
    let request = Request { symbols: Symbols::from([("T".into(), STEP.min(context)), ("R".into(), 1)]), outputs };
    let graph = passes::restrict(&graph, &request.outputs)?;
    // States are held to the device's limits when they are made; here only their size matters.
    let caps = Caps { max_buffer: u64::MAX, ..Caps::plain() };
    let plan = plan::compile(&graph, &request.symbols, &caps)?;
    let weights = plan.values.iter().map(|value| match &value.place {
        Place::Weight { chunks, dense } => {
            let columns = value.shape.last().copied().unwrap_or(1);
            let planes =
                |rows: usize| Format::of(value.dtype).map_or(0, |f| f.plane_bytes(rows, columns).iter().sum::<usize>() as u64);
            let dense = if *dense { value.shape.iter().product::<usize>() as u64 * 4 } else { 0 };
            chunks.iter().map(|rows| planes(rows.len())).sum::<u64>() + dense
        }
        _ => 0,
    });
    Ok(Memory {
        context,
        weights: weights.sum(),
        cache_f16: model.cache_bytes(&cache, DType::F16),
        cache_f32: model.cache_bytes(&cache, DType::F32),
        activations: plan.arena_bytes,
    })
}

fn shorten(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
    .replace('\n', "\\n")
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
