//! `discover` for people: a line a board; on a terminal a table that is kept up to date in place.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::discover::report::{BoardReport, DiscoverReport, Event, Status};
use crate::output::columns::{fit, shortened};
use crate::output::{Color, Output, human};
use crate::sanitize;
use crate::target::{Target, TargetKind};

/// The widths that columns have in a pipe, from the first line on; longer texts push the rest of
/// their line.
const WIDTHS: [usize; 8] = [16, 19, 8, 4, 8, 4, 5, 6];
const HEADINGS: [&str; 8] = [
    "NAME", "ADDRESS", "CHIP", "MODE", "FIRMWARE", "FOUND", "WHERE", "STATUS",
];
/// A text longer than that is cut: a name may have 63 bytes, and a hostile one any of them.
const MAX_WIDTH: usize = 40;
/// What is left of a name on a terminal that is too narrow for all columns.
const NARROWEST_NAME: usize = 12;
/// Columns that a terminal which is too narrow even so does without, in this order: firmware, mode,
/// chip, found, where, address. Whether a board is online says more.
const LESS_TELLING: [usize; 6] = [4, 3, 2, 5, 6, 1];
/// All columns.
const ALL: [bool; 8] = [true; 8];

/// A list of boards that is being told.
#[derive(Debug)]
pub struct Listing<'o> {
    output: &'o Output,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// One object an event.
    Json,
    /// A line when a board is found that is online; the others at the end.
    Lines(Vec<BoardReport>),
    /// A table that is drawn again.
    Table(Table),
}

/// A table, and what of it is on the terminal now.
#[derive(Debug)]
struct Table {
    boards: Vec<BoardReport>,
    /// The widths of its lines, in columns.
    drawn: Vec<usize>,
    size: Size,
    watching: bool,
}

/// A terminal's columns and rows.
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

impl Output {
    /// Begins a list of boards; one that is watched is JSON in a pipe.
    pub fn listing(&self, watching: bool) -> anyhow::Result<Listing<'_>> {
        let terminal = self.is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb");
        let form = match (self.is_json(), terminal) {
            (true, _) => Form::Json,
            (false, false) if watching => Form::Json,
            (false, false) => Form::Lines(Vec::new()),
            (false, true) => Form::Table(Table {
                boards: Vec::new(),
                drawn: Vec::new(),
                size: Size::of_terminal(),
                watching,
            }),
        };
        let mut listing = Listing { output: self, form };
        if watching && terminal && !self.is_json() {
            listing.draw()?;
        }
        Ok(listing)
    }

    /// Prints names, one a line; what is no target of that name, and what is not safe to show, is
    /// left out.
    pub fn names(&self, names: &[String]) -> anyhow::Result<()> {
        let plain = |name: &&String| {
            let target = Target::parse(name).map(|target| target.kind);
            let is_target =
                matches!(target, Ok(TargetKind::Name { host, port: None }) if host == **name);
            is_target && sanitize::one_line(name) == **name
        };
        if self.is_json() {
            return self.object(&serde_json::json!({
                "schema": "tcpctl.discover.names/1",
                "names": names.iter().filter(plain).collect::<Vec<_>>(),
            }));
        }
        let mut lines = String::new();
        for name in names.iter().filter(plain) {
            let _ = writeln!(lines, "{name}");
        }
        self.write(lines.as_bytes())
    }
}

