//! Text from tokens as they come.

use super::Tokenizer;

/// Turns tokens into text one by one. Made by [`Tokenizer::stream`].
///
/// What [`Stream::push`] returns is always whole characters: bytes wait until their character is complete, and become U+FFFD
/// once they cannot be completed any more. Control tokens have no text. The text continues what came before, so a leading
/// space stays.
#[derive(Clone, Debug)]
pub struct Stream {
    tokenizer: Tokenizer,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Bytes of a character that is not complete.
    Bytes(Vec<u8>),
    /// For decoders that only decode sequences: the last tokens, of which `shown` have been returned as text. Those give the
    /// others their context.
    Window { ids: Vec<u32>, shown: usize },
}

impl Stream {
    /// A stream over tokens that stand for bytes.
    pub(super) fn bytes(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, state: State::Bytes(Vec::new()) }
    }

    /// A stream over a decoder of sequences.
    pub(super) fn window(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, state: State::Window { ids: Vec::new(), shown: 0 } }
    }

    /// Takes the next token and returns the text that it completes, which may be empty.
    pub fn push(&mut self, id: u32) -> String {
        match &mut self.state {
            State::Bytes(pending) => {
                self.tokenizer.push_bytes(id, pending);
                take_text(pending)
            }
            State::Window { ids, shown } => {
                ids.push(id);
                let text = unshown(&self.tokenizer, ids, *shown);
                if text.is_empty() || text.ends_with(char::REPLACEMENT_CHARACTER) {
                    return String::new();
                }
                ids.drain(..*shown);
                *shown = ids.len();
                text
            }
        }
    }

    /// Ends the text and returns what was waiting: an incomplete character as one U+FFFD.
    pub fn finish(self) -> String {
        match self.state {
            State::Bytes(pending) => String::from_utf8_lossy(&pending).into_owned(),
            State::Window { ids, shown } => unshown(&self.tokenizer, &ids, shown),
        }
    }
}

/// The text that the tokens after the first `shown` add to those.
fn unshown(tokenizer: &Tokenizer, ids: &[u32], shown: usize) -> String {
    let known = tokenizer.decode(&ids[..shown]).len();
    tokenizer.decode(ids).get(known..).unwrap_or_default().to_owned()
}

/// Takes from `bytes` all but an incomplete character at their end.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut taken = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        taken += chunk.valid().len();
        let invalid = chunk.invalid();
        // Invalid bytes at the very end may be the beginning of a character.
        let last = taken + invalid.len() == bytes.len();
        let incomplete = last && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if invalid.is_empty() || incomplete {
            continue;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        taken += invalid.len();
    }
    bytes.drain(..taken);
    text
}

#[cfg(test)]
mod tests {
    use super::take_text;

    fn feed(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
        let mut bytes = Vec::new();
        let texts = pieces
            .iter()
            .map(|piece| {
                bytes.extend_from_slice(piece);
                take_text(&mut bytes)
            })
            .collect();
        (texts, bytes)
    }

    #[test]
    fn characters_wait_until_they_are_complete() {
        // U+1F600 is F0 9F 98 80.
        assert_eq!(feed(&[b"a\xF0", b"\x9F", b"\x98", b"\x80b"]).0, ["a", "", "", "\u{1F600}b"]);
        assert_eq!(feed(&[b"\xE4\xBD", b"\xA0\xE5"]), (vec!["".into(), "你".into()], vec![0xE5]));
    }

    #[test]
    fn bytes_that_cannot_be_completed_are_replaced() {
        // A lone continuation byte; a lead byte followed by ASCII; an overlong form, whose first byte never begins a character.
        assert_eq!(feed(&[b"\x80"]).0, ["\u{FFFD}"]);
        assert_eq!(feed(&[b"\xF0\x9F", b"x"]).0, ["", "\u{FFFD}x"]);
        assert_eq!(feed(&[b"\xC0", b"\x80"]).0, ["\u{FFFD}", "\u{FFFD}"]);
        // ED A0 would begin a surrogate: refused at the second byte.
        assert_eq!(feed(&[b"\xED", b"\xA0", b"\xC3\xA9"]).0, ["", "\u{FFFD}\u{FFFD}", "é"]);
    }

    #[test]
    fn pieces_make_the_same_text_as_the_whole() {
        let bytes = b"a\xF0\x9F\x98\x80\xFF\xE4\xBDz\xC3\xA9\xF0\x9F\x98";
        for cut in 0..=bytes.len() {
            let (texts, rest) = feed(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(texts.concat() + &String::from_utf8_lossy(&rest), String::from_utf8_lossy(bytes), "cut at {cut}");
        }
    }
}
