//! Language models as users of llama-bench know it: prompts and generated tokens per second, of several sequences at once.
//!
//! Tokens are without meaning, and each step's are known before, as nothing depends on which tokens they are. A prompt is read in
//! steps of a chunk, sequence after sequence; a generated token of each sequence takes one step of all of them.

use std::sync::Arc;

use web_time::Instant;

use super::{ModelFigure, Part, Progress, TestFigure, tokens};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::profile::ProfileOptions;
use crate::gpu::{Gpu, WeightStore};
use crate::graph::Graph;
use crate::models::{LanguageModel, Outputs};
use crate::plan::Request;
use crate::session::pages::{CacheShape, PagePool};
use crate::session::{Device, GraphSession};
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// What is timed.
#[derive(Clone, Debug, PartialEq)]
pub struct LanguageOptions {
    /// Tokens of a prompt; each number is timed, but for 0.
    pub prompts: Vec<usize>,
    /// Tokens that are generated after one another in an empty cache; each number is timed, but for 0.
    pub generated: Vec<usize>,
    /// Sequences at once; each number is timed.
    pub batches: Vec<usize>,
    /// Timed runs of each, after one that warms up.
    pub repeats: usize,
    /// Most prompt tokens of one step.
    pub chunk: usize,
    /// Element type of the key-value cache.
    pub cache: DType,
}

impl Default for LanguageOptions {
    fn default() -> Self {
        LanguageOptions { prompts: vec![512], generated: vec![128], batches: vec![1], repeats: 5, chunk: 256, cache: DType::F16 }
    }
}

/// Several sequences of one model that go in step.
struct Sequences<'a> {
    session: GraphSession,
    options: &'a LanguageOptions,
    shape: CacheShape,
    vocabulary: usize,
}

/// Tokens of one step: their slots and positions.
type Places = Vec<(u32, u32)>;

