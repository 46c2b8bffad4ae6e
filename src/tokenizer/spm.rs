//! SentencePiece vocabularies of the byte-pair kind, merged by score.
//!
//! The `tokenizers` crate ranks pairs; here equal scores merge from left to right, and any two neighbours whose joined text is
//! a token may merge, as in llama.cpp (`llm_tokenizer_spm`) and SentencePiece.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::vocabulary::{Kind, Lexicon, byte_of, malformed};
use crate::error::{Error, Result};

/// Scores, and what to do about text that no token spells.
pub(super) struct Spm {
    scores: Vec<f32>,
    /// The id for each byte.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    pub(super) space_prefix: bool,
}

/// A stretch of the text that is one token by now, or a character that is none. Empty once it was merged into its left
/// neighbour.
struct Symbol {
    range: Range<usize>,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that make a token. Best is the highest score, then the leftmost.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Their joined length: a pair of which one side has grown since is stale.
    length: usize,
}

impl Spm {
    /// # Errors
    /// [`Error::Format`] if there is not one score per token.
    pub(super) fn new(lexicon: &Lexicon, scores: Option<Vec<f32>>, unknown: Option<u32>, space_prefix: bool) -> Result<Self> {
        let scores = scores.unwrap_or_default();
        if scores.len() != lexicon.tokens.len() {
            return Err(malformed("scores", format!("{} scores for {} tokens", scores.len(), lexicon.tokens.len())));
        }
        Ok(Self { scores, bytes: lexicon.bytes(), unknown, space_prefix })
    }

    /// Appends the ids of `text`, which holds no special tokens; `first` if it begins the text or follows a special token.
    ///
    /// # Errors
    /// [`Error::Request`] naming a character that no token, no byte tokens and no unknown token can stand for.
    pub(super) fn encode(&self, lexicon: &Lexicon, text: &str, first: bool, ids: &mut Vec<u32>) -> Result<()> {
        let prefix = if first && self.space_prefix { "▁" } else { "" };
        let text = [prefix, &text.replace(' ', "▁")].concat();
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(i, (at, character))| Symbol {
                range: at..at + character.len_utf8(),
                previous: i.checked_sub(1),
                next: (at + character.len_utf8() < text.len()).then_some(i + 1),
            })
            .collect();
        let mut queue: BinaryHeap<Pair> =
            (1..symbols.len()).filter_map(|i| self.pair(lexicon, &text, &symbols, i - 1, i)).collect();
        while let Some(Pair { left, right, length, .. }) = queue.pop() {
            let (a, b) = (symbols[left].range.clone(), symbols[right].range.clone());
            if a.is_empty() || b.is_empty() || a.len() + b.len() != length {
                continue;
            }
            let next = symbols[right].next;
            symbols[right].range = b.end..b.end;
            symbols[left].range = a.start..b.end;
            symbols[left].next = next;
            if let Some(next) = next {
                symbols[next].previous = Some(left);
                queue.extend(self.pair(lexicon, &text, &symbols, left, next));
            }
            if let Some(previous) = symbols[left].previous {
                queue.extend(self.pair(lexicon, &text, &symbols, previous, left));
            }
        }
        for symbol in symbols.iter().filter(|symbol| !symbol.range.is_empty()) {
            let piece = &text[symbol.range.clone()];
            match lexicon.id(piece) {
                Some(id) => ids.push(id),
                None => self.spell(piece, ids)?,
            }
        }
        Ok(())
    }

    fn pair(&self, lexicon: &Lexicon, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let joined = symbols[left].range.start..symbols[right].range.end;
        let length = joined.len();
        let id = lexicon.id(&text[joined])?;
        Some(Pair { score: *self.scores.get(id as usize)?, left, right, length })
    }

    /// A character that is no token: its bytes, or the unknown token.
    fn spell(&self, piece: &str, ids: &mut Vec<u32>) -> Result<()> {
        let bytes: Option<Vec<u32>> = piece.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
        match (bytes, self.unknown) {
            (Some(bytes), _) => ids.extend(bytes),
            (None, Some(unknown)) => ids.push(unknown),
            (None, None) => return Err(Error::Request(format!("the vocabulary has no token for {piece:?}"))),
        }
        Ok(())
    }

    /// Appends the bytes that a token stands for.
    pub(super) fn decode(&self, token: &str, kind: Kind, bytes: &mut Vec<u8>) {
        match kind {
            Kind::Control | Kind::Unknown | Kind::Unused => {}
            Kind::UserDefined => bytes.extend_from_slice(token.as_bytes()),
            Kind::Byte => bytes.extend(byte_of(token)),
            Kind::Normal => bytes.extend_from_slice(token.replace('▁', " ").as_bytes()),
        }
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}
