//! The only module that prints.
//!
//! Data goes to standard output, everything else to standard error. A command passes its results
//! to [`Output`], which decides between text and JSON.

pub mod color;
pub mod columns;
mod event_printer;
mod hexdump;
pub mod human;
pub mod json;
mod progress;
mod reply;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::interrupt;
use crate::sys::terminal::{self, Stream};
use crate::sys::{self, Readiness};

pub use color::{Color, ColorWhen};
pub use event_printer::EventPrinter;
pub use progress::Progress;
use progress::Status;
pub use reply::{ReplyForm, ReplyPrinter};

/// Standard output is a closed pipe. The command ends quietly with [`Exit::Done`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("standard output is closed")]
pub struct BrokenPipe;

/// A signal asked the command to end while the reader of standard output was not reading.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted while standard output was blocked")]
pub struct BlockedOutput;

/// How long a reader has after a signal to read more of the output.
const BLOCKED_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes that can be written without blocking once a pipe is writable (`PIPE_BUF` of Linux).
const PIPE_BYTES: usize = 4096;

/// The properties of the output that text is rendered for.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Color on standard output.
    pub color: Color,
    /// Whether standard output is a terminal.
    pub is_terminal: bool,
    /// Column at which long lines are folded, on a terminal.
    pub fold: Option<usize>,
    /// Whether only data was asked for (`-q`).
    pub is_quiet: bool,
}

/// A result of a command: a JSON object for programs, text for people.
pub trait Render: Serialize {
    /// Complete lines that are safe for a terminal; `None` if there is no text.
    fn render(&self, view: &View) -> Option<String>;
}

/// How much to print on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Also notes, hints and progress.
    #[default]
    Normal,
    /// Also details.
    Verbose,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// JSON instead of text.
    pub json: bool,
    /// How much goes to standard error.
    pub verbosity: Verbosity,
    /// When to use color.
    pub color: ColorWhen,
}

/// The output of a command.
#[derive(Debug)]
pub struct Output {
    command: &'static str,
    json: bool,
    verbosity: Verbosity,
    interrupted: Cell<bool>,
    status: Status,
    stdout: Stdout,
    /// Color on standard output.
    pub stdout_color: Color,
    /// Color on standard error.
    pub stderr_color: Color,
}

impl Output {
    /// The output of `command` with these options.
    pub fn new(command: &'static str, options: Options) -> Self {
        Self {
            command,
            json: options.json,
            verbosity: options.verbosity,
            interrupted: Cell::new(false),
            status: Status::default(),
            stdout: Stdout::new(),
            stdout_color: Color::decide(
                options.color,
                io::stdout().is_terminal() && terminal::has_escape_sequences(Stream::Output),
            ),
            stderr_color: Color::decide(
                options.color,
                io::stderr().is_terminal() && terminal::has_escape_sequences(Stream::Error),
            ),
        }
    }

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether `-v` was given.
    pub fn is_verbose(&self) -> bool {
        self.verbosity >= Verbosity::Verbose
    }

