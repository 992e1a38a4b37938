//! Checks JSON output against the published schemas.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

/// A compiled schema.
struct Published {
    document: Value,
    validator: jsonschema::Validator,
}

/// The schemas in `schemas/`, by the name in objects: `tcpctl.flash/1`.
fn published() -> &'static HashMap<String, Published> {
    static PUBLISHED: OnceLock<HashMap<String, Published>> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let files = std::fs::read_dir(folder).unwrap();
        files
            .map(|file| {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                let document: Value = serde_json::from_str(&text).unwrap();
                assert!(jsonschema::meta::is_valid(&document), "{text}");
                let validator = jsonschema::validator_for(&document).unwrap();
                let name = document["title"].as_str().unwrap().to_owned();
                let schema = Published {
                    document,
                    validator,
                };
                (name, schema)
            })
            .collect()
    })
}

/// Checks that an object of `tcpctl --json` matches its schema and has no other fields.
///
/// # Panics
/// If it does not match.
pub(crate) fn check(object: &Value) {
    let name = object["schema"].as_str().unwrap();
    let file = match name {
        // The schema of a summary is that of its parts, and the schema of a list of names is that
        // of the boards.
        "tcpctl.send.summary/1" => "tcpctl.send/1",
        "tcpctl.discover.names/1" => "tcpctl.discover/1",
        name => name,
    };
    let schema = published().get(file);
    let schema = schema.unwrap_or_else(|| panic!("{name} has no schema in schemas/"));
    let errors: Vec<_> = schema
        .validator
        .iter_errors(object)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {object}");
    let variants = schema.document["oneOf"].as_array().into_iter().flatten();
    let known: Vec<_> = std::iter::once(&schema.document)
        .chain(variants)
        .filter_map(|part| part["properties"].as_object())
        .flat_map(|properties| properties.keys())
        .collect();
    for field in object.as_object().unwrap().keys() {
        assert!(
            known.contains(&field),
            "{field} is not in the schema of {name}"
        );
    }
}

/// The schema of this name.
#[cfg(target_os = "linux")]
pub(crate) fn document(name: &str) -> &'static Value {
    &published()[name].document
}
