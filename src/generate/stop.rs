//! Where a generated text ends: stop tokens, and stop strings that may straddle token boundaries.

use crate::error::{Error, Result};

/// What ends a generation besides its length. The tokenizer's own end tokens are the caller's to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopRules {
    /// Texts that end the generation; they are not part of the result.
    pub strings: Vec<String>,
    /// Tokens that end the generation; their text is not part of the result.
    pub tokens: Vec<u32>,
}

impl StopRules {
    /// Whether `id` is one of the stop tokens.
    pub fn stops_at(&self, id: u32) -> bool {
        self.tokens.contains(&id)
    }

    /// A scanner for the stop strings, at the start of a text.
    ///
    /// # Errors
    /// [`Error::Request`] if a stop string is empty.
    pub fn scanner(&self) -> Result<StopScanner> {
        match self.strings.iter().position(String::is_empty) {
            Some(index) => Err(Error::Request(format!("stop string {index} is empty"))),
            None => Ok(StopScanner { strings: self.strings.clone(), held: String::new(), stopped: None }),
        }
    }
}

/// Watches a streamed text for stop strings and holds back what may still become one.
///
/// The result does not depend on how the text is cut into pieces: the stop string that completes first wins, among those
/// that complete together the longest.
#[derive(Clone, Debug)]
pub struct StopScanner {
    strings: Vec<String>,
    /// The end of the text so far: the longest part that is a proper beginning of a stop string.
    held: String,
    stopped: Option<usize>,
}

impl StopScanner {
    /// Takes the next piece and returns the text that can be shown now. After a stop that is always empty.
    pub fn push(&mut self, piece: &str) -> String {
        if self.stopped.is_some() {
            return String::new();
        }
        self.held.push_str(piece);
        let found = self.strings.iter().enumerate().filter_map(|(i, stop)| Some((self.held.find(stop)?, stop.len(), i)));
        if let Some((start, _, index)) = found.min_by_key(|&(start, length, _)| (start + length, start)) {
            self.stopped = Some(index);
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let pending = self.strings.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - pending);
        std::mem::replace(&mut self.held, rest)
    }

    /// The stop string that ended the text, if one did.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.and_then(|index| self.strings.get(index)).map(String::as_str)
    }

    /// Ends the text and returns what was held back.
    pub fn finish(self) -> String {
        self.held
    }
}

/// Bytes of the longest end of `text` that is a proper beginning of `stop`.
///
/// Bytes suffice: a beginning that ends inside a character cannot match the end of a whole text, and one that matches
/// starts where a character starts.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len() - 1);
    (1..=longest).rev().find(|&n| text.as_bytes().ends_with(&stop.as_bytes()[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{StopRules, StopScanner};

    fn scanner(stops: &[&str]) -> StopScanner {
        StopRules { strings: stops.iter().map(|s| s.to_string()).collect(), tokens: vec![] }.scanner().unwrap()
    }

    /// The emitted pieces and the stop string.
    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, Option<String>) {
        let mut scanner = scanner(stops);
        let mut out: Vec<String> = pieces.iter().map(|piece| scanner.push(piece)).collect();
        let stopped = scanner.stopped().map(str::to_owned);
        out.push(scanner.finish());
        (out, stopped)
    }

    #[test]
    fn holds_back_only_what_may_become_a_stop() {
        let (out, stop) = run(&["</end>"], &["a<", "/e", "x<", "b"]);
        assert_eq!(out, ["a", "", "</ex", "<b", ""]);
        assert_eq!(stop, None);
    }

    #[test]
    fn stops_across_pieces_and_emits_nothing_after() {
        let (out, stop) = run(&["STOP"], &["one ST", "OP two", " three"]);
        assert_eq!(out, ["one ", "", "", ""]);
        assert_eq!(stop.as_deref(), Some("STOP"));
    }

    #[test]
    fn a_failed_beginning_may_hide_another() {
        // "aab" in "aaab": the first `a` is let go when the third arrives.
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]).0, ["", "", "a", "", ""]);
        // "abac" in "ababac".
        assert_eq!(run(&["abac"], &["abab", "ac"]).0, ["ab", "", ""]);
    }

    #[test]
    fn the_first_to_complete_wins_and_then_the_longest() {
        assert_eq!(run(&["abcd", "bc"], &["xabcd"]), (vec!["xa".into(), "".into()], Some("bc".into())));
        assert_eq!(run(&["c", "abc"], &["xab", "c"]), (vec!["x".into(), "".into(), "".into()], Some("abc".into())));
    }

    #[test]
    fn finish_releases_a_beginning_that_came_to_nothing() {
        assert_eq!(run(&["\n\nUser:"], &["bye\n\nUs"]).0, ["bye", "\n\nUs"]);
    }

    #[test]
    fn a_stop_may_be_the_whole_text() {
        assert_eq!(run(&["stop"], &["stop"]), (vec!["".into(), "".into()], Some("stop".into())));
    }

    #[test]
    fn works_on_characters_of_several_bytes() {
        // `é` and `è` share their first byte; `日本` begins like `日曜`.
        assert_eq!(run(&["é!"], &["caf", "é", "è", "é!"]).0, ["caf", "", "éè", "", ""]);
        assert_eq!(run(&["日曜"], &["今日", "本", "日", "曜日"]).0, ["今", "日本", "", "", ""]);
    }

    #[test]
    fn cuts_into_pieces_do_not_matter() {
        let text = "ab abc aabab\u{1F600}c abcab";
        let marks: Vec<usize> = text.char_indices().map(|(i, _)| i).skip(1).collect();
        for stops in [&["abab", "bc a"][..], &["\u{1F600}c"], &["abcab", "aabac"], &["zzz", "abcabx"]] {
            let (whole, stop) = run(stops, &[text]);
            for &first in &marks {
                for &second in marks.iter().filter(|&&m| m > first) {
                    let (out, stopped) = run(stops, &[&text[..first], &text[first..second], &text[second..]]);
                    assert_eq!((out.concat(), stopped), (whole.concat(), stop.clone()), "{stops:?} cut at {first}, {second}");
                }
            }
        }
    }

    #[test]
    fn without_stops_everything_passes_at_once() {
        assert_eq!(run(&[], &["a", "b"]).0, ["a", "b", ""]);
    }

    #[test]
    fn empty_stop_strings_are_refused() {
        let rules = StopRules { strings: vec!["x".into(), "".into()], tokens: vec![5] };
        assert!(rules.scanner().unwrap_err().to_string().contains("stop string 1"));
        assert!(rules.stops_at(5) && !rules.stops_at(6));
    }
}
