//! Runs in files: written whole or not at all, and read with suspicion.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::hdr_log::Log;
use super::report::{Report, SCHEMA};
use crate::failure::Failure;
use crate::sanitize;

/// No saved run is larger: a day of seconds is 10 MB.
const LARGEST: u64 = 256 << 20;

/// What a failure is told as.
const ERROR: &str = "tcpctl.error/1";

/// No count in one is larger: a byte each nanosecond comes to it in three days.
const MOST: u64 = 1 << 48;

/// What a file that was saved may be.
#[derive(Debug, Clone)]
pub enum Saved {
    /// A run: `--save`, or `bench --json`.
    Run(Box<Report>),
    /// An `HdrHistogram` interval log: `--hdr-log`, or another program's.
    Log(Log),
}

/// A run as a file: the JSON of `--json`, which `--compare` and `merge` read.
pub fn bytes(report: &Report) -> Vec<u8> {
    // Into memory, and with string keys alone: it can't fail.
    let mut bytes = serde_json::to_vec(report).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a saved run, for `--compare` or `merge`. `what` names it, e.g. `baseline`.
///
/// # Errors
/// One line: the file can't be read, or is of another schema.
pub fn load(what: &str, path: &Path) -> Result<Report, Failure> {
    match load_any(what, path)? {
        Saved::Run(report) => Ok(*report),
        Saved::Log(_) => {
            let shown = sanitize::one_line(&path.to_string_lossy());
            let message = format!("{what} {shown} is a histogram log, and no saved run");
            Err(Failure::usage(message).hint("make one with tcpctl bench --save"))
        }
    }
}

/// Reads a saved run or a log.
///
/// # Errors
/// One line: the file can't be read, or is neither.
pub fn load_any(what: &str, path: &Path) -> Result<Saved, Failure> {
    let read = read(path).map_err(|error| format!("can't be read: {error}"));
    read.and_then(|bytes| parse(&bytes)).map_err(|problem| {
        let shown = sanitize::one_line(&path.to_string_lossy());
        Failure::usage(format!("{what} {shown} {problem}"))
            .hint("make one with tcpctl bench --save")
    })
}

/// Reads the bytes of a saved run or a log.
///
/// # Errors
/// What is wrong with them, as what the name of a file goes before; one line, safe for a terminal.
pub fn parse(bytes: &[u8]) -> Result<Saved, String> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Log::parse(bytes)
            .map(Saved::Log)
            .map_err(|_| "is neither a saved run nor a histogram log".to_owned());
    }
    let no_run = |error: serde_json::Error| {
        format!(
            "is no saved run: {}",
            sanitize::one_line(&error.to_string())
        )
    };
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = values.next().unwrap_or(Ok(Value::Null)).map_err(no_run)?;
    // Of a run that failed, --json tells the error after the report.
    for after in values {
        if after.map_err(no_run)?.get("schema") != Some(&ERROR.into()) {
            return Err("is no saved run alone: something else comes after it".to_owned());
        }
    }
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some(other) => {
            let other = sanitize::one_line(other);
            return Err(format!("is of schema {other}, not {SCHEMA}"));
        }
        None => return Err(format!("has no schema, and is no {SCHEMA}")),
    }
    if let Some(count) = overlarge(&value) {
        return Err(format!("is no saved run: nobody has counted to {count}"));
    }
    serde_json::from_value(value)
        .map(|report| Saved::Run(Box::new(report)))
        .map_err(no_run)
}

/// A count that no run comes to, if there is one: sums of such would overflow.
fn overlarge(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().filter(|count| *count > MOST),
        Value::Array(values) => values.iter().find_map(overlarge),
        Value::Object(fields) => fields.values().find_map(overlarge),
        _ => None,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::bench::example;

    /// A folder that is gone when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tcpctl-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_saved_run_is_read_as_it_was() {
        let folder = Folder::new("saved");
        let path = folder.file("run.json");
        for report in [example::report(), example::full()] {
            fs::write(&path, bytes(&report)).unwrap();
            assert_eq!(load("baseline", &path).unwrap(), report);
        }
    }

    #[test]
    fn another_schema_is_one_clear_line() {
        let folder = Folder::new("schema");
        let path = folder.file("other");
        for (content, message) in [
            (
                r#"{"schema":"tcpctl.send/1"}"#,
                "is of schema tcpctl.send/1, not tcpctl.bench/1",
            ),
            (
                r#"{"schema":"tcpctl.bench/2"}"#,
                "is of schema tcpctl.bench/2, not",
            ),
            ("{}", "has no schema"),
            ("{", "is no saved run"),
            (r#"{"schema":"tcpctl.bench/1"}"#, "missing field `target`"),
            ("hello", "is neither"),
            ("", "is neither"),
        ] {
            fs::write(&path, content).unwrap();
            let failure = load("baseline", &path).unwrap_err();
            assert_eq!(failure.exit().code(), 2);
            assert!(failure.message.contains(message), "{failure}");
            assert!(!failure.to_string().contains('\n'), "{failure}");
        }
        let failure = load("baseline", &folder.file("none")).unwrap_err();
        assert!(failure.message.contains("can't be read"), "{failure}");
    }

    #[test]
    fn what_json_tells_of_a_failed_run_is_a_run_all_the_same() {
        let run = bytes(&example::report());
        let error = b"{\"schema\":\"tcpctl.error/1\",\"kind\":\"broken\"}\n";
        let parsed = parse(&[&run[..], error].concat());
        assert!(matches!(parsed, Ok(Saved::Run(_))), "{parsed:?}");
        for after in [&run[..], b"{", b"x"] {
            let problem = parse(&[&run[..], after].concat()).unwrap_err();
            assert!(problem.starts_with("is no saved run"), "{problem}");
        }
    }

    #[test]
    fn counts_whose_sum_would_overflow_are_refused() {
        let mut report = serde_json::to_value(example::report()).unwrap();
        let parsed = |report: &Value| parse(report.to_string().as_bytes());
        assert!(parsed(&report).is_ok());
        report["latency"]["seconds"][2]["completed"] = u64::MAX.into();
        let problem = parsed(&report).unwrap_err();
        assert!(problem.contains("18446744073709551615"), "{problem}");
        report["latency"]["seconds"][2]["completed"] = (1_u64 << 48).into();
        let Ok(Saved::Run(run)) = parsed(&report) else {
            panic!("a run: {report}");
        };
        let runs = vec![*run; 3];
        assert!(crate::bench::merge::merge(runs).is_ok());
    }

    #[test]
    fn a_log_is_told_from_a_run() {
        let folder = Folder::new("log");
        let path = folder.file("run.hlog");
        fs::write(
            &path,
            Log::of(&example::report(), &[]).unwrap().text().unwrap(),
        )
        .unwrap();
        assert!(matches!(load_any("file", &path), Ok(Saved::Log(_))));
        let failure = load("baseline", &path).unwrap_err();
        assert!(failure.message.contains("is a histogram log"), "{failure}");
    }
}
