//! Fits text to terminal columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The longest prefix of `text` that fits into `columns`.
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

/// `text` cut to `columns`, with `...` at the cut.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    format!("{}...", fit(text, columns.saturating_sub(3)))
}

/// The leading parts of `line`, separated by two spaces, that fit into `columns` as a whole. The
/// first part is cut if it does not fit.
pub(crate) fn whole_parts(line: &str, columns: usize) -> &str {
    if line.width() <= columns {
        return line;
    }
    // A part may end at the last column, before its separator.
    let room = fit(line, columns + 2);
    match room.rfind("  ") {
        Some(end) if end > 0 => fit(room[..end].trim_end(), columns),
        _ => fit(line, columns),
    }
}

/// Folds a sentence between words into lines of at most `columns`. Longer words are not cut.
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

/// A line of `start` and `words`, folded between words at `columns`, with further lines below the
/// first word.
pub(crate) fn hanging(start: &str, words: &[String], columns: Option<usize>) -> String {
    let indent = start.width();
    let (mut text, mut used) = (start.to_owned(), indent);
    for (at, word) in words.iter().enumerate() {
        let wide = word.width();
        let is_full = columns.is_some_and(|columns| used + 1 + wide > columns);
        if at > 0 && is_full {
            text = format!("{text}\n{:indent$}", "");
            used = indent;
        } else if at > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += wide;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_characters() {
        assert_eq!(fit("häuser", 2), "hä");
        assert_eq!(fit("ab", 5), "ab");
        assert_eq!(fit("厨房", 3), "厨");
        assert_eq!(shortened("a long name", 9), "a long...");
    }

    #[test]
    fn parts_are_kept_whole_or_dropped() {
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
    fn words_hang_below_the_first() {
        let words = ["a=1", "b=2 3", "c=4"].map(str::to_owned);
        assert_eq!(hanging("set ", &words, None), "set a=1 b=2 3 c=4");
        assert_eq!(hanging("set ", &words, Some(17)), "set a=1 b=2 3 c=4");
        assert_eq!(hanging("set ", &words, Some(16)), "set a=1 b=2 3\n    c=4");
        assert_eq!(
            hanging("set ", &words, Some(5)),
            "set a=1\n    b=2 3\n    c=4"
        );
    }

    #[test]
    fn sentences_fold_between_words() {
        assert_eq!(folded("a bc def g", 4), ["a bc", "def", "g"]);
        assert_eq!(folded("longer than that", 3), ["longer", "than", "that"]);
        assert_eq!(folded("  two spaces", 20), ["two spaces"]);
    }
}
