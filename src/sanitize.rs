//! Makes untrusted bytes safe for a terminal.
//!
//! Text, `\n` and `\t` are kept. Whatever could move the cursor, change the terminal's state or
//! disguise text is escaped: control bytes and invalid UTF-8 as `\xNN`, control, bidirectional and
//! invisible characters beyond ASCII as `\u{...}`. The CR of a CR LF is dropped.

use std::fmt::Write as _;

/// How to treat color sequences (SGR, ECMA-48 §8.3.117).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sgr {
    /// Escape them like any control sequence.
    #[default]
    Escape,
    /// Keep them.
    Keep,
    /// Remove them.
    Remove,
}

/// Makes a stream of bytes safe for a terminal, wherever it is split.
///
/// It holds back at most the start of a character, a CR, or the start of a color sequence.
#[derive(Debug, Default)]
pub struct Sanitizer {
    held: Vec<u8>,
    sgr: Sgr,
    held_sgr: Vec<u8>,
}

/// Maximum length of a color sequence. Longer ones are escaped.
const MAX_SGR: usize = 32;

impl Sanitizer {
    /// A sanitizer with this treatment of color sequences.
    pub fn with_sgr(sgr: Sgr) -> Self {
        Self {
            sgr,
            ..Self::default()
        }
    }

    /// Appends the safe form of `bytes` to `safe`.
    pub fn push(&mut self, bytes: &[u8], safe: &mut String) {
        if self.sgr == Sgr::Escape {
            return self.push_text(bytes, safe);
        }
        let mut joined = std::mem::take(&mut self.held_sgr);
        joined.extend_from_slice(bytes);
        let mut rest = &joined[..];
        while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
            self.push_text(&rest[..at], safe);
            rest = &rest[at..];
            match sgr_length(rest) {
                Length::Sgr(length) => {
                    if self.sgr == Sgr::Keep {
                        self.flush(safe);
                        safe.extend(rest[..length].iter().map(|byte| char::from(*byte)));
                    }
                    rest = &rest[length..];
                }
                Length::Incomplete => {
                    self.held_sgr = rest.to_vec();
                    return;
                }
                Length::Other => {
                    self.push_text(&rest[..1], safe);
                    rest = &rest[1..];
                }
            }
        }
        self.push_text(rest, safe);
    }

    fn push_text(&mut self, bytes: &[u8], safe: &mut String) {
        if self.held.is_empty() {
            self.show(bytes, safe);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            self.show(&joined, safe);
        }
    }

    /// Appends the held-back rest at the end of the stream.
    pub fn finish(&mut self, safe: &mut String) {
        let held = std::mem::take(&mut self.held_sgr);
        self.push_text(&held, safe);
        self.flush(safe);
    }

    fn flush(&mut self, safe: &mut String) {
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
                            // The rest of the character may be in the next read.
                            self.held.extend_from_slice(after);
                        } else {
                            // A CR follows, so the character is incomplete.
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

/// Removes color sequences from bytes.
pub fn without_sgr(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let Length::Sgr(length) = sgr_length(rest) else {
            plain.push(rest[0]);
            rest = &rest[1..];
            continue;
        };
        rest = &rest[length..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// The kind of sequence that an ESC starts.
enum Length {
    /// A color sequence of this many bytes.
    Sgr(usize),
    /// A possible start of one.
    Incomplete,
    /// Something else.
    Other,
}

/// Classifies bytes that start with ESC. A color sequence is `ESC [`, digits and separators, `m`.
fn sgr_length(bytes: &[u8]) -> Length {
    let Some(bracket) = bytes.get(1) else {
        return Length::Incomplete;
    };
    if *bracket != b'[' {
        return Length::Other;
    }
    let is_parameter = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b':');
    match bytes[2..].iter().position(|byte| !is_parameter(byte)) {
        Some(at) if bytes[2 + at] == b'm' && at <= MAX_SGR => Length::Sgr(at + 3),
        None if bytes.len() <= MAX_SGR => Length::Incomplete,
        _ => Length::Other,
    }
}

fn show_text(text: &str, safe: &mut String) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\t' => safe.push(character),
            _ if character.is_ascii_control() => escape_byte(character as u8, safe),
            _ if is_misleading(character) => {
                let _ = write!(safe, "\\u{{{:x}}}", character as u32);
            }
            _ => safe.push(character),
        }
    }
}

