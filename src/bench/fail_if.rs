//! `--fail-if FIELD OP VALUE`: conditions under which a run fails.
//!
//! FIELD is a path of the report by its published JSON schema, or an alias. The condition is checked
//! before any load is sent. A number that turns out to be unknown counts as failed.

mod fields;

use serde_json::Value;

use self::fields::{ALIASES, FieldKind, field_of, is_time, suggestion, within};
use super::report::{CheckedCondition, Parts};
use crate::failure::{Failure, Kind};
use crate::output::human;
use crate::sanitize;
use crate::units;

pub use self::fields::{fields, operators};

/// The operators; longer ones before their prefixes.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// A condition under which a run fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The condition as the user wrote it.
    text: String,
    /// The path of the field.
    path: String,
    operator: Operator,
    value: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
}

/// The value that a field is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Number(f64),
    Text(String),
    Truth(bool),
}

impl Condition {
    /// Parses a condition, and checks its field and value.
    ///
    /// # Errors
    /// A usage error that suggests what to write.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |message: String, hint: String| {
            let text = sanitize::one_line(text);
            Failure::usage(format!("--fail-if '{text}': {message}")).hint(hint)
        };
        let form =
            || "write FIELD OP VALUE, e.g. 'p99 > 10ms', OP one of < <= > >= == !=".to_owned();
        let start = text.find(['<', '>', '=', '!']);
        let (field, rest) = text.split_at(start.unwrap_or(text.len()));
        let (field, rest) = (field.trim(), rest.trim());
        let operator = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
        let Some((sign, operator)) = operator.filter(|_| !field.is_empty()) else {
            return Err(wrong("not a condition".to_owned(), form()));
        };
        let alias = ALIASES.iter().find(|(alias, _)| *alias == field);
        let path = alias.map_or(field, |(_, path)| path);
        let Some(known) = field_of(path) else {
            let field = sanitize::one_line(field);
            let inside = within(&field);
            return Err(if inside.is_empty() {
                wrong(format!("no such field: '{field}'"), suggestion(&field))
            } else {
                let hint = format!("its fields: {}", inside.join(", "));
                wrong(format!("'{field}' is not a single value"), hint)
            });
        };
        let value = rest[sign.len()..].trim();
        if value.is_empty() {
            return Err(wrong("missing value".to_owned(), form()));
        }
        let value = operand(value, known.kind, alias.is_some())
            .map_err(|(message, hint)| wrong(sanitize::one_line(&message), hint.to_owned()))?;
        if let Operand::Text(word) = &value
            && !known.words.is_empty()
            && !known.words.contains(word)
        {
            let word = sanitize::one_line(word);
            let hint = format!("possible values: {}", known.words.join(", "));
            return Err(wrong(format!("not a value of this field: '{word}'"), hint));
        }
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && !matches!(value, Operand::Number(_)) {
            return Err(wrong(
                format!("{sign} needs a number, and this field is not one"),
                "use == or !=".to_owned(),
            ));
        }
        Ok(Self {
            text: sanitize::one_line(text.trim()),
            path: path.to_owned(),
            operator: *operator,
            value,
        })
    }

    /// Refuses a condition about a part that the run does not measure.
    ///
    /// # Errors
    /// A usage error.
    pub fn require_measured(&self, parts: Parts, has_baseline: bool) -> Result<(), Failure> {
        let part = self.path.split('.').next().unwrap_or_default();
        let (is_measured, hint) = match part {
            "limits" => (parts.limits, "add --only limits"),
            "latency" => (parts.latency, "add --only latency"),
            "ramp" | "ramp_ended" => (parts.ramp, "add --ramp"),
            "throughput" => (parts.throughput, "add --only throughput"),
            "comparison" => (has_baseline, "add --compare FILE"),
            _ => (true, ""),
        };
        if is_measured {
            return Ok(());
        }
        let message = format!("--fail-if '{}': {part} is not measured", self.text);
        Err(Failure::usage(message).hint(hint))
    }

    /// Checks a run, given its [`Report`](super::report::Report) as JSON.
    pub fn check(&self, report: &Value) -> CheckedCondition {
        let found = self
            .path
            .split('.')
            .try_fold(report, |value, name| match value {
                Value::Array(items) => items.get(name.parse::<usize>().ok()?),
                value => value.get(name),
            })
            .and_then(measured);
        let holds = match (&found, &self.value) {
            (Some(Operand::Number(found)), Operand::Number(value)) => {
                self.operator.compare(*found, *value)
            }
            (Some(found), value) if self.operator == Operator::Equal => found == value,
            (Some(found), value) if self.operator == Operator::NotEqual => found != value,
            // Unknown; parsing has made sure that other operators compare numbers.
            _ => true,
        };
        let show = |found| match found {
            Operand::Number(us) if is_time(&self.path) => human::microseconds(us),
            Operand::Number(number) => human::number(number),
            Operand::Text(text) => sanitize::one_line(&text),
            Operand::Truth(truth) => truth.to_string(),
        };
        CheckedCondition {
            condition: self.text.clone(),
            passed: !holds,
            value: found.map(show),
        }
    }
}

