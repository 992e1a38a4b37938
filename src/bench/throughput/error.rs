//! Errors of a stream.

use tcpctl_engine::readiness::ConnectFailure;

/// Why a stream or a flow moved nothing, or ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The SYN was answered with a reset.
    #[error("refused")]
    Refused,
    /// No answer to the SYN.
    #[error("no answer to the SYN")]
    NoAnswer,
    /// No route.
    #[error("unreachable")]
    Unreachable,
    /// No local port is free.
    #[error("no free local port on this computer")]
    LocalPorts,
    /// No file descriptor is free.
    #[error("no free file descriptor on this computer")]
    LocalFiles,
    /// Connected, but no bytes moved.
    #[error("no bytes moved")]
    Silent,
    /// The peer's FIN.
    #[error("closed by the server")]
    Closed,
    /// The peer's reset.
    #[error("reset by the server")]
    Reset,
    /// Bytes from a service that sends none.
    #[error("answered by the server")]
    Answered,
    /// The echo differs from what was sent.
    #[error("byte {at} of the echo is wrong")]
    WrongEcho {
        /// Offset of the first wrong byte in the stream.
        at: u64,
    },
    /// The operating system's wait failed.
    #[error("waiting failed on this computer: {0}")]
    Wait(std::io::ErrorKind),
    /// The run was stopped before anything was measured.
    #[error("the run was stopped before")]
    Stopped,
}

impl StreamError {
    /// Whether the service caused it, so that the host may be reachable.
    pub(super) fn is_of_the_service(&self) -> bool {
        self.is_after_connecting() || matches!(self, Self::Refused | Self::NoAnswer)
    }

    /// Whether the port has another service, or a broken one.
    pub(super) fn is_wrong_service(self) -> bool {
        matches!(self, Self::Answered | Self::WrongEcho { .. })
    }

    /// Whether this computer caused it.
    pub(super) fn is_local(self) -> bool {
        matches!(self, Self::LocalPorts | Self::LocalFiles | Self::Wait(_))
    }

    /// Whether the connection had been established.
    pub(super) fn is_after_connecting(self) -> bool {
        matches!(
            self,
            Self::Silent | Self::Closed | Self::Reset | Self::Answered | Self::WrongEcho { .. }
        )
    }
}

impl From<ConnectFailure> for StreamError {
    fn from(failure: ConnectFailure) -> Self {
        match failure {
            ConnectFailure::Refused => Self::Refused,
            ConnectFailure::TimedOut => Self::NoAnswer,
            ConnectFailure::Unreachable => Self::Unreachable,
            ConnectFailure::LocalPorts => Self::LocalPorts,
            ConnectFailure::LocalFiles => Self::LocalFiles,
        }
    }
}
