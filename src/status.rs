//! `tcpctl status`: queries the status of boards.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::output::{Output, human};
use crate::query::{self, Answer, Asked, QueryPlan};
use crate::sanitize;

/// The columns of the table.
const HEADINGS: [&str; 10] = [
    "TARGET", "NAME", "CHIP", "MODE", "FIRMWARE", "UPTIME", "HEAP", "LINK", "SERVED", "REFUSED",
];

/// Columns that a narrow terminal omits, in this order: firmware, mode, chip, heap, link, name.
const OPTIONAL: [usize; 6] = [4, 3, 2, 6, 7, 1];

/// Runs `tcpctl status`.
///
/// # Errors
/// The failure of the only board, or an error that ends the command.
pub fn run(args: &StatusArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = QueryPlan::new("status", b"status\n", &args.target, &args.query)?;
    query::run(&plan, output, |answers, screen| {
        let mut failures = Vec::new();
        let mut rows = vec![HEADINGS.map(ToOwned::to_owned).to_vec()];
        for Asked { target, answer } in answers {
            let Ok(answer) = answer else { continue };
            let Some(status) = BoardStatus::parse(target, answer) else {
                failures.push(query::not_an_answer(target, "status"));
                continue;
            };
            if output.is_json() {
                output.object(&status)?;
            } else {
                rows.push(status.row());
            }
        }
        if rows.len() > 1 {
            let table = query::table_within(&rows, &OPTIONAL, query::room(output));
            screen.print(&table, output)?;
        }
        Ok(failures)
    })
}

/// The status of a board: its own object, with the target, address and round-trip time added.
#[derive(Debug, Serialize)]
struct BoardStatus<'a> {
    #[serde(flatten)]
    fields: Map<String, Value>,
    target: &'a str,
    address: String,
    /// Time from the first connection attempt to the end of the reply.
    rtt_us: u64,
}

impl<'a> BoardStatus<'a> {
    fn parse(target: &'a str, answer: &Answer) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_str(&answer.line).ok()?;
        (fields.get("schema")? == "tcpctl.status/1").then(|| Self {
            fields,
            target,
            address: answer.address.to_string(),
            rtt_us: u64::try_from(answer.round_trip.as_micros()).unwrap_or(u64::MAX),
        })
    }

    fn row(&self) -> Vec<String> {
        let text = |name: &str| match self.fields.get(name) {
            Some(Value::String(text)) => sanitize::one_line(text),
            _ => "-".to_owned(),
        };
        let number = |name: &str| self.fields.get(name).and_then(Value::as_i64);
        let count = |name: &str| {
            let count = number(name).and_then(|count| u64::try_from(count).ok());
            count.map_or_else(|| "-".to_owned(), human::grouped)
        };
        let uptime = number("uptime_ms").and_then(|ms| u64::try_from(ms).ok());
        let heap = number("heap_free").and_then(|bytes| u64::try_from(bytes).ok());
        let link = match (number("rssi_dbm"), number("stations")) {
            (Some(dbm), _) => format!("{dbm} dBm"),
            (None, Some(1)) => "1 station".to_owned(),
            (None, Some(stations)) => format!("{stations} stations"),
            (None, None) => "-".to_owned(),
        };
        vec![
            sanitize::one_line(self.target),
            text("name"),
            text("chip"),
            text("mode"),
            text("firmware"),
            uptime.map_or_else(|| "-".to_owned(), duration),
            heap.map_or_else(|| "-".to_owned(), |bytes| human::count(bytes, "byte")),
            link,
            count("served"),
            count("refused"),
        ]
    }
}

/// Milliseconds as days, hours, minutes and seconds, at most two units.
fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(line: &str) -> Answer {
        Answer {
            line: line.to_owned(),
            address: "192.168.1.1:3000".parse().unwrap(),
            round_trip: Duration::from_micros(6500),
        }
    }

    #[test]
    fn row_shows_the_fields_of_the_board() {
        let line = r#"{"schema":"tcpctl.status/1","firmware":"0.1.0","chip":"esp32c3","mode":"ap",
            "uptime_ms":3700000,"heap_free":48000,"rssi_dbm":null,"stations":2,"served":1313,
            "refused":null}"#;
        let answer = answer(line);
        let status = BoardStatus::parse("192.168.1.1", &answer).unwrap();
        let row = status.row().join("|");
        assert_eq!(
            row,
            "192.168.1.1|-|esp32c3|ap|0.1.0|1h 1m|48,000 bytes|2 stations|1,313|-"
        );
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["rtt_us"], 6500);
        assert_eq!(json["chip"], "esp32c3");
    }

    #[test]
    fn other_replies_are_not_a_status() {
        for line in ["Hello World", "{}", r#"{"schema":"tcpctl.send/1"}"#, "[]"] {
            assert!(BoardStatus::parse("x", &answer(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn hostile_names_are_escaped() {
        let line = "{\"schema\":\"tcpctl.status/1\",\"chip\":\"\\u001b[2J\"}";
        let answer = answer(line);
        let row = BoardStatus::parse("x", &answer).unwrap().row();
        assert!(!row.concat().contains('\x1b'), "{row:?}");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (millis, text) in [
            (999, "0s"),
            (61_000, "1m 1s"),
            (7_200_000, "2h 0m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }
}
