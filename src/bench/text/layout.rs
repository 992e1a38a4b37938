//! How a page is laid out: headings, rows and tables, as wide as the terminal allows.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::Page;
use crate::output::columns;

/// Where the values of rows begin, and what is said about them.
const VALUES: usize = 25;
const EVIDENCE: usize = VALUES + 15;
/// A sentence in a narrower column than this would be all line ends.
const NARROWEST: usize = 30;
/// Where it begins then, below.
const OWN_LINES: usize = 4;

impl Page {
    pub(crate) fn heading(&mut self, title: &str) {
        self.text.push('\n');
        for line in self.folded(title, 0) {
            let line = self.color.strong(&line);
            let _ = writeln!(self.text, "{line}");
        }
    }

    pub(crate) fn lines(&mut self, lines: &[String]) {
        for line in lines {
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// A sentence as lines that fit beside `indent` columns.
    pub(crate) fn folded(&self, sentence: &str, indent: usize) -> Vec<String> {
        match self.fold {
            Some(fold) => columns::folded(sentence, fold.saturating_sub(indent)),
            None => vec![sentence.to_owned()],
        }
    }

    /// A row of a name and what is known.
    pub(crate) fn row(&mut self, name: &str, value: &str) {
        self.hanging(&format!("  {name:<22} "), value, VALUES);
    }

    /// A row of a name, what is known, and how.
    pub(crate) fn evidence(&mut self, name: &str, value: &str, how: &str) {
        self.hanging(&format!("  {name:<22} {value:<14} "), how, EVIDENCE);
    }

    /// A sentence behind `start`; its further lines begin at `indent`. Where there is too little room
    /// for it beside that, it has lines of its own.
    pub(crate) fn hanging(&mut self, start: &str, sentence: &str, indent: usize) {
        let room = self.fold.map(|fold| fold.saturating_sub(indent));
        let (start, indent) = match room {
            Some(room) if room < NARROWEST && sentence.width() > room && indent > OWN_LINES => {
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

    /// A table that leaves out the columns of these titles, in this order, as far as it is wider than
    /// the terminal.
    pub(crate) fn fitting_table(&mut self, mut rows: Vec<Vec<String>>, less_telling: &[&str]) {
        for column in less_telling {
            if self.fold.is_some_and(|fold| table_width(&rows) > fold) {
                leave_out(&mut rows, column);
            }
        }
        self.table(&rows);
    }

    /// A table with its columns right-aligned, the first left-aligned.
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

/// How wide each column is.
fn widths(rows: &[Vec<String>]) -> impl Iterator<Item = usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns).map(|column| {
        let cells = rows.iter().filter_map(move |row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    })
}

/// How wide [`Page::table`] makes it.
pub(crate) fn table_width(rows: &[Vec<String>]) -> usize {
    widths(rows).map(|width| width + 2).sum()
}

/// Takes out the column of that title.
pub(crate) fn leave_out(rows: &mut [Vec<String>], title: &str) {
    let at = rows
        .first()
        .and_then(|titles| titles.iter().position(|it| it == title));
    if let Some(at) = at {
        for row in rows {
            row.remove(at);
        }
    }
}
