//! Generating text: prompt, then token after token, as an iterator that can be dropped at any time.

use web_time::{Duration, Instant};

use super::sampling::{Sampler, Sampling};
use super::sequence::{Sequence, Wanted};
use super::stop::{StopRules, StopScanner};
use super::template::Message;
use crate::error::{Error, Result};
use crate::models::Outputs;
use crate::tensor::Tensor;
use crate::tokenizer::{Special, Stream};

/// What a text begins with.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// Plain text, continued as it stands.
    Text(String),
    /// A conversation, through the model's chat template; the answer follows.
    Chat(Vec<Message>),
    /// Token ids.
    Ids(Vec<u32>),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Prompt::Text(text.into())
    }
}

/// How a text is to go on.
#[derive(Clone, Debug)]
pub struct Request {
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// How each token is chosen.
    pub sampling: Sampling,
    /// What ends the text besides the model's own end tokens.
    pub stop: StopRules,
}

impl Default for Request {
    fn default() -> Self {
        Request { max_tokens: 256, sampling: Sampling::default(), stop: StopRules::default() }
    }
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop token or stop string came.
    Stop,
    /// As many tokens as were asked for.
    Length,
    /// The context is full.
    Context,
}

/// Part of a generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The token; none for text that was held back until the end.
    pub id: Option<u32>,
    /// What can be shown now: whole characters, possibly none.
    pub text: String,
}

/// What a generation took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were run, not found in the cache.
    pub prefill_tokens: usize,
    /// Time until the first token was chosen.
    pub prefill: Duration,
    /// Tokens chosen after the first.
    pub decode_tokens: usize,
    /// Time that those took.
    pub decode: Duration,
}

impl Statistics {
    /// Prompt tokens per second.
    pub fn prefill_rate(&self) -> f64 {
        rate(self.prefill_tokens, self.prefill)
    }

    /// Generated tokens per second, without the first.
    pub fn decode_rate(&self) -> f64 {
        rate(self.decode_tokens, self.decode)
    }
}

fn rate(n: usize, time: Duration) -> f64 {
    if n == 0 { 0.0 } else { n as f64 / time.as_secs_f64().max(1e-9) }
}

/// A text being generated: an iterator of its pieces. Dropping it stops; what was generated stays in the sequence.
pub struct Generation<'a> {
    sequence: &'a mut Sequence,
    sampler: Sampler,
    stop: StopRules,
    scanner: StopScanner,
    stream: Stream,
    /// Prompt and text so far.
    ids: Vec<u32>,
    left: usize,
    finish: Option<FinishReason>,
    statistics: Statistics,
    flushed: bool,
    /// Whether a step failed, and so nothing more comes.
    failed: bool,
}

impl Sequence {
    /// Generates text after `prompt`. What the cache holds of the prompt already is not run again, so that a growing
    /// conversation costs only its new part.
    ///
    /// # Errors
    /// [`Error::Request`] for a prompt that is empty, too long or refused by the template, and for options out of range.
    pub fn generate(&mut self, prompt: impl Into<Prompt>, request: &Request) -> Result<Generation<'_>> {
        let ids = match prompt.into() {
            Prompt::Ids(ids) => ids,
            Prompt::Text(text) => self.engine().tokenizer().encode(&text, Special::TEXT)?,
            Prompt::Chat(messages) => self.engine().chat_prompt(&messages)?,
        };
        if ids.is_empty() {
            return Err(Error::Request("the prompt has no tokens".into()));
        }
        self.fits(ids.len())?;
        let mut sampler = Sampler::new(request.sampling.clone())?;
        ids.iter().for_each(|id| sampler.accept(*id));
        let statistics = Statistics { prompt_tokens: ids.len(), ..Default::default() };
        Ok(Generation {
            stream: self.engine().tokenizer().stream(),
            scanner: request.stop.scanner()?,
            sequence: self,
            sampler,
            stop: request.stop.clone(),
            ids,
            left: request.max_tokens,
            finish: None,
            statistics,
            flushed: false,
            failed: false,
        })
    }
}

