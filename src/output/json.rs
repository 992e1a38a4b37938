//! JSON Lines for programs.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::failure::{Failure, Kind};
use crate::sanitize;

/// The object `tcpctl.error/1`.
#[derive(Debug, Serialize)]
pub(super) struct Error<'a> {
    schema: &'static str,
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    kind: Kind,
    target: Option<&'a str>,
    message: &'a str,
    hint: Option<&'a str>,
    exit_code: u8,
}

impl<'a> Error<'a> {
    pub(super) fn new(command: Option<&'a str>, failure: &'a Failure, seq: Option<u64>) -> Self {
        Self {
            schema: "tcpctl.error/1",
            command,
            seq,
            kind: failure.kind,
            target: failure.target.as_deref(),
            message: &failure.message,
            hint: failure.hint.as_deref(),
            exit_code: failure.exit().code(),
        }
    }
}

/// Serializes an object as one line of JSON.
pub(super) fn line<T: Serialize>(object: &T) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Safe(CompactFormatter));
    // Writing to memory cannot fail, and all map keys are strings.
    let _ = object.serialize(&mut serializer);
    line.push(b'\n');
    line
}

/// JSON that is safe on a terminal: DEL, C1 controls and bidirectional overrides are escaped as
/// well.
struct Safe(CompactFormatter);

impl Formatter for Safe {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        let harmful = |c: char| c == '\u{7f}' || sanitize::is_misleading(c);
        while let Some(at) = rest.find(harmful) {
            let (safe, after) = rest.split_at(at);
            self.0.write_string_fragment(writer, safe)?;
            let mut characters = after.chars();
            if let Some(character) = characters.next() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_and_are_safe_on_a_terminal() {
        let text = "a\u{9b}2J\u{7f}\u{202e}\u{e0041}\x1b\n\"\\é🦀";
        let json = String::from_utf8(line(&text)).unwrap();
        assert!(
            json.trim_end()
                .chars()
                .all(|c| !c.is_control() && !sanitize::is_misleading(c))
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
