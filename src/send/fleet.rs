//! `--targets`: one exchange with each of many servers, some at a time.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU16;
use std::path::Path;

use serde::Deserialize;

use super::attempt::{Attempt, Tried, endpoint};
use super::input;
use super::plan::Plan;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::sanitize;
use crate::target::{self, DEFAULT_PORT, Place, Target};

/// The longest list that is read.
const LONGEST_LIST: u64 = 16 * 1024 * 1024;

/// Reads the list of targets: one a line, or JSON Lines of `discover --json`.
pub(super) fn targets(path: &Path) -> Result<Vec<Target>, Failure> {
    let name = if input::is_stdin(path) {
        "standard input".to_owned()
    } else {
        sanitize::one_line(&path.to_string_lossy())
    };
    let mut text = String::new();
    let file: File = if input::is_stdin(path) {
        input::stdin().map_err(|error| Failure::usage(format!("{name}: {error}")))?
    } else {
        input::open("--targets", path)?
    };
    file.take(LONGEST_LIST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let targets = parse(&text, &name)?;
    if targets.is_empty() {
        return Err(Failure::new(
            Kind::Negative,
            format!("there is no target in {name}"),
        ));
    }
    Ok(targets)
}

/// The part of a `tcpctl.discover/1` event that says where a board is.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "event")]
    what: String,
    name: Option<String>,
    #[serde(default)]
    addresses: Vec<String>,
    port: Option<u16>,
    mac: Option<String>,
}

fn parse(text: &str, name: &str) -> Result<Vec<Target>, Failure> {
    // Each with what tells it from the others.
    let mut targets: Vec<(String, Target)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |message: &str| Failure::usage(format!("{name}:{}: {message}", index + 1));
        if !line.starts_with('{') {
            let target = Target::parse(line).map_err(|failure| Failure {
                message: at(&failure.message).message,
                ..failure
            })?;
            targets.push((line.to_owned(), target));
            continue;
        }
        let event: Event = serde_json::from_str(line)
            .map_err(|error| at(&format!("no event of discover --json: {error}")))?;
        match event.what.as_str() {
            "found" | "updated" => {
                let Some(target) = event.target() else {
                    // A board seen only on a serial port has no address.
                    continue;
                };
                let identity = event.identity();
                match targets.iter_mut().find(|(known, _)| *known == identity) {
                    Some((_, known)) => *known = target,
                    None => targets.push((identity, target)),
                }
            }
            "lost" => targets.retain(|(known, _)| *known != event.identity()),
            _ => {}
        }
    }
    Ok(targets.into_iter().map(|(_, target)| target).collect())
}

impl Event {
    /// What names the board: its name, else its first address.
    fn text(&self) -> String {
        let name = self.name.clone().filter(|name| !name.is_empty());
        name.or_else(|| self.addresses.first().cloned())
            .unwrap_or_default()
    }

    /// What tells the board from others, of which one may have the same name.
    fn identity(&self) -> String {
        match (&self.mac, self.port) {
            (Some(mac), Some(port)) => format!("{mac} {port}"),
            _ => self.text(),
        }
    }

    fn target(&self) -> Option<Target> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        let addresses: Vec<_> = self
            .addresses
            .iter()
            .filter_map(|text| target::address(text, port))
            .collect();
        (!addresses.is_empty()).then(|| Target {
            text: self.text(),
            place: Place::Addresses(addresses),
        })
    }
}

/// Holds an exchange with each target, `parallel` at a time; one that fails hides no other.
///
/// # Errors
/// What makes it pointless to go on with any.
pub(super) async fn run(
    plan: &Plan,
    targets: &[Target],
    parallel: NonZeroU16,
    output: &Output,
    interrupt: &Interrupt,
) -> anyhow::Result<Exit> {
    let next = Cell::new(0);
    let told = RefCell::new(Told::default());
    let worker = || async {
        loop {
            let Some(target) = targets.get(next.replace(next.get() + 1)) else {
                return Ok(());
            };
            if interrupt.already().is_some() {
                return Ok(());
            }
            let tried = one(plan, target, output, interrupt).await?;
            told.borrow_mut().record(&tried);
        }
    };
    let workers: Vec<_> = (0..usize::from(parallel.get()).min(targets.len()))
        .map(|_| Box::pin(worker()))
        .collect();
    together(workers).await?;

    let told = told.into_inner();
    if let Some(exit) = interrupt.already() {
        return Ok(exit);
    }
    let Some(mut worst) = told.worst else {
        return Ok(Exit::Done);
    };
    worst.message = format!(
        "{} of {} targets failed; the worst: {}",
        told.failed,
        targets.len(),
        worst.message
    );
    output.conclude(&worst);
    Ok(worst.exit())
}

