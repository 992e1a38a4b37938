//! What an untrusted byte may do to a terminal: nothing.
//!
//! Text is shown as it is, with `\n` and `\t`. All that could move the cursor, change the
//! terminal's state or make text read as other than it is, is shown as an escape: control bytes
//! and bytes that are not UTF-8 as `\xNN`, control, bidirectional and invisible characters beyond
//! ASCII as `\u{...}`. The CR of a CR LF is dropped.

use std::fmt::Write as _;

/// Makes a stream of bytes safe for a terminal, wherever it is split.
///
/// It holds back at most three bytes: the start of a character or a CR.
#[derive(Debug, Default)]
pub struct Sanitizer {
    held: Vec<u8>,
}

impl Sanitizer {
    /// Appends to `safe` what `bytes` shows.
    pub fn push(&mut self, bytes: &[u8], safe: &mut String) {
        if self.held.is_empty() {
            self.show(bytes, safe);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            self.show(&joined, safe);
        }
    }

    /// Appends to `safe` what was held back: no more will come.
    pub fn finish(&mut self, safe: &mut String) {
        for byte in std::mem::take(&mut self.held) {
            escape_byte(byte, safe);
        }
    }

    fn show(&mut self, mut bytes: &[u8], safe: &mut String) {
        if bytes.last() == Some(&b'\r') {
            self.held.push(b'\r');
            bytes = &bytes[..bytes.len() - 1];
        }
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return show_text(text, safe),
                Err(error) => {
                    let (text, after) = rest.split_at(error.valid_up_to());
                    show_text(std::str::from_utf8(text).unwrap_or_default(), safe);
                    let Some(length) = error.error_len() else {
                        if self.held.is_empty() {
                            // The start of a character; its end may be in the next read.
                            self.held.extend_from_slice(after);
                        } else {
                            // A CR follows it: it has no end.
                            for byte in after {
                                escape_byte(*byte, safe);
                            }
                        }
                        return;
                    };
                    for byte in &after[..length] {
                        escape_byte(*byte, safe);
                    }
                    rest = &after[length..];
                }
            }
        }
    }
}

fn show_text(text: &str, safe: &mut String) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\t' => safe.push(character),
            _ if character.is_ascii_control() => escape_byte(character as u8, safe),
            _ if deceives(character) => {
                let _ = write!(safe, "\\u{{{:x}}}", character as u32);
            }
            _ => safe.push(character),
        }
    }
}

fn escape_byte(byte: u8, safe: &mut String) {
    let _ = write!(safe, "\\x{byte:02x}");
}

/// Whether a character beyond ASCII controls a terminal (C1), turns the direction of text, or is
/// invisible.
pub(crate) const fn deceives(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'         // C1: U+009B begins a sequence as ESC [ does
        | '\u{61c}'                 // Arabic letter mark
        | '\u{200b}'..='\u{200f}'   // zero width, and marks of direction
        | '\u{2028}'..='\u{202e}'   // line and paragraph separator, embeddings and overrides
        | '\u{2060}'..='\u{206f}'   // invisible operators, isolates
        | '\u{feff}'                // zero width no-break space
        | '\u{fff9}'..='\u{fffb}'   // interlinear annotation
        | '\u{e0000}'..='\u{e007f}' // tags
    )
}

/// A text from outside as one safe line, for messages.
pub fn one_line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            _ => show_text(character.encode_utf8(&mut [0; 4]), &mut safe),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(pieces: &[&[u8]]) -> String {
        let mut sanitizer = Sanitizer::default();
        let mut safe = String::new();
        for piece in pieces {
            sanitizer.push(piece, &mut safe);
        }
        sanitizer.finish(&mut safe);
        safe
    }

    #[test]
    fn text_is_shown_as_it_is() {
        for text in ["Hello World", "a\tb\n", "Grüße, 世界 🦀\n", r"C:\x1b"] {
            assert_eq!(shown(&[text.as_bytes()]), text);
        }
    }

    #[test]
    fn what_could_harm_a_terminal_is_escaped() {
        for (bytes, safe) in [
            (&b"\x1b[2J"[..], "\\x1b[2J"),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            (b"a\0b\x7f", "a\\x00b\\x7f"),
            (b"over\rwritten", "over\\x0dwritten"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"\xc3(", "\\xc3("),
            (b"cut \xf0\x9f\xa6", "cut \\xf0\\x9f\\xa6"),
            ("\u{9b}2J".as_bytes(), "\\u{9b}2J"),
            (b"\x9b2J", "\\x9b2J"),
            ("\u{202e}txt.exe".as_bytes(), "\\u{202e}txt.exe"),
        ] {
            assert_eq!(shown(&[bytes]), safe);
        }
    }

    #[test]
    fn the_cr_of_a_line_end_is_dropped() {
        assert_eq!(shown(&[b"one\r\ntwo\r\n"]), "one\ntwo\n");
        assert_eq!(shown(&[b"one\r", b"\ntwo"]), "one\ntwo");
        assert_eq!(shown(&[b"one\r", b"two\r"]), "one\\x0dtwo\\x0d");
        assert_eq!(shown(&[b"\r", b"\r", b"\n"]), "\\x0d\n");
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("a\r\nb\x1b[m\tc"), "a\\r\\nb\\x1b[m\\tc");
    }

    proptest! {
        #[test]
        fn where_it_is_split_does_not_matter(bytes: Vec<u8>, at: prop::sample::Index) {
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(shown(&[head, tail]), shown(&[&bytes]));
        }

        #[test]
        fn no_control_is_left(bytes: Vec<u8>) {
            let safe = shown(&[&bytes]);
            prop_assert!(!safe.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }

        #[test]
        fn text_split_anywhere_is_whole_again(text in "[ -~äöü世🦀\n\r]*", at: prop::sample::Index) {
            let bytes = text.as_bytes();
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(shown(&[head, tail]), shown(&[bytes]));
        }
    }
}
