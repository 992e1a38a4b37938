//! Character charts: histogram, columns and sparkline, no wider than the terminal.

use crate::output::human;
use tcpctl_engine::times::Times;

/// The characters of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Blocks in eighths.
    Unicode,
    /// `#` and `.`, for other terminals and for logs.
    Ascii,
}

impl Charset {
    /// Unicode where the locale is UTF-8.
    pub fn detect() -> Self {
        Self::decide(|name| std::env::var(name).ok())
    }

    fn decide(variable: impl Fn(&str) -> Option<String>) -> Self {
        // POSIX: the first of these that is not empty decides.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let is_utf8 = |locale: &str| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        match locale {
            Some(locale) if is_utf8(&locale) => Self::Unicode,
            // Windows has no such variables, and its terminal shows Unicode.
            None if cfg!(windows) => Self::Unicode,
            _ => Self::Ascii,
        }
    }

    /// A bar of at most `width` characters for a share of 0 to 1. A share above 0 is never empty.
    pub fn bar(self, share: f64, width: usize) -> String {
        const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and eight times a terminal's width"
        )]
        let parts = |per_cell: usize| {
            let exact = share.clamp(0.0, 1.0) * (width * per_cell) as f64;
            let least = usize::from(share > 0.0);
            (exact.round() as usize).max(least)
        };
        match self {
            Self::Ascii => "#".repeat(parts(1)),
            Self::Unicode => {
                let parts = parts(8);
                let mut bar = "█".repeat(parts / 8);
                if !parts.is_multiple_of(8) {
                    bar.push(EIGHTHS[parts % 8]);
                }
                bar
            }
        }
    }

    /// A cell that is filled from below to a share of 0 to 1, clamped.
    fn cell(self, share: f64) -> char {
        const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 8"
        )]
        let eighths = (share.clamp(0.0, 1.0) * 8.0).round() as usize;
        match self {
            Self::Unicode => EIGHTHS[eighths],
            Self::Ascii if eighths >= 4 => '#',
            Self::Ascii => ' ',
        }
    }

    /// The last `width` values as a line of small columns, scaled to the highest.
    pub fn sparkline(self, values: &[f64], width: usize) -> String {
        let columns: &[char] = match self {
            Self::Unicode => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => &['_', '.', '-', '=', '+', '*', '#'],
        };
        let values = &values[values.len().saturating_sub(width)..];
        let highest = values.iter().copied().fold(0.0, f64::max);
        let column = |value: &f64| {
            if highest <= 0.0 {
                return columns[0];
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of less than ten columns; below zero it is the lowest"
            )]
            let at = (value / highest * (columns.len() - 1) as f64).round() as usize;
            columns[at.min(columns.len() - 1)]
        };
        values.iter().map(column).collect()
    }
}

/// One column of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Column<'a> {
    /// The label below the column.
    pub name: String,
    /// The height, not negative.
    pub value: f64,
    /// A second label below the column, may be empty.
    pub mark: &'a str,
}

/// Text lines of a chart of [`columns`], without its labels.
const ROWS: usize = 5;

