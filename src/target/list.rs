//! `--targets`: one TARGET per line, or the JSON Lines of `discover --json`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::{DEFAULT_PORT, Target, TargetKind};
use crate::failure::{Failure, Kind, reason};
use crate::sanitize;
use crate::sys;

/// Maximum size of a list.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A list of targets.
#[derive(Debug, Default)]
pub struct TargetList {
    /// Targets, in their order.
    pub targets: Vec<Target>,
    /// Failures of `discover` among the lines (`tcpctl.error/1`).
    pub failures: Vec<Failure>,
}

/// Reads a list from a file, or from standard input if `path` is `-`. Blocks until its end.
///
/// # Errors
/// The file is unreadable, empty or larger than 16 MiB, or a line is neither a target nor an event of `discover`.
pub fn read(path: &Path) -> Result<TargetList, Failure> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        sanitize::one_line(&path.to_string_lossy())
    };
    let file = if is_stdin {
        sys::stdin().map_err(|error| Failure::usage(format!("{name}: {}", reason(&error))))?
    } else {
        open("--targets", path)?
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("{name}: {}", reason(&error))))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("{name}: too large")).hint("the maximum is 16MiB"));
    }
    let list = parse(&text, &name)?;
    if list.targets.is_empty() && list.failures.is_empty() {
        return Err(Failure::new(
            Kind::Negative,
            format!("no targets in {name}"),
        ));
    }
    Ok(list)
}

/// Opens a file that `option` names. Blocks on a FIFO until a writer opens it as well.
///
/// # Errors
/// A usage error that names the option and the file.
pub fn open(option: &str, path: &Path) -> Result<File, Failure> {
    let shown = sanitize::one_line(&path.to_string_lossy());
    let failed = |why: &str| Failure::usage(format!("{option} {shown}: {why}"));
    let file = File::open(path).map_err(|error| failed(&reason(&error)))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(failed("is a directory")),
        _ => Ok(file),
    }
}

/// A line of JSON: a `tcpctl.discover/1` event or a `tcpctl.error/1`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Error {
        kind: Kind,
        target: Option<String>,
        message: String,
        hint: Option<String>,
    },
    Event(Event),
}

/// The parts of a `tcpctl.discover/1` event that locate a board.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "event")]
    change: Change,
    name: Option<String>,
    #[serde(default)]
    addresses: Vec<String>,
    port: Option<u16>,
    mac: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Found,
    Updated,
    Lost,
    #[serde(other)]
    Other,
}

fn parse(text: &str, name: &str) -> Result<TargetList, Failure> {
    // Each target with its identity, to which later events refer.
    let mut targets: Vec<(String, Target)> = Vec::new();
    let mut failures = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        let at_line = |failure: Failure| Failure {
            message: format!("{name}:{}: {}", index + 1, failure.message),
            ..failure
        };
        if !line.starts_with('{') {
            let target = Target::parse(line).map_err(at_line)?;
            targets.push((line.to_owned(), target));
            continue;
        }
        let line = serde_json::from_str(line)
            .map_err(|_| at_line(Failure::usage("not an event of `tcpctl discover --json`")))?;
        let event = match line {
            Line::Event(event) => event,
            Line::Error {
                kind,
                target,
                message,
                hint,
            } => {
                failures.push(Failure {
                    kind,
                    target,
                    message,
                    hint,
                });
                continue;
            }
        };
        match event.change {
            Change::Found | Change::Updated => {
                // A board that was seen only on a serial port has no address.
                if let Some(target) = event.target() {
                    let identity = event.identity();
                    match targets.iter_mut().find(|(known, _)| *known == identity) {
                        Some((_, known)) => *known = target,
                        None => targets.push((identity, target)),
                    }
                }
            }
            Change::Lost => targets.retain(|(known, _)| *known != event.identity()),
            Change::Other => {}
        }
    }
    Ok(TargetList {
        targets: targets.into_iter().map(|(_, target)| target).collect(),
        failures,
    })
}

/// Removes a comment: a `#` at the start of a line, or with a space on both sides. A board may be
/// called `Board #2`.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    let is_space = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let comment = line.match_indices('#').find(|(at, _)| {
        is_space(line[..*at].chars().next_back()) && is_space(line[at + 1..].chars().next())
    });
    comment.map_or(line, |(at, _)| &line[..at])
}

impl Event {
    /// The board's name, else its first address.
    fn text(&self) -> String {
        let name = self.name.clone().filter(|name| !name.is_empty());
        name.or_else(|| self.addresses.first().cloned())
            .unwrap_or_default()
    }

    /// What identifies the board; names are not unique.
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
            .filter_map(|text| super::address(text, port))
            .collect();
        (!addresses.is_empty()).then(|| Target {
            text: self.text(),
            kind: TargetKind::Addresses(addresses),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let targets = parse(text, "list").unwrap().targets;
        targets.into_iter().map(|target| target.text).collect()
    }

    #[test]
    fn lines_are_targets() {
        let text = "# the desk\n\n10.0.0.1:3000\n  greeter.local  \r\nsim\n";
        assert_eq!(names(text), ["10.0.0.1:3000", "greeter.local", "sim"]);
    }

    #[test]
    fn comments_and_a_byte_order_mark_are_ignored() {
        let text = "\u{feff}10.0.0.1 # desk\nBoard #2\n  # 10.0.0.2\nboard\t#\n";
        assert_eq!(names(text), ["10.0.0.1", "Board #2", "board"]);
    }

    #[test]
    fn discover_events_update_the_list() {
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
            r#"{"event":"renamed","name":"c"}"#,
            "\n",
        );
        let targets = parse(text, "list").unwrap().targets;
        assert_eq!(targets.len(), 1);
        assert_eq!(targets[0].text, "a");
        let TargetKind::Addresses(addresses) = &targets[0].kind else {
            panic!("{targets:?}");
        };
        let expected = ["10.0.0.9:7", "[fe80::1%1]:7"].map(|text| text.parse().unwrap());
        assert_eq!(addresses, &expected);
    }

    #[test]
    fn boards_with_the_same_name_differ_by_mac() {
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
    fn discover_failures_are_kept_beside_the_boards() {
        let text = concat!(
            r#"{"event":"found","name":"a","addresses":["10.0.0.1"],"port":1}"#,
            "\n",
            r#"{"schema":"tcpctl.error/1","command":"discover","kind":"device","target":null,"#,
            r#""message":"no serial ports","hint":null,"exit_code":70}"#,
            "\n",
        );
        let list = parse(text, "list").unwrap();
        assert_eq!(list.targets.len(), 1);
        assert_eq!(list.failures[0].kind, Kind::Device);
        assert_eq!(list.failures[0].message, "no serial ports");
    }

    #[test]
    fn invalid_lines_are_named_by_file_and_line() {
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
