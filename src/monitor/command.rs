//! Runs `tcpctl monitor`: until Ctrl-], a signal, a matching line, or the timeout.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use regex::bytes::Regex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::keyboard::{self, KeyAction};
use super::port_thread::{self, PortEvent, PortRequest};
use super::report::MonitorReport;
use super::symbols::Symbols;
use super::text::{Clock, Functions, LinePrinter, LineStyle};
use crate::board::console::LineSplitter;
use crate::cli::MonitorArgs;
use crate::connect;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::{Color, Output};
use crate::sanitize::{self, Sanitizer, Sgr};
use crate::serial::port::{self, SelectedPort};
use crate::units;

/// Silence after which an unfinished line is shown.
const UNFINISHED_LINE_DELAY: Duration = Duration::from_millis(100);

/// Runs `tcpctl monitor`.
///
/// # Errors
/// No port, an invalid pattern or ELF, or `--until` unmet at the timeout.
pub fn run(args: &MonitorArgs, output: &Output) -> anyhow::Result<Exit> {
    let until = args.until.as_deref();
    let plan = MonitorPlan {
        until: until
            .map(|text| units::regex("--until", text))
            .transpose()?,
        symbols: args.elf.as_deref().map(Symbols::load).transpose()?,
        timeout: args.timeout,
        raw: args.raw,
        baud: args.baud,
        keyboard: !args.no_input,
    };
    let selected = connect::serial_port(args.port.as_deref())?;
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        plan.run(&selected, &interrupt, output).await
    })?
}

/// The plan of a monitor.
pub struct MonitorPlan {
    /// The line that ends the monitor.
    until: Option<Regex>,
    /// Symbols to resolve addresses.
    symbols: Option<Symbols>,
    timeout: Option<Duration>,
    /// Whether to print bytes instead of lines.
    raw: bool,
    /// Bits per second.
    baud: u32,
    /// Whether typed keys go to the board.
    keyboard: bool,
}

