//! The summary: at most six lines, shorter if there is less room.

use super::{Detail, Page, Style, comparison};
use crate::bench::chart::Charset;
use crate::bench::report::{CheckedCondition, Level, Report, Warning};
use crate::bench::verdict;
use crate::output::human;
use crate::sanitize;

/// Maximum lines of a summary, because a terminal has 24.
pub(super) const MAX_LINES: usize = 6;
/// Maximum kinds of warning that a short summary names.
const MAX_KINDS: usize = 3;

/// The forms of the summary, the longest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// A line for each finding, warning and condition.
    Full,
    /// A line for each part of the run, warning and condition.
    Joined,
    /// A few words for each part of the run, and all warnings and conditions.
    ShortVerdict,
    /// A few words for each part of the run, all warnings together, and all conditions together.
    /// The details have the rest.
    Short,
}

/// A line of the summary and its level; `None` if it has no level.
struct Line {
    level: Option<Level>,
    text: String,
}

impl Line {
    fn new(level: impl Into<Option<Level>>, text: impl AsRef<str>) -> Self {
        Self {
            level: level.into(),
            text: sanitize::one_line(text.as_ref()),
        }
    }

    fn joined(lines: Vec<Self>) -> Option<Self> {
        let level = lines.iter().filter_map(|line| line.level).max();
        let texts: Vec<_> = lines.into_iter().map(|line| line.text).collect();
        (!texts.is_empty()).then(|| Self::new(level, texts.join("; ")))
    }
}

impl Page {
    /// Adds the summary in the first form that fits.
    pub(super) fn summary(&mut self, report: &Report, detail: Detail) -> Form {
        let forms = [Form::Full, Form::Joined, Form::ShortVerdict, Form::Short];
        let form = forms
            .into_iter()
            .find(|form| self.rows(&lines(report, detail, *form, self.style)) <= MAX_LINES)
            .unwrap_or(Form::Short);
        let mut shown = lines(report, detail, form, self.style);
        if form >= Form::ShortVerdict {
            // Use the longer lines where there is room.
            for (at, line) in verdict::joined(report).into_iter().enumerate() {
                let short = std::mem::replace(&mut shown[at], Line::new(line.level, line.text));
                if self.rows(&shown) > MAX_LINES {
                    shown[at] = short;
                }
            }
        }
        self.paint(&shown);
        form
    }

    fn rows(&self, lines: &[Line]) -> usize {
        lines
            .iter()
            .map(|line| self.folded(&line.text, 0).len())
            .sum()
    }

    fn paint(&mut self, lines: &[Line]) {
        let color = self.style.color;
        for line in lines {
            self.colored(&line.text, |text| match line.level {
                Some(Level::Good) => color.good(text),
                Some(Level::Note) => color.warning(text),
                Some(Level::Bad) => color.alarm(text),
                None => text.to_owned(),
            });
        }
    }

    /// Adds the warnings and conditions that a short summary leaves out.
    pub(super) fn left_out(&mut self, report: &Report) {
        let lists = [
            ("Warnings", warnings(report, Form::Full, MAX_KINDS)),
            (
                "Conditions",
                conditions(report, Form::Full, self.style.charset),
            ),
        ];
        for (title, lines) in lists {
            if !lines.is_empty() {
                self.heading(title);
            }
            self.paint(&lines);
        }
    }
}

fn lines(report: &Report, detail: Detail, form: Form, style: Style) -> Vec<Line> {
    let verdict = match form {
        Form::Full => report.verdict.clone(),
        Form::Joined => verdict::joined(report),
        Form::ShortVerdict | Form::Short => verdict::short(report),
    };
    let mut lines: Vec<_> = verdict
        .into_iter()
        .map(|line| Line::new(line.level, line.text))
        .collect();
    if let Some(found) = &report.comparison {
        let text = match form {
            Form::ShortVerdict | Form::Short => comparison::short(found),
            _ => comparison::line(found),
        };
        lines.push(Line::new(None, text));
    }
    // If each other part takes a line, warnings and conditions share the last one.
    let share = form != Form::Full && lines.len() + 1 == MAX_LINES;
    let conditions = conditions(report, form, style.charset);
    let max_kinds = if share && !conditions.is_empty() {
        0
    } else {
        MAX_KINDS
    };
    let mut last = match detail {
        Detail::Data => Vec::new(),
        _ => warnings(report, form, max_kinds),
    };
    last.extend(conditions);
    if share {
        lines.extend(Line::joined(last));
    } else {
        lines.extend(last);
    }
    lines
}

fn warnings(report: &Report, form: Form, max_kinds: usize) -> Vec<Line> {
    let warnings = report.warnings.iter();
    let warnings: Vec<_> = warnings.filter(|it| !it.kind.is_footnote()).collect();
    let line = |texts: String| Line::new(Level::Note, texts);
    match (form, &warnings[..]) {
        (_, []) => Vec::new(),
        (Form::Full, _) => {
            let each = warnings.iter();
            each.map(|warning| line(format!("warning: {}", warning.text)))
                .collect()
        }
        (Form::Joined | Form::ShortVerdict, [only]) => {
            vec![line(format!("warning: {}", only.text))]
        }
        (Form::Joined | Form::ShortVerdict, _) => {
            let texts: Vec<_> = warnings.iter().map(|it| it.text.as_str()).collect();
            vec![line(format!("warnings: {}", texts.join("; ")))]
        }
        (Form::Short, _) => vec![line(kinds(&warnings, max_kinds))],
    }
}

/// `4 warnings: virtual, client late, clock and 1 more`.
fn kinds(warnings: &[&Warning], max_kinds: usize) -> String {
    let count = human::count(warnings.len() as u64, "warning");
    if max_kinds == 0 {
        return count;
    }
    let mut names: Vec<String> = Vec::new();
    for warning in warnings {
        let name = warning.kind.name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(max_kinds);
    names.truncate(max_kinds);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{count}: {}{more}", names.join(", "))
}

fn conditions(report: &Report, form: Form, charset: Charset) -> Vec<Line> {
    let conditions = &report.conditions;
    let each = || conditions.iter().map(|checked| condition(checked, charset));
    let held = conditions.iter().filter(|checked| !checked.passed).count();
    match (form, conditions.len()) {
        (_, 0) => Vec::new(),
        (Form::Full, _) => each().collect(),
        (Form::Joined | Form::ShortVerdict, _) => {
            Line::joined(each().collect()).into_iter().collect()
        }
        (Form::Short, count) => {
            let level = if held == 0 { Level::Good } else { Level::Bad };
            let mark = mark(held == 0, charset);
            let text = format!("{mark} --fail-if: {held} of {count} conditions hold");
            vec![Line::new(level, text)]
        }
    }
}

/// `✓ --fail-if 'p99 > 50ms' (value: 20.6 ms)`: the run passes because the condition does not hold.
fn condition(checked: &CheckedCondition, charset: Charset) -> Line {
    let level = if checked.passed {
        Level::Good
    } else {
        Level::Bad
    };
    let mark = mark(checked.passed, charset);
    let value = checked.value.as_deref().unwrap_or("unknown");
    let text = format!("{mark} --fail-if '{}' (value: {value})", checked.condition);
    Line::new(level, text)
}

const fn mark(passed: bool, charset: Charset) -> &'static str {
    match (charset, passed) {
        (Charset::Unicode, true) => "✓",
        (Charset::Unicode, false) => "✗",
        (Charset::Ascii, true) => "ok",
        (Charset::Ascii, false) => "FAILED",
    }
}
