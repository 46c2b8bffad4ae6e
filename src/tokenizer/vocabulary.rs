//! The vocabulary of a model file, and what is looked up in it.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// A vocabulary as a GGUF file states it; each field names its key under `tokenizer.ggml.`.
///
/// Ids index `tokens`. Absent lists and ids are `None`, or empty for `merges`.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// `model`: `gpt2` (byte-level byte-pair), `gemma4` (byte-pair over plain text) or `llama` (SentencePiece byte-pair).
    pub model: String,
    /// `pre`: how text is cut into words; byte-pair vocabularies without it are cut as `default`.
    pub pre: Option<String>,
    /// `tokens`: the text of each token, in the spelling of `model`.
    pub tokens: Vec<String>,
    /// `scores`: which merge goes first in a `llama` vocabulary, highest first.
    pub scores: Option<Vec<f32>>,
    /// `token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub token_types: Option<Vec<i32>>,
    /// `merges`: pairs of tokens of a byte-pair vocabulary, parted by a space, the first to merge first.
    pub merges: Vec<String>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `eot_token_id`.
    pub eot: Option<u32>,
    /// `unknown_token_id`.
    pub unknown: Option<u32>,
    /// `padding_token_id`.
    pub padding: Option<u32>,
    /// `add_bos_token`.
    pub add_bos: Option<bool>,
    /// `add_eos_token`.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`: whether a `llama` vocabulary puts a space before a text. Default true.
    pub add_space_prefix: Option<bool>,
    /// `remove_extra_whitespaces`: concerns unigram vocabularies only and changes nothing in the models above.
    pub remove_extra_whitespaces: Option<bool>,
}

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// Tokens by id and by text.
#[derive(Debug)]
pub(super) struct Lexicon {
    pub tokens: Vec<String>,
    pub kinds: Vec<Kind>,
    pub ids: HashMap<String, u32>,
}

impl Lexicon {
    /// Checks and indexes the tokens.
    ///
    /// # Errors
    /// [`Error::Format`] naming the key and the token.
    pub(super) fn new(tokens: Vec<String>, types: Option<Vec<i32>>) -> Result<Self> {
        if tokens.is_empty() || u32::try_from(tokens.len()).is_err() {
            return Err(malformed("tokens", format!("{} tokens", tokens.len())));
        }
        let kinds = match types {
            None => vec![Kind::Normal; tokens.len()],
            Some(types) if types.len() != tokens.len() => {
                return Err(malformed("token_type", format!("{} types for {} tokens", types.len(), tokens.len())));
            }
            Some(types) => types.into_iter().enumerate().map(|(id, kind)| Kind::new(id, kind)).collect::<Result<_>>()?,
        };
        let mut ids = HashMap::with_capacity(tokens.len());
        // Empty texts stand for ids that nothing spells.
        for (id, token) in (0..).zip(&tokens).filter(|(_, token)| !token.is_empty()) {
            if let Some(first) = ids.insert(token.clone(), id) {
                return Err(malformed("tokens", format!("tokens {first} and {id} are both {token:?}")));
            }
        }
        Ok(Self { tokens, kinds, ids })
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The text of a token; none for ids outside the vocabulary and for empty tokens.
    pub(super) fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str).filter(|token| !token.is_empty())
    }

    /// The text and the kind of a token.
    pub(super) fn get(&self, id: u32) -> Option<(&str, Kind)> {
        self.token(id).zip(self.kinds.get(id as usize).copied())
    }

    /// The ids that stand for single bytes, `<0x00>` to `<0xFF>`.
    pub(super) fn bytes(&self) -> Vec<Option<u32>> {
        (0..=255u8).map(|byte| self.id(&format!("<0x{byte:02X}>"))).collect()
    }
}

impl Kind {
    fn new(id: usize, kind: i32) -> Result<Self> {
        Ok(match kind {
            0 | 1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return Err(malformed("token_type", format!("token {id} has type {kind}"))),
        })
    }
}

/// The byte that a token such as `<0x0A>` stands for.
pub(super) fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok()
}

/// An [`Error::Format`] at a key of the vocabulary.
pub(super) fn malformed(key: &str, what: impl Into<String>) -> Error {
    Error::format(format!("vocabulary (tokenizer.ggml.{key})"), what)
}
