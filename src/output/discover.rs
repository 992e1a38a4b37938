//! `discover` for people: a line a board; on a terminal a table that is kept up to date in place.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Colour, Halt, Output, human};
use crate::discover::report::{BoardReport, DiscoverReport, Event, Status};
use crate::sanitize;
use crate::target::{Place, Target};

/// The widths that columns have in a pipe, from the first line on; longer texts push the rest of
/// their line.
const WIDTHS: [usize; 8] = [16, 19, 8, 4, 8, 4, 5, 6];
const HEADINGS: [&str; 8] = [
    "NAME", "ADDRESS", "CHIP", "MODE", "FIRMWARE", "FOUND", "WHERE", "STATUS",
];
/// A text longer than that is cut: a name may have 63 bytes, and a hostile one any of them.
const MAX_WIDTH: usize = 40;

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
    Table {
        boards: Vec<BoardReport>,
        drawn: usize,
        watching: bool,
    },
}

impl Output {
    /// Begins a list of boards; one that is watched is JSON in a pipe.
    pub fn listing(&self, watching: bool) -> Result<Listing<'_>, Halt> {
        let terminal = self.is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb");
        let form = match (self.is_json(), terminal) {
            (true, _) => Form::Json,
            (false, false) if watching => Form::Json,
            (false, false) => Form::Lines(Vec::new()),
            (false, true) => Form::Table {
                boards: Vec::new(),
                drawn: 0,
                watching,
            },
        };
        let mut listing = Listing { output: self, form };
        if watching && terminal && !self.is_json() {
            listing.draw()?;
        }
        Ok(listing)
    }

    /// Prints names, one a line; what is no target of that name, and what is not safe to show, is
    /// left out.
    pub fn names(&self, names: &[String]) -> Result<(), Halt> {
        let plain = |name: &&String| {
            let target = Target::parse(name).map(|target| target.place);
            let is_target =
                matches!(target, Ok(Place::Name { host, port: None }) if host == **name);
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
    pub fn tell(&mut self, event: &DiscoverReport) -> Result<(), Halt> {
        let board = &event.board;
        match &mut self.form {
            Form::Json => self.output.object(event),
            Form::Lines(later) => {
                let same = |it: &BoardReport| is_same(it, board);
                match event.event {
                    Event::Found | Event::Updated if later.iter().any(same) => {
                        later.retain(|it| !same(it));
                    }
                    Event::Found => {}
                    // It has its line already.
                    Event::Updated | Event::Lost => return Ok(()),
                }
                if board.status == Status::Online {
                    let line = line(board, self.output.stdout_colour);
                    return self.output.write(format!("{line}\n").as_bytes());
                }
                later.push(board.clone());
                Ok(())
            }
            Form::Table { boards, .. } => {
                let known = boards.iter().position(|it| is_same(it, board));
                match (event.event, known) {
                    (Event::Lost, Some(at)) => drop(boards.remove(at)),
                    (Event::Lost, None) => {}
                    (_, Some(at)) => boards[at] = board.clone(),
                    (_, None) => boards.push(board.clone()),
                }
                self.draw()
            }
        }
    }

    /// Tells what was kept for the end.
    pub fn finish(mut self) -> Result<(), Halt> {
        match &self.form {
            Form::Lines(later) => {
                for board in later {
                    let line = line(board, self.output.stdout_colour);
                    self.output.write(format!("{line}\n").as_bytes())?;
                }
                Ok(())
            }
            // The last one is there to be read: nothing is cut for the sake of the next.
            Form::Table {
                watching: false,
                drawn: 1..,
                ..
            } => self.draw_within((usize::MAX, usize::MAX)),
            Form::Json | Form::Table { .. } => Ok(()),
        }
    }

    /// Draws the table over itself, within the screen: what has scrolled away, or takes more than
    /// its line, can't be drawn over.
    fn draw(&mut self) -> Result<(), Halt> {
        let size = terminal_size::terminal_size();
        self.draw_within(size.map_or((80, 24), |(w, h)| (w.0.into(), h.0.into())))
    }

    fn draw_within(&mut self, (width, height): (usize, usize)) -> Result<(), Halt> {
        let Form::Table {
            boards,
            drawn,
            watching,
        } = &mut self.form
        else {
            return Ok(());
        };
        let colour = self.output.stdout_colour;
        let room = height.saturating_sub(3).max(1);
        let shown: Vec<_> = boards.iter().take(room).map(|it| (cells(it), it)).collect();
        let mut widths = HEADINGS.map(str::len);
        for (cells, _) in &shown {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        let headings = row(&HEADINGS.map(Cow::Borrowed), widths);
        let mut lines = vec![colour.strong(fit(&headings, width))];
        for (cells, board) in &shown {
            lines.push(in_colour(fit(&row(cells, widths), width), board, colour));
        }
        if boards.len() > room {
            let more = human::grouped((boards.len() - room) as u64);
            lines.push(format!("and {more} more"));
        }
        if *watching {
            let count = human::count(boards.len() as u64, "board");
            lines.push(colour.faint(fit(&format!("{count}; Ctrl-C ends"), width)));
        }
        let mut text = String::new();
        if *drawn > 0 {
            // Up to the first line, and away with all from there on.
            let _ = write!(text, "\x1b[{drawn}A\r\x1b[J");
        }
        *drawn = lines.len();
        text.push_str(&lines.join("\n"));
        text.push('\n');
        self.output.write(text.as_bytes())
    }
}

/// Whether two reports are of one board, as far as a reader of the list can tell.
fn is_same(a: &BoardReport, b: &BoardReport) -> bool {
    if let (Some(a), Some(b)) = (&a.serial_port, &b.serial_port) {
        return a == b;
    }
    match (&a.mac, &b.mac) {
        (Some(x), Some(y)) => x == y && (a.port == b.port || a.port.is_none() || b.port.is_none()),
        _ if a.name.is_some() && a.name == b.name && a.interface == b.interface => true,
        _ => a.port == b.port && a.addresses.iter().any(|it| b.addresses.contains(it)),
    }
}

fn line(board: &BoardReport, colour: Colour) -> String {
    in_colour(&row(&cells(board), WIDTHS), board, colour)
}

fn in_colour(line: &str, board: &BoardReport, colour: Colour) -> String {
    match board.status {
        Status::Online => line.to_owned(),
        Status::Unconfirmed | Status::Unreachable => colour.faint(line),
    }
}

/// As much of a text as takes one line of the terminal.
fn fit(text: &str, width: usize) -> &str {
    let end = text
        .char_indices()
        .nth(width)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn row(cells: &[Cow<'_, str>; 8], widths: [usize; 8]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(cell);
        let length = cell.chars().count();
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(length) + 2));
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
    match safe.char_indices().nth(MAX_WIDTH) {
        Some((at, _)) => format!("{}...", &safe[..at]),
        None => safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::report::Source;

    fn board(name: &str) -> BoardReport {
        BoardReport {
            name: Some(name.into()),
            host: None,
            addresses: vec!["fe80::1%eth0".into(), "10.0.0.1".into()],
            port: Some(3000),
            chip: Some("esp32c3".into()),
            mode: Some("sta".into()),
            firmware: None,
            mac: None,
            sources: vec![Source::Mdns, Source::Gateway],
            status: Status::Online,
            interface: Some("eth0".into()),
            serial_port: None,
            usb: None,
            rtt_us: Some(1320),
            greeting: Some("hi\u{1b}[2J".into()),
        }
    }

    #[test]
    fn a_line_has_all_that_is_known_and_nothing_that_harms() {
        let text = line(&board("a\u{1b}]0;x\u{7}\u{202e}"), Colour::Off);
        assert!(text.starts_with("a\\x1b]0;x\\x07\\u{202e}"), "{text}");
        for part in [
            "[fe80::1%eth0]:3000",
            "esp32c3",
            "sta",
            "mdns+gateway",
            "eth0",
            "online 1.32 ms",
            "\"hi\\x1b[2J\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains(char::is_control), "{text:?}");
        let long = line(&board(&"x".repeat(5000)), Colour::Off);
        assert!(long.len() < 300, "{}", long.len());
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(fit("häuser", 2), "hä");
        assert_eq!(fit("ab", 5), "ab");
    }
}