/// A column chart from 0 to the highest value, no wider than `width`. If there are too many
/// columns, every second, third, ... is omitted, except the last and the marked ones.
pub fn columns(title: &str, all: &[Column<'_>], charset: Charset, width: usize) -> Vec<String> {
    // "  1,234,567 │ ".
    const AXIS: usize = 14;
    let highest = all.iter().map(|column| column.value).fold(0.0, f64::max);
    if highest <= 0.0 {
        return Vec::new();
    }
    let longest = all.iter().map(|column| column.name.chars().count()).max();
    let wide = longest.unwrap_or(1).clamp(3, 8);
    let room = (width.saturating_sub(AXIS) / (wide + 1)).max(2);
    let every = all.len().div_ceil(room);
    let shown = all.iter().enumerate().filter(|(at, column)| {
        (all.len() - 1 - at).is_multiple_of(every) || !column.mark.is_empty()
    });
    let shown: Vec<_> = shown.map(|(_, column)| column).collect();
    // Marked columns may be too many.
    let shown = &shown[shown.len().saturating_sub(room)..];
    let border = match charset {
        Charset::Unicode => '│',
        Charset::Ascii => '|',
    };
    let mut lines = Vec::with_capacity(ROWS + 2);
    for row in (0..ROWS).rev() {
        let is_top = row == ROWS - 1;
        let first = match row {
            _ if is_top => human::number(highest),
            0 => "0".to_owned(),
            _ => String::new(),
        };
        let mut line = format!("  {first:>9} {border}");
        for column in shown {
            let share = column.value / highest * ROWS as f64 - row as f64;
            let cell = charset.cell(share);
            line.push(' ');
            line.extend(std::iter::repeat_n(cell, wide));
        }
        if is_top && line.chars().count() + title.len() + 2 <= width {
            line = format!("{line}  {title}");
        } else if is_top {
            lines.push(format!("  {title}"));
        }
        lines.push(line.trim_end().to_owned());
    }
    let under = |texts: Vec<&str>| {
        let mut line = " ".repeat(13);
        for (at, text) in texts.into_iter().enumerate() {
            let start = AXIS + at * (wide + 1);
            if line.chars().count() > start || text.is_empty() {
                continue;
            }
            line = format!("{line:<start$}{text}");
        }
        line.chars()
            .take(width)
            .collect::<String>()
            .trim_end()
            .to_owned()
    };
    lines.push(under(
        shown.iter().map(|column| column.name.as_str()).collect(),
    ));
    let marks = under(shown.iter().map(|column| column.mark).collect());
    if !marks.is_empty() {
        lines.push(marks);
    }
    lines
}

/// The width of standard output: the terminal's, else `COLUMNS`, else 80; 40 to 120.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(columns).unwrap_or(80).clamp(40, 120)
}

/// One row of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Times up to this, nanoseconds, and above the previous bucket.
    pub up_to: u64,
    /// The number of samples.
    pub count: u64,
}

/// Bucket limits from one power of ten to the next, finest first.
const STEPS: [&[u64]; 4] = [
    &[10, 12, 15, 20, 25, 30, 40, 50, 60, 80],
    &[10, 15, 20, 30, 50, 70],
    &[10, 20, 50],
    &[10],
];

/// At most `most` buckets with round limits, in the finest steps that fit, from the first with a
/// sample to the last. Coarse steps are logarithmic, so the chart has both the median and a long
/// tail.
pub fn buckets(times: &Times, most: usize) -> Vec<Bucket> {
    if times.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for steps in STEPS {
        found = in_steps(times, steps);
        if found.len() <= most {
            break;
        }
    }
    found
}

fn in_steps(times: &Times, steps: &[u64]) -> Vec<Bucket> {
    let mut limits = (0..18).flat_map(|power| {
        let unit = 10_u64.pow(power);
        steps.iter().map(move |step| step * unit)
    });
    let mut buckets = Vec::<Bucket>::new();
    for recorded in times.buckets() {
        let value = recorded.lowest;
        while buckets.last().is_none_or(|bucket| bucket.up_to <= value) {
            // Times above the last limit (a century) count there.
            let Some(up_to) = limits.next() else { break };
            if !buckets.is_empty() || up_to > value {
                buckets.push(Bucket { up_to, count: 0 });
            }
        }
        if let Some(bucket) = buckets.last_mut() {
            bucket.count += recorded.count;
        }
    }
    buckets
}

