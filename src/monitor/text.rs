//! Text of a board's console.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::symbols::Frame;
use crate::sanitize::{Sanitizer, Sgr};
use crate::timestamp;

/// The style of lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineStyle {
    /// Whether the board's colors are shown.
    pub sgr: Sgr,
    /// The clock of line times.
    pub clock: Clock,
    /// Which functions to show for an address.
    pub functions: Functions,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    /// The system's time zone, for a terminal.
    Local,
    /// UTC, for files and pipes.
    Utc,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Functions {
    /// The innermost function only: one line for each address.
    Innermost,
    /// Also the functions that it is inlined into.
    Inlined,
}

/// Formats lines. An unfinished line is continued where it ended.
#[derive(Debug)]
pub(super) struct LinePrinter {
    style: LineStyle,
    /// The printed part of the unfinished line.
    open_line: Option<String>,
}

impl LinePrinter {
    pub(super) fn new(style: LineStyle) -> Self {
        Self {
            style,
            open_line: None,
        }
    }

    /// Whether an unfinished line has been printed.
    pub(super) fn has_open_line(&self) -> bool {
        self.open_line.is_some()
    }

    /// A complete line, with its time and the functions of its addresses.
    pub(super) fn line(&mut self, line: &[u8], time: SystemTime, frames: &[Frame]) -> String {
        let mut shown = String::new();
        let mut sanitizer = Sanitizer::with_sgr(self.style.sgr);
        sanitizer.push(line, &mut shown);
        sanitizer.finish(&mut shown);
        // Colors end at the end of the line.
        if self.style.sgr == Sgr::Keep && shown.contains('\x1b') {
            shown.push_str("\x1b[0m");
        }
        let mut text = self.continued(shown, time);
        self.open_line = None;
        text.push('\n');
        let mut last = None;
        for frame in frames {
            let is_inlined = last == Some(frame.index);
            last = Some(frame.index);
            if is_inlined && matches!(self.style.functions, Functions::Innermost) {
                continue;
            }
            let location = frame
                .location
                .as_ref()
                .map_or_else(String::new, |location| format!(" at {location}"));
            let _ = writeln!(
                text,
                "              {} {}{location}",
                frame.address, frame.function
            );
        }
        text
    }

    /// The part of an unfinished line that has not been printed yet.
    pub(super) fn unfinished(&mut self, line: &[u8], time: SystemTime) -> String {
        let mut shown = String::new();
        // Incomplete characters and sequences stay in the sanitizer.
        Sanitizer::with_sgr(self.style.sgr).push(line, &mut shown);
        self.continued(shown, time)
    }

    /// Ends an unfinished line and its color before something else is printed.
    pub(super) fn end_line(&mut self) -> &'static str {
        match self.open_line.take() {
            Some(printed) if printed.contains('\x1b') => "\x1b[0m\n",
            Some(_) => "\n",
            None => "",
        }
    }

    fn continued(&mut self, shown: String, time: SystemTime) -> String {
        let text = match &self.open_line {
            Some(printed) if shown.starts_with(printed.as_str()) => {
                shown[printed.len()..].to_owned()
            }
            _ => format!("{}{} {shown}", self.end_line(), self.clock(time)),
        };
        self.open_line = Some(shown);
        text
    }

    fn clock(&self, time: SystemTime) -> String {
        match self.style.clock {
            Clock::Local => timestamp::local_time_of_day(time),
            Clock::Utc => timestamp::utc_time_of_day(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn printer(sgr: Sgr) -> LinePrinter {
        LinePrinter::new(LineStyle {
            sgr,
            clock: Clock::Utc,
            functions: Functions::Innermost,
        })
    }

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn unfinished_lines_are_continued() {
        let mut printer = printer(Sgr::Remove);
        assert_eq!(printer.unfinished(b">>> ", EPOCH), "00:00:00.000Z >>> ");
        assert_eq!(printer.unfinished(b">>> 1+", EPOCH), "1+");
        assert_eq!(printer.line(b">>> 1+1", EPOCH, &[]), "1\n");
        assert_eq!(printer.line(b"2", EPOCH, &[]), "00:00:00.000Z 2\n");
        assert_eq!(printer.unfinished(b"x", EPOCH), "00:00:00.000Z x");
        assert_eq!(printer.end_line(), "\n");
        assert_eq!(printer.end_line(), "");
    }

    #[test]
    fn colors_end_with_their_line() {
        let line = b"\x1b[0;32mI (31) boot";
        assert_eq!(
            printer(Sgr::Keep).line(line, EPOCH, &[]),
            "00:00:00.000Z \x1b[0;32mI (31) boot\x1b[0m\n"
        );
        assert_eq!(
            printer(Sgr::Remove).line(line, EPOCH, &[]),
            "00:00:00.000Z I (31) boot\n"
        );
        let mut printer = printer(Sgr::Keep);
        printer.unfinished(line, EPOCH);
        assert_eq!(printer.end_line(), "\x1b[0m\n");
        printer.unfinished(line, EPOCH);
        // The line was replaced.
        assert_eq!(
            printer.unfinished(b"another", EPOCH),
            "\x1b[0m\n00:00:00.000Z another"
        );
    }

    #[test]
    fn inlined_functions_are_shown_only_if_asked_for() {
        let frame = |index, function: &str| Frame {
            index,
            address: "0x42001a2c".to_owned(),
            function: function.to_owned(),
            location: None,
        };
        let frames = [frame(0, "inner"), frame(0, "outer"), frame(1, "main")];
        let text = printer(Sgr::Keep).line(b"", EPOCH, &frames);
        assert!(text.contains("inner") && text.contains("main"), "{text}");
        assert!(!text.contains("outer"), "{text}");
    }
}