impl Sequences<'_> {
    /// The request of a step and its inputs; it yields `outputs` of each of `rows`.
    fn step(&self, places: &Places, rows: Vec<u32>, outputs: &[usize]) -> Result<(Request, Vec<Tensor>)> {
        let mut pool = PagePool::new(self.shape);
        for slot in 0..self.shape.slots {
            pool.reserve(slot, self.shape.context)?;
        }
        let (t, r) = (places.len(), rows.len());
        let list = |of: fn(&(u32, u32)) -> u32| Tensor::u32(&[t], places.iter().map(of).collect());
        let request = Request { symbols: Symbols::from([("T".into(), t), ("R".into(), r)]), outputs: outputs.to_vec() };
        let inputs = vec![
            Tensor::u32(&[t], tokens(t, self.vocabulary))?,
            list(|place| place.0)?,
            list(|place| place.1)?,
            Tensor::u32(&[self.shape.slots, self.shape.blocks()], pool.table())?,
            Tensor::u32(&[r], rows)?,
            Tensor::u32(&[r], vec![0; r])?,
        ];
        Ok((request, inputs))
    }

    /// The steps of prompts of `n` tokens, one sequence after another; only the last of each yields a token.
    fn prompts(&self, n: usize) -> Result<Vec<(Request, Vec<Tensor>)>> {
        let mut steps = Vec::new();
        for slot in 0..self.shape.slots as u32 {
            for start in (0..n).step_by(self.options.chunk) {
                let end = (start + self.options.chunk).min(n);
                let places = (start as u32..end as u32).map(|position| (slot, position)).collect();
                let outputs: &[usize] = if end == n { &[Outputs::BEST] } else { &[] };
                steps.push(self.step(&places, vec![(end - start - 1) as u32], outputs)?);
            }
        }
        Ok(steps)
    }

    /// The steps that generate `n` tokens, in an empty cache: a token of every sequence each.
    fn generation(&self, n: usize) -> Result<Vec<(Request, Vec<Tensor>)>> {
        let slots = self.shape.slots as u32;
        let places = |position| (0..slots).map(|slot| (slot, position as u32)).collect();
        let step = |position| self.step(&places(position), (0..slots).collect(), &[Outputs::BEST]);
        (0..n).map(step).collect()
    }

    /// Seconds of the steps, one after another.
    fn time(&mut self, steps: &[(Request, Vec<Tensor>)]) -> Result<f64> {
        let steps = steps.to_vec();
        let began = Instant::now();
        for (request, inputs) in steps {
            self.session.run(&request, inputs)?;
        }
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Measures a language model. Its parts are the last step of the first prompt and the last decode step of the first text.
///
/// # Errors
/// [`Error::Request`] for lengths that the model was not trained for; those of building, planning and running.
pub fn measure(
    gpu: &Gpu,
    name: &str,
    model: &LanguageModel,
    options: &LanguageOptions,
    progress: Progress<'_>,
) -> Result<ModelFigure> {
    let timed = |lengths: &[usize]| lengths.iter().copied().filter(|n| *n > 0).collect::<Vec<_>>();
    let (prompts, generated) = (timed(&options.prompts), timed(&options.generated));
    let context = prompts.iter().chain(&generated).copied().max().unwrap_or(0);
    if context == 0 || context > model.context() {
        let most = model.context();
        return Err(Error::Request(format!("{context} tokens: the model was trained for 1 to {most}")));
    }
    if options.batches.contains(&0) || options.chunk == 0 {
        return Err(Error::Request("batches and chunks hold at least one".into()));
    }
    gpu.forget_peak();
    let weights = WeightStore::new(gpu);
    let all = options.batches.len() * (prompts.len() + generated.len()) * (options.repeats + 1) + 1;
    let mut done = 0;
    let (mut tests, mut parts, mut profiled) = (Vec::new(), Vec::new(), Vec::new());
    for batch in &options.batches {
        let shape = CacheShape { slots: *batch, context };
        let (graph, _): (Graph, _) = model.graph(&shape, options.cache)?;
        let session = GraphSession::new(&Device::Gpu(gpu.clone()), Arc::new(graph), Some(weights.clone()))?;
        let mut sequences = Sequences { session, options, shape, vocabulary: model.vocabulary() };
        let times = if *batch == 1 { String::new() } else { format!(" x{batch}") };
        let lengths = prompts.iter().map(|n| ("pp", *n)).chain(generated.iter().map(|n| ("tg", *n)));
        for (kind, n) in lengths {
            let steps = if kind == "pp" { sequences.prompts(n)? } else { sequences.generation(n)? };
            let mut samples = Vec::new();
            for repeat in 0..=options.repeats {
                progress(done, all);
                done += 1;
                let seconds = sequences.time(&steps)?;
                // The first makes pipelines and uploads weights.
                if repeat > 0 {
                    samples.push((n * batch) as f64 / seconds);
                }
            }
            tests.push(TestFigure::new(format!("{kind}{n}{times}"), "tok/s", samples));
            let Some((request, inputs)) = steps.last().filter(|_| !profiled.contains(&kind)) else { continue };
            profiled.push(kind);
            let options = ProfileOptions { runs: options.repeats.clamp(1, 5), method: None };
            let (_, profile) = sequences.session.profile(request, inputs.clone(), options)?;
            let t = inputs.first().map_or(0, Tensor::len);
            let what = if kind == "pp" { format!("prompt step of {t} tokens") } else { "decode step".into() };
            parts.push(Part { name: format!("{what}, {kind}{n}{times}"), profile });
        }
    }
    progress(all, all);
    let tensors = model.file().tensors();
    Ok(ModelFigure {
        model: name.to_owned(),
        weight_bytes: tensors.iter().map(|t| t.bytes as u64).sum(),
        parameters: Some(tensors.iter().map(|t| t.shape.iter().product::<usize>() as u64).sum()),
        memory: Some(gpu.memory().peak),
        tests,
        parts,
    })
}
