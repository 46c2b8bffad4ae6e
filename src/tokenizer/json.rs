//! Tokenizers from Hugging Face's `tokenizer.json`, run by the `tokenizers` crate as they are.

use std::sync::OnceLock;

use tokenizers::Tokenizer;

use super::special::Special;
use super::vocabulary::{Kind, Lexicon};
use crate::error::{Error, Result};

/// A whole pipeline of normaliser, pre-tokenizer, model and post-processor.
pub(super) struct Json {
    pipeline: Tokenizer,
    /// The same, but reading control tokens as plain text; made on first use.
    literal: OnceLock<Tokenizer>,
}

impl Json {
    /// The pipeline, without padding and truncation, and its tokens.
    ///
    /// # Errors
    /// [`Error::Format`] if the file is no tokenizer, or its ids are far from consecutive.
    pub(super) fn new(bytes: &[u8]) -> Result<(Self, Lexicon)> {
        let place = "tokenizer.json";
        let mut pipeline = Tokenizer::from_bytes(bytes).map_err(|error| Error::format(place, error.to_string()))?;
        pipeline.with_padding(None).with_truncation(None).map_err(|error| Error::format(place, error.to_string()))?;
        let vocab = pipeline.get_vocab(true);
        let size = vocab.values().max().map_or(0, |&id| id as usize + 1);
        if size > 2 * vocab.len() + 1024 {
            return Err(Error::format(place, format!("token id {} with only {} tokens", size - 1, vocab.len())));
        }
        let mut tokens = vec![String::new(); size];
        let mut kinds = vec![Kind::Normal; size];
        for (token, &id) in &vocab {
            tokens[id as usize].clone_from(token);
        }
        for (&id, token) in pipeline.get_added_tokens_decoder().iter().filter(|(id, _)| (**id as usize) < size) {
            kinds[id as usize] = if token.special { Kind::Control } else { Kind::UserDefined };
        }
        let lexicon = Lexicon { tokens, kinds, ids: vocab.into_iter().collect() };
        Ok((Self { pipeline, literal: OnceLock::new() }, lexicon))
    }

    /// The ids of `text`.
    pub(super) fn encode(&self, text: &str, special: Special) -> Result<Vec<u32>> {
        let pipeline = if special.parse { &self.pipeline } else { self.literal.get_or_init(|| literal(&self.pipeline)) };
        let encoding = pipeline.encode_fast(text, special.add);
        encoding.map(|e| e.get_ids().to_vec()).map_err(|error| Error::Request(format!("cannot tokenize: {error}")))
    }

    /// The text of `ids` without control tokens; empty if the decoder fails.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        self.pipeline.decode(ids, true).unwrap_or_default()
    }
}

fn literal(pipeline: &Tokenizer) -> Tokenizer {
    let mut pipeline = pipeline.clone();
    pipeline.set_encode_special_tokens(true);
    pipeline
}
