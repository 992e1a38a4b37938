//! The published JSON schemas of `--json` output.
//!
//! They are written by hand in `schemas/`. Tests validate real output against them.

use crate::cli::SchemaOf;
use crate::{bench, config_command, discover};

/// The schema, as `tcpctl schema` prints it.
pub const fn of(output: SchemaOf) -> &'static str {
    match output {
        SchemaOf::Bench => bench::report::JSON_SCHEMA,
        SchemaOf::Config => config_command::JSON_SCHEMA,
        SchemaOf::Configure => include_str!("../schemas/tcpctl.configure.json"),
        SchemaOf::Discover => discover::report::JSON_SCHEMA,
        SchemaOf::Error => include_str!("../schemas/tcpctl.error.json"),
        SchemaOf::Flash => include_str!("../schemas/tcpctl.flash.json"),
        SchemaOf::Listen => include_str!("../schemas/tcpctl.listen.json"),
        SchemaOf::Monitor => include_str!("../schemas/tcpctl.monitor.json"),
        SchemaOf::Read => include_str!("../schemas/tcpctl.read.json"),
        SchemaOf::Send => include_str!("../schemas/tcpctl.send.json"),
        SchemaOf::Sim => include_str!("../schemas/tcpctl.sim.json"),
        SchemaOf::Status => include_str!("../schemas/tcpctl.status.json"),
        SchemaOf::Update => include_str!("../schemas/tcpctl.update.json"),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use serde_json::{Value, json};

    use super::*;
    use crate::flash::event::{FlashEvent, FlashReport};
    use crate::sim::report::{LeaseChange, SimEvent, SimReport};

    fn schema(output: SchemaOf) -> jsonschema::Validator {
        let document = serde_json::from_str(of(output)).unwrap();
        assert!(jsonschema::meta::is_valid(&document), "{output:?}");
        jsonschema::validator_for(&document).unwrap()
    }

    #[test]
    fn schemas_are_valid_and_named_as_requested() {
        for output in SchemaOf::value_variants() {
            schema(*output);
            let document: Value = serde_json::from_str(of(*output)).unwrap();
            let name = output.to_possible_value().unwrap();
            assert_eq!(document["title"], format!("tcpctl.{}/1", name.get_name()));
        }
    }

    #[test]
    fn merge_prints_what_bench_prints() {
        let merge = SchemaOf::from_str("merge", false);
        assert_eq!(merge, Ok(SchemaOf::Bench));
    }

    /// The unit that the description of a field with this name states.
    fn unit(field: &str) -> Option<&'static str> {
        const UNITS: [(&str, &str); 8] = [
            ("_us", "microseconds"),
            ("_ms", "milliseconds"),
            ("_per_s", "per second"),
            ("_s", "seconds"),
            ("_dbm", "dBm"),
            ("_c", "degrees Celsius"),
            ("_share", "0 to 1"),
            ("_bytes", "bytes"),
        ];
        let known = UNITS.iter().find(|(suffix, _)| field.ends_with(suffix));
        known.map(|(_, unit)| *unit)
    }

    /// Adds each property in `schema` without a description or without its unit to `found`, and
    /// returns the number of properties.
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) -> usize {
        let mut count = 0;
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            // A property that must not exist.
            if property == &json!(false) {
                continue;
            }
            count += 1;
            let description = property["description"].as_str().unwrap_or_default();
            let has_unit = unit(name)
                .is_none_or(|unit| description.to_lowercase().contains(&unit.to_lowercase()));
            if description.is_empty() || !has_unit {
                found.push(format!("{path}/{name}: {description:?}"));
            }
        }
        let children: Vec<(String, &Value)> = match schema {
            Value::Object(fields) => fields.iter().map(|(name, it)| (name.clone(), it)).collect(),
            Value::Array(items) => {
                let numbered = items.iter().enumerate();
                numbered.map(|(at, it)| (at.to_string(), it)).collect()
            }
            _ => Vec::new(),
        };
        for (name, child) in children {
            count += undescribed(child, &format!("{path}/{name}"), found);
        }
        count
    }

    #[test]
    fn every_field_has_a_description_with_its_unit() {
        for output in SchemaOf::value_variants() {
            let document: Value = serde_json::from_str(of(*output)).unwrap();
            let mut found = Vec::new();
            let count = undescribed(&document, "", &mut found);
            assert!(count > 3, "{output:?}: {count} fields");
            assert!(found.is_empty(), "{output:?}: {found:#?}");
        }
        let without = json!({"properties": {"a_us": {"description": "A time."}, "b": {}}});
        assert_eq!(undescribed(&without, "", &mut Vec::new()), 2);
        let mut found = Vec::new();
        undescribed(&json!([without]), "", &mut found);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn rare_events_match_their_schema() {
        let sim = schema(SchemaOf::Sim);
        for event in [
            SimEvent::Lease {
                mac: "02:00:00:1a:2b:3c".to_owned(),
                addr: [192, 168, 1, 2].into(),
                change: LeaseChange::Declined,
            },
            SimEvent::Link {
                up: true,
                host: Some("tcpctl-0b3c".to_owned()),
                reason: None,
            },
            SimEvent::Link {
                up: false,
                host: None,
                reason: Some("no such network".to_owned()),
            },
        ] {
            let report = serde_json::to_value(SimReport::now(event)).unwrap();
            assert!(sim.is_valid(&report), "{report}");
        }
        let flash = schema(SchemaOf::Flash);
        for how in [
            "hard-reset",
            "soft-reset",
            "watchdog-reset",
            "no-reset",
            "no-reset-stub",
        ] {
            let report = FlashReport::from(FlashEvent::Reset { how });
            assert!(
                flash.is_valid(&serde_json::to_value(report).unwrap()),
                "{how}"
            );
        }
    }

    #[test]
    fn schema_rejects_unknown_events() {
        let flash = schema(SchemaOf::Flash);
        for wrong in [
            json!({}),
            json!({"schema": "tcpctl.flash/1", "event": "molten"}),
            json!({"schema": "tcpctl.flash/2", "event": "erased", "elapsed_us": 1}),
            json!({"schema": "tcpctl.flash/1", "event": "erased", "elapsed_us": -1}),
            json!({"schema": "tcpctl.flash/1", "event": "settings", "stored": "flash",
                   "settings": {"mode": "ap", "passphrase": "x"}}),
        ] {
            assert!(!flash.is_valid(&wrong), "{wrong}");
        }
    }
}