impl MonitorPlan {
    /// Monitors until the user ends it, for `flash --monitor`.
    ///
    /// # Errors
    /// The ELF is unreadable.
    pub fn after_flashing(elf: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self {
            until: None,
            symbols: elf.map(Symbols::load).transpose()?,
            timeout: None,
            raw: false,
            baud: port::DEFAULT_BAUD,
            keyboard: true,
        })
    }

    /// Shows a board's console.
    ///
    /// # Errors
    /// The port does not open, or `--until` is unmet at the timeout.
    pub async fn run(
        &self,
        selected: &SelectedPort,
        interrupt: &Interrupt,
        output: &Output,
    ) -> anyhow::Result<Exit> {
        let port = port::open(selected, self.baud)?;
        let (sender, mut events) = mpsc::channel(port_thread::READ_AHEAD);
        let (requests, receiver) = std_mpsc::channel();
        let (owned, baud) = (selected.clone(), self.baud);
        tokio::task::spawn_blocking(move || {
            port_thread::run(port, &owned, baud, &sender, &receiver);
        });
        let mut console = Console::new(self, selected, output);
        let is_interactive = io::stdin().is_terminal() && output.is_terminal() && !output.is_json();
        let listening = (self.keyboard && is_interactive).then(keyboard::listen);
        let (_keyboard, mut keys) = listening.and_then(Result::ok).unzip();
        if keys.is_some() {
            output.hint(&format!("{}: {}", console.name, keyboard::HELP));
        }
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        // If nothing else ends the monitor, ending it by hand is not an interruption.
        let ends_itself = self.until.is_some() || self.timeout.is_some();
        loop {
            tokio::select! {
                biased;
                exit = interrupt.requested() => {
                    output.interrupted();
                    console.finish()?;
                    return Ok(exit);
                }
                // Checked before the events, so that a board that prints without a pause does not
                // delay it.
                () = until(deadline) => {
                    for _ in 0..events.len() {
                        let Ok(event) = events.try_recv() else { break };
                        if console.handle(&event)? == Until::Matched {
                            return Ok(Exit::Done);
                        }
                    }
                    return match console.finish()? {
                        Until::Matched => Ok(Exit::Done),
                        Until::Waiting => console.timed_out(),
                    };
                }
                Some(key) = next_key(&mut keys) => match key {
                    KeyAction::Send(bytes) => {
                        let _ = requests.send(PortRequest::Write(bytes));
                    }
                    KeyAction::Reset => {
                        let _ = requests.send(PortRequest::Reset);
                    }
                    KeyAction::Unknown => console.note(keyboard::HELP)?,
                    KeyAction::End => {
                        console.finish()?;
                        return Ok(if ends_itself { Exit::Interrupted } else { Exit::Done });
                    }
                },
                event = events.recv() => match event {
                    Some(event) => if console.handle(&event)? == Until::Matched {
                        return Ok(Exit::Done);
                    },
                    None => return Err(Failure::new(Kind::Internal, "the port thread has ended unexpectedly").into()),
                },
                () = until(console.show_unfinished_at) => {
                    if console.show_unfinished()? == Until::Matched {
                        return Ok(Exit::Done);
                    }
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn next_key(keys: &mut Option<mpsc::UnboundedReceiver<KeyAction>>) -> Option<KeyAction> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether `--until` has matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Matched,
    Waiting,
}

/// Prints what a port receives.
struct Console<'a> {
    plan: &'a MonitorPlan,
    output: &'a Output,
    name: String,
    has_received: bool,
    splitter: LineSplitter,
    printer: LinePrinter,
    /// Sanitizes the output of --raw.
    sanitizer: Sanitizer,
    show_unfinished_at: Option<Instant>,
}

impl<'a> Console<'a> {
    fn new(plan: &'a MonitorPlan, selected: &SelectedPort, output: &'a Output) -> Self {
        let sgr = match output.stdout_color {
            Color::On => Sgr::Keep,
            Color::Off => Sgr::Remove,
        };
        Self {
            plan,
            output,
            name: selected.name(),
            has_received: false,
            splitter: LineSplitter::default(),
            printer: LinePrinter::new(LineStyle {
                sgr,
                clock: if output.is_terminal() {
                    Clock::Local
                } else {
                    Clock::Utc
                },
                functions: if output.is_verbose() {
                    Functions::Inlined
                } else {
                    Functions::Innermost
                },
            }),
            sanitizer: Sanitizer::with_sgr(sgr),
            show_unfinished_at: None,
        }
    }

    fn handle(&mut self, event: &PortEvent) -> anyhow::Result<Until> {
        match event {
            PortEvent::Bytes(bytes) => return self.receive(bytes),
            PortEvent::Gone => {
                let ended = self.finish()?;
                self.note("the board was disconnected, waiting for it")?;
                return Ok(ended);
            }
            PortEvent::Back => self.note("the board is back")?,
            PortEvent::Reset => self.note("reset")?,
            PortEvent::NoReset(reason) => {
                self.note(&format!(
                    "cannot reset the board ({reason}), press its reset button"
                ))?;
            }
            PortEvent::WriteFailed(reason) => {
                self.note(&format!("the board did not accept the keys: {reason}"))?;
            }
        }
        Ok(Until::Waiting)
    }

    fn receive(&mut self, bytes: &[u8]) -> anyhow::Result<Until> {
        self.has_received = true;
        if self.plan.raw {
            self.print_raw(bytes)?;
        }
        let mut matched = Until::Waiting;
        for line in self.splitter.push(bytes) {
            if self.line(&line)? == Until::Matched {
                matched = Until::Matched;
            }
        }
        self.show_unfinished_at = None;
        if !self.splitter.rest().is_empty() {
            // A prompt that is already shown is continued at once, so that typing is not delayed.
            let delay = if self.printer.has_open_line() {
                Duration::ZERO
            } else {
                UNFINISHED_LINE_DELAY
            };
            self.show_unfinished_at = Some(Instant::now() + delay);
        }
        Ok(matched)
    }

    /// Prints a complete line.
    fn line(&mut self, line: &[u8]) -> anyhow::Result<Until> {
        let plain = sanitize::without_sgr(line);
        if !self.plan.raw {
            let text = String::from_utf8_lossy(&plain);
            let explain = |symbols: &Symbols| symbols.explain(&text);
            let frames = self.plan.symbols.as_ref().map(explain).unwrap_or_default();
            if self.output.is_json() {
                self.output.object(&MonitorReport::line(&text, frames))?;
            } else {
                let text = self.printer.line(line, SystemTime::now(), &frames);
                self.output.write(text.as_bytes())?;
            }
        }
        Ok(self.matches(&plain))
    }

    /// Prints the beginning of a line whose end has not arrived.
    fn show_unfinished(&mut self) -> anyhow::Result<Until> {
        self.show_unfinished_at = None;
        let line = self.splitter.rest();
        let plain = sanitize::without_sgr(line);
        if self.output.is_json() {
            let text = String::from_utf8_lossy(&plain).into_owned();
            self.output.object(&MonitorReport::unfinished(text))?;
        } else if !self.plan.raw {
            let text = self.printer.unfinished(line, SystemTime::now());
            self.output.write(text.as_bytes())?;
        }
        let matched = self.matches(&plain);
        if matched == Until::Matched && self.output.is_terminal() {
            // End the line, because the shell's prompt follows.
            self.output.write(self.printer.end_line().as_bytes())?;
        }
        Ok(matched)
    }

    fn matches(&self, plain: &[u8]) -> Until {
        match &self.plan.until {
            Some(until) if until.is_match(plain) => Until::Matched,
            _ => Until::Waiting,
        }
    }

    /// Prints the rest at the end: an unfinished line counts as a line.
    fn finish(&mut self) -> anyhow::Result<Until> {
        self.show_unfinished_at = None;
        if self.plan.raw {
            let mut safe = String::new();
            self.sanitizer.finish(&mut safe);
            self.output.write(safe.as_bytes())?;
        }
        let rest = self.splitter.take();
        if rest.is_empty() {
            return Ok(Until::Waiting);
        }
        self.line(&rest)
    }

    /// Prints bytes as they are; on a terminal escaped.
    fn print_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if !self.output.is_terminal() {
            return self.output.write(bytes);
        }
        let mut safe = String::new();
        self.sanitizer.push(bytes, &mut safe);
        self.output.write(safe.as_bytes())
    }

    /// Prints a note on a line of its own.
    fn note(&mut self, text: &str) -> anyhow::Result<()> {
        let end = self.printer.end_line();
        self.output.write(end.as_bytes())?;
        self.output.note(&format!("{}: {text}", self.name));
        Ok(())
    }

    fn timed_out(&self) -> anyhow::Result<Exit> {
        let name = &self.name;
        let Some(timeout) = self.plan.timeout.filter(|_| self.plan.until.is_some()) else {
            return Ok(Exit::Done);
        };
        Err(if self.has_received {
            Failure::new(
                Kind::Negative,
                format!("{name}: no line matched --until within {timeout:?}"),
            )
        } else {
            Failure::new(
                Kind::Timeout,
                format!("{name}: no output within {timeout:?}"),
            )
            .hint("is it the right port, and is --baud right?")
        }
        .into())
    }
}
