//! `--expect`: what a reply is to match, the same in every command.

use regex::bytes::{Regex, RegexBuilder};

use crate::failure::Failure;
use crate::sanitize;

/// Compiles a pattern for bytes in which `^` and `$` are the ends of lines, LF or CR LF.
///
/// # Errors
/// A usage error, one line, that says what is wrong with it.
pub fn compile(pattern: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .crlf(true)
        .build()
        .map_err(|error| {
            // A syntax error draws the pattern over several lines; its last one says why.
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            Failure::usage(format!(
                "--expect '{}' is no regular expression: {why}",
                sanitize::one_line(pattern),
            ))
            .hint("put a \\ before a character that is meant as it stands")
        })
}
