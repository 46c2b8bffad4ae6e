//! One text under way: the tokens whose keys and values are cached, and the steps that extend them.

use std::sync::Arc;

use super::engine::{Engine, Options};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Progress;
use crate::gpu::check::Checked;
use crate::gpu::profile::{Profile, ProfileOptions};
use crate::models::Outputs;
use crate::ops::cache_write::NO_SLOT;
use crate::plan::passes::set_precision;
use crate::plan::{Plan, Request};
use crate::session::pages::{CacheShape, PagePool};
use crate::session::{Device, GraphSession};
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// The slot of the only sequence of a session.
const SLOT: usize = 0;
/// The place of a step's tokens among its inputs.
const TOKENS: usize = 0;

/// Told every comparison of a checked step.
type Observer = Box<dyn FnMut(&Checked) + Send>;

/// One text under way.
pub struct Sequence {
    engine: Engine,
    session: GraphSession,
    graph: Arc<crate::graph::Graph>,
    /// What each pass changed in the graph.
    passes: Vec<(&'static str, usize)>,
    cache: CacheShape,
    pool: PagePool,
    /// The tokens whose keys and values are in the cache.
    tokens: Vec<u32>,
    chunk: usize,
    /// Where steps are checked: told every comparison.
    observer: Option<Observer>,
    /// The best token of the last step, where the step that takes it is under way already.
    ahead: Option<u32>,
}

/// What a step is to yield.
#[derive(Clone, Debug)]
pub(super) enum Wanted<'a> {
    /// Nothing but the growth of the cache.
    Nothing,
    /// These outputs of the last token.
    Last(&'a [usize]),
    /// These outputs of every token, with the target of each.
    All(&'a [usize], &'a [u32]),
}

impl Sequence {
    pub(super) fn new(
        engine: Engine,
        cache: CacheShape,
        dtype: DType,
        options: &Options,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let (graph, passes) = engine.device().planning(|| {
            let (mut graph, mut passes) = engine.model().graph(&cache, dtype)?;
            passes.push(("set-precision", set_precision(&mut graph, options.precision)?));
            Ok::<_, Error>((graph, passes))
        })?;
        let graph = Arc::new(graph);
        let mut session = GraphSession::new(engine.device(), graph.clone(), engine.weights().cloned())?;
        session.prepare(&request(1, 1, &[Outputs::BEST]), progress)?;
        let pool = PagePool::new(cache);
        let chunk = options.chunk;
        Ok(Sequence { engine, session, graph, passes, cache, pool, tokens: Vec::new(), chunk, observer: None, ahead: None })
    }

    /// The model on its device.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Most tokens, prompt included.
    pub fn context(&self) -> usize {
        self.cache.context
    }

    /// The tokens whose keys and values are cached.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes of activations and cache on the device.
    pub fn bytes(&self) -> u64 {
        self.session.bytes()
    }

