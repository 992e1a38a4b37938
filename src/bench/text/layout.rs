//! Headings, rows and tables, fitted to the terminal's width.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::Page;
use crate::output::columns;

/// Column of a row's value.
const VALUES: usize = 25;
/// Column of a row's evidence.
const EVIDENCE: usize = VALUES + 15;
/// Minimum width for a sentence. With less, it gets lines of its own.
const MIN_ROOM: usize = 30;
/// Indent of lines of their own.
const OWN_LINES: usize = 4;

impl Page {
    pub(crate) fn heading(&mut self, title: &str) {
        self.text.push('\n');
        for line in self.folded(title, 0) {
            let line = self.style.color.strong(&line);
            let _ = writeln!(self.text, "{line}");
        }
    }

    pub(crate) fn lines(&mut self, lines: &[String]) {
        for line in lines {
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// A sentence, folded to the width that is left after `indent` columns.
    pub(crate) fn folded(&self, sentence: &str, indent: usize) -> Vec<String> {
        match self.style.fold {
            Some(fold) => columns::folded(sentence, fold.saturating_sub(indent)),
            None => vec![sentence.to_owned()],
        }
    }

    /// A row: name and value.
    pub(crate) fn row(&mut self, name: &str, value: &str) {
        self.hanging(&format!("  {name:<22} "), value, VALUES);
    }

    /// A row: name, value and evidence.
    pub(crate) fn evidence(&mut self, name: &str, value: &str, how: &str) {
        self.hanging(&format!("  {name:<22} {value:<14} "), how, EVIDENCE);
    }

    /// A sentence after `start`, with further lines at `indent`. With too little room it gets lines of
    /// its own.
    pub(crate) fn hanging(&mut self, start: &str, sentence: &str, indent: usize) {
        let room = self.style.fold.map(|fold| fold.saturating_sub(indent));
        let (start, indent) = match room {
            Some(room) if room < MIN_ROOM && sentence.width() > room && indent > OWN_LINES => {
                if !start.trim().is_empty() {
                    let _ = writeln!(self.text, "{}", start.trim_end());
                }
                (&*" ".repeat(OWN_LINES), OWN_LINES)
            }
            _ => (start, indent),
        };
        for (at, line) in self.folded(sentence, indent).iter().enumerate() {
            let _ = match at {
                0 => writeln!(self.text, "{start}{line}"),
                _ => writeln!(self.text, "{:indent$}{line}", ""),
            };
        }
    }

    /// A table that fits the terminal, with as many of the `optional` columns omitted, in this
    /// order, as necessary.
    pub(crate) fn fitting_table(&mut self, mut rows: Vec<Vec<String>>, optional: &[&str]) {
        for column in optional {
            if self
                .style
                .fold
                .is_some_and(|fold| table_width(&rows) > fold)
            {
                remove_column(&mut rows, column);
            }
        }
        self.table(&rows);
    }

    /// A table with the first column left-aligned, the others right-aligned.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) {
        let widths: Vec<_> = widths(rows).collect();
        for row in rows {
            let mut line = String::from(" ");
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = match at {
                    0 => write!(line, " {cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            let _ = writeln!(self.text, "{}", line.trim_end());
        }
    }
}

/// The width of each column.
fn widths(rows: &[Vec<String>]) -> impl Iterator<Item = usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns).map(|column| {
        let cells = rows.iter().filter_map(move |row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    })
}

/// The width of a table as [`Page::table`] prints it.
fn table_width(rows: &[Vec<String>]) -> usize {
    widths(rows).map(|width| width + 2).sum()
}

/// Removes the column with a title.
fn remove_column(rows: &mut [Vec<String>], title: &str) {
    let at = rows
        .first()
        .and_then(|titles| titles.iter().position(|it| it == title));
    if let Some(at) = at {
        for row in rows {
            row.remove(at);
        }
    }
}
