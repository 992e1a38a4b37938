//! Long lines on a terminal: broken at spaces, where the terminal itself would break words.

use unicode_width::UnicodeWidthChar;

/// Breaks each line that is wider than `columns` at spaces; what follows a break is indented as
/// `indent` says of the line. A word that is wider than a line is left to the terminal. The text may
/// hold this program's own colours, which have no width.
pub(super) fn at_spaces(text: &str, columns: usize, indent: impl Fn(&str) -> usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if width(line) <= columns {
            wrapped.push_str(line);
            continue;
        }
        let indent = indent(line).min(columns / 2);
        let mut used = 0;
        let mut is_begun = false;
        for word in line.split_inclusive(' ') {
            let whole = width(word);
            let shown = width(word.trim_end());
            if is_begun && used + shown > columns {
                wrapped.truncate(wrapped.trim_end_matches(' ').len());
                wrapped.push('\n');
                wrapped.extend(std::iter::repeat_n(' ', indent));
                used = indent;
            }
            wrapped.push_str(word);
            used += whole;
            // The spaces that a line begins with are no place to break it.
            is_begun |= shown > 0;
        }
    }
    wrapped
}

/// How many columns a text takes, without its colours.
fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut in_colour = false;
    for character in text.chars() {
        match character {
            '\x1b' => in_colour = true,
            'm' if in_colour => in_colour = false,
            _ if in_colour => {}
            _ => columns += character.width().unwrap_or(0),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(text: &str, columns: usize) -> String {
        at_spaces(text, columns, |_| 2)
    }

    #[test]
    fn lines_are_broken_at_spaces_and_no_word_is() {
        assert_eq!(wrap("one two three\nfour\n", 8), "one two\n  three\nfour\n");
        assert_eq!(wrap("one two three", 13), "one two three");
        assert_eq!(wrap("one two three", 12), "one two\n  three");
        let text = "serves 4 at once, queues 4, refuses the 9th (RST after 6.52 ms); a freed place \
                    is taken again in 14.6 ms; keep clients at or under 4\n";
        for columns in 20..140 {
            let wrapped = wrap(text, columns);
            assert!(
                wrapped.lines().all(|line| width(line) <= columns),
                "{wrapped}"
            );
            let words = |text: &str| -> Vec<String> {
                text.split_whitespace().map(str::to_owned).collect()
            };
            assert_eq!(words(&wrapped), words(text));
            assert!(
                wrapped.lines().all(|line| !line.ends_with(' ')),
                "{wrapped}"
            );
        }
    }

    #[test]
    fn a_word_that_is_too_long_has_a_line_of_its_own() {
        assert_eq!(wrap("a bbbbbbbbbb c", 6), "a\n  bbbbbbbbbb\n  c");
        assert_eq!(wrap("  bbbbbbbbbb", 6), "  bbbbbbbbbb");
    }

    #[test]
    fn colours_take_no_room_and_wide_letters_take_two() {
        let coloured = "\x1b[1;31mone two\x1b[0m";
        assert_eq!(wrap(coloured, 7), coloured);
        assert_eq!(wrap(coloured, 6), "\x1b[1;31mone\n  two\x1b[0m");
        assert_eq!(
            wrap("\u{6f22}\u{5b57} \u{6f22}", 6),
            "\u{6f22}\u{5b57}\n  \u{6f22}"
        );
    }
}
