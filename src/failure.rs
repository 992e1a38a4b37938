//! Why a command failed, as a person and a script are told.

use std::fmt;

use serde::Serialize;

use crate::exit::Exit;

/// The kinds of failure that the contract names; each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The command line can't be carried out as it is written.
    Usage,
    /// A name did not resolve.
    Resolve,
    /// No connection could be made.
    Connect,
    /// Time ran out in silence.
    Timeout,
    /// The connection broke in the middle.
    Broken,
    /// The question was answered with no.
    Negative,
    /// The board, or an operation on it, failed.
    Device,
    /// What should not happen: a full disk, an exhausted system.
    Internal,
}

impl Kind {
    /// The exit code of this kind.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Usage => Exit::Usage,
            Self::Resolve => Exit::Resolve,
            Self::Connect => Exit::Connect,
            Self::Timeout => Exit::Timeout,
            Self::Broken => Exit::Broken,
            Self::Negative => Exit::Negative,
            Self::Device | Self::Internal => Exit::Device,
        }
    }
}

/// A failure: its kind, what it is about, what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind, and with it the exit code.
    pub kind: Kind,
    /// The target it is about, as the user wrote it.
    pub target: Option<String>,
    /// What happened: one line that names the thing.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of `kind`; `message` names the thing and says what happened.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            target: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The failure inside `error`. Any other error is [`Kind::Internal`], and its causes are part
    /// of the message.
    pub fn from_error(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Self>() {
            Some(failure) => failure.clone(),
            None => Self::new(Kind::Internal, format!("{error:#}")),
        }
    }

    /// A command line that can't be carried out.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which target it is about.
    #[must_use]
    pub fn about(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The exit code.
    pub const fn exit(&self) -> Exit {
        self.kind.exit()
    }
}

/// The message, without the hint.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
