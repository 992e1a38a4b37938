//! Connection errors and what to do about them.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::failure::{Failure, Kind, reason};
use crate::sanitize;

/// Why a connection failed. Each variant has its own hint.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name has no usable address.
    #[error("cannot resolve '{host}': {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's reason.
        reason: String,
    },
    /// Nothing answered.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The connect timeout.
        after: Duration,
        /// Addresses that were tried.
        addresses: Vec<SocketAddr>,
    },
    /// The peer answered with a reset.
    #[error("connection refused")]
    Refused(Attempts),
    /// There is no route to the peer.
    #[error("{0}")]
    Unreachable(Attempts),
    /// The local address or interface is not usable.
    #[error("{0}")]
    LocalAddress(Attempts),
    /// Any other error of the system.
    #[error("{0}")]
    Other(Attempts),
}

/// The addresses that were tried, at least one, each with its error.
#[derive(Debug)]
pub struct Attempts(Vec<(SocketAddr, io::Error)>);

impl std::fmt::Display for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [(_, error)] => f.write_str(&reason(error)),
            several => {
                for (index, (address, error)) in several.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{address} {}", reason(error))?;
                }
                Ok(())
            }
        }
    }
}

impl ConnectError {
    /// Classifies the errors of all addresses. A refusal outranks the others because something
    /// answered.
    pub(crate) fn from_attempts(failures: Vec<(SocketAddr, io::Error)>) -> Self {
        use io::ErrorKind as Of;
        let has = |kinds: &[Of]| {
            failures
                .iter()
                .any(|(_, error)| kinds.contains(&error.kind()))
        };
        let attempts = Attempts;
        if has(&[Of::ConnectionRefused, Of::ConnectionReset]) {
            Self::Refused(attempts(failures))
        } else if has(&[Of::AddrNotAvailable, Of::AddrInUse, Of::PermissionDenied]) {
            Self::LocalAddress(attempts(failures))
        } else if has(&[
            Of::HostUnreachable,
            Of::NetworkUnreachable,
            Of::NetworkDown,
            Of::TimedOut,
        ]) {
            Self::Unreachable(attempts(failures))
        } else {
            Self::Other(attempts(failures))
        }
    }

    /// The addresses that were tried, unless the message already has them.
    fn addresses(&self) -> String {
        let addresses: Vec<_> = match self {
            Self::Resolve { .. } => Vec::new(),
            Self::TimedOut { addresses, .. } => {
                addresses.iter().map(SocketAddr::to_string).collect()
            }
            Self::Unreachable(Attempts(several)) | Self::Other(Attempts(several))
                if several.len() > 1 =>
            {
                Vec::new()
            }
            Self::Refused(Attempts(attempts))
            | Self::Unreachable(Attempts(attempts))
            | Self::LocalAddress(Attempts(attempts))
            | Self::Other(Attempts(attempts)) => attempts
                .iter()
                .map(|(address, _)| address.to_string())
                .collect(),
        };
        addresses.join(", ")
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Resolve { .. } => {
                Some("check the name with `tcpctl discover`, or use the IP address")
            }
            Self::TimedOut { .. } => Some(
                "is the board powered and this computer on its network? \
                 for a slow network raise --connect-timeout",
            ),
            Self::Refused(_) => Some(
                "is the server running on that port? A full board also refuses connections: try again",
            ),
            Self::Unreachable(_) => Some("is this computer on the board's network?"),
            Self::LocalAddress(_) => Some("check --source and --interface with `ip address`"),
            Self::Other(_) => None,
        }
    }

    /// Converts to the failure of a command whose target is `target`.
    pub fn into_failure(self, target: &str) -> Failure {
        let addresses = self.addresses();
        let mut name = sanitize::one_line(target);
        // A target that is an address already has it.
        if !addresses.is_empty() && addresses != target {
            let _ = write!(name, " ({addresses})");
        }
        let message = match &self {
            Self::Resolve { .. } => self.to_string(),
            _ => format!("cannot connect to {name}: {self}"),
        };
        let kind = match self {
            Self::Resolve { .. } => Kind::Resolve,
            _ => Kind::Connect,
        };
        let failure = Failure::new(kind, message).about(target);
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
