//! Choosing the next token from a row of logits.

mod filters;
mod random;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::filters::best_first;
use self::random::Pcg32;
use crate::error::{Error, Result};

/// How the next token is chosen. The chain runs in llama.cpp's order: penalties, `top_k`, `typical_p`, `top_p`, `min_p`,
/// `temperature`, and then a draw; the defaults are llama.cpp's too.
///
/// Every filter keeps at least one token. Deserialised, a missing field takes its default and an unknown one is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits before the draw. 0 takes the best token after penalties: no filter and no draw. Default 0.8.
    pub temperature: f32,
    /// Keeps the k best tokens; 0 keeps all. Default 40.
    pub top_k: usize,
    /// Keeps the fewest best tokens whose probabilities sum to at least this; 1 keeps all. Default 0.95.
    pub top_p: f32,
    /// Keeps tokens at least this many times as probable as the best; 0 keeps all. Default 0.05.
    pub min_p: f32,
    /// Keeps the tokens of most typical surprise, up to this much probability; 1 keeps all. Default 1.
    pub typical_p: f32,
    /// Divides positive and multiplies negative logits of tokens in the window; 1 changes nothing. Default 1.
    pub repetition_penalty: f32,
    /// Subtracted from a logit once per occurrence in the window. Default 0.
    pub frequency_penalty: f32,
    /// Subtracted from the logit of a token that is in the window. Default 0.
    pub presence_penalty: f32,
    /// How many of the last accepted tokens the penalties look at; 0 turns them off. Default 64.
    pub penalty_window: usize,
    /// Seed of the draws. The default, 0, is as fixed as any other.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            penalty_window: 64,
            seed: 0,
        }
    }
}

impl Sampling {
    /// Always the best token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Self::default() }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first field that is out of range, and the range.
    pub fn validate(&self) -> Result<()> {
        let open_unit = |x: f32| x > 0.0 && x <= 1.0;
        let rules = [
            ("temperature", self.temperature, self.temperature >= 0.0 && self.temperature.is_finite(), "0 or more"),
            ("top_p", self.top_p, open_unit(self.top_p), "above 0 and at most 1"),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "from 0 to 1"),
            ("typical_p", self.typical_p, open_unit(self.typical_p), "above 0 and at most 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                (0.01..=100.0).contains(&self.repetition_penalty),
                "from 0.01 to 100",
            ),
            ("frequency_penalty", self.frequency_penalty, (-2.0..=2.0).contains(&self.frequency_penalty), "from -2 to 2"),
            ("presence_penalty", self.presence_penalty, (-2.0..=2.0).contains(&self.presence_penalty), "from -2 to 2"),
        ];
        match rules.iter().find(|rule| !rule.2) {
            Some((field, value, _, range)) => Err(Error::Request(format!("{field} is {value}, but must be {range}"))),
            None => Ok(()),
        }
    }

    fn penalizes(&self) -> bool {
        self.penalty_window > 0
            && (self.repetition_penalty != 1.0 || self.frequency_penalty != 0.0 || self.presence_penalty != 0.0)
    }

    fn only_lowers(&self) -> bool {
        self.repetition_penalty >= 1.0 && self.frequency_penalty >= 0.0 && self.presence_penalty >= 0.0
    }
}

/// A [`Sampling`] at work on one sequence: its random state and the tokens that the penalties look back on.
///
/// Filters and draws use f64 probabilities, summed from the most probable token down. A seed therefore gives the same
/// tokens everywhere as long as the logits are the same, but for the last bit of the platform's `exp`.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: Pcg32,
    /// The last accepted tokens, oldest first, at most `penalty_window`; empty where nothing is penalised.
    window: VecDeque<u32>,
    /// How often each token occurs in `window`.
    counts: HashMap<u32, u32>,
}

impl Sampler {
    /// A sampler with an empty history.
    ///
    /// # Errors
    /// As [`Sampling::validate`].
    pub fn new(sampling: Sampling) -> Result<Self> {
        sampling.validate()?;
        let random = Pcg32::new(sampling.seed, 0);
        Ok(Self { sampling, random, window: VecDeque::new(), counts: HashMap::new() })
    }

    /// The settings that this sampler follows.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// How many of the best logits [`Sampler::sample`] must see so that its choice is that over the whole row of `vocab`.
    ///
    /// The wanted tokens (1 when greedy, else `top_k`) plus, with penalties, one for each token that the window may push
    /// out; rounded up to a power of two, so that devices meet few sizes, and at most `vocab`. It is `vocab` when `top_k` is
    /// 0 or a penalty may raise a logit. "Best" means by descending logit and, among equals, by ascending id.
    pub fn candidates(&self, vocab: usize) -> usize {
        let wanted = if self.sampling.temperature == 0.0 { 1 } else { self.sampling.top_k };
        let displaced = match (self.sampling.penalizes(), self.sampling.only_lowers()) {
            (false, _) => 0,
            (true, true) => self.sampling.penalty_window,
            (true, false) => return vocab,
        };
        if wanted == 0 {
            return vocab;
        }
        wanted.saturating_add(displaced).checked_next_power_of_two().map_or(vocab, |n| n.min(vocab))
    }

    /// Chooses a token from `(id, logit)` pairs in any order; the ids must differ. A logit of -infinity bars its token.
    ///
    /// `candidates` is scratch space afterwards. A draw takes one number from the generator, a greedy choice none. The
    /// choice is not recorded: call [`Sampler::accept`].
    ///
    /// # Errors
    /// [`Error::Request`] when there is no candidate that could be chosen, or a logit is NaN or +infinity (named).
    pub fn sample(&mut self, candidates: &mut Vec<(u32, f32)>) -> Result<u32> {
        if let Some((id, logit)) = candidates.iter().find(|c| c.1.is_nan() || c.1 == f32::INFINITY) {
            return Err(Error::Request(format!("cannot sample: the logit of token {id} is {logit}")));
        }
        let s = &self.sampling;
        filters::penalize(candidates, &self.counts, s.repetition_penalty, s.frequency_penalty, s.presence_penalty);
        candidates.retain(|c| c.1 != f32::NEG_INFINITY);
        let Some(&(best, _)) = candidates.iter().min_by(|a, b| best_first(a, b)) else {
            return Err(Error::Request("cannot sample: no token has a finite logit".into()));
        };
        if s.temperature == 0.0 {
            return Ok(best);
        }
        filters::top_k(candidates, s.top_k);
        filters::typical(candidates, s.typical_p);
        filters::top_p(candidates, s.top_p);
        filters::min_p(candidates, s.min_p);
        let mut left = self.random.uniform();
        let probabilities = filters::softmax(candidates, s.temperature);
        let drawn = probabilities.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        // Rounding may leave the sum of the probabilities below a draw that is almost 1.
        Ok(candidates[drawn.unwrap_or(candidates.len() - 1)].0)
    }

    /// Records that `id` is now part of the sequence.
    ///
    /// Accept the tokens of the prompt as well as generated ones: the penalties then see the prompt, as in llama.cpp.
    pub fn accept(&mut self, id: u32) {
        if !self.sampling.penalizes() {
            return;
        }
        if self.window.len() == self.sampling.penalty_window
            && let Some(oldest) = self.window.pop_front()
            && let Some(count) = self.counts.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
            }
        }
        self.window.push_back(id);
        *self.counts.entry(id).or_default() += 1;
    }
}
