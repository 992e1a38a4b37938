//! Parses TOML, with line numbers in errors.

use serde::de::DeserializeOwned;

use crate::sanitize;

/// Parses TOML. An error is a line number, counted from 1, and a message that is safe for a terminal.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        (line_of(text, start), sanitize::one_line(error.message()))
    })
}

/// The line, counted from 1, of the byte at `at`.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}
