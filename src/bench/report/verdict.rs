//! The summary of a run, its warnings, and the conditions it was checked against.

use serde::{Deserialize, Serialize};

/// One line of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictLine {
    /// Level of the result.
    pub level: Level,
    /// One line of text. It may quote a server: sanitize it before printing.
    pub text: String,
}

/// Levels of a result, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The expected result.
    Good,
    /// A noteworthy result.
    Note,
    /// A failure.
    Bad,
}

impl Level {
    /// The name in JSON, and the class in the HTML page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}

/// A fact to know before trusting a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Kind of warning.
    pub kind: WarningKind,
    /// One or two sentences. They may quote a file: sanitize them before printing.
    pub text: String,
}

impl Warning {
    /// A warning of a kind.
    pub fn new(kind: WarningKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind, text }
    }
}

/// The kinds of warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// A virtual board: times come from the link model.
    Virtual,
    /// The open loop did not reach its rate.
    RateNotReached,
    /// This computer's CPU was saturated, or nearly.
    ClientSaturated,
    /// Requests started late, so their times include the client's delay.
    ClientLate,
    /// The end of replies was inferred from the first ones.
    ReplyRuleGuessed,
    /// Requests failed for lack of ports or file descriptors on this computer.
    LocalLimit,
    /// The limit of open files was too low.
    OpenFiles,
    /// The load was interrupted.
    Interrupted,
    /// The search for the limits was interrupted.
    LimitsIncomplete,
    /// The limits differ between trials.
    LimitsChanged,
    /// The server stopped answering during the load.
    TargetGone,
    /// Too few samples for a percentile.
    FewSamples,
    /// This platform does not provide some measurements.
    NotSupported,
    /// Parts of the runs cannot be merged.
    NotMerged,
    /// The merged runs have different targets.
    DifferentTargets,
    /// The merged runs did not send load at the same time.
    NoOverlap,
    /// The system's clock is not synchronized, was set during the run, or this computer slept.
    Clock,
    /// A run started late: after `--start-at`, or after the other merged runs.
    StartedLate,
    /// A computer of the merged runs was itself saturated.
    MachineBusy,
    /// The merged runs sent load together only part of the time.
    PartialOverlap,
    /// The limits were measured while other computers sent load.
    LimitsUnderLoad,
}

impl WarningKind {
    /// The name in JSON as words: `client late`.
    pub fn name(self) -> String {
        // Cannot fail: it is a string.
        let name = serde_json::to_value(self).unwrap_or_default();
        name.as_str().unwrap_or_default().replace('_', " ")
    }

    /// Whether it is derived from the report's numbers. The others are kept when runs are merged.
    pub const fn is_derived(self) -> bool {
        match self {
            Self::Virtual
            | Self::RateNotReached
            | Self::ClientSaturated
            | Self::ClientLate
            | Self::ReplyRuleGuessed
            | Self::LocalLimit
            | Self::Interrupted
            | Self::LimitsChanged
            | Self::FewSamples
            | Self::NotSupported => true,
            Self::OpenFiles
            | Self::LimitsIncomplete
            | Self::TargetGone
            | Self::NotMerged
            | Self::DifferentTargets
            | Self::Clock
            | Self::StartedLate
            | Self::MachineBusy
            | Self::PartialOverlap
            | Self::LimitsUnderLoad
            | Self::NoOverlap => false,
        }
    }

    /// Whether it is a footnote: something is missing, but no number is doubtful.
    pub const fn is_footnote(self) -> bool {
        matches!(self, Self::FewSamples | Self::NotSupported)
    }
}

/// The outcome of a `--fail-if`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedCondition {
    /// The condition as the user wrote it.
    pub condition: String,
    /// Whether the run passes: the value is known and the condition does not hold.
    pub passed: bool,
    /// The value of the field as text; `None` if it is unknown.
    pub value: Option<String>,
}