/// A histogram of times as lines of text, each at most `width` characters.
pub fn histogram(times: &Times, charset: Charset, width: usize) -> Vec<String> {
    let buckets = buckets(times, 14);
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    let all = times.len().max(1);
    let counts: Vec<_> = buckets
        .iter()
        .map(|bucket| human::grouped(bucket.count))
        .collect();
    let count_width = counts.iter().map(String::len).max().unwrap_or(0);
    // "  < 10.0 ms  1,234  49.2% ".
    let room = width.saturating_sub(13 + count_width + 10);
    buckets
        .iter()
        .zip(counts)
        .map(|(bucket, count)| {
            let up_to = human::microseconds(bucket.up_to as f64 / 1e3);
            let percent = bucket.count as f64 / all as f64 * 100.0;
            let percent = match percent {
                tiny if tiny > 0.0 && tiny < 0.1 => "<0.1%".to_owned(),
                percent => format!("{percent:.1}%"),
            };
            let bar = charset.bar(bucket.count as f64 / most as f64, room);
            let line = format!("  < {up_to:>8} {count:>count_width$} {percent:>6}  {bar}");
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn locale_decides_the_charset() {
        let decide = |variables: &[(&str, &str)]| {
            Charset::decide(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(decide(&[("LANG", "en_GB.UTF-8")]), Charset::Unicode);
        assert_eq!(
            decide(&[("LC_ALL", "C"), ("LANG", "en_GB.utf8")]),
            Charset::Ascii
        );
        assert_eq!(
            decide(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]),
            Charset::Unicode
        );
    }

    #[test]
    fn bar_of_a_share_above_zero_is_not_empty() {
        assert_eq!(Charset::Unicode.bar(1.0, 3), "███");
        assert_eq!(Charset::Unicode.bar(0.5, 3), "█▌");
        assert_eq!(Charset::Unicode.bar(0.0001, 3), "▏");
        assert_eq!(Charset::Ascii.bar(0.5, 4), "##");
        assert_eq!(Charset::Ascii.bar(0.0001, 4), "#");
        assert_eq!(Charset::Ascii.bar(0.0, 4), "");
    }

    #[test]
    fn sparkline_ends_with_the_latest_value() {
        assert_eq!(Charset::Unicode.sparkline(&[0.0, 4.0, 8.0], 60), "▁▅█");
        assert_eq!(Charset::Ascii.sparkline(&[9.0, 0.0, 6.0], 2), "_#");
        assert_eq!(Charset::Unicode.sparkline(&[0.0, 0.0], 60), "▁▁");
    }

    #[test]
    fn histogram_counts_known_samples() {
        let samples = [(1_300_000, 750), (1_700_000, 249), (30_500_000, 1)]
            .into_iter()
            .flat_map(|(time, count)| std::iter::repeat_n(time, count))
            .collect();
        let lines = histogram(&samples, Charset::Ascii, 60);
        assert_eq!(
            lines[0],
            format!("  <  1.50 ms 750  75.0%  {}", "#".repeat(34)),
            "{lines:#?}"
        );
        assert_eq!(
            lines[1],
            format!("  <  2.00 ms 249  24.9%  {}", "#".repeat(11)),
            "{lines:#?}"
        );
        let last = lines.last().unwrap();
        assert_eq!(last, "  <  50.0 ms   1   0.1%  #");
    }

    #[test]
    fn columns_are_above_their_labels() {
        let columns_of = |values: &[(u64, f64)]| -> Vec<Column<'static>> {
            let column = |&(name, value): &(u64, f64)| Column {
                name: name.to_string(),
                value,
                mark: if name == 4 { "knee" } else { "" },
            };
            values.iter().map(column).collect()
        };
        let all = columns_of(&[(1, 100.0), (2, 200.0), (4, 400.0), (8, 250.0), (16, 0.0)]);
        assert_eq!(
            columns("req/s", &all, Charset::Unicode, 80),
            [
                "        400 │         ███          req/s",
                "            │         ███ ▁▁▁",
                "            │     ▄▄▄ ███ ███",
                "            │ ▂▂▂ ███ ███ ███",
                "          0 │ ███ ███ ███ ███",
                "              1   2   4   8   16",
                "                      knee",
            ]
        );
        assert!(columns("", &columns_of(&[(1, 0.0)]), Charset::Ascii, 80).is_empty());
        // Without room for all, the last and the marked one stay.
        let many: Vec<_> = (1..=40).map(|n| (n, n as f64)).collect();
        for width in 40..120 {
            for charset in [Charset::Ascii, Charset::Unicode] {
                let lines = columns("req/s", &columns_of(&many), charset, width);
                for end in ["40", "req/s"] {
                    let has = lines.iter().any(|line| line.ends_with(end));
                    assert!(has, "{width}: {end}: {lines:#?}");
                }
                for line in &lines {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
        let lines = columns("req/s", &columns_of(&many), Charset::Ascii, 100);
        assert!(lines.last().unwrap().ends_with("knee"), "{lines:#?}");
    }

    proptest! {
        #[test]
        fn histogram_fits_and_counts_every_sample(
            samples in proptest::collection::vec(1_u64..3_600_000_000_000, 1..100),
            width in 40_usize..120,
        ) {
            let all = samples.into_iter().chain([1_000]).collect();
            let buckets = buckets(&all, 14);
            prop_assert!(buckets.len() <= 14, "{}", buckets.len());
            let counted: u64 = buckets.iter().map(|bucket| bucket.count).sum();
            prop_assert_eq!(counted, all.len());
            for line in histogram(&all, Charset::Unicode, width) {
                prop_assert!(line.chars().count() <= width, "{line}");
            }
        }
    }
}