/// The conditions that a run does not pass, as one failure.
///
/// # Errors
/// A negative answer that names each condition with the value found.
pub fn require(conditions: &[CheckedCondition], target: &str) -> Result<(), Failure> {
    let failed: Vec<_> = conditions
        .iter()
        .filter(|checked| !checked.passed)
        .map(|checked| {
            let value = checked.value.as_deref().unwrap_or("unknown");
            format!("--fail-if '{}' (value: {value})", checked.condition)
        })
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Negative, failed.join(", ")).about(target))
}

impl Operator {
    fn compare(self, found: f64, value: f64) -> bool {
        match self {
            Self::Less => found < value,
            Self::AtMost => found <= value,
            Self::Greater => found > value,
            Self::AtLeast => found >= value,
            Self::Equal => found.total_cmp(&value).is_eq(),
            Self::NotEqual => found.total_cmp(&value).is_ne(),
        }
    }
}

/// The value of a field; `None` where it is not known.
fn measured(value: &Value) -> Option<Operand> {
    match value {
        Value::Number(number) => number.as_f64().map(Operand::Number),
        Value::String(text) => Some(Operand::Text(text.clone())),
        Value::Bool(truth) => Some(Operand::Truth(*truth)),
        Value::Object(fields) => match fields.get("at_least") {
            Some(bound) => measured(bound),
            // The object `latency.errors` counts as the sum of its classes, without this computer's
            // own errors.
            None => fields
                .iter()
                .filter(|(class, _)| !class.starts_with("local_"))
                .map(|(_, count)| count.as_f64())
                .sum::<Option<f64>>()
                .map(Operand::Number),
        },
        Value::Null | Value::Array(_) => None,
    }
}

fn operand(text: &str, kind: FieldKind, alias: bool) -> Result<Operand, (String, &'static str)> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let parsed = match kind {
        // A path names its unit, an alias does not.
        FieldKind::Microseconds => {
            if let Some(us) = number(text).filter(|_| !alias) {
                Some(us)
            } else {
                let time = units::duration(text)
                    .map_err(|message| (message, "write a duration, e.g. 250us, 10ms or 1.5s"))?;
                Some(time.as_secs_f64() * 1e6)
            }
        }
        FieldKind::BytesPerSecond => number(text)
            .or_else(|| {
                units::size(text.trim_end_matches("/s"))
                    .ok()
                    .map(|n| n as f64)
            })
            .or_else(|| units::bandwidth(text).ok().map(|bits| bits as f64 / 8.0)),
        FieldKind::Rate => number(text.trim_end_matches("/s")),
        FieldKind::Share => number(text).or_else(|| units::share(text).ok()),
        FieldKind::Number => number(text),
        FieldKind::Text => {
            let text = text.trim_matches(['"', '\'']);
            return Ok(Operand::Text(text.to_owned()));
        }
        FieldKind::Truth => {
            return match text {
                "true" => Ok(Operand::Truth(true)),
                "false" => Ok(Operand::Truth(false)),
                _ => Err((
                    format!("'{text}' is not true or false"),
                    "write true or false",
                )),
            };
        }
    };
    let hint = match kind {
        FieldKind::BytesPerSecond => "write bytes per second, e.g. 500k or 1MiB, or 20Mbit",
        FieldKind::Rate => "write e.g. 200 or 200/s",
        FieldKind::Share => "write e.g. 5% or 0.05",
        _ => "write a number",
    };
    parsed
        .map(Operand::Number)
        .ok_or_else(|| (format!("'{text}' is not a valid value"), hint))
}

#[cfg(test)]
mod tests;
