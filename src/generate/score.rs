//! How likely a model finds a given text.

use std::sync::Arc;

use super::sequence::{Sequence, Wanted};
use crate::error::{Error, Result};
use crate::models::{MOST_TOP_K, Outputs};
use crate::ops::{Input, Rule, TopK};
use crate::tensor::Tensor;

/// Likelihoods of a text under a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The tokens.
    pub ids: Vec<u32>,
    /// The negative natural log-likelihood of each token after the first, given those before it.
    pub nll: Vec<f32>,
    /// At each position the best next tokens with their logits, best first.
    pub top: Vec<Vec<(u32, f32)>>,
}

impl Score {
    /// The mean of [`Score::nll`]; 0 when nothing was predicted.
    pub fn mean_nll(&self) -> f64 {
        self.nll.iter().map(|v| f64::from(*v)).sum::<f64>() / self.nll.len().max(1) as f64
    }

    /// `e` to the mean negative log-likelihood.
    pub fn perplexity(&self) -> f64 {
        self.mean_nll().exp()
    }
}

impl Sequence {
    /// Scores `ids` from an empty cache, with the `top` best logits at each position; `progress` is told the tokens done.
    ///
    /// # Errors
    /// [`Error::Request`] when there are no tokens, too many for the context, or `top` is beyond [`MOST_TOP_K`] or the
    /// vocabulary.
    pub fn score(&mut self, ids: &[u32], top: usize, progress: &mut dyn FnMut(usize)) -> Result<Score> {
        let vocabulary = self.engine().model().vocabulary();
        if top > MOST_TOP_K.min(vocabulary) {
            return Err(Error::Request(format!("the {top} best logits: at most {} can be had", MOST_TOP_K.min(vocabulary))));
        }
        if ids.is_empty() {
            return Err(Error::Request("there are no tokens to score".into()));
        }
        self.knows(ids)?;
        self.fits(ids.len())?;
        self.truncate(0);
        let mut outputs = vec![Outputs::NLL];
        match Outputs::top_k(top, vocabulary) {
            _ if top == 0 => {}
            Some(places) => outputs.extend(places),
            None => outputs.push(Outputs::LOGITS),
        }
        let rows = self.most_rows();
        let most = if rows >= self.chunk() { self.chunk() } else { 1 << rows.ilog2() };
        let mut score = Score { ids: ids.to_vec(), nll: Vec::new(), top: Vec::new() };
        let mut at = 0;
        while at < ids.len() {
            let size = self.step_size(ids.len() - at).min(most);
            let end = ids.len().min(at + size);
            let targets = &ids[at + 1..ids.len().min(end + 1)];
            let results = self.step(&ids[at..end], size, Wanted::All(&outputs, targets))?;
            score.nll.extend_from_slice(&results[0].as_f32()?[..targets.len()]);
            match &results[1..] {
                [] => {}
                [logits] => {
                    let best = TopK { k: top }.reference(vec![Input::Tensor(Arc::new(logits.clone()))])?;
                    score.top.extend(pairs(&best[0], &best[1], top)?.take(end - at));
                }
                [values, ids, ..] => score.top.extend(pairs(values, ids, top)?.take(end - at)),
            }
            at = end;
            progress(at);
        }
        Ok(score)
    }
}

/// The first `top` pairs of id and logit of each row of `values` and `ids`, both `[R, n]`.
fn pairs(values: &Tensor, ids: &Tensor, top: usize) -> Result<impl Iterator<Item = Vec<(u32, f32)>>> {
    let rows = values.as_f32()?.chunks_exact(values.columns()).zip(ids.as_u32()?.chunks_exact(ids.columns()));
    Ok(rows.map(move |(v, i)| i.iter().copied().zip(v.iter().copied()).take(top).collect()))
}