fn escape_byte(byte: u8, safe: &mut String) {
    let _ = write!(safe, "\\x{byte:02x}");
}

/// Whether a character beyond ASCII is a control (C1), changes the direction of text, or is
/// invisible.
pub(crate) const fn is_misleading(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'         // C1: U+009B begins a sequence as ESC [ does
        | '\u{61c}'                 // Arabic letter mark
        | '\u{200b}'               // zero width space; the joiners of emoji and Persian are allowed
        | '\u{200e}'..='\u{200f}'   // marks of direction
        | '\u{2028}'..='\u{202e}'   // line and paragraph separator, embeddings and overrides
        | '\u{2060}'..='\u{206f}'   // invisible operators, isolates
        | '\u{feff}'                // zero width no-break space
        | '\u{fff9}'..='\u{fffb}'   // interlinear annotation
        | '\u{e0000}'..='\u{e007f}' // tags
    )
}

/// An untrusted text as one safe line, for messages.
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
    fn plain_text_is_kept() {
        for text in ["Hello World", "a\tb\n", "Grüße, 世界 🦀\n", r"C:\x1b"] {
            assert_eq!(shown(&[text.as_bytes()]), text);
        }
    }

    #[test]
    fn control_sequences_are_escaped() {
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
    fn cr_of_a_line_end_is_dropped() {
        assert_eq!(shown(&[b"one\r\ntwo\r\n"]), "one\ntwo\n");
        assert_eq!(shown(&[b"one\r", b"\ntwo"]), "one\ntwo");
        assert_eq!(shown(&[b"one\r", b"two\r"]), "one\\x0dtwo\\x0d");
        assert_eq!(shown(&[b"\r", b"\r", b"\n"]), "\\x0d\n");
    }

    fn colored(sgr: Sgr, pieces: &[&[u8]]) -> String {
        let mut sanitizer = Sanitizer::with_sgr(sgr);
        let mut safe = String::new();
        for piece in pieces {
            sanitizer.push(piece, &mut safe);
        }
        sanitizer.finish(&mut safe);
        safe
    }

    #[test]
    fn color_sequences_are_kept_or_removed() {
        let line = b"\x1b[0;32mI (31) boot: ok\x1b[0m\r\n\x1b[2K\x1b]0;x\x07\x1b[1";
        let escaped = "\\x1b[2K\\x1b]0;x\\x07\\x1b[1";
        for at in 0..line.len() {
            let (head, tail) = line.split_at(at);
            assert_eq!(
                colored(Sgr::Keep, &[head, tail]),
                format!("\x1b[0;32mI (31) boot: ok\x1b[0m\n{escaped}")
            );
            assert_eq!(
                colored(Sgr::Remove, &[head, tail]),
                format!("I (31) boot: ok\n{escaped}")
            );
        }
    }

    #[test]
    fn one_line_escapes_line_ends() {
        assert_eq!(one_line("a\r\nb\x1b[m\tc"), "a\\r\\nb\\x1b[m\\tc");
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(bytes: Vec<u8>, at: prop::sample::Index) {
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(shown(&[head, tail]), shown(&[&bytes]));
        }

        #[test]
        fn no_control_character_is_left(bytes: Vec<u8>) {
            let safe = shown(&[&bytes]);
            prop_assert!(!safe.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }

        #[test]
        fn split_characters_are_joined(text in "[ -~äöü世🦀\n\r]*", at: prop::sample::Index) {
            let bytes = text.as_bytes();
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(shown(&[head, tail]), shown(&[bytes]));
        }
    }
}
