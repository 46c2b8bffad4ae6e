//! Text to tokens and back, from a model file's own vocabulary or from Hugging Face's `tokenizer.json`.

mod bpe;
mod json;
mod pretokenizer;
mod special;
mod spm;
mod stream;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::fmt;
use std::sync::Arc;

use self::bpe::Bpe;
use self::json::Json;
use self::pretokenizer::pretokenizer;
pub use self::special::Special;
use self::special::{Part, Specials};
use self::spm::Spm;
pub use self::stream::Stream;
pub use self::vocabulary::Vocabulary;
use self::vocabulary::{Kind, Lexicon, malformed};
use crate::error::{Error, Result};

/// Control tokens that end a turn or a text in the models that have them; the list is llama.cpp's.
const END_TOKENS: [&str; 21] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// A tokenizer. Cheap to clone and to share between threads.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    lexicon: Lexicon,
    engine: Engine,
    bos: Option<u32>,
    eos: Option<u32>,
    /// What [`Special::add`] puts before and after a text; a `tokenizer.json` does that itself.
    before: Option<u32>,
    after: Option<u32>,
    ends: Vec<u32>,
}

enum Engine {
    Bpe { specials: Specials, model: Box<Bpe> },
    Spm { specials: Specials, model: Spm },
    Json(Box<Json>),
}

impl Tokenizer {
    /// The tokenizer that `vocabulary` describes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown `model` or `pre`, [`Error::Format`] naming the key that contradicts another.
    pub fn new(vocabulary: Vocabulary) -> Result<Self> {
        let v = vocabulary;
        let lexicon = Lexicon::new(v.tokens, v.token_types)?;
        for (key, id) in [("bos", v.bos), ("eos", v.eos), ("eot", v.eot), ("unknown", v.unknown), ("padding", v.padding)] {
            if let Some(id) = id.filter(|&id| id as usize >= lexicon.tokens.len()) {
                return Err(malformed(&format!("{key}_token_id"), format!("{id} of {} tokens", lexicon.tokens.len())));
            }
        }
        let specials = Specials::new(&lexicon);
        let (engine, add_bos) = match v.model.as_str() {
            "gpt2" | "gemma4" => {
                let default = if v.model == "gemma4" { "gemma4" } else { "default" };
                let rules = pretokenizer(v.pre.as_deref().unwrap_or(default))?;
                (Engine::Bpe { specials, model: Box::new(Bpe::new(&lexicon, &v.merges, &rules)?) }, rules.add_bos)
            }
            "llama" => {
                let model = Spm::new(&lexicon, v.scores, v.unknown, v.add_space_prefix.unwrap_or(true))?;
                (Engine::Spm { specials, model }, true)
            }
            other => return Err(Error::Unsupported(format!("tokenizer model '{other}' (tokenizer.ggml.model)"))),
        };
        for (key, add, id) in [("bos", v.add_bos, v.bos), ("eos", v.add_eos, v.eos)] {
            if add == Some(true) && id.is_none() {
                return Err(malformed(&format!("add_{key}_token"), format!("there is no {key}_token_id")));
            }
        }
        let before = v.bos.filter(|_| v.add_bos.unwrap_or(add_bos));
        let after = v.eos.filter(|_| v.add_eos.unwrap_or(false));
        let ends = end_tokens(&lexicon, [v.eos, v.eot]);
        Ok(Self(Arc::new(Inner { lexicon, engine, bos: v.bos, eos: v.eos, before, after, ends })))
    }

    /// The tokenizer of a `tokenizer.json`, without its padding and truncation.
    ///
    /// Such a file does not say which tokens are BOS and EOS: [`Tokenizer::bos`] and [`Tokenizer::eos`] are `None`, and
    /// [`Tokenizer::is_end`] knows the usual names only. Its post-processor adds them where [`Special::add`] is set.
    ///
    /// # Errors
    /// [`Error::Format`] with the parser's message.
    pub fn from_tokenizer_json(bytes: &[u8]) -> Result<Self> {
        let (json, lexicon) = Json::new(bytes)?;
        let ends = end_tokens(&lexicon, [None, None]);
        let engine = Engine::Json(Box::new(json));
        Ok(Self(Arc::new(Inner { lexicon, engine, bos: None, eos: None, before: None, after: None, ends })))
    }

