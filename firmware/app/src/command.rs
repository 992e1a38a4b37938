//! Commands, and the app that runs them.

use core::fmt::{self, Write};

use tcpctl_greeter::counters::Counters;
use tcpctl_greeter::handler::{Reply, RequestHandler};
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

/// The sensors and commands of a board.
#[derive(Clone, Copy)]
pub struct App<'a> {
    sensors: &'a [&'a dyn Sensor],
    commands: &'a [&'a dyn Command],
    changes: Changes,
}

/// Whether commands that change something are allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    Refused,
    Allowed,
}

impl<'a> App<'a> {
    /// An app that refuses commands that change something.
    pub const fn new(sensors: &'a [&'a dyn Sensor], commands: &'a [&'a dyn Command]) -> Self {
        Self {
            sensors,
            commands,
            changes: Changes::Refused,
        }
    }

    /// Also allows commands that change something (setting `commands`).
    #[must_use]
    pub const fn with_changes_allowed(self) -> Self {
        Self {
            changes: Changes::Allowed,
            ..self
        }
    }
}

impl RequestHandler for App<'_> {
    fn reply(&self, line: &str, counters: &Counters, reply: &mut Reply<'_>) -> bool {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let mut commands = self.commands.iter();
        let Some(command) = commands.find(|command| command.name() == name) else {
            return false;
        };
        let context = Context {
            sensors: self.sensors,
            counters,
        };
        let result = match (command.effect(), self.changes) {
            (Effect::Changes, Changes::Refused) => {
                writeln!(reply, "error: the setting commands is off")
            }
            _ => command.run(arguments.trim(), &context, reply),
        };
        if result.is_err() {
            reply.truncate(0);
            // Fails only in a buffer that has no room for any reply.
            let _ = writeln!(reply, "error: the reply is too long");
        }
        true
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use std::string::{String, ToString};
    use std::vec;

    /// Replies with many bytes.
    struct Long;

    impl Command for Long {
        fn name(&self) -> &'static str {
            "long"
        }
        fn run(&self, _: &str, _: &Context<'_>, reply: &mut Reply<'_>) -> fmt::Result {
            (0..100).try_for_each(|_| reply.write_str("0123456789"))
        }
    }

    fn ask(app: &App<'_>, line: &str) -> Option<String> {
        let mut buffer = vec![0; 64];
        let mut reply = Reply::new(&mut buffer);
        let handled = app.reply(line, &Counters::default(), &mut reply);
        handled.then(|| reply.as_str().to_string())
    }

    #[test]
    fn changes_need_permission() {
        let lit = Cell::new(false);
        let led = Output::new("led", |on| lit.set(on));
        let commands: [&dyn Command; 1] = [&led];
        let app = App::new(&[], &commands);
        let refused = "error: the setting commands is off\n";
        assert_eq!(ask(&app, "led on").as_deref(), Some(refused));
        assert!(!lit.get());
        let app = app.with_changes_allowed();
        assert_eq!(ask(&app, "led on").as_deref(), Some("ok\n"));
        assert!(lit.get());
        assert_eq!(ask(&app, "led off ").as_deref(), Some("ok\n"));
        assert!(!lit.get());
        let usage = "error: usage: led on|off\n";
        assert_eq!(ask(&app, "led").as_deref(), Some(usage));
    }

    #[test]
    fn other_requests_are_not_handled() {
        let commands: [&dyn Command; 1] = [&Long];
        let app = App::new(&[], &commands);
        for line in ["", "hello", "longer", " long", "LONG"] {
            assert_eq!(ask(&app, line), None, "{line:?}");
        }
    }

    #[test]
    fn reply_that_does_not_fit_is_an_error() {
        let commands: [&dyn Command; 1] = [&Long];
        let reply = ask(&App::new(&[], &commands), "long");
        assert_eq!(reply.as_deref(), Some("error: the reply is too long\n"));
    }
}
