//! Counts that may be known only in part, and the evidence for each number of a report.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A count: exact, a lower bound, or unknown. In JSON `4`, `{"at_least": 4}` and `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// The exact count.
    Exact(usize),
    /// A lower bound: the search ended before the server's limit was reached.
    AtLeast {
        /// The lower bound.
        at_least: usize,
    },
    /// Not known; the evidence has the reason.
    #[default]
    Unknown,
}

impl Bound {
    /// A lower bound.
    pub const fn at_least(count: usize) -> Self {
        Self::AtLeast { at_least: count }
    }

    /// The count, whether exact or a lower bound.
    pub const fn count(self) -> Option<usize> {
        match self {
            Self::Exact(count) | Self::AtLeast { at_least: count } => Some(count),
            Self::Unknown => None,
        }
    }

    /// The count, unless it is only a lower bound.
    pub const fn exact(self) -> Option<usize> {
        match self {
            Self::Exact(count) => Some(count),
            Self::AtLeast { .. } | Self::Unknown => None,
        }
    }

    /// Whether the count, or a lower bound of it, is known.
    pub const fn is_known(self) -> bool {
        self.count().is_some()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(count) => count.fmt(f),
            Self::AtLeast { at_least } => write!(f, "at least {at_least}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// How a field's value was found, or why it is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Kind of evidence.
    pub kind: EvidenceKind,
    /// One line of text. It may quote the server: sanitize it before printing.
    pub detail: String,
}

impl Evidence {
    /// Evidence of a kind.
    pub fn new(kind: EvidenceKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail }
    }
}

/// The kinds of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The value was observed.
    Observed,
    /// The value is a lower bound.
    LowerBound,
    /// The value could be measured, and was not.
    NotMeasured,
    /// The value has no meaning for this server.
    NotApplicable,
    /// No client can find the value out.
    Unknowable,
}

impl EvidenceKind {
    /// The kind in words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::LowerBound => "lower bound",
            Self::NotMeasured => "not measured",
            Self::NotApplicable => "not applicable",
            Self::Unknowable => "cannot be known",
        }
    }
}
