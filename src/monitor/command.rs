//! `tcpctl monitor`: until Ctrl-C, a line that was waited for, or the end of the time.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::event::MonitorReport;
use super::reader::{self, Heard};
use super::symbols::Symbols;
use crate::board::console::Lines;
use crate::cli::MonitorArgs;
use crate::connect;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::pattern;
use crate::sanitize::Sanitizer;
use crate::serial::port;
use crate::serial::port::Chosen;
use crate::sys;

/// Ctrl-R.
const CTRL_R: u8 = 0x12;

/// Carries out `tcpctl monitor`.
///
/// # Errors
/// No port, or a pattern or ELF that is none; `--until` unmet when the time is over.
pub fn run(args: &MonitorArgs, output: &Output) -> anyhow::Result<Exit> {
    let until = args.until.as_deref().map(|text| {
        pattern::compile(text).map_err(|failure| Failure {
            message: failure.message.replacen("--expect", "--until", 1),
            ..failure
        })
    });
    let watch = Watch {
        until: until.transpose()?,
        symbols: args.elf.as_deref().map(Symbols::load).transpose()?,
        timeout: args.timeout,
        raw: args.raw,
        baud: args.baud,
    };
    let chosen = connect::serial_port(args.port.as_deref())?;
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().map_err(|error| {
            Failure::new(
                Kind::Internal,
                format!("signals can't be taken over: {error}"),
            )
        })?;
        watch.console(&chosen, &interrupt, output).await
    })?
}

/// How a console is watched.
pub struct Watch {
    /// The line that ends it.
    until: Option<Regex>,
    /// What explains addresses.
    symbols: Option<Symbols>,
    /// How long.
    timeout: Option<Duration>,
    /// Bytes, and not lines.
    raw: bool,
    /// Bits per second.
    baud: u32,
}

