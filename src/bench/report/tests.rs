use serde_json::Value;

use super::*;
use crate::bench::compare::compare;
use crate::bench::example;
use crate::bench::merge::{Unrelated, merge};
use crate::bench::summarize;
use crate::bench::verdict::conclude;
use tcpctl_engine::measurement::ErrorClass;
use tcpctl_engine::times::Times;

fn schema() -> Value {
    serde_json::from_str(JSON_SCHEMA).unwrap()
}

/// Reports of every kind: full, latency only, empty, with lower bounds, failed, merged.
fn reports() -> Vec<Report> {
    let environment = example::environment(false);
    let empty = conclude(summarize::report(
        "board",
        example::start(),
        environment,
        None,
    ));
    let mut full = example::full();
    full.comparison = Some(compare(&example::report(), &full));
    full.conditions = vec![CheckedCondition {
        condition: "p99 > 1s".to_owned(),
        passed: true,
        value: Some("20.0 ms".to_owned()),
    }];
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
    let failed = summarize::report("board", example::start(), environment, Some(&failed));
    let merged = merge(vec![full.clone(), example::report()], Unrelated::Warn).unwrap();
    vec![
        full,
        example::report(),
        empty,
        conclude(bounded),
        conclude(failed),
        merged,
    ]
}

/// The violations of a schema.
fn errors(validator: &jsonschema::Validator, report: &Report) -> Vec<String> {
    let value = serde_json::to_value(report).unwrap();
    validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn reports_match_the_published_schema() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for report in reports() {
        assert_eq!(errors(&validator, &report), [""; 0]);
    }
    // The schema does not allow everything.
    let mut value = serde_json::to_value(example::full()).unwrap();
    value["limits"]["held"] = Value::from("many");
    assert!(!validator.is_valid(&value));
}

#[test]
fn published_schema_lists_every_field() {
    // The same schema with unlisted fields forbidden.
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
fn every_schema_field_has_a_description() {
    fn check(node: &Value, path: &str) {
        let properties = node.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let is_described = property.get("description").is_some();
            let is_constant = property.get("const").is_some();
            assert!(is_described || is_constant, "{path}/{name}");
        }
        match node {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, field)| check(field, &format!("{path}/{name}"))),
            Value::Array(items) => items.iter().for_each(|item| check(item, path)),
            _ => {}
        }
    }
    check(&schema(), "");
}

#[test]
fn reports_survive_a_round_trip() {
    for report in reports() {
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

#[test]
fn documented_fields_exist() {
    let value = serde_json::to_value(example::full()).unwrap();
    for path in [
        "/schema",
        "/target",
        "/started_at",
        "/verdict/0/level",
        "/verdict/0/text",
        "/warnings/0/kind",
        "/warnings/0/text",
        "/label",
        "/command",
        "/options/message",
        "/environment/hostname",
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
    assert_eq!(errors.len(), ErrorClass::ALL.len());
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
fn concluding_twice_keeps_given_warnings_once() {
    let mut report = example::full();
    let given = Warning::new(WarningKind::TargetGone, "the server stopped answering");
    report.warnings.push(given.clone());
    let once = conclude(report);
    assert_eq!(once.warnings.last(), Some(&given));
    assert_eq!(conclude(once.clone()), once);
}

#[test]
fn wrong_clock_is_written_as_the_epoch() {
    let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
    assert_eq!(Timestamp(before).to_string(), "1970-01-01T00:00:00.000Z");
}
