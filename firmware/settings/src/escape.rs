//! How bytes that others chose are shown: readable, unambiguous, harmless.

use core::fmt::{self, Write};

/// Writes text as it is, and what could harm a terminal or a line of a log as an escape.
///
/// UTF-8 stays readable. Control characters, invisible and direction-changing ones, the backslash
/// itself (so that no two byte strings look the same) and bytes that are not UTF-8 are escaped.
pub(crate) fn write_escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // `escape_debug` would escape quotes, for literals; here nothing is quoted.
                '\'' | '"' => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}
