//! The fields of a report that a condition can name, from the published JSON schema.

use std::sync::LazyLock;

use serde_json::Value;

use crate::bench::report::JSON_SCHEMA;

/// Short names of common fields.
pub(super) const ALIASES: [(&str, &str); 10] = [
    ("p50", "latency.complete_us.p50"),
    ("p90", "latency.complete_us.p90"),
    ("p99", "latency.complete_us.p99"),
    ("p99_9", "latency.complete_us.p99_9"),
    ("max", "latency.complete_us.max"),
    ("rate", "latency.rate_per_s"),
    ("errors", "latency.errors"),
    ("served", "limits.served_at_once"),
    ("queued", "limits.queued"),
    ("held", "limits.held"),
];

/// The type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Microseconds,
    BytesPerSecond,
    Rate,
    Share,
    Number,
    Text,
    Truth,
}

/// A field that can be compared.
pub(super) struct Field {
    path: String,
    pub(super) kind: FieldKind,
    /// The possible values, where the schema lists them.
    pub(super) words: Vec<String>,
}

impl Field {
    fn new(path: &str, kind: FieldKind, node: &Value) -> Self {
        let words = node["enum"].as_array().into_iter().flatten();
        let words = words.filter_map(|word| word.as_str().map(str::to_owned));
        Self {
            path: path.to_owned(),
            kind,
            words: words.collect(),
        }
    }
}

/// Every field that can be compared. An item of an array is `0`.
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    // Cannot fail: a test parses the built-in schema.
    let schema = serde_json::from_str(JSON_SCHEMA).unwrap_or_default();
    let mut fields = Vec::new();
    collect(&schema, &schema, "", 0, &mut fields);
    fields
});

fn collect(schema: &Value, node: &Value, path: &str, depth: usize, fields: &mut Vec<Field>) {
    // `flow.single` is itself a flow, so stop there.
    if depth > 6 || path.ends_with("single.single") || path == "histograms" {
        return;
    }
    let under = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some(name) = node["$ref"].as_str() {
        let place = name.trim_start_matches('#');
        if let Some(target) = schema.pointer(place) {
            collect(schema, target, path, depth, fields);
        }
    } else if let Some(first) = node["anyOf"].get(0) {
        collect(schema, first, path, depth, fields);
    } else if let Some(properties) = node["properties"].as_object() {
        if path == "latency.errors" {
            fields.push(Field::new(path, FieldKind::Number, node));
        }
        for (name, property) in properties {
            collect(schema, property, &under(name), depth + 1, fields);
        }
    } else if let Some(items) = node.get("items") {
        collect(schema, items, &under("0"), depth + 1, fields);
    } else if node.get("additionalProperties").is_none() {
        fields.push(Field::new(path, kind(path, node), node));
    }
}

fn kind(path: &str, node: &Value) -> FieldKind {
    let types = &node["type"];
    match types.as_str().or_else(|| types[0].as_str()) {
        Some("boolean") => FieldKind::Truth,
        Some("integer" | "number") if is_time(path) => FieldKind::Microseconds,
        Some("integer" | "number") => match path.rsplit('.').next().unwrap_or_default() {
            "bytes_per_s" => FieldKind::BytesPerSecond,
            name if name.ends_with("_per_s") => FieldKind::Rate,
            name if name.ends_with("_share") => FieldKind::Share,
            _ => FieldKind::Number,
        },
        _ => FieldKind::Text,
    }
}

/// Whether a number is in microseconds: its name, or that of the distribution it is in, ends in
/// `_us`.
pub(super) fn is_time(path: &str) -> bool {
    let mut names = path.rsplit('.');
    let name = names.next().unwrap_or_default();
    let parent = names.next().unwrap_or_default();
    name.ends_with("_us")
        || name == "client_cpu_us_per_request"
        || (parent.ends_with("_us") && name != "samples" && name != "finding")
}

/// The fields that a condition can name: the short names, and with `paths` every path.
pub fn fields(paths: bool) -> Vec<&'static str> {
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let paths = paths.then(|| FIELDS.iter().map(|field| field.path.as_str()));
    aliases.chain(paths.into_iter().flatten()).collect()
}

/// The most useful operators for a field or a short name.
pub fn operators(field: &str) -> [&'static str; 2] {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == field);
    match field_of(alias.map_or(field, |(_, path)| path)).map(|field| field.kind) {
        Some(FieldKind::Text | FieldKind::Truth) => ["==", "!="],
        _ => ["<", ">"],
    }
}

pub(super) fn field_of(path: &str) -> Option<&'static Field> {
    // All items of an array have the fields of the first.
    let is_index = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let names: Vec<_> = path
        .split('.')
        .map(|name| if is_index(name) { "0" } else { name })
        .collect();
    let path = names.join(".");
    FIELDS.iter().find(|known| known.path == path)
}

/// The fields of an object, e.g. `latency`; of a distribution in it the median stands for all.
pub(super) fn within(part: &str) -> Vec<&'static str> {
    let inside = FIELDS
        .iter()
        .filter_map(|field| field.path.strip_prefix(part)?.strip_prefix('.'));
    let is_shown = |name: &&str| name.rsplit_once('.').is_none_or(|(_, last)| last == "p50");
    inside.filter(is_shown).take(12).collect()
}

/// A hint with the most similar field.
pub(super) fn suggestion(field: &str) -> String {
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let paths = FIELDS.iter().map(|field| field.path.as_str());
    let likeness = |known: &str| {
        let last = known.rsplit('.').next().unwrap_or_default();
        // A missing path is more common than a misspelled name.
        strsim::jaro_winkler(field, known).max(strsim::jaro_winkler(field, last) - 0.01)
    };
    let best = aliases
        .chain(paths)
        .map(|known| (known, likeness(known)))
        .max_by(|one, other| one.1.total_cmp(&other.1));
    match best {
        Some((known, likeness)) if likeness > 0.75 => format!("did you mean '{known}'?"),
        _ => {
            let aliases: Vec<_> = ALIASES.iter().map(|(alias, _)| *alias).collect();
            format!(
                "fields: {}, and every path of tcpctl schema bench",
                aliases.join(", ")
            )
        }
    }
}
