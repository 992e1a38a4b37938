//! The fields of a report that a condition can name, by the published JSON schema.

use std::sync::LazyLock;

use serde_json::Value;

use crate::bench::report::JSON_SCHEMA;

/// Short names of the fields that are asked for most.
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

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    pub(super) kind: Kind,
    /// The words that it can hold, where the schema names them.
    pub(super) words: Vec<String>,
}

impl Field {
    fn new(path: &str, kind: Kind, node: &Value) -> Self {
        let words = node["enum"].as_array().into_iter().flatten();
        let words = words.filter_map(|word| word.as_str().map(str::to_owned));
        Self {
            path: path.to_owned(),
            kind,
            words: words.collect(),
        }
    }
}

/// Every field that can be compared, from the published schema; an item of a list is `0`.
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    // It is a part of this program, and tests validate it.
    let schema = serde_json::from_str(JSON_SCHEMA).unwrap_or_default();
    let mut fields = Vec::new();
    collect(&schema, &schema, "", 0, &mut fields);
    fields
});

fn collect(schema: &Value, node: &Value, path: &str, depth: usize, fields: &mut Vec<Field>) {
    // `flow.single` is a flow: once round is enough.
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
            fields.push(Field::new(path, Kind::Number, node));
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

fn kind(path: &str, node: &Value) -> Kind {
    let types = &node["type"];
    match types.as_str().or_else(|| types[0].as_str()) {
        Some("boolean") => Kind::Truth,
        Some("integer" | "number") if is_time(path) => Kind::Microseconds,
        Some("integer" | "number") => match path.rsplit('.').next().unwrap_or_default() {
            "bytes_per_s" => Kind::BytesPerSecond,
            name if name.ends_with("_per_s") => Kind::Rate,
            name if name.ends_with("_share") => Kind::Share,
            _ => Kind::Number,
        },
        _ => Kind::Text,
    }
}

/// Whether a field's number is microseconds: it, or the distribution that it is of, says so.
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

/// The operators that a field, or a short name of one, is asked about with most.
pub fn operators(field: &str) -> [&'static str; 2] {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == field);
    match field_of(alias.map_or(field, |(_, path)| path)).map(|field| field.kind) {
        Some(Kind::Text | Kind::Truth) => ["==", "!="],
        _ => ["<", ">"],
    }
}

pub(super) fn field_of(path: &str) -> Option<&'static Field> {
    // Any item of a list is like its first.
    let is_index = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let names: Vec<_> = path
        .split('.')
        .map(|name| if is_index(name) { "0" } else { name })
        .collect();
    let path = names.join(".");
    FIELDS.iter().find(|known| known.path == path)
}

/// Some of the fields that a part of the report has, e.g. `latency.complete_us`.
pub(super) fn within(part: &str) -> Vec<&'static str> {
    let inside = FIELDS
        .iter()
        .filter_map(|field| field.path.strip_prefix(part)?.strip_prefix('.'));
    inside.take(8).collect()
}

/// What was probably meant.
pub(super) fn suggestion(field: &str) -> String {
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let paths = FIELDS.iter().map(|field| field.path.as_str());
    let likeness = |known: &str| {
        let last = known.rsplit('.').next().unwrap_or_default();
        // Most leave out the path, or misspell a name.
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
                "fields are {}, and every path that tcpctl schema bench shows",
                aliases.join(", ")
            )
        }
    }
}
