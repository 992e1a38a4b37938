//! Text of `discover`. A search prints a line for each board; a watch on a terminal redraws a
//! table.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::plan::Ending;
use super::report::{BoardReport, DiscoverReport, Event, NamesReport, Status};
use crate::output::columns::{fit, shortened};
use crate::output::{Color, Output, Render, View, human};
use crate::sanitize;

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] = [
    "NAME", "ADDRESS", "CHIP", "MODE", "FIRMWARE", "FOUND", "WHERE", "STATUS",
];
/// Column widths in a pipe. Longer cells push the rest of their line.
const PIPE_WIDTHS: [usize; COLUMNS] = [16, 19, 8, 4, 8, 4, 5, 6];
/// Column widths on a terminal, with room for an interface name and `online 12.3 ms`.
const TERMINAL_WIDTHS: [usize; COLUMNS] = [16, 19, 8, 4, 8, 4, 9, 14];
/// Maximum width of a text cell. A name may have 63 bytes.
const MAX_WIDTH: usize = 40;
/// Minimum width of a name on a narrow terminal.
const MIN_NAME_WIDTH: usize = 12;
/// Columns that a narrow terminal omits, in this order: firmware, found, mode, chip, where,
/// address.
const DROP_ORDER: [usize; 6] = [4, 5, 3, 2, 6, 1];
const ALL: [bool; COLUMNS] = [true; COLUMNS];

/// Prints events.
#[derive(Debug)]
pub struct Listing<'o> {
    output: &'o Output,
    format: Format,
}

#[derive(Debug)]
enum Format {
    /// An object per event.
    Json,
    /// A line per board: at once if it is online, else at the end.
    Lines {
        waiting: Vec<BoardReport>,
        /// Width of the terminal, if output goes to one; then headings come first.
        terminal: Option<usize>,
        has_headings: bool,
    },
    /// A line per event of a watch, on a terminal that cannot move its cursor.
    Events,
    /// A table that fills the terminal.
    Table(Table),
}

/// The table of a watch.
#[derive(Debug, Default)]
struct Table {
    boards: Vec<BoardReport>,
    /// Size of the terminal when the table was last drawn.
    drawn_on: Option<Size>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    columns: usize,
    rows: usize,
}

impl Size {
    fn of_terminal() -> Self {
        let size = terminal_size::terminal_size();
        let (columns, rows) = size.map_or((80, 24), |(w, h)| (w.0.into(), h.0.into()));
        Self { columns, rows }
    }
}

/// The status line of a search on a terminal.
pub fn searching(elapsed: Duration, length: Duration) -> String {
    let [elapsed, length] = [elapsed, length].map(|time| time.as_secs_f64());
    format!("searching for boards  {elapsed:.1}/{length:.1} s")
}

impl<'o> Listing<'o> {
    /// Starts a listing. A watch prints JSON in a pipe.
    pub fn new(output: &'o Output, ending: Ending) -> anyhow::Result<Self> {
        let is_watch = ending == Ending::Never;
        let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        let format = match (is_watch, output.is_terminal()) {
            _ if output.is_json() => Format::Json,
            (true, false) => Format::Json,
            (true, true) if is_dumb => Format::Events,
            (true, true) => Format::Table(Table::default()),
            (false, is_terminal) => Format::Lines {
                waiting: Vec::new(),
                terminal: is_terminal.then(|| Size::of_terminal().columns),
                has_headings: false,
            },
        };
        let mut listing = Self { output, format };
        listing.redraw_if_resized()?;
        Ok(listing)
    }

    /// Prints one event.
    pub fn print(&mut self, event: &DiscoverReport) -> anyhow::Result<()> {
        let board = &event.board;
        let color = self.output.stdout_color;
        match &mut self.format {
            Format::Json => self.output.object(event),
            Format::Lines { waiting, .. } => {
                let is_same = |it: &BoardReport| it.id == board.id;
                match event.event {
                    Event::Found | Event::Updated if waiting.iter().any(is_same) => {
                        waiting.retain(|it| !is_same(it));
                    }
                    Event::Found => {}
                    // The board's line was printed before.
                    Event::Updated | Event::Lost => return Ok(()),
                }
                if board.status == Status::Online {
                    return self.print_line(board);
                }
                waiting.push(board.clone());
                Ok(())
            }
            Format::Events => {
                let line = format!("{:<8}{}\n", event.event.name(), pipe_line(board, color));
                self.output.write(line.as_bytes())
            }
            Format::Table(table) => {
                table.take(event);
                let text = table.draw(Size::of_terminal(), color);
                self.output.write(text.as_bytes())
            }
        }
    }

