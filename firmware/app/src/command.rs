//! Commands.

use core::fmt::{self, Write};

use tcpctl_greeter::counters::Counters;
use tcpctl_greeter::handler::Reply;
use tcpctl_greeter::status::{Board, Report};

use crate::Sensor;

/// Whether a command changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The command only reads, and is always allowed.
    Reads,
    /// The command changes something, and requires the setting `commands`.
    Changes,
}

/// A command: a request with its own reply.
pub trait Command {
    /// The first word of the request.
    fn name(&self) -> &str;
    /// Whether the command changes something.
    fn effect(&self) -> Effect {
        Effect::Reads
    }
    /// Writes the reply, which ends with a line end. Called while a request is answered: it must
    /// return within a millisecond.
    ///
    /// # Errors
    /// The reply is full.
    fn run(&self, arguments: &str, context: &Context<'_>, reply: &mut Reply<'_>) -> fmt::Result;
}

/// The parts of the board that a command can read.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The sensors.
    pub sensors: &'a [&'a dyn Sensor],
    /// Counters of the greeting server.
    pub counters: &'a Counters,
}

/// Answers `status` with one line of JSON.
#[derive(Clone, Copy)]
pub struct StatusCommand<'a> {
    /// The board with the values.
    pub board: &'a dyn Board,
}

impl Command for StatusCommand<'_> {
    fn name(&self) -> &'static str {
        "status"
    }

    fn run(&self, _: &str, context: &Context<'_>, reply: &mut Reply<'_>) -> fmt::Result {
        let report = Report {
            vitals: self.board.vitals(),
            counters: *context.counters,
        };
        writeln!(reply, "{report}")
    }
}

/// A digital output as a command: `led on`, `led off`.
#[derive(Clone, Copy, Debug)]
pub struct Output<F> {
    name: &'static str,
    set: F,
}

impl<F: Fn(bool)> Output<F> {
    /// A command with this name that calls `set`.
    pub const fn new(name: &'static str, set: F) -> Self {
        Self { name, set }
    }
}

impl<F: Fn(bool)> Command for Output<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn run(&self, arguments: &str, _: &Context<'_>, reply: &mut Reply<'_>) -> fmt::Result {
        match arguments {
            "on" => (self.set)(true),
            "off" => (self.set)(false),
            _ => return writeln!(reply, "error: usage: {} on|off", self.name),
        }
        writeln!(reply, "ok")
    }
}
