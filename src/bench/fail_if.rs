//! `--fail-if FIELD OP VALUE`: a run's pass mark.
//!
//! FIELD is a path of the report, which the published JSON schema knows, or an alias. All of it is
//! checked before any load is sent; a condition on a number that turns out not to be known is
//! met, for what was not measured can't pass.

mod fields;

use serde_json::Value;

use self::fields::{ALIASES, Kind, field_of, is_time, suggestion, within};
use super::report::Report;
use crate::failure::Failure;
use crate::output::human;
use crate::sanitize;
use crate::units;

pub use self::fields::{fields, operators};

/// The operators, the longer before those that they begin with.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// A condition under which a run has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// As the user wrote it.
    text: String,
    /// The whole path.
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

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Number(f64),
    Text(String),
    Truth(bool),
}

/// Whether a run passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The condition is not met.
    Passed,
    /// It is met, or can't be known; one line says how.
    Failed(String),
}

impl Condition {
    /// Parses a condition, and checks its field and value.
    ///
    /// # Errors
    /// A usage error that says what to write, e.g. the field that was probably meant.
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
            return Err(wrong("it is no condition".to_owned(), form()));
        };
        let alias = ALIASES.iter().find(|(alias, _)| *alias == field);
        let path = alias.map_or(field, |(_, path)| path);
        let Some(known) = field_of(path) else {
            let field = sanitize::one_line(field);
            let inside = within(&field);
            return Err(if inside.is_empty() {
                wrong(format!("there is no field '{field}'"), suggestion(&field))
            } else {
                let hint = format!("it has {}", inside.join(", "));
                wrong(format!("'{field}' is not one value"), hint)
            });
        };
        let value = rest[sign.len()..].trim();
        if value.is_empty() {
            return Err(wrong("a value is missing".to_owned(), form()));
        }
        let value = operand(value, known.kind, alias.is_some())
            .map_err(|(message, hint)| wrong(sanitize::one_line(&message), hint.to_owned()))?;
        if let Operand::Text(word) = &value
            && !known.words.is_empty()
            && !known.words.contains(word)
        {
            let word = sanitize::one_line(word);
            let hint = format!("it is one of {}", known.words.join(", "));
            return Err(wrong(format!("this field is never '{word}'"), hint));
        }
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && !matches!(value, Operand::Number(_)) {
            return Err(wrong(
                format!("{sign} compares numbers, and this field is none"),
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

    /// Checks a run.
    pub fn check(&self, report: &Report) -> Outcome {
        // A report has no keys that are no strings, so this can't fail.
        let report = serde_json::to_value(report).unwrap_or_default();
        let found = self
            .path
            .split('.')
            .try_fold(&report, |value, name| match value {
                Value::Array(items) => items.get(name.parse::<usize>().ok()?),
                value => value.get(name),
            });
        let Some(found) = found.and_then(measured) else {
            return Outcome::Failed(format!("{}: {} is not known", self.text, self.path));
        };
        let met = match (&found, &self.value) {
            (Operand::Number(found), Operand::Number(value)) => {
                self.operator.compare(*found, *value)
            }
            (found, value) if self.operator == Operator::Equal => found == value,
            (found, value) if self.operator == Operator::NotEqual => found != value,
            // Parsing has made sure that ordered fields are numbers.
            _ => true,
        };
        if !met {
            return Outcome::Passed;
        }
        let shown = match found {
            Operand::Number(us) if is_time(&self.path) => human::microseconds(us),
            Operand::Number(number) => human::number(number),
            Operand::Text(text) => sanitize::one_line(&text),
            Operand::Truth(truth) => truth.to_string(),
        };
        Outcome::Failed(format!("{}: it is {shown}", self.text))
    }
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

/// What a field of a report holds; `None` where it is not known.
fn measured(value: &Value) -> Option<Operand> {
    match value {
        Value::Number(number) => number.as_f64().map(Operand::Number),
        Value::String(text) => Some(Operand::Text(text.clone())),
        Value::Bool(truth) => Some(Operand::Truth(*truth)),
        Value::Object(fields) => match fields.get("at_least") {
            Some(bound) => measured(bound),
            // Errors: their sum.
            None => fields
                .values()
                .map(Value::as_f64)
                .sum::<Option<f64>>()
                .map(Operand::Number),
        },
        Value::Null | Value::Array(_) => None,
    }
}

fn operand(text: &str, kind: Kind, alias: bool) -> Result<Operand, (String, &'static str)> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let parsed = match kind {
        // A whole path says its unit; an alias does not.
        Kind::Microseconds => {
            if let Some(us) = number(text).filter(|_| !alias) {
                Some(us)
            } else {
                let time = units::duration(text)
                    .map_err(|message| (message, "durations are e.g. 250us, 10ms, 1.5s"))?;
                Some(time.as_secs_f64() * 1e6)
            }
        }
        Kind::BytesPerSecond => number(text)
            .or_else(|| {
                units::size(text.trim_end_matches("/s"))
                    .ok()
                    .map(|n| n as f64)
            })
            .or_else(|| units::bandwidth(text).ok().map(|bits| bits as f64 / 8.0)),
        Kind::Rate => number(text.trim_end_matches("/s")),
        Kind::Share => number(text).or_else(|| units::share(text).ok()),
        Kind::Number => number(text),
        Kind::Text => {
            let text = text.trim_matches(['"', '\'']);
            return Ok(Operand::Text(text.to_owned()));
        }
        Kind::Truth => {
            return match text {
                "true" => Ok(Operand::Truth(true)),
                "false" => Ok(Operand::Truth(false)),
                _ => Err((
                    format!("'{text}' is neither true nor false"),
                    "write true or false",
                )),
            };
        }
    };
    let hint = match kind {
        Kind::BytesPerSecond => "write bytes a second, e.g. 500k or 1MiB, or 20Mbit",
        Kind::Rate => "write e.g. 200 or 200/s",
        Kind::Share => "write e.g. 5% or 0.05",
        _ => "write a number",
    };
    parsed
        .map(Operand::Number)
        .ok_or_else(|| (format!("'{text}' is not what this field holds"), hint))
}

#[cfg(test)]
mod tests;