    /// Redraws the table if the size of the terminal has changed.
    pub fn redraw_if_resized(&mut self) -> anyhow::Result<()> {
        let size = Size::of_terminal();
        match &mut self.format {
            Format::Table(table) if table.drawn_on != Some(size) => {
                let text = table.draw(size, self.output.stdout_color);
                self.output.write(text.as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Prints the boards that were deferred to the end.
    pub fn finish(mut self) -> anyhow::Result<()> {
        if let Format::Lines { waiting, .. } = &mut self.format {
            for board in std::mem::take(waiting) {
                self.print_line(&board)?;
            }
        }
        Ok(())
    }

    fn print_line(&mut self, board: &BoardReport) -> anyhow::Result<()> {
        let color = self.output.stdout_color;
        let mut text = String::new();
        match &mut self.format {
            Format::Lines {
                terminal: Some(columns),
                has_headings,
                ..
            } => {
                if !std::mem::replace(has_headings, true) {
                    let headings = HEADINGS.map(Cow::Borrowed);
                    text += &color.strong(&terminal_line(headings, *columns));
                    text.push('\n');
                }
                text += &colored(&terminal_line(cells(board), *columns), board, color);
            }
            _ => text += &pipe_line(board, color),
        }
        text.push('\n');
        self.output.write(text.as_bytes())
    }
}

impl Render for NamesReport {
    fn render(&self, _: &View) -> Option<String> {
        Some(self.names.iter().flat_map(|name| [name, "\n"]).collect())
    }
}

impl Table {
    fn take(&mut self, event: &DiscoverReport) {
        let board = &event.board;
        let known = self.boards.iter().position(|it| it.id == board.id);
        match (event.event, known) {
            (Event::Lost, Some(at)) => drop(self.boards.remove(at)),
            (Event::Lost, None) => {}
            (_, Some(at)) => self.boards[at] = board.clone(),
            (_, None) => self.boards.push(board.clone()),
        }
    }

    /// The text that draws the table from the top of the terminal, over its old content.
    fn draw(&mut self, size: Size, color: Color) -> String {
        // Rows that are not boards: the headings, the last line, and the row of the cursor.
        let mut rows = size.rows.saturating_sub(3).max(1);
        if self.boards.len() > rows {
            rows = rows.saturating_sub(1).max(1);
        }
        let boards = self.boards.iter().take(rows);
        let mut shown: Vec<_> = boards.map(|it| (cells(it), it)).collect();
        let mut widths = HEADINGS.map(str::len);
        for (cells, _) in &shown {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.width().max(*width);
            }
        }
        let columns = fitting(&widths, size.columns);
        shorten_name(&mut widths, columns, size.columns);
        for (cells, _) in &mut shown {
            cells[0] = shortened(&cells[0], widths[0]).into();
        }
        let mut text = String::new();
        if self.drawn_on.replace(size).is_none() {
            // Scrolls the content of the screen away, so that it can be read later.
            text.extend(std::iter::repeat_n('\n', size.rows));
        }
        text.push_str("\x1b[H\x1b[J");
        let mut add = |line: &str, show: &dyn Fn(&str) -> String| {
            text.push_str(&show(fit(line, size.columns)));
            text.push('\n');
        };
        let headings = row(&HEADINGS.map(Cow::Borrowed), &widths, columns, usize::MAX);
        add(&headings, &|line| color.strong(line));
        for (cells, board) in &shown {
            let line = row(cells, &widths, columns, usize::MAX);
            add(&line, &|line| colored(line, board, color));
        }
        if self.boards.len() > rows {
            let more = human::grouped((self.boards.len() - rows) as u64);
            add(&format!("and {more} more"), &str::to_owned);
        }
        let count = human::count(self.boards.len() as u64, "board");
        add(&format!("{count}; Ctrl-C ends"), &|line| color.faint(line));
        text
    }
}

fn pipe_line(board: &BoardReport, color: Color) -> String {
    let line = row(&cells(board), &PIPE_WIDTHS, ALL, usize::MAX);
    colored(&line, board, color)
}

/// A line that fits the terminal if its name can be shortened enough; otherwise it is folded.
fn terminal_line(mut cells: [Cow<'_, str>; COLUMNS], terminal: usize) -> String {
    let columns = fitting(&TERMINAL_WIDTHS, terminal);
    let mut widths = TERMINAL_WIDTHS;
    for (width, cell) in widths.iter_mut().zip(&cells) {
        *width = cell.width().max(*width);
    }
    widths[COLUMNS - 1] = cells[COLUMNS - 1].width();
    let mut fitted = widths;
    shorten_name(&mut fitted, columns, terminal);
    if fitted[0] + width_besides_name(&fitted, columns) <= terminal {
        widths = fitted;
    }
    cells[0] = shortened(&cells[0], widths[0]).into();
    row(&cells, &widths, columns, terminal)
}

fn colored(line: &str, board: &BoardReport, color: Color) -> String {
    match board.status {
        Status::Online => line.to_owned(),
        Status::Unconfirmed | Status::Unreachable => color.faint(line),
    }
}

/// The columns that a terminal has room for.
fn fitting(widths: &[usize; COLUMNS], room: usize) -> [bool; COLUMNS] {
    let mut columns = ALL;
    let min_name = widths[0].min(MIN_NAME_WIDTH);
    for column in DROP_ORDER {
        if width_besides_name(widths, columns) + min_name <= room {
            break;
        }
        columns[column] = false;
    }
    columns
}

/// Shortens the name column to the width that the other columns leave.
fn shorten_name(widths: &mut [usize; COLUMNS], columns: [bool; COLUMNS], room: usize) {
    let left = room.saturating_sub(width_besides_name(widths, columns));
    widths[0] = left.clamp(widths[0].min(MIN_NAME_WIDTH), widths[0]);
}

fn width_besides_name(widths: &[usize; COLUMNS], columns: [bool; COLUMNS]) -> usize {
    let others = widths.iter().zip(columns).skip(1);
    let others = others.filter(|(_, is_shown)| *is_shown);
    others.map(|(width, _)| width + 2).sum()
}

/// A line of these columns. Continues below, indented, if it would be wider than `fold`.
fn row(
    cells: &[Cow<'_, str>; COLUMNS],
    widths: &[usize; COLUMNS],
    columns: [bool; COLUMNS],
    fold: usize,
) -> String {
    let mut text = String::new();
    let mut used = 0;
    for ((cell, width), is_shown) in cells.iter().zip(widths).zip(columns) {
        if !is_shown {
            continue;
        }
        if used > 0 && used + cell.width() > fold {
            text.truncate(text.trim_end().len());
            text.push_str("\n  ");
            used = 2;
        }
        text.push_str(cell);
        let spaces = width.saturating_sub(cell.width()) + 2;
        text.extend(std::iter::repeat_n(' ', spaces));
        used += width + 2;
    }
    text.truncate(text.trim_end().len());
    text
}

fn cells(board: &BoardReport) -> [Cow<'static, str>; COLUMNS] {
    let or_dash = |text: Option<&String>| -> Cow<'static, str> {
        text.map_or("-".into(), |text| shown(text).into())
    };
    let address = match (board.addresses.first(), board.port) {
        (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port)) => format!("{address}:{port}"),
        _ => "-".to_owned(),
    };
    let sources: Vec<_> = board.sources.iter().map(|it| it.name()).collect();
    let places = [&board.interface, &board.serial_port];
    let places: Vec<_> = places.into_iter().flatten().map(|it| shown(it)).collect();
    let mut status = match board.rtt_us {
        Some(us) if board.status == Status::Online => {
            #[expect(clippy::cast_precision_loss, reason = "a round trip for people")]
            let rtt = human::microseconds(us as f64);
            format!("online {rtt}")
        }
        _ if board.is_unknown_serial() => "unknown serial".to_owned(),
        _ => board.status.name().to_owned(),
    };
    if let Some(greeting) = &board.greeting {
        let _ = write!(status, "  \"{}\"", shown(greeting));
    }
    let usb = board.usb.as_ref();
    let chip = match (&board.chip, usb) {
        (Some(chip), _) => shown(chip).into(),
        (None, Some(usb)) => match usb.adapter {
            Some(adapter) => adapter.into(),
            None => format!("{}:{}", usb.vendor, usb.product).into(),
        },
        (None, None) => "-".into(),
    };
    [
        or_dash(board.name.as_ref()),
        address.into(),
        chip,
        or_dash(board.mode.as_ref()),
        or_dash(board.firmware.as_ref()),
        sources.join("+").into(),
        if places.is_empty() {
            "-".into()
        } else {
            places.join(", ").into()
        },
        status.into(),
    ]
}

/// A text from the network, safe for a terminal and no wider than a cell.
fn shown(text: &str) -> String {
    let safe = sanitize::one_line(text);
    shortened(&safe, MAX_WIDTH)
}

#[cfg(test)]
mod tests;
