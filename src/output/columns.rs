//! How much of a text goes on a line of a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// As much of a text as takes so many columns, cut between characters.
pub(crate) fn fit(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// As much of a text as takes so many columns, with a mark where it was cut.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    format!("{}...", fit(text, columns.saturating_sub(3)))
}

/// As many of a line's parts, which two spaces set apart, as take so many columns: half a part
/// tells nothing. Of the first one what there is room for.
pub(crate) fn whole_parts(line: &str, columns: usize) -> &str {
    if line.width() <= columns {
        return line;
    }
    // A part may end with the last column, and the spaces after it be cut.
    let room = fit(line, columns + 2);
    match room.rfind("  ") {
        Some(end) if end > 0 => fit(room[..end].trim_end(), columns),
        _ => fit(line, columns),
    }
}

/// A sentence as lines of so many columns, cut between words.
pub(crate) fn folded(sentence: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in sentence.split(' ') {
        let long = word.width();
        if used > 0 && used + 1 + long > columns {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += long;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(fit("häuser", 2), "hä");
        assert_eq!(fit("ab", 5), "ab");
        assert_eq!(fit("厨房", 3), "厨");
        assert_eq!(shortened("a long name", 9), "a long...");
    }

    #[test]
    fn no_part_is_shown_in_half() {
        let line = "1s  240/s  4 in flight  p50 16.3 ms  p99 20.8 ms";
        for (columns, whole) in [
            (60, line),
            (47, "1s  240/s  4 in flight  p50 16.3 ms"),
            (36, "1s  240/s  4 in flight  p50 16.3 ms"),
            (35, "1s  240/s  4 in flight  p50 16.3 ms"),
            (34, "1s  240/s  4 in flight"),
            (2, "1s"),
            (1, "1"),
        ] {
            assert_eq!(whole_parts(line, columns), whole, "{columns}");
        }
    }

    #[test]
    fn a_sentence_is_cut_between_words() {
        assert_eq!(folded("a bc def g", 4), ["a bc", "def", "g"]);
        assert_eq!(folded("longer than that", 3), ["longer", "than", "that"]);
        assert_eq!(folded("  two spaces", 20), ["two spaces"]);
    }
}