impl Listing<'_> {
    /// Tells one event.
    pub fn tell(&mut self, event: &DiscoverReport) -> anyhow::Result<()> {
        let board = &event.board;
        match &mut self.form {
            Form::Json => self.output.object(event),
            Form::Lines(later) => {
                let same = |it: &BoardReport| it.id == board.id;
                match event.event {
                    Event::Found | Event::Updated if later.iter().any(same) => {
                        later.retain(|it| !same(it));
                    }
                    Event::Found => {}
                    // It has its line already.
                    Event::Updated | Event::Lost => return Ok(()),
                }
                if board.status == Status::Online {
                    let line = line(board, self.output.stdout_color);
                    return self.output.write(format!("{line}\n").as_bytes());
                }
                later.push(board.clone());
                Ok(())
            }
            Form::Table(table) => {
                table.take(event);
                self.draw()
            }
        }
    }

    /// Draws the table anew if the terminal has another size now.
    pub fn look_at_terminal(&mut self) -> anyhow::Result<()> {
        match &self.form {
            Form::Table(table) if table.size != Size::of_terminal() => self.draw(),
            _ => Ok(()),
        }
    }

    /// Tells what was kept for the end.
    pub fn finish(mut self) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Lines(later) => {
                for board in later {
                    let line = line(board, self.output.stdout_color);
                    self.output.write(format!("{line}\n").as_bytes())?;
                }
                Ok(())
            }
            // The last one is there to be read: nothing is cut for the sake of the next.
            Form::Table(table) if !table.watching && !table.drawn.is_empty() => {
                let whole = Size {
                    columns: usize::MAX,
                    rows: usize::MAX,
                };
                let text = table.draw(Size::of_terminal(), whole, self.output.stdout_color);
                self.output.write(text.as_bytes())
            }
            Form::Json | Form::Table(_) => Ok(()),
        }
    }

    /// Draws the table over itself, within the screen: what has scrolled away, or takes more than
    /// its line, can't be drawn over.
    fn draw(&mut self) -> anyhow::Result<()> {
        let Form::Table(table) = &mut self.form else {
            return Ok(());
        };
        let size = Size::of_terminal();
        let text = table.draw(size, size, self.output.stdout_color);
        self.output.write(text.as_bytes())
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

    /// What draws the table, no larger than `room`, over the one that is on a terminal of `size`.
    fn draw(&mut self, size: Size, room: Size, color: Color) -> String {
        // Besides the boards: the headings, the last line, and the row that the cursor is left in.
        let besides = 2 + usize::from(self.watching);
        let mut rows = room.rows.saturating_sub(besides).max(1);
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
        let columns = fitting(&mut widths, room.columns);
        for (cells, _) in &mut shown {
            cells[0] = shortened(&cells[0], widths[0]).into();
        }
        // What is not cut is broken where the terminal ends, and between columns.
        let fold = if size.columns < room.columns {
            size.columns
        } else {
            usize::MAX
        };
        let mut text = String::new();
        let above = self.rows_above(size);
        if above > 0 {
            // Up to the first line, and away with all from there on.
            let _ = write!(text, "\x1b[{above}A\r\x1b[J");
        }
        self.drawn.clear();
        self.size = size;
        let mut add = |line: &str, show: &dyn Fn(&str) -> String| {
            let line = fit(line, room.columns);
            self.drawn.push(line.width());
            text.push_str(&show(line));
            text.push('\n');
        };
        let headings = row(&HEADINGS.map(Cow::Borrowed), widths, columns, fold);
        add(&headings, &|line| color.strong(line));
        for (cells, board) in &shown {
            let line = row(cells, widths, columns, fold);
            add(&line, &|line| in_color(line, board, color));
        }
        if self.boards.len() > rows {
            let more = human::grouped((self.boards.len() - rows) as u64);
            add(&format!("and {more} more"), &str::to_owned);
        }
        if self.watching {
            let count = human::count(self.boards.len() as u64, "board");
            let last = format!("{count}; Ctrl-C ends");
            add(&last, &|line| color.faint(line));
        }
        text
    }

    /// The rows that what is drawn takes on a terminal of this size: where it has become narrower,
    /// terminals break the lines that no longer fit.
    fn rows_above(&self, size: Size) -> usize {
        let columns = size.columns.max(1);
        self.drawn
            .iter()
            .map(|width| width.div_ceil(columns).max(1))
            .sum()
    }
}

fn line(board: &BoardReport, color: Color) -> String {
    let line = row(&cells(board), WIDTHS, ALL, usize::MAX);
    in_color(&line, board, color)
}

fn in_color(line: &str, board: &BoardReport, color: Color) -> String {
    match board.status {
        Status::Online => line.to_owned(),
        Status::Unconfirmed | Status::Unreachable => color.faint(line),
    }
}

/// Which columns are shown where there is so much room, and how much of a name: its end goes first.
fn fitting(widths: &mut [usize; 8], room: usize) -> [bool; 8] {
    let mut columns = ALL;
    let besides_name = |columns: [bool; 8]| {
        let others = widths.iter().zip(columns).skip(1);
        let others = others.filter(|(_, is_shown)| *is_shown);
        others.map(|(width, _)| width + 2).sum::<usize>()
    };
    let least = widths[0].min(NARROWEST_NAME);
    for column in LESS_TELLING {
        if besides_name(columns).saturating_add(least) <= room {
            break;
        }
        columns[column] = false;
    }
    let left = room.saturating_sub(besides_name(columns));
    widths[0] = left.clamp(least, widths[0]);
    columns
}

/// A line of these columns; it goes on below, two columns in, where it would be wider than `fold`.
fn row(cells: &[Cow<'_, str>; 8], widths: [usize; 8], columns: [bool; 8], fold: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for ((cell, width), is_shown) in cells.iter().zip(widths).zip(columns) {
        if !is_shown {
            continue;
        }
        if used > 0 && used + width > fold {
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

fn cells(board: &BoardReport) -> [Cow<'static, str>; 8] {
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

/// A text from outside, safe for a terminal and no longer than a column may be.
fn shown(text: &str) -> String {
    let safe = sanitize::one_line(text);
    shortened(&safe, MAX_WIDTH)
}

#[cfg(test)]
mod tests;