impl Generation<'_> {
    /// Why the text ended, once it has.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// What it took so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Prompt and text so far, as token ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Runs one step of the prompt ahead of the first piece, so that a caller can show progress or give up in between.
    /// Returns how many tokens of the prompt are cached now; none when only the step that chooses the first token is left.
    ///
    /// # Errors
    /// [`Error::Request`] for ids outside the vocabulary, [`Error::Device`] when the device fails.
    pub fn prefill_step(&mut self) -> Result<Option<usize>> {
        let cached = self.cached();
        let left = self.ids.len() - cached;
        let size = self.sequence.step_size(left);
        if size >= left {
            return Ok(None);
        }
        let (started, end) = (Instant::now(), cached + size);
        self.sequence.truncate(cached);
        self.sequence.step(&self.ids[cached..end], size, Wanted::Nothing)?;
        self.statistics.prefill_tokens += size;
        self.statistics.prefill += started.elapsed();
        Ok(Some(end))
    }

    /// Tokens of prompt and text that need not be run again; the last one always is, for its outputs.
    fn cached(&self) -> usize {
        let common = self.sequence.tokens().iter().zip(&self.ids).take_while(|(a, b)| a == b).count();
        common.min(self.ids.len() - 1)
    }

    /// The outputs to ask for, and whether they are candidates to sample from.
    fn outputs(&self) -> (Vec<usize>, bool) {
        let vocabulary = self.sequence.engine().model().vocabulary();
        match self.sampler.candidates(vocabulary) {
            1 => (vec![Outputs::BEST, Outputs::BEST_LOGIT], false),
            k => match Outputs::top_k(k, vocabulary) {
                Some(places) => (places.to_vec(), true),
                None => (vec![Outputs::LOGITS], true),
            },
        }
    }

    /// Runs what is not cached yet and chooses the next token.
    fn choose(&mut self) -> Result<u32> {
        let started = Instant::now();
        let generated = self.statistics.decode_tokens > 0 || self.ids.len() > self.statistics.prompt_tokens;
        let cached = self.cached();
        let (outputs, sample) = self.outputs();
        let results = match sample {
            true => self.sequence.extend_to(&self.ids, &outputs)?,
            false => self.sequence.extend_ahead(&self.ids, self.left > 1)?,
        };
        let id = if sample { self.sampler.sample(&mut candidates(&results)?)? } else { best(&results)? };
        let statistics = &mut self.statistics;
        if generated {
            statistics.decode_tokens += 1;
            statistics.decode += started.elapsed();
        } else {
            statistics.prefill_tokens += self.ids.len() - cached;
            statistics.prefill += started.elapsed();
        }
        Ok(id)
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        if self.failed {
            return Ok(None);
        }
        if self.finish.is_some() {
            return Ok(self.flush());
        }
        if self.left == 0 || self.ids.len() >= self.sequence.context() {
            self.finish = Some(if self.left == 0 { FinishReason::Length } else { FinishReason::Context });
            return Ok(self.flush());
        }
        let id = self.choose()?;
        self.left -= 1;
        if self.sequence.engine().tokenizer().is_end(id) || self.stop.stops_at(id) {
            self.finish = Some(FinishReason::Stop);
            return Ok(self.flush());
        }
        self.sampler.accept(id);
        self.ids.push(id);
        let text = self.scanner.push(&self.stream.push(id));
        if self.scanner.stopped().is_some() {
            self.finish = Some(FinishReason::Stop);
            self.flushed = true;
        }
        Ok(Some(Piece { id: Some(id), text }))
    }

    /// Text that was held back, once.
    fn flush(&mut self) -> Option<Piece> {
        if std::mem::replace(&mut self.flushed, true) {
            return None;
        }
        let stream = std::mem::replace(&mut self.stream, self.sequence.engine().tokenizer().stream());
        let mut text = self.scanner.push(&stream.finish());
        if self.scanner.stopped().is_none() {
            text += &self.scanner.clone().finish();
        }
        (!text.is_empty()).then_some(Piece { id: None, text })
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.next_piece();
        self.failed |= piece.is_err();
        piece.transpose()
    }
}

/// The best token of one row.
fn best(results: &[Tensor]) -> Result<u32> {
    match results {
        [ids, logits] if logits.as_f32()?.iter().all(|v| v.is_finite()) => Ok(ids.as_u32()?[0]),
        _ => Err(Error::Request("the model's logits are no finite numbers".into())),
    }
}

/// The candidates of one row: values and ids, or a whole row of logits.
fn candidates(results: &[Tensor]) -> Result<Vec<(u32, f32)>> {
    match results {
        [logits] => Ok((0..).zip(logits.as_f32()?.iter().copied()).collect()),
        [values, ids] => Ok(ids.as_u32()?.iter().copied().zip(values.as_f32()?.iter().copied()).collect()),
        _ => Err(Error::invalid("generation", format!("a step yielded {} results", results.len()))),
    }
}
