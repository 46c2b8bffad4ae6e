//! Tokens that are found in a text before anything else is.

use super::vocabulary::{Kind, Lexicon};

/// What is done about tokens that are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// Control tokens spelled in the text (`<|im_end|>`) become those tokens. Otherwise they are ordinary text, so that a
    /// user cannot write them. User-defined tokens are parsed either way: they are text.
    pub parse: bool,
    /// BOS and EOS are added as the vocabulary asks.
    pub add: bool,
}

impl Special {
    /// For a rendered chat template: it spells its control tokens, BOS too.
    pub const TEMPLATE: Self = Self { parse: true, add: false };
    /// For a text that stands on its own.
    pub const TEXT: Self = Self { parse: false, add: true };
    /// For a text that continues another.
    pub const NONE: Self = Self { parse: false, add: false };
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    Text(&'t str),
    Token(u32),
}

/// The control, unknown and user-defined tokens of a vocabulary.
#[derive(Debug)]
pub(super) struct Specials {
    /// Text, id and whether it is user-defined; the longest first.
    tokens: Vec<(String, u32, bool)>,
}

impl Specials {
    pub(super) fn new(lexicon: &Lexicon) -> Self {
        let special = |kind: &Kind| matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined);
        let all = (0..).zip(lexicon.tokens.iter().zip(&lexicon.kinds));
        let mut tokens: Vec<_> = all
            .filter(|(_, (token, kind))| special(kind) && !token.is_empty())
            .map(|(id, (token, kind))| (token.clone(), id, *kind == Kind::UserDefined))
            .collect();
        tokens.sort_by_key(|(token, ..)| std::cmp::Reverse(token.len()));
        Self { tokens }
    }

    /// Cuts `text` at its special tokens: first at every occurrence of the longest, then what is left at the next, as
    /// llama.cpp does. Only `parse` finds control and unknown tokens.
    pub(super) fn split<'t>(&self, text: &'t str, parse: bool) -> Vec<Part<'t>> {
        let mut parts = if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] };
        for (token, id, user_defined) in &self.tokens {
            if (parse || *user_defined) && text.contains(token) {
                parts = parts.into_iter().flat_map(|part| split_part(part, token, *id)).collect();
            }
        }
        parts
    }
}

fn split_part<'t>(part: Part<'t>, token: &str, id: u32) -> Vec<Part<'t>> {
    let Part::Text(text) = part else { return vec![part] };
    let mut parts = Vec::new();
    for (i, between) in text.split(token).enumerate() {
        if i > 0 {
            parts.push(Part::Token(id));
        }
        if !between.is_empty() {
            parts.push(Part::Text(between));
        }
    }
    parts
}
