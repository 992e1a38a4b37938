//! `tcpctl read`: reads the sensors of boards.

mod history;
mod render;
mod senml;

use std::time::SystemTime;

use crate::cli::ReadArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::output::Output;
use crate::query::{self, Asked, QueryPlan, Screen};
use crate::sanitize;

use history::History;
use senml::Reading;

/// How to print readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Csv,
    Senml,
    Prometheus,
    Json,
}

/// The readings of one board.
struct BoardReadings<'a> {
    target: &'a str,
    /// The line as received.
    line: &'a str,
    readings: Vec<Reading>,
}

/// Runs `tcpctl read`.
///
/// # Errors
/// The failure of the only board, or an error that ends the command.
pub fn run(args: &ReadArgs, output: &Output) -> anyhow::Result<Exit> {
    let given: Vec<_> = args.target.iter().cloned().collect();
    let (targets, sensors) = if args.query.targets.is_some() {
        (Vec::new(), [given, args.sensors.clone()].concat())
    } else {
        (given, args.sensors.clone())
    };
    let plan =
        QueryPlan::new("read", b"readings\n", &targets, &args.query)?.with_rounds(args.count);
    let form = match (args.csv, args.senml, args.prometheus) {
        _ if output.is_json() => Form::Json,
        (true, _, _) => Form::Csv,
        (_, true, _) => Form::Senml,
        (_, _, true) => Form::Prometheus,
        _ => Form::Table,
    };
    let mut printer = Printer {
        form,
        output,
        history: plan.interval.map(|_| History::default()),
        rounds: 0,
    };
    query::run(&plan, output, |answers, screen| {
        let now = SystemTime::now();
        let mut failures = Vec::new();
        let mut boards = Vec::new();
        for Asked { target, answer } in answers {
            let Ok(answer) = answer else { continue };
            match senml::parse(&answer.line, now) {
                Some(readings) => boards.push(BoardReadings {
                    target,
                    line: &answer.line,
                    readings: select(target, readings, &sensors, &mut failures),
                }),
                None => failures.push(query::not_an_answer(target, "readings")),
            }
        }
        printer.print(answers, &boards, screen)?;
        Ok(failures)
    })
}

/// Selects the requested sensors. A missing one is a failure.
fn select(
    target: &str,
    readings: Vec<Reading>,
    sensors: &[String],
    failures: &mut Vec<Failure>,
) -> Vec<Reading> {
    let failure = |what: String| {
        let shown = sanitize::one_line(target);
        Failure::new(Kind::Negative, format!("{shown}: {what}")).about(target)
    };
    if readings.is_empty() {
        failures.push(failure("the board has no sensors".to_owned()));
    }
    let names: Vec<_> = readings
        .iter()
        .map(|reading| sanitize::one_line(&reading.name))
        .collect();
    let missing: Vec<_> = sensors
        .iter()
        .filter(|sensor| !readings.iter().any(|reading| reading.name == **sensor))
        .map(|sensor| format!("'{}'", sanitize::one_line(sensor)))
        .collect();
    if !readings.is_empty() && !missing.is_empty() {
        failures.push(
            failure(format!("no sensor {}", missing.join(", ")))
                .hint(format!("it has {}", names.join(", "))),
        );
    }
    let is_wanted = |reading: &Reading| sensors.is_empty() || sensors.contains(&reading.name);
    readings.into_iter().filter(is_wanted).collect()
}

/// Prints rounds of readings.
struct Printer<'a> {
    form: Form,
    output: &'a Output,
    /// Values for sparklines, in a watch.
    history: Option<History>,
    rounds: u64,
}

impl Printer<'_> {
    fn print(
        &mut self,
        answers: &[Asked],
        boards: &[BoardReadings<'_>],
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        self.rounds += 1;
        let is_first = self.rounds == 1;
        match self.form {
            Form::Json => {
                for board in boards {
                    for reading in &board.readings {
                        self.output.object(&reading.report(board.target))?;
                    }
                }
                Ok(())
            }
            Form::Senml => {
                for board in boards {
                    let line = if self.output.is_terminal() {
                        sanitize::one_line(board.line)
                    } else {
                        board.line.to_owned()
                    };
                    self.output.write(format!("{line}\n").as_bytes())?;
                }
                Ok(())
            }
            Form::Csv => self.output.write(render::csv(boards, is_first).as_bytes()),
            Form::Prometheus => {
                let text = render::prometheus(answers, boards);
                self.output.write(text.as_bytes())
            }
            Form::Table => {
                let history = self.history.as_mut().filter(|_| self.output.is_terminal());
                let text = render::readings_table(boards, answers.len() > 1, history);
                screen.print(&text, self.output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_sensors_are_failures() {
        let line = r#"[{"n":"a","v":1},{"n":"b","v":2}]"#;
        let readings = || senml::parse(line, SystemTime::UNIX_EPOCH).unwrap();
        let mut failures = Vec::new();
        let all = select("sim", readings(), &[], &mut failures);
        assert_eq!((all.len(), failures.len()), (2, 0));
        let some = select(
            "sim",
            readings(),
            &["b".to_owned(), "c".to_owned()],
            &mut failures,
        );
        assert_eq!(some.len(), 1);
        assert_eq!(failures[0].message, "sim: no sensor 'c'");
        assert_eq!(failures[0].hint.as_deref(), Some("it has a, b"));
        let mut failures = Vec::new();
        select("sim", Vec::new(), &[], &mut failures);
        assert_eq!(failures[0].kind, Kind::Negative);
    }
}
