//! `SenML` JSON (RFC 8428): parses a board's line into readings.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::timestamp;

/// Times below this are relative to now (RFC 8428 §4.5.3).
const RELATIVE: f64 = 268_435_456.0;

/// A resolved reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// Name within the board, without the base name.
    pub name: String,
    pub unit: Option<String>,
    pub value: Value,
    pub time: SystemTime,
}

/// A value, as defined by `SenML`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    Number(Number),
    Text(String),
    Bool(bool),
}

/// A record of `SenML`. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
struct Record {
    bn: Option<String>,
    bt: Option<f64>,
    bu: Option<String>,
    bv: Option<f64>,
    n: Option<String>,
    u: Option<String>,
    v: Option<Number>,
    vs: Option<String>,
    vb: Option<bool>,
    t: Option<f64>,
}

/// Parses a `SenML` pack received at `now`. Records without a value are skipped.
pub(super) fn parse(line: &str, now: SystemTime) -> Option<Vec<Reading>> {
    let records: Vec<Record> = serde_json::from_str(line).ok()?;
    let (mut base_name, mut base_unit) = (String::new(), None);
    let (mut base_time, mut base_value) = (0.0, 0.0);
    let mut readings = Vec::new();
    for record in records {
        base_name = record.bn.unwrap_or(base_name);
        base_unit = record.bu.or(base_unit);
        base_time = record.bt.unwrap_or(base_time);
        base_value = record.bv.unwrap_or(base_value);
        let value = match (record.v, record.vs, record.vb) {
            (Some(number), _, _) if base_value == 0.0 => Value::Number(number),
            (Some(number), _, _) => Value::Number(Number::from_f64(number.as_f64()? + base_value)?),
            (None, Some(text), _) => Value::Text(text),
            (None, None, Some(value)) => Value::Bool(value),
            (None, None, None) => continue,
        };
        readings.push(Reading {
            name: record.n.unwrap_or_else(|| base_name.clone()),
            unit: record.u.or_else(|| base_unit.clone()),
            value,
            time: time(base_time + record.t.unwrap_or(0.0), now)?,
        });
    }
    Some(readings)
}

/// A time of `SenML`, relative to now or since 1970, if it is from 1970 to 9999.
fn time(seconds: f64, now: SystemTime) -> Option<SystemTime> {
    const YEAR_10000: f64 = 253_402_300_800.0;
    let epoch = SystemTime::UNIX_EPOCH;
    let since_epoch = if seconds >= RELATIVE {
        seconds
    } else {
        now.duration_since(epoch).ok()?.as_secs_f64() + seconds
    };
    if since_epoch >= YEAR_10000 {
        return None;
    }
    epoch.checked_add(Duration::try_from_secs_f64(since_epoch).ok()?)
}

/// `tcpctl.read/1`.
#[derive(Debug, Serialize)]
pub(super) struct ReadReport<'a> {
    schema: &'static str,
    target: &'a str,
    name: &'a str,
    value: &'a Value,
    unit: Option<&'a str>,
    #[serde(serialize_with = "timestamp::serialize")]
    time: &'a SystemTime,
}

impl Reading {
    pub(super) fn report<'a>(&'a self, target: &'a str) -> ReadReport<'a> {
        ReadReport {
            schema: "tcpctl.read/1",
            target,
            name: &self.name,
            value: &self.value,
            unit: self.unit.as_deref(),
            time: &self.time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn records_of_a_board_are_readings() {
        let line = r#"[{"bn":"urn:dev:mac:020000fffe1a2b3c_","n":"temperature","u":"Cel","v":21.50},
            {"n":"light","vs":"no sensor"},{"n":"door","vb":true}]"#;
        let readings = parse(line, NOW).unwrap();
        assert_eq!(readings[0].name, "temperature");
        assert_eq!(readings[0].unit.as_deref(), Some("Cel"));
        assert_eq!(readings[1].value, Value::Text("no sensor".to_owned()));
        assert_eq!(readings[2].value, Value::Bool(true));
        assert!(readings.iter().all(|reading| reading.time == NOW));
    }

    #[test]
    fn base_fields_apply_to_later_records() {
        let line = r#"[{"bn":"a","bu":"V","bv":1,"bt":1700000000,"v":0.5,"t":-1},{"n":"b","v":2}]"#;
        let readings = parse(line, NOW).unwrap();
        assert_eq!(readings[0].name, "a");
        assert_eq!(
            readings[0].value,
            Value::Number(Number::from_f64(1.5).unwrap())
        );
        assert_eq!(readings[1].unit.as_deref(), Some("V"));
        let second = Duration::from_secs(1_700_000_000);
        assert_eq!(readings[1].time, NOW + second);
        assert_eq!(readings[0].time, NOW + second - Duration::from_secs(1));
    }

    #[test]
    fn other_replies_are_not_senml() {
        for line in [
            "Hello World",
            "{}",
            "[1]",
            r#"[{"n":1}]"#,
            r#"[{"t":1e300,"v":1}]"#,
            r#"[{"t":-1,"v":1}]"#,
        ] {
            assert_eq!(parse(line, NOW), None, "{line}");
        }
        assert_eq!(parse("[]", NOW), Some(Vec::new()));
    }
}
