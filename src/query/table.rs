//! Tables, printed once or redrawn in place.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::output::Output;

/// Rows as aligned columns, two spaces apart. Every row has as many cells as the first.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width - cell.width().min(*width) + 2;
            let _ = write!(line, "{cell}{:padding$}", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// [`table`] for a terminal with `room` columns. If it is too wide, omits `optional` columns: first
/// those without a value, then in this order.
pub fn table_within(rows: &[Vec<String>], optional: &[usize], room: usize) -> String {
    let has_value = |column: &usize| rows.iter().skip(1).any(|row| row[*column] != "-");
    let (with_value, without) = optional
        .iter()
        .partition::<Vec<usize>, _>(|it| has_value(it));
    let mut dropped = without.into_iter().chain(with_value);
    let mut left_out = Vec::new();
    loop {
        let shown = |row: &Vec<String>| {
            let cells = row.iter().enumerate();
            let cells = cells.filter(|(column, _)| !left_out.contains(column));
            cells.map(|(_, cell)| cell.clone()).collect()
        };
        let text = table(&rows.iter().map(shown).collect::<Vec<_>>());
        if text.lines().all(|line| line.width() <= room) {
            return text;
        }
        match dropped.next() {
            Some(column) => left_out.push(column),
            None => return text,
        }
    }
}

/// Width of the terminal that shows standard output; unlimited elsewhere.
pub fn room(output: &Output) -> usize {
    if output.is_terminal() {
        terminal_columns()
    } else {
        usize::MAX
    }
}

fn terminal_columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.max(1).into())
}

/// Prints the tables of a watch: in place on a terminal, one after another elsewhere.
#[derive(Debug, Default)]
pub struct Screen {
    /// Rows on the screen, including wrapped ones.
    rows: usize,
}

impl Screen {
    /// Prints a table. The text must be safe for a terminal.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&mut self, text: &str, output: &Output) -> anyhow::Result<()> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if self.rows > 0 && output.is_terminal() && !is_dumb {
            output.write(format!("\x1b[{}A\x1b[J", self.rows).as_bytes())?;
        }
        self.rows = rows_of(text, terminal_columns());
        output.write(text.as_bytes())
    }

    /// Keeps the last table on the screen, because something was printed below it. The next table
    /// follows.
    pub fn restart(&mut self) {
        self.rows = 0;
    }
}

/// Number of rows that the text takes on a terminal of `columns`.
fn rows_of(text: &str, columns: usize) -> usize {
    let rows = text.lines().map(|line| line.width().div_ceil(columns));
    rows.map(|rows| rows.max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        let text = table(&[row(&["NAME", "VALUE"]), row(&["temperatür", "21.5"])]);
        assert_eq!(text, "NAME        VALUE\ntemperatür  21.5\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn narrow_terminal_leaves_out_columns() {
        let row = |cells: [&str; 4]| cells.map(ToOwned::to_owned).to_vec();
        let rows = [
            row(["TARGET", "NAME", "HEAP", "SERVED"]),
            row(["sim", "a", "-", "3"]),
        ];
        let narrow = |room| table_within(&rows, &[1, 2], room).replace("  ", " ");
        assert_eq!(
            table_within(&rows, &[1, 2], 26),
            "TARGET  NAME  HEAP  SERVED\nsim     a     -     3\n"
        );
        assert!(narrow(25).starts_with("TARGET NAME SERVED\n"));
        assert!(narrow(19).starts_with("TARGET SERVED\n"));
        assert!(narrow(1).starts_with("TARGET SERVED\n"));
    }

    #[test]
    fn wrapped_lines_take_several_rows() {
        assert_eq!(rows_of("12345\n123456\n\nö\n", 5), 1 + 2 + 1 + 1);
    }
}
