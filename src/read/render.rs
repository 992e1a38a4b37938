//! Readings as a table, as CSV and in Prometheus' text exposition format.

use std::fmt::Write as _;
use std::time::Instant;

use super::BoardReadings;
use super::history::History;
use super::senml::{Reading, Value};
use crate::query::{Asked, table};
use crate::sanitize;

/// A table. With `history`, it has a sparkline of the last minute.
pub(super) fn readings_table(
    boards: &[BoardReadings<'_>],
    has_targets: bool,
    mut history: Option<&mut History>,
) -> String {
    let mut rows = Vec::new();
    for board in boards {
        for reading in &board.readings {
            let mut row = Vec::new();
            if has_targets {
                row.push(sanitize::one_line(board.target));
            }
            row.push(sanitize::one_line(&reading.name));
            row.push(value(reading));
            row.push(sanitize::one_line(reading.unit.as_deref().unwrap_or("")));
            if let Some(history) = history.as_deref_mut() {
                let number = match &reading.value {
                    Value::Number(number) => number.as_f64(),
                    Value::Text(_) | Value::Bool(_) => None,
                };
                let line = number
                    .map(|number| history.add(board.target, &reading.name, number, Instant::now()));
                row.push(line.unwrap_or_default());
            }
            rows.push(row);
        }
    }
    table(&rows)
}

fn value(reading: &Reading) -> String {
    match &reading.value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => sanitize::one_line(text),
        Value::Bool(value) => value.to_string(),
    }
}

/// CSV (RFC 4180, with LF), with a header in the first round.
pub(super) fn csv(boards: &[BoardReadings<'_>], has_header: bool) -> String {
    let mut text = String::new();
    if has_header {
        text.push_str("time,target,name,value,unit\n");
    }
    for board in boards {
        for reading in &board.readings {
            let cells = [
                humantime::format_rfc3339_millis(reading.time).to_string(),
                sanitize::one_line(board.target),
                sanitize::one_line(&reading.name),
                value(reading),
                sanitize::one_line(reading.unit.as_deref().unwrap_or("")),
            ];
            let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
            let _ = writeln!(text, "{}", cells.join(","));
        }
    }
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// Prometheus' text exposition format: a gauge per sensor, and whether each board answered.
pub(super) fn prometheus(answers: &[Asked], boards: &[BoardReadings<'_>]) -> String {
    let mut text = String::from(
        "# HELP tcpctl_up Whether the board answered.\n\
         # TYPE tcpctl_up gauge\n",
    );
    for asked in answers {
        let up = u8::from(boards.iter().any(|board| board.target == asked.target));
        let _ = writeln!(
            text,
            "tcpctl_up{{target=\"{}\"}} {up}",
            label(&asked.target)
        );
    }
    text.push_str(
        "# HELP tcpctl_reading Value of a sensor, in a unit of the SenML registry.\n\
         # TYPE tcpctl_reading gauge\n",
    );
    for board in boards {
        for reading in &board.readings {
            let value = match &reading.value {
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => u8::from(*value).to_string(),
                Value::Text(_) => continue,
            };
            let _ = writeln!(
                text,
                "tcpctl_reading{{target=\"{}\",sensor=\"{}\",unit=\"{}\"}} {value}",
                label(board.target),
                label(&reading.name),
                label(reading.unit.as_deref().unwrap_or("")),
            );
        }
    }
    text
}

/// A label value: backslash, quote and line feed are escaped.
fn label(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::senml::parse;
    use super::*;
    use crate::failure::{Failure, Kind};

    const LINE: &str =
        r#"[{"n":"temperature","u":"Cel","v":21.5},{"n":"a,\"b\"","vs":"no sensor"}]"#;

    fn board() -> BoardReadings<'static> {
        BoardReadings {
            target: "sim",
            line: LINE,
            readings: parse(LINE, SystemTime::UNIX_EPOCH).unwrap(),
        }
    }

    #[test]
    fn table_has_name_value_and_unit() {
        let text = readings_table(&[board()], false, None);
        assert_eq!(
            text,
            "temperature  21.5       Cel\na,\"b\"        no sensor\n"
        );
        let text = readings_table(&[board()], true, None);
        assert!(text.starts_with("sim  temperature  21.5"), "{text}");
        let text = readings_table(&[board()], false, Some(&mut History::default()));
        assert!(text.contains("Cel  ▁\n"), "{text}");
    }

    #[test]
    fn csv_quotes_cells_and_has_one_header() {
        let text = csv(&[board()], true);
        let expected = "time,target,name,value,unit\n\
             1970-01-01T00:00:00.000Z,sim,temperature,21.5,Cel\n\
             1970-01-01T00:00:00.000Z,sim,\"a,\"\"b\"\"\",no sensor,\n";
        assert_eq!(text, expected);
        assert!(!csv(&[board()], false).contains("time"));
    }

    #[test]
    fn prometheus_has_numbers_and_up() {
        let dead = Asked {
            target: "a\\b".to_owned(),
            answer: Err(Failure::new(Kind::Connect, "no")),
        };
        let alive = Asked {
            target: "sim".to_owned(),
            answer: Err(Failure::new(Kind::Connect, "not looked at")),
        };
        let text = prometheus(&[dead, alive], &[board()]);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "tcpctl_up{target=\"a\\\\b\"} 0",
                "tcpctl_up{target=\"sim\"} 1",
                "tcpctl_reading{target=\"sim\",sensor=\"temperature\",unit=\"Cel\"} 21.5",
            ]
        );
    }
}