async fn one(
    plan: &Plan,
    target: &Target,
    output: &Output,
    interrupt: &Interrupt,
) -> anyhow::Result<Tried> {
    let tried = match endpoint(&target.place, &target.text) {
        Ok(endpoint) => {
            let mut printer = output.labelled_reply(plan.form, &target.text);
            Attempt::new(plan, &target.text, &endpoint, output, interrupt)
                .run(None, &mut printer)
                .await?
        }
        Err(failure) => Tried::Unconnected(failure),
    };
    if let Some(failure) = tried.failure()
        && (matches!(tried, Tried::Unconnected(_)) || !output.is_json())
    {
        output.failed_try(failure, None)?;
    }
    Ok(tried)
}

/// What went wrong so far.
#[derive(Default)]
struct Told {
    failed: usize,
    worst: Option<Failure>,
}

impl Told {
    fn record(&mut self, tried: &Tried) {
        let Some(failure) = tried.failure() else {
            return;
        };
        self.failed += 1;
        if self
            .worst
            .as_ref()
            .is_none_or(|worst| failure.exit() > worst.exit())
        {
            self.worst = Some(failure.clone());
        }
    }
}

/// Runs all workers on this task; the first error ends them all.
async fn together<F>(mut workers: Vec<std::pin::Pin<Box<F>>>) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    std::future::poll_fn(|cx| {
        let mut error = None;
        workers.retain_mut(|worker| match worker.as_mut().poll(cx) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(Ok(())) => false,
            std::task::Poll::Ready(Err(halt)) => {
                error = Some(halt);
                false
            }
        });
        match error {
            Some(halt) => std::task::Poll::Ready(Err(halt)),
            None if workers.is_empty() => std::task::Poll::Ready(Ok(())),
            None => std::task::Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let targets = parse(text, "list").unwrap();
        targets.into_iter().map(|target| target.text).collect()
    }

    #[test]
    fn lines_of_targets() {
        let text = "# the desk\n\n10.0.0.1:3000\n  greeter.local  \r\nsim\n";
        assert_eq!(names(text), ["10.0.0.1:3000", "greeter.local", "sim"]);
    }

    #[test]
    fn events_of_discover() {
        let text = concat!(
            r#"{"schema":"tcpctl.discover/1","event":"found","name":"a","addresses":["10.0.0.1"],"port":3000}"#,
            "\n",
            r#"{"event":"found","name":"b","addresses":["10.0.0.2"],"port":3000}"#,
            "\n",
            r#"{"event":"updated","name":"a","addresses":["10.0.0.9","fe80::1%1"],"port":7}"#,
            "\n",
            r#"{"event":"lost","name":"b","addresses":["10.0.0.2"],"port":3000}"#,
            "\n",
            r#"{"event":"found","name":"serial only","addresses":[],"port":null}"#,
            "\n",
        );
        let targets = parse(text, "list").unwrap();
        assert_eq!(targets.len(), 1);
        assert_eq!(targets[0].text, "a");
        let Place::Addresses(addresses) = &targets[0].place else {
            panic!("{targets:?}");
        };
        let expected = ["10.0.0.9:7", "[fe80::1%1]:7"].map(|text| text.parse().unwrap());
        assert_eq!(addresses, &expected);
    }

    #[test]
    fn two_boards_of_one_name_stay_two_and_one_without_a_name_is_one() {
        let text = concat!(
            r#"{"event":"found","name":"a","addresses":["10.0.0.1"],"port":1,"mac":"02:00:00:00:00:01"}"#,
            "\n",
            r#"{"event":"found","name":"a","addresses":["10.0.0.2"],"port":1,"mac":"02:00:00:00:00:02"}"#,
            "\n",
            r#"{"event":"found","name":null,"addresses":["10.0.0.3"],"port":1,"mac":null}"#,
            "\n",
            r#"{"event":"lost","name":"a","addresses":["10.0.0.1"],"port":1,"mac":"02:00:00:00:00:01"}"#,
            "\n",
        );
        assert_eq!(names(text), ["a", "10.0.0.3"]);
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_line() {
        for (text, place) in [
            ("sim\nboard:0\n", "list:2: "),
            ("\n{\"x\":1}\n", "list:2: "),
        ] {
            let failure = parse(text, "list").unwrap_err();
            assert!(failure.message.starts_with(place), "{failure}");
            assert_eq!(failure.kind, Kind::Usage);
        }
    }
}
