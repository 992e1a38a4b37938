//! Reads and writes saved runs. They are untrusted when read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::report::{Report, SCHEMA};
use crate::failure::{Failure, reason};
use crate::sanitize;

/// Maximum file size, bytes. A day of seconds is 10 MB.
const MAX_FILE: u64 = 256 << 20;

/// The schema of an error, which `--json` prints after the report of a failed run.
const ERROR_SCHEMA: &str = "tcpctl.error/1";

/// Maximum valid count, so that sums do not overflow.
const MAX_COUNT: u64 = 1 << 48;

/// The content of a saved run: the JSON that `--json` prints.
pub fn bytes(report: &Report) -> Vec<u8> {
    // Cannot fail: it writes to memory, and all keys are strings.
    let mut bytes = serde_json::to_vec(report).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a saved run. `what` names it in errors, e.g. `--compare`.
///
/// # Errors
/// A usage error: the file cannot be read, or is not one saved run.
pub fn load(what: &str, path: &Path) -> Result<Report, Failure> {
    let read = read(path).map_err(|error| reason(&error));
    let parsed = read.and_then(|bytes| parse(&bytes));
    parsed.map_err(|problem| invalid(what, &sanitize::one_line(&path.to_string_lossy()), &problem))
}

/// Reads saved runs, one per line, from `input`.
///
/// # Errors
/// A usage error: a line that is neither a run nor the error of one.
pub fn load_lines(what: &str, input: impl Read) -> Result<Vec<Report>, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(MAX_FILE).read_to_end(&mut bytes);
    let read = read.map_err(|error| reason(&error));
    let parsed = read.and_then(|_| parse_all(&bytes));
    parsed.map_err(|problem| invalid(what, "standard input", &problem))
}

fn invalid(what: &str, shown: &str, problem: &str) -> Failure {
    Failure::usage(format!("{what}: {shown}: {problem}"))
        .hint("save a run with tcpctl bench --save, or --json")
}

/// Parses a saved run.
///
/// # Errors
/// What is wrong, on one line that is safe for a terminal.
pub fn parse(bytes: &[u8]) -> Result<Report, String> {
    let mut runs = parse_all(bytes)?.into_iter();
    match (runs.next(), runs.next()) {
        (Some(run), None) => Ok(run),
        (None, _) => Err("not a saved run: it is empty".to_owned()),
        (Some(_), Some(_)) => Err("not a saved run: several runs in one file".to_owned()),
    }
}

/// Parses saved runs one after the other. The error objects of failed runs are skipped.
fn parse_all(bytes: &[u8]) -> Result<Vec<Report>, String> {
    let invalid = |error: serde_json::Error| format!("not a saved run: {}", reason(&error));
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut runs = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
        let value = value.map_err(invalid)?;
        match value.get("schema").and_then(Value::as_str) {
            Some(SCHEMA) => {}
            Some(ERROR_SCHEMA) if !runs.is_empty() => continue,
            Some(other) => {
                let other = sanitize::one_line(other);
                return Err(format!("schema {other}, not {SCHEMA}"));
            }
            None => return Err(format!("not a saved run: no schema {SCHEMA}")),
        }
        if let Some(count) = overlarge_count(&value) {
            return Err(format!("not a saved run: count {count} is out of range"));
        }
        runs.push(serde_json::from_value(value).map_err(invalid)?);
    }
    Ok(runs)
}

fn overlarge_count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().filter(|count| *count > MAX_COUNT),
        Value::Array(values) => values.iter().find_map(overlarge_count),
        Value::Object(fields) => fields.values().find_map(overlarge_count),
        _ => None,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::example;
    use crate::bench::merge::{Unrelated, merge};

    #[test]
    fn saved_run_is_read_unchanged() {
        for report in [example::report(), example::full()] {
            assert_eq!(parse(&bytes(&report)).unwrap(), report);
        }
    }

    #[test]
    fn other_content_is_refused_on_one_line() {
        for (content, message) in [
            (
                r#"{"schema":"tcpctl.send/1"}"#,
                "schema tcpctl.send/1, not tcpctl.bench/1",
            ),
            (
                r#"{"schema":"tcpctl.bench/2"}"#,
                "schema tcpctl.bench/2, not",
            ),
            (
                r#"{"schema":"tcpctl.error/1"}"#,
                "schema tcpctl.error/1, not",
            ),
            ("{}", "no schema"),
            ("{", "not a saved run"),
            (r#"{"schema":"tcpctl.bench/1"}"#, "missing field `target`"),
            ("hello", "not a saved run"),
            ("", "empty"),
            ("#[Histogram log format version 1.3]", "not a saved run"),
        ] {
            let problem = parse(content.as_bytes()).unwrap_err();
            assert!(problem.contains(message), "{problem}");
            assert!(!problem.contains('\n'), "{problem}");
        }
        let failure = load("--compare", Path::new("/nonexistent")).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        assert!(failure.message.starts_with("--compare: /nonexistent: "));
    }

    #[test]
    fn error_after_a_run_is_skipped() {
        let run = bytes(&example::report());
        let error = b"{\"schema\":\"tcpctl.error/1\",\"kind\":\"broken\"}\n";
        assert!(parse(&[&run[..], error].concat()).is_ok());
        let lines = [&run[..], error, &run[..]].concat();
        assert_eq!(load_lines("merge", &lines[..]).unwrap().len(), 2);
        for after in [&run[..], b"{", b"x"] {
            let problem = parse(&[&run[..], after].concat()).unwrap_err();
            assert!(problem.starts_with("not a saved run"), "{problem}");
        }
    }

    #[test]
    fn counts_that_could_overflow_are_refused() {
        let mut report = serde_json::to_value(example::report()).unwrap();
        let parsed = |report: &Value| parse(report.to_string().as_bytes());
        assert!(parsed(&report).is_ok());
        report["latency"]["seconds"][2]["completed"] = u64::MAX.into();
        let problem = parsed(&report).unwrap_err();
        assert!(problem.contains("18446744073709551615"), "{problem}");
        report["latency"]["seconds"][2]["completed"] = MAX_COUNT.into();
        let runs = ["a", "b", "c"].map(|target| {
            let mut run = parsed(&report).unwrap();
            run.target = target.to_owned();
            run
        });
        assert!(merge(runs.to_vec(), Unrelated::Warn).is_ok());
    }
}
