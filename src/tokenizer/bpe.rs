//! Byte-pair encoding, by the `tokenizers` crate.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use super::pretokenizer::{Pretokenizer, Spelling};
use super::vocabulary::{Kind, Lexicon, byte_of, malformed};
use crate::error::{Error, Result};

/// A byte-pair model with its pre-tokenizer.
pub(super) struct Bpe {
    model: BPE,
    splits: Vec<Split>,
    spelling: Spelling,
}

impl Bpe {
    /// # Errors
    /// [`Error::Format`] naming a merge whose parts or result are no tokens.
    pub(super) fn new(lexicon: &Lexicon, merges: &[String], rules: &Pretokenizer) -> Result<Self> {
        let merges = merges.iter().enumerate().map(|(rank, merge)| parse_merge(lexicon, rank, merge)).collect::<Result<_>>()?;
        let model = BPE::builder()
            .vocab_and_merges(lexicon.ids.iter().map(|(token, &id)| (token.clone(), id)).collect::<Vocab>(), merges)
            .byte_fallback(rules.spelling == Spelling::Text)
            .ignore_merges(rules.ignore_merges)
            .build()
            .map_err(|error| malformed("merges", error.to_string()))?;
        let split = |pattern: &&str| {
            Split::new(SplitPattern::Regex((*pattern).to_owned()), SplitDelimiterBehavior::Isolated, false)
                .map_err(|error| Error::invalid("pre-tokenizer", format!("{pattern}: {error}")))
        };
        Ok(Self { model, splits: rules.patterns.iter().map(split).collect::<Result<_>>()?, spelling: rules.spelling })
    }

    /// Appends the ids of `text`, which holds no special tokens.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let failed = |error: tokenizers::Error| Error::Request(format!("cannot tokenize: {error}"));
        let mut pieces = match self.spelling {
            Spelling::Bytes => PreTokenizedString::from(text),
            Spelling::Text => PreTokenizedString::from(text.replace(' ', "▁")),
        };
        for split in &self.splits {
            split.pre_tokenize(&mut pieces).map_err(failed)?;
        }
        if self.spelling == Spelling::Bytes {
            ByteLevel::new(false, false, false).pre_tokenize(&mut pieces).map_err(failed)?;
        }
        for (word, ..) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            let whole = self.spelling == Spelling::Text && word.bytes().all(|byte| byte == b'\n');
            match self.model.token_to_id(word) {
                Some(id) if whole => ids.push(id),
                _ => ids.extend(self.model.tokenize(word).map_err(failed)?.iter().map(|token| token.id)),
            }
        }
        Ok(())
    }

    /// Appends the bytes that a token stands for.
    pub(super) fn decode(&self, token: &str, kind: Kind, bytes: &mut Vec<u8>) {
        match (kind, self.spelling) {
            (Kind::Control | Kind::Unknown | Kind::Unused, _) => {}
            (Kind::UserDefined, _) => bytes.extend_from_slice(token.as_bytes()),
            (Kind::Byte, _) => bytes.extend(byte_of(token)),
            (Kind::Normal, Spelling::Text) => bytes.extend_from_slice(token.replace('▁', " ").as_bytes()),
            (Kind::Normal, Spelling::Bytes) => token.chars().for_each(|character| match spelled_byte(character) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }),
        }
    }
}

/// The two halves of a merge. A space may begin the first, never the second.
fn parse_merge(lexicon: &Lexicon, rank: usize, merge: &str) -> Result<(String, String)> {
    let start = merge.chars().next().map_or(0, char::len_utf8);
    let halves = merge[start..].find(' ').map(|space| (&merge[..start + space], &merge[start + space + 1..]));
    let known = |(left, right): &(&str, &str)| {
        [left, right].iter().all(|half| lexicon.ids.contains_key(**half)) && lexicon.ids.contains_key(&[*left, *right].concat())
    };
    match halves.filter(known) {
        Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
        None => Err(malformed("merges", format!("merge {rank}, {merge:?}, does not make a token of two tokens"))),
    }
}

/// The byte behind a character of GPT-2's spelling: printable Latin-1 characters stand for themselves, the other 68 bytes, in
/// order, for U+0100 and up (`bytes_to_unicode` in GPT-2's `encoder.py`).
fn spelled_byte(character: char) -> Option<u8> {
    let byte = match u32::from(character) {
        c @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => c,
        c @ 0x100..=0x120 => c - 0x100,
        c @ 0x121..=0x142 => c - 0x121 + 0x7F,
        0x143 => 0xAD,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelled_bytes_invert_the_crates_alphabet() {
        let mut seen: Vec<u8> = ByteLevel::alphabet().into_iter().filter_map(spelled_byte).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
        for (character, byte) in [('Ġ', b' '), ('Ċ', b'\n'), ('a', b'a'), ('Ã', 0xC3), ('Ń', 0xAD), ('ł', 0xA0)] {
            assert_eq!(spelled_byte(character), Some(byte), "{character}");
        }
        assert_eq!(spelled_byte('\u{144}'), None);
        assert_eq!(spelled_byte(' '), None);
    }
}
