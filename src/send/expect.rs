//! `--expect`: matches a regular expression on a stream in bounded memory.

use regex::bytes::Regex;

use crate::failure::Failure;
use crate::units;

/// Maximum length of a match. A longer one can be missed if it is split by reads.
const LOOK_BACK: usize = 64 * 1024;
/// Bytes kept before the oldest are dropped; several times [`LOOK_BACK`], so that this is rare.
const WINDOW: usize = 4 * LOOK_BACK;

/// A pattern for a stream of bytes.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, Failure> {
        units::regex("--expect", text).map(Self)
    }

    /// The pattern as given.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn search(&self) -> Search {
        Search {
            pattern: self.0.clone(),
            window: Vec::new(),
            cut: false,
        }
    }
}

/// A search in a stream.
#[derive(Debug)]
pub(super) struct Search {
    pattern: Regex,
    window: Vec<u8>,
    /// Whether the start of the stream was dropped from the window. The first byte is then only
    /// context.
    cut: bool,
}

impl Search {
    /// Takes the next bytes. Returns whether the pattern has matched in the stream so far.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        if self.window.len() + bytes.len() > WINDOW && self.window.len() > LOOK_BACK {
            let surplus = self.window.len() - LOOK_BACK;
            self.window.drain(..surplus);
            self.cut = true;
        }
        let from = self.window.len().saturating_sub(LOOK_BACK);
        self.window.extend_from_slice(bytes);
        // `^` must not match where the start was dropped, so one byte of context stays.
        let from = if self.cut { from.max(1) } else { from };
        self.pattern
            .is_match_at(&self.window, from.min(self.window.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(pattern: &str) -> Search {
        Pattern::new(pattern).unwrap().search()
    }

    #[test]
    fn matches_are_found_at_every_split() {
        let text = b"temp=23.5C\r\nok\r\n";
        for pattern in [r"^temp=\d+\.\dC$", "^ok$", "C\r\nok", "(?s-u:.)k"] {
            for at in 0..text.len() {
                let mut search = search(pattern);
                let (head, tail) = text.split_at(at);
                let found = search.push(head) | search.push(tail);
                assert!(found, "{pattern} split at {at}");
            }
        }
    }

    #[test]
    fn matches_byte_by_byte_in_binary_data() {
        let mut search = search("ready>");
        let stream = b"\xff\x00\x1b[2Jready>";
        let (last, before) = stream.split_last().unwrap();
        assert!(before.iter().all(|byte| !search.push(&[*byte])));
        assert!(search.push(&[*last]));
    }

    #[test]
    fn cut_window_has_no_false_line_start() {
        let mut search = search("^x");
        assert!(!search.push(b"-"));
        // The window is cut twice.
        for _ in 0..2 * WINDOW / 10_000 {
            assert!(!search.push(&[b'x'; 10_000]));
        }
        assert!(search.window.len() <= WINDOW + 10_000);
        assert!(search.push(b"\nx"));
    }

    #[test]
    fn invalid_patterns_are_explained_in_one_line() {
        let failure = Pattern::new("a(b").unwrap_err();
        assert!(failure.message.contains("unclosed group"), "{failure}");
        assert!(!failure.to_string().contains('\n'));
        let bomb = Pattern::new(r"(\w{1000}){1000}").unwrap_err();
        assert!(!bomb.to_string().contains('\n'), "{bomb}");
    }
}
