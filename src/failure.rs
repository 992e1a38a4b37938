//! Why a command failed, for people and for scripts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// The kinds of failure; each has an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Invalid arguments, file or setting.
    Usage,
    /// A name did not resolve.
    Resolve,
    /// No connection could be made.
    Connect,
    /// Timed out without a reply.
    Timeout,
    /// The connection broke midway.
    Broken,
    /// A negative answer: nothing found, or a condition unmet.
    Negative,
    /// The board, or an operation on it, failed.
    Device,
    /// This computer failed: a full disk, no more file descriptors.
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

/// A failure: kind, target, message and hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// The target concerned, as the user wrote it.
    pub target: Option<String>,
    /// What failed, on what, and why: one line.
    pub message: String,
    /// What the user can try.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of `kind` with neither target nor hint.
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

    /// Invalid arguments, file or setting.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the target.
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
