use serde_json::Value;

use super::*;
use crate::bench::compare::compare;
use crate::bench::{example, merge};
use tcpctl_engine::measurement::ErrorClass;
use tcpctl_engine::times::Times;

fn schema() -> Value {
    serde_json::from_str(JSON_SCHEMA).unwrap()
}

/// Reports of every kind: full, of latency alone, of nothing, merged, with bounds.
fn reports() -> Vec<Report> {
    let environment = example::environment(false);
    let nothing = Report::new("board", example::start(), environment, None).conclude();
    let mut full = example::full();
    full.comparison = Some(compare(&example::report(), &full));
    let mut bounded = example::full();
    let limits = bounded.limits.as_mut().unwrap();
    limits.served_at_once = Bound::Unknown;
    limits.held = Bound::at_least(256);
    limits.overflow = Some(Overflow::NotReached);
    let mut failed = example::measurement();
    failed.complete = Times::new();
    failed.completed = 0;
    failed.totals = None;
    failed.client_cpu = None;
    failed.errors = [(ErrorClass::LocalFiles, 5)].into();
    let environment = example::environment(false);
    let failed = Report::new("board", example::start(), environment, Some(&failed)).conclude();
    let merged = merge::merge(vec![full.clone(), example::report()]).unwrap();
    vec![
        full,
        example::report(),
        nothing,
        bounded.conclude(),
        failed,
        merged,
    ]
}

/// What a schema has against a report.
fn errors(validator: &jsonschema::Validator, report: &Report) -> Vec<String> {
    let value = serde_json::to_value(report).unwrap();
    validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_report_is_what_the_published_schema_says() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for report in reports() {
        assert_eq!(errors(&validator, &report), [""; 0]);
    }
    // And it does not allow everything.
    let mut value = serde_json::to_value(example::full()).unwrap();
    value["limits"]["held"] = Value::from("many");
    assert!(!validator.is_valid(&value));
}

#[test]
fn the_published_schema_knows_every_field() {
    // The same schema with all that it does not name forbidden.
    fn close(node: &mut Value) {
        match node {
            Value::Object(fields) => {
                if fields.contains_key("properties") {
                    fields.insert("additionalProperties".to_owned(), Value::Bool(false));
                }
                fields.values_mut().for_each(close);
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema = schema();
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    for report in reports() {
        assert_eq!(errors(&validator, &report), [""; 0]);
    }
}

#[test]
fn what_was_written_is_read_again() {
    for report in reports() {
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

#[test]
fn the_contract_s_fields_are_there() {
    let value = serde_json::to_value(example::full()).unwrap();
    for path in [
        "/schema",
        "/target",
        "/started_at",
        "/verdict",
        "/environment/virtual",
        "/environment/os",
        "/environment/kernel",
        "/environment/cpus",
        "/environment/tcpctl",
        "/limits/served_at_once",
        "/limits/queued",
        "/limits/held",
        "/limits/overflow",
        "/limits/recovery_us",
        "/limits/burst",
        "/limits/evidence",
        "/latency/requests",
        "/latency/rate_per_s",
        "/latency/connect_us/p50",
        "/latency/first_byte_us/p90",
        "/latency/complete_us/p99",
        "/latency/complete_us/p99_9",
        "/latency/complete_us/max",
        "/latency/complete_us/mean",
        "/latency/complete_us/samples",
        "/latency/schedule_error_us/p50",
        "/latency/syn_retransmissions",
        "/latency/retransmissions",
        "/latency/client_cpu_us_per_request",
        "/ramp/0/connections",
        "/throughput/upload/bytes_per_s",
        "/throughput/upload/streams",
        "/throughput/upload/retransmissions",
        "/throughput/upload/limited_by",
        "/throughput/download",
        "/throughput/echo",
    ] {
        assert!(value.pointer(path).is_some(), "{path} is missing");
    }
    assert_eq!(value["schema"], "tcpctl.bench/1");
    assert_eq!(value["started_at"], "2023-11-14T22:13:20.250Z");
    let classes: Vec<_> = ErrorClass::ALL
        .iter()
        .map(|class| serde_json::to_value(class).unwrap())
        .collect();
    let errors = value["latency"]["errors"].as_object().unwrap();
    assert_eq!(errors.len(), 10);
    assert!(
        classes
            .iter()
            .all(|class| errors.contains_key(class.as_str().unwrap()))
    );
    assert_eq!(errors["refused"], 80);
    assert_eq!(errors["closed_early"], 0);
    let bound = serde_json::to_value(Bound::at_least(256)).unwrap();
    assert_eq!(bound, serde_json::json!({"at_least": 256}));
}

#[test]
fn conclusions_are_drawn_once_and_what_was_noticed_is_kept() {
    let mut report = example::full();
    report.caveats.push(Caveat {
        code: verdict::Code::Noticed,
        text: "the target went away".to_owned(),
    });
    let once = report.conclude();
    assert!(
        once.verdict.ends_with("\nthe target went away"),
        "{}",
        once.verdict
    );
    assert_eq!(once.clone().conclude(), once);
}

#[test]
fn a_clock_that_is_wrong_ends_nothing() {
    let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
    assert_eq!(Timestamp(before).to_string(), "1970-01-01T00:00:00.000Z");
}
