//! The sensors and commands of a board, as its settings allow them.

use core::fmt::Write;

use tcpctl_greeter::counters::Counters;
use tcpctl_greeter::handler::{Reply, RequestHandler};
use tcpctl_greeter::status::Board;
use tcpctl_settings::ServerSettings;

use crate::{Command, Context, Effect, Readings, Sensor, StatusCommand};

/// The sensors and commands of a board.
#[derive(Clone, Copy)]
pub struct App<'a> {
    sensors: &'a [&'a dyn Sensor],
    commands: &'a [&'a dyn Command],
    reports: Option<Reports<'a>>,
    changes: Changes,
}

/// The commands that the setting `status` turns off.
#[derive(Clone, Copy)]
struct Reports<'a> {
    status: StatusCommand<'a>,
    readings: Readings,
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
            reports: None,
            changes: Changes::Refused,
        }
    }

    /// Applies the settings of a board. `status` and `readings` are answered if the setting `status` is
    /// on. Commands that change something run if the setting `commands` is on. All other commands of the
    /// app run in either case.
    #[must_use]
    pub fn on_board(self, board: &'a dyn Board, mac: [u8; 6], settings: &ServerSettings) -> Self {
        let reports = Reports {
            status: StatusCommand { board },
            readings: Readings { mac },
        };
        Self {
            reports: settings.status().is_on().then_some(reports),
            changes: if settings.commands().is_on() {
                Changes::Allowed
            } else {
                Changes::Refused
            },
            ..self
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

impl App<'_> {
    fn command(&self, name: &str) -> Option<&dyn Command> {
        let reports = self.reports.as_ref();
        let reports = reports.map(|it| [&it.status as &dyn Command, &it.readings]);
        let mut commands = reports
            .into_iter()
            .flatten()
            .chain(self.commands.iter().copied());
        commands.find(|command| command.name() == name)
    }
}

impl RequestHandler for App<'_> {
    fn reply(&self, line: &str, counters: &Counters, reply: &mut Reply<'_>) -> bool {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let Some(command) = self.command(name) else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Output;
    use core::cell::Cell;
    use core::fmt;
    use std::string::{String, ToString};
    use std::vec;
    use tcpctl_greeter::status::Vitals;
    use tcpctl_settings::ServerParts;

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

    /// A board with nothing to report.
    struct Idle;

    impl Board for Idle {
        fn vitals(&self) -> Vitals<'_> {
            Vitals::default()
        }
    }

    #[test]
    fn setting_status_removes_reports_and_no_other_command() {
        let lit = Cell::new(false);
        let led = Output::new("led", |on| lit.set(on));
        let commands: [&dyn Command; 1] = [&led];
        for (status, commands_allowed) in [(true, true), (true, false), (false, true)] {
            let settings = ServerSettings::new(ServerParts {
                status: status.into(),
                commands: commands_allowed.into(),
                ..ServerParts::default()
            });
            let app = App::new(&[], &commands).on_board(&Idle, [2; 6], &settings.unwrap());
            for report in ["status", "readings"] {
                let mut buffer = [0; 800];
                let mut reply = Reply::new(&mut buffer);
                let handled = app.reply(report, &Counters::default(), &mut reply);
                assert_eq!(handled, status, "{report}");
                assert!(!reply.as_str().contains("error"), "{report}");
            }
            lit.set(false);
            assert!(ask(&app, "led on").is_some());
            assert_eq!(lit.get(), commands_allowed);
        }
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