    /// Whether `-q` was given.
    pub fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Whether standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.stdout.terminal
    }

    /// Prints one JSON object on a line of its own.
    pub fn object<T: Serialize>(&self, object: &T) -> anyhow::Result<()> {
        self.write(&json::line(object))
    }

    /// Prints one result: an object for programs, text for people.
    pub fn print<R: Render>(&self, result: &R) -> anyhow::Result<()> {
        if self.json {
            return self.object(result);
        }
        let view = View {
            color: self.stdout_color,
            is_terminal: self.is_terminal(),
            fold: self.is_terminal().then(|| {
                let size = terminal_size::terminal_size_of(io::stdout());
                size.map_or(80, |(width, _)| width.0.into())
            }),
            is_quiet: self.is_quiet(),
        };
        match result.render(&view) {
            Some(text) => self.write(text.as_bytes()),
            None => Ok(()),
        }
    }

    /// A progress bar for `total` bytes, shown only if standard error is a terminal.
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        let shown = !self.json && self.verbosity >= Verbosity::Normal && io::stderr().is_terminal();
        Progress::new(shown, label, total)
    }

    /// Writes data to standard output.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.status.above(|| self.stdout.print(bytes))
    }

    /// Prints a line on standard error, unless `-q`. The text must be safe for a terminal.
    pub fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.status.above(|| print_error_line(&folded(text)));
        }
    }

    /// Prints what the user can do next, only if standard error is a terminal. The text must be
    /// safe for a terminal.
    pub fn hint(&self, text: &str) {
        if !self.json && io::stderr().is_terminal() {
            self.note(text);
        }
    }

    /// Prints a question on standard error, without a line end and even with `-q`.
    pub fn prompt(&self, question: &str) {
        let _ = io::stderr().write_all(question.as_bytes());
    }

    /// Shows status lines that the next call replaces, only if standard error is a terminal and
    /// without `-q`. The text must be safe for a terminal.
    pub fn status(&self, text: &str) {
        if self.shows_status() {
            let width = stderr_width().unwrap_or(80);
            let lines = text.lines().map(|line| columns::whole_parts(line, width));
            self.status.show(lines.collect::<Vec<_>>().join("\n"));
        }
    }

    /// Whether [`Output::status`] shows anything.
    pub(crate) fn shows_status(&self) -> bool {
        self.verbosity >= Verbosity::Normal
            && io::stderr().is_terminal()
            && match std::env::var_os("TERM") {
                Some(term) => term != "dumb",
                // Only on Windows do terminals have no name.
                None => cfg!(windows),
            }
            && terminal::has_escape_sequences(Stream::Error)
    }

    /// Removes the lines of [`Output::status`].
    pub fn end_status(&self) {
        self.status.end();
    }

    /// Prints lines on standard error with `-v`. The text must be safe for a terminal.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbosity >= Verbosity::Verbose {
            let text = text();
            if !text.is_empty() {
                self.status.above(|| print_error_line(&folded(&text)));
            }
        }
    }

    /// Ends the line on which the terminal shows `^C`.
    pub fn interrupted(&self) {
        if !self.interrupted.replace(true) && io::stderr().is_terminal() {
            self.note("");
        }
    }

    /// Prints the failure of one try if more tries follow.
    pub fn failed_try(&self, failure: &Failure, seq: Option<u64>) -> anyhow::Result<()> {
        if self.json {
            return self.object(&json::Error::new(Some(self.command), failure, seq));
        }
        let number = seq.map(|seq| format!("{seq}: ")).unwrap_or_default();
        print_error_line(&format!(
            "{number}{}",
            human::error(failure, self.stderr_color, stderr_width())
        ));
        Ok(())
    }

    /// Prints the final `tcpctl.error/1` object of a command whose failures were already printed.
    pub fn conclude(&self, failure: &Failure) {
        if self.json {
            print_failure(
                &self.stdout,
                Some(self.command),
                failure,
                self.json,
                self.stderr_color,
            );
        }
    }

    /// A printer for one reply.
    pub fn reply(&self, form: ReplyForm) -> ReplyPrinter<'_> {
        ReplyPrinter::new(self, form, None)
    }

    /// A printer for one of several simultaneous replies: each line starts with `label`.
    pub fn labeled_reply(&self, form: ReplyForm, label: &str) -> ReplyPrinter<'_> {
        ReplyPrinter::new(self, form, Some(label))
    }

    /// Prints the failure of a command, if it failed, and returns its exit code. With `-v` the
    /// causes follow.
    pub fn finish(&self, result: anyhow::Result<Exit>) -> Exit {
        let error = match result {
            Ok(exit) => return exit,
            Err(error) if error.is::<BrokenPipe>() => return Exit::Done,
            Err(error) if error.is::<BlockedOutput>() => {
                return interrupt::signal_exit().unwrap_or(Exit::Interrupted);
            }
            Err(error) => error,
        };
        let failure = Failure::from_error(&error);
        print_failure(
            &self.stdout,
            Some(self.command),
            &failure,
            self.json,
            self.stderr_color,
        );
        self.detail(|| {
            let causes = error.chain().skip(1);
            let lines = causes.map(|cause| format!("caused by: {}", reason(&cause)));
            lines.collect::<Vec<_>>().join("\n")
        });
        failure.exit()
    }
}

/// Prints a failure: lines on standard error and, with `--json`, an object on standard output.
pub(crate) fn print_failure(
    stdout: &Stdout,
    command: Option<&str>,
    failure: &Failure,
    as_json: bool,
    color: Color,
) {
    if as_json {
        // If standard output failed, the lines on standard error are still printed.
        let _ = stdout.write(&json::line(&json::Error::new(command, failure, None)));
    }
    print_error_line(&human::error(failure, color, stderr_width()));
}

/// Width of the terminal that shows standard error; `None` if it is not a terminal.
fn stderr_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0.into())
}

/// Lines for standard error, folded between words on a terminal.
fn folded(text: &str) -> String {
    let Some(width) = stderr_width() else {
        return text.to_owned();
    };
    let lines = text.lines().map(|line| match line.width() {
        // A line that fits keeps its indent.
        columns if columns <= width => line.to_owned(),
        _ => columns::folded(line, width).join("\n"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Prints a line on standard error. A closed standard error is ignored.
pub(crate) fn print_error_line(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Standard output without std's line buffer.
#[derive(Debug)]
pub(crate) struct Stdout {
    file: Option<File>,
    terminal: bool,
}

impl Stdout {
    pub(crate) fn new() -> Self {
        Self {
            file: duplicate().ok(),
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Writes all bytes. A closed pipe is [`BrokenPipe`], a blocked one after a signal
    /// [`BlockedOutput`].
    pub(crate) fn print(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => BrokenPipe.into(),
            io::ErrorKind::Interrupted => BlockedOutput.into(),
            _ => anyhow::Error::new(error).context("cannot write to standard output"),
        })
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        // A Windows console needs characters: it would read bytes in a code page.
        #[cfg(windows)]
        if self.terminal {
            let mut console = io::stdout().lock();
            console.write_all(String::from_utf8_lossy(bytes).as_bytes())?;
            return console.flush();
        }
        let Some(mut file) = self.file.as_ref() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        while !bytes.is_empty() {
            // After a signal the command must end, even if its output is blocked.
            let part = if interrupt::signal_exit().is_none() {
                bytes
            } else if sys::is_writable_within(file, BLOCKED_TIMEOUT) {
                &bytes[..bytes.len().min(PIPE_BYTES)]
            } else {
                return Err(io::ErrorKind::Interrupted.into());
            };
            match file.write(part) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sys::wait_until_ready(file, Readiness::Writable);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn duplicate() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn duplicate() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