    /// The optimised graph of a step, and what each pass changed.
    pub fn graph(&self) -> (&crate::graph::Graph, &[(&'static str, usize)]) {
        (&self.graph, &self.passes)
    }

    /// The plan of a step of `tokens` tokens that yields the best next token; none on the CPU.
    ///
    /// # Errors
    /// As [`GraphSession::prepare`].
    pub fn plan(&mut self, tokens: usize) -> Result<Option<Arc<Plan>>> {
        self.session.prepare(&request(tokens, 1, &[Outputs::BEST]), &mut |_, _| {})
    }

    /// From now on runs every step beside the CPU reference and tells `seen` each comparison; the first that differs is an
    /// [`Error::Check`].
    pub fn check(&mut self, seen: impl FnMut(&Checked) + Send + 'static) {
        self.observer = Some(Box::new(seen));
    }

    /// Forgets everything from position `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.ahead = self.ahead.filter(|_| length >= self.tokens.len());
        self.tokens.truncate(length);
        self.pool.truncate(SLOT, self.tokens.len());
    }

    /// Brings the cache to hold all of `ids`: keeps the beginning that it has in common with them, forgets the rest and
    /// runs what is missing, always at least the last token, whose outputs are returned.
    pub(super) fn extend_to(&mut self, ids: &[u32], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let common = self.tokens.iter().zip(ids).take_while(|(a, b)| a == b).count();
        let Some(last) = ids.len().checked_sub(1) else { return Err(Error::Request("the prompt has no tokens".into())) };
        self.fits(ids.len())?;
        self.truncate(common.min(last));
        loop {
            let left = &ids[self.tokens.len()..];
            let size = self.step_size(left.len());
            if size >= left.len() {
                return self.step(left, size, Wanted::Last(outputs));
            }
            self.step(&left[..size], size, Wanted::Nothing)?;
        }
    }

    /// Like [`Sequence::extend_to`] for the best token and its logit, where `ids` only adds one to the cache. With `more`, the step
    /// after it is begun as well, with that best token, so that the device need not wait for the host.
    pub(super) fn extend_ahead(&mut self, ids: &[u32], more: bool) -> Result<Vec<Tensor>> {
        let outputs = &[Outputs::BEST, Outputs::BEST_LOGIT];
        let next = self.tokens.len();
        let follows = ids.len() == next + 1 && ids[..next] == self.tokens[..];
        if !follows || self.observer.is_some() || matches!(self.engine.device(), Device::Cpu) {
            self.ahead = None;
            return self.extend_to(ids, outputs);
        }
        self.knows(&ids[next..])?;
        self.fits(ids.len())?;
        let request = request(1, 1, outputs);
        if self.ahead.take() != Some(ids[next]) {
            let inputs = self.inputs(&ids[next..], next, 1, vec![0], vec![0])?;
            // What was begun ahead of another text is waited for, not wanted.
            self.session.prepare(&request, &mut |_, _| {})?;
            self.session.start(&request, &inputs, None)?;
        }
        let more = more && ids.len() < self.cache.context;
        if more {
            let inputs = self.inputs(&[0], ids.len(), 1, vec![0], vec![0])?;
            self.session.start(&request, &inputs, Some((TOKENS, 0)))?;
        }
        let results = self.session.finish()?;
        self.tokens.push(ids[next]);
        self.ahead = if more { results.first().map(|best| Ok(best.as_u32()?[0])).transpose()? } else { None };
        Ok(results)
    }

    /// The inputs of a step of `size` tokens, of which `ids` are the first, from position `start` on.
    fn inputs(&mut self, ids: &[u32], start: usize, size: usize, rows: Vec<u32>, targets: Vec<u32>) -> Result<Vec<Tensor>> {
        self.pool.reserve(SLOT, start + ids.len())?;
        let padded = |mut used: Vec<u32>, fill: u32| {
            used.resize(size, fill);
            Tensor::u32(&[size], used)
        };
        Ok(vec![
            padded(ids.to_vec(), 0)?,
            padded(vec![SLOT as u32; ids.len()], NO_SLOT)?,
            padded((start as u32..).take(ids.len()).collect(), 0)?,
            Tensor::u32(&[self.cache.slots, self.cache.blocks()], self.pool.table())?,
            Tensor::u32(&[rows.len()], rows)?,
            Tensor::u32(&[targets.len()], targets)?,
        ])
    }

    /// Refuses ids that are no tokens of the model.
    pub(super) fn knows(&self, ids: &[u32]) -> Result<()> {
        let vocabulary = self.engine.model().vocabulary();
        match ids.iter().find(|id| **id as usize >= vocabulary) {
            Some(id) => Err(Error::Request(format!("token {id} is not in the vocabulary of {vocabulary}"))),
            None => Ok(()),
        }
    }

    /// Refuses a length beyond the context.
    pub(super) fn fits(&self, length: usize) -> Result<()> {
        let context = self.cache.context;
        if length <= context {
            return Ok(());
        }
        Err(Error::Request(format!(
            "{length} tokens do not fit the context of {context} (up to {} for this model)",
            self.engine.model().context()
        )))
    }

    /// Tokens of the next step where `left` are to come: the smallest power of two that holds them unless over a quarter of
    /// it would be idle, and at most a chunk.
    pub fn step_size(&self, left: usize) -> usize {
        let whole = left.next_power_of_two();
        let size = if whole - left > whole / 4 { whole / 2 } else { whole };
        size.min(self.chunk)
    }

    /// What a step of `size` tokens that runs `ids` at the end of the sequence asks for, and its inputs.
    fn step_inputs(&mut self, ids: &[u32], size: usize, wanted: Wanted<'_>) -> Result<(Request, Vec<Tensor>)> {
        let start = self.tokens.len();
        self.knows(ids)?;
        self.fits(start + ids.len())?;
        let last = ids.len() as u32 - 1;
        let (outputs, rows, targets) = match wanted {
            Wanted::Nothing => (&[][..], vec![last], vec![0]),
            Wanted::Last(outputs) => (outputs, vec![last], vec![0]),
            Wanted::All(outputs, targets) => {
                let rows = (0..size as u32).map(|i| i.min(last)).collect();
                let targets = targets.iter().copied().chain(std::iter::repeat(0)).take(size).collect();
                (outputs, rows, targets)
            }
        };
        let request = request(size, rows.len(), outputs);
        let inputs = self.inputs(ids, start, size, rows, targets)?;
        self.ahead = None;
        Ok((request, inputs))
    }

    /// Runs `ids` at the end of the sequence in one step that yields the best next token, several times, and times every dispatch.
    ///
    /// # Errors
    /// [`Error::Request`] for no tokens, more than a step takes, tokens that the model does not have or beyond the context; those of
    /// [`GraphSession::profile`].
    pub fn profile(&mut self, ids: &[u32], options: ProfileOptions) -> Result<Profile> {
        let size = ids.len().next_power_of_two();
        if ids.is_empty() || size > self.chunk {
            return Err(Error::Request(format!("a step of {} tokens; steps take 1 to {}", ids.len(), self.chunk)));
        }
        let (request, inputs) = self.step_inputs(ids, size, Wanted::Last(&[Outputs::BEST]))?;
        let (_, profile) = self.session.profile(&request, inputs, options)?;
        self.tokens.extend_from_slice(ids);
        Ok(profile)
    }

    /// Brings the cache to hold all of `ids`: keeps the beginning that it has in common with them and runs what is missing, without
    /// any results.
    ///
    /// # Errors
    /// [`Error::Request`] for tokens that the model does not have or beyond the context; [`Error::Device`].
    pub fn fill(&mut self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            self.truncate(0);
            return Ok(());
        }
        self.extend_to(ids, &[]).map(|_| ())
    }

