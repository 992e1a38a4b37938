//! Why a command failed, for people and for scripts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::sanitize;

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
            None => Self::new(Kind::Internal, reason(&format_args!("{error:#}"))),
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

/// An error of the system or of a library as the last part of a message: one line that is safe for a
/// terminal, without the "(os error 2)" that std adds.
pub fn reason(error: &dyn fmt::Display) -> String {
    const NUMBER: &str = " (os error ";
    let mut text = sanitize::one_line(&error.to_string());
    while let Some(start) = text.find(NUMBER)
        && let Some(length) = text[start..].find(')')
    {
        text.replace_range(start..=start + length, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn reason_has_no_error_number() {
        let system = io::Error::from_raw_os_error(2);
        assert!(system.to_string().contains("(os error 2)"));
        let plain = reason(&system);
        assert!(!plain.contains("os error"), "{plain}");
        assert!(!plain.ends_with(' '), "{plain}");
        let nested = io::Error::other(format!("a: {system}: b: {system}"));
        assert_eq!(reason(&nested), format!("a: {plain}: b: {plain}"));
        assert_eq!(reason(&"x (os error 2"), "x (os error 2");
    }

    #[test]
    fn causes_are_part_of_the_message() {
        let error = anyhow::Error::new(io::Error::from_raw_os_error(2)).context("cannot write");
        let plain = reason(&io::Error::from_raw_os_error(2));
        let failure = Failure::from_error(&error);
        assert_eq!(failure.message, format!("cannot write: {plain}"));
    }
}