impl Watch {
    /// Until Ctrl-C, as `flash --monitor` goes on.
    ///
    /// # Errors
    /// The ELF can't be read.
    pub fn after_flashing(elf: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self {
            until: None,
            symbols: elf.map(Symbols::load).transpose()?,
            timeout: None,
            raw: false,
            baud: port::FIRST_BAUD,
        })
    }

    /// Shows a board's console.
    ///
    /// # Errors
    /// The port can't be opened, or what was waited for did not come.
    pub async fn console(
        &self,
        chosen: &Chosen,
        interrupt: &Interrupt,
        output: &Output,
    ) -> anyhow::Result<Exit> {
        let port = port::open(chosen, self.baud)?;
        let (sender, mut heard) = mpsc::channel(reader::AHEAD);
        let (reset, resets) = std_mpsc::channel();
        let (place, baud) = (chosen.clone(), self.baud);
        tokio::task::spawn_blocking(move || reader::read(port, &place, baud, &sender, &resets));
        let _keys = keys(reset, output, chosen);

        let end = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep_until(Instant::now() + timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        let mut shown = Shown::default();
        loop {
            tokio::select! {
                biased;
                exit = interrupt.requested() => {
                    output.interrupted();
                    self.rest(&mut shown, output)?;
                    // It ends no other way: that is no failure.
                    return Ok(if self.until.is_some() || self.timeout.is_some() { exit } else { Exit::Done });
                }
                // A board that prints without a pause does not put it off.
                () = &mut end => {
                    for _ in 0..heard.len() {
                        let Ok(next) = heard.try_recv() else { break };
                        if self.hear(&next, &mut shown, chosen, output)? {
                            return Ok(Exit::Done);
                        }
                    }
                    if self.rest(&mut shown, output)? {
                        return Ok(Exit::Done);
                    }
                    return self.too_late(&shown, chosen);
                }
                next = heard.recv() => match next {
                    Some(next) => if self.hear(&next, &mut shown, chosen, output)? {
                        return Ok(Exit::Done);
                    },
                    None => return Err(Failure::new(Kind::Internal, "the port's thread has died").into()),
                },
            }
        }
    }

    /// Shows what was heard; says whether it is what was waited for.
    fn hear(
        &self,
        heard: &Heard,
        shown: &mut Shown,
        chosen: &Chosen,
        output: &Output,
    ) -> anyhow::Result<bool> {
        let name = chosen.name();
        match heard {
            Heard::Bytes(bytes) => {
                shown.anything = true;
                if self.raw {
                    shown.raw(bytes, output)?;
                }
                let mut met = false;
                for line in shown.lines.push(bytes) {
                    met |= self.line(&line, output)?;
                }
                Ok(met)
            }
            Heard::Gone => {
                output.note(&format!(
                    "{name}: the board is gone; waiting until it is back"
                ));
                self.rest(shown, output)
            }
            Heard::Back => {
                output.note(&format!("{name}: the board is back"));
                Ok(false)
            }
            Heard::Reset => {
                output.note(&format!("{name}: reset"));
                Ok(false)
            }
            Heard::NoReset(why) => {
                output.note(&format!(
                    "{name}: can't be reset from here ({why}): press RESET"
                ));
                Ok(false)
            }
        }
    }

    /// What came without a line end, at the end.
    fn rest(&self, shown: &mut Shown, output: &Output) -> anyhow::Result<bool> {
        if self.raw {
            shown.raw_rest(output)?;
        }
        let rest = shown.lines.take();
        if rest.is_empty() {
            return Ok(false);
        }
        self.line(&rest, output)
    }

    /// Shows a line; says whether it is the one that was waited for.
    fn line(&self, line: &[u8], output: &Output) -> anyhow::Result<bool> {
        if !self.raw {
            let text = String::from_utf8_lossy(line).into_owned();
            let explain = |symbols: &Symbols| symbols.explain(&text);
            let frames = self.symbols.as_ref().map(explain).unwrap_or_default();
            output.print(&MonitorReport::now(text, frames))?;
        }
        Ok(self
            .until
            .as_ref()
            .is_some_and(|until| until.is_match(line)))
    }

    /// The time is over.
    fn too_late(&self, shown: &Shown, chosen: &Chosen) -> anyhow::Result<Exit> {
        let name = chosen.name();
        match (&self.until, shown.anything) {
            (None, _) => Ok(Exit::Done),
            (Some(_), true) => Err(Failure::new(
                Kind::Negative,
                format!("{name}: no line matched --until before the time was over"),
            )
            .into()),
            (Some(_), false) => Err(Failure::new(
                Kind::Timeout,
                format!("{name}: nothing came before the time was over"),
            )
            .hint("is it the right port, and --baud the board's?")
            .into()),
        }
    }
}

/// What was shown so far.
#[derive(Default)]
struct Shown {
    anything: bool,
    lines: Lines,
    sanitizer: Sanitizer,
}

impl Shown {
    /// Bytes as they are; on a terminal escaped.
    fn raw(&mut self, bytes: &[u8], output: &Output) -> anyhow::Result<()> {
        if !output.is_terminal() {
            return output.write(bytes);
        }
        let mut safe = String::new();
        self.sanitizer.push(bytes, &mut safe);
        output.write(safe.as_bytes())
    }

    /// The first bytes of a character whose others have not come.
    fn raw_rest(&mut self, output: &Output) -> anyhow::Result<()> {
        let mut safe = String::new();
        self.sanitizer.finish(&mut safe);
        output.write(safe.as_bytes())
    }
}

/// Listens for Ctrl-R where a person is at the keyboard.
fn keys(
    reset: std_mpsc::Sender<()>,
    output: &Output,
    chosen: &Chosen,
) -> Option<sys::terminal::Keys> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return None;
    }
    let keys = sys::terminal::Keys::take().ok()?;
    output.hint(&format!(
        "{}: Ctrl-R resets the board, Ctrl-C ends",
        chosen.name()
    ));
    // It ends with the process: nothing can be done about a read that waits for a key.
    thread::spawn(move || {
        use std::io::Read;
        let mut byte = [0];
        while io::stdin()
            .lock()
            .read(&mut byte)
            .is_ok_and(|count| count == 1)
        {
            if byte[0] == CTRL_R && reset.send(()).is_err() {
                return;
            }
        }
    });
    Some(keys)
}