    /// Runs `ids` at the end of the sequence in a step of `size` tokens, and returns what is wanted.
    pub(super) fn step(&mut self, ids: &[u32], size: usize, wanted: Wanted<'_>) -> Result<Vec<Tensor>> {
        let (request, inputs) = self.step_inputs(ids, size, wanted)?;
        let results = match &mut self.observer {
            Some(observer) => self.session.check(&request, inputs, observer)?,
            None => self.session.run(&request, inputs)?,
        };
        self.tokens.extend_from_slice(ids);
        Ok(results)
    }

    /// Most rows whose logits fit one binding of the device.
    pub(super) fn most_rows(&self) -> usize {
        let row = self.engine.model().vocabulary() as u64 * 4;
        match self.engine.device() {
            Device::Cpu => usize::MAX,
            Device::Gpu(gpu) => (gpu.info().caps.max_binding / row).max(1) as usize,
        }
    }

    /// Tokens of a whole step.
    pub(super) fn chunk(&self) -> usize {
        self.chunk
    }
}

/// A step of `t` tokens that yields `outputs` for `r` of them.
fn request(t: usize, r: usize, outputs: &[usize]) -> Request {
    Request { symbols: Symbols::from([("T".into(), t), ("R".into(), r)]), outputs: outputs.to_vec() }
}