    /// The ids of `text`.
    ///
    /// A byte-pair vocabulary that lacks tokens for single bytes leaves those bytes out, as llama.cpp does.
    ///
    /// # Errors
    /// [`Error::Request`] if a `llama` vocabulary cannot spell a character.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<u32>> {
        let inner = &*self.0;
        let specials = match &inner.engine {
            Engine::Bpe { specials, .. } | Engine::Spm { specials, .. } => specials,
            Engine::Json(json) => return json.encode(text, special),
        };
        let mut ids: Vec<u32> = inner.before.filter(|_| special.add).into_iter().collect();
        let mut first = true;
        for part in specials.split(text, special.parse) {
            match (part, &inner.engine) {
                (Part::Token(id), _) => ids.push(id),
                (Part::Text(text), Engine::Bpe { model, .. }) => model.encode(text, &mut ids)?,
                (Part::Text(text), Engine::Spm { model, .. }) => model.encode(&inner.lexicon, text, first, &mut ids)?,
                (Part::Text(_), Engine::Json(_)) => {}
            }
            first = matches!(part, Part::Token(_));
        }
        ids.extend(inner.after.filter(|_| special.add));
        Ok(ids)
    }

    /// The text of `ids`. Control tokens and ids outside the vocabulary have none; bytes that are no UTF-8 become U+FFFD. The
    /// space that a `llama` vocabulary puts before a text is taken away again.
    pub fn decode(&self, ids: &[u32]) -> String {
        let space_prefix = match &self.0.engine {
            Engine::Json(json) => return json.decode(ids),
            Engine::Spm { model, .. } => model.space_prefix,
            Engine::Bpe { .. } => false,
        };
        let mut bytes = Vec::new();
        ids.iter().for_each(|&id| self.push_bytes(id, &mut bytes));
        let bytes = if space_prefix { bytes.strip_prefix(b" ").unwrap_or(&bytes) } else { &bytes };
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// A decoder for tokens that come one by one.
    pub fn stream(&self) -> Stream {
        match &self.0.engine {
            Engine::Json(_) => Stream::window(self.clone()),
            _ => Stream::bytes(self.clone()),
        }
    }

    /// The text of a token in the vocabulary's own spelling.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.0.lexicon.token(id)
    }

    /// The id of a token in the vocabulary's own spelling.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.0.lexicon.id(token)
    }

    /// How many ids there are, which may be fewer than the rows of a padded embedding.
    pub fn vocab_size(&self) -> usize {
        self.0.lexicon.tokens.len()
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.0.bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.0.eos
    }

    /// Whether a generation ends at this token: EOS, the end of a turn, or a control token that means one of them in other
    /// models.
    pub fn is_end(&self, id: u32) -> bool {
        self.0.ends.contains(&id)
    }

    /// Appends the bytes that a token stands for.
    fn push_bytes(&self, id: u32, bytes: &mut Vec<u8>) {
        match (&self.0.engine, self.0.lexicon.get(id)) {
            (Engine::Bpe { model, .. }, Some((token, kind))) => model.decode(token, kind, bytes),
            (Engine::Spm { model, .. }, Some((token, kind))) => model.decode(token, kind, bytes),
            _ => {}
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

/// The `named` tokens and those of [`END_TOKENS`] that are no plain text.
fn end_tokens(lexicon: &Lexicon, named: [Option<u32>; 2]) -> Vec<u32> {
    let plain = |id: &u32| lexicon.get(*id).is_none_or(|(_, kind)| kind == Kind::Normal);
    let known: Vec<u32> = END_TOKENS.iter().filter_map(|token| lexicon.id(token)).filter(|id| !plain(id)).collect();
    // In the Harmony format `<|end|>` only ends a message; `<|return|>` and `<|call|>` end the turn.
    let harmony = lexicon.id("<|return|>").and(lexicon.id("<|call|>")).and(lexicon.id("<|end|>"));
    let known = known.into_iter().filter(|&id| Some(id) != harmony);
    known.chain(named.into_iter().flatten()).collect()
}
