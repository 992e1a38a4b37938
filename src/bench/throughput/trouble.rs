//! What can go wrong with a stream.

use tcpctl_engine::readiness::ConnectFailure;

/// Why a stream, or a flow, came to nothing or to an early end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The SYN was answered with a reset.
    #[error("refused")]
    Refused,
    /// No answer to the SYN.
    #[error("no answer to the SYN, as from behind a firewall")]
    NoAnswer,
    /// No route.
    #[error("unreachable")]
    Unreachable,
    /// No local address or port is free here.
    #[error("no local port is free on this computer")]
    LocalPorts,
    /// No more file descriptors here.
    #[error("no file descriptor is free on this computer")]
    LocalFiles,
    /// A connection, on which nothing moves.
    #[error("silence")]
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
    /// What came back is not what was sent.
    #[error("byte {at} came back wrong")]
    WrongEcho {
        /// The first wrong byte's place in the stream, from 0.
        at: u64,
    },
    /// The operating system's wait failed.
    #[error("waiting failed on this computer: {0}")]
    Wait(std::io::ErrorKind),
    /// The run was stopped before there was anything to tell.
    #[error("the run was stopped before")]
    Stopped,
}

impl Trouble {
    /// Whether it is what the service has done or left undone, and the host may be a good one.
    pub(super) fn is_of_the_service(&self) -> bool {
        self.is_after_connecting() || matches!(self, Self::Refused | Self::NoAnswer)
    }

    /// Whether it shows that the service is another one, or a broken one.
    pub(super) fn is_wrong(self) -> bool {
        matches!(self, Self::Answered | Self::WrongEcho { .. })
    }

    /// Whether there was a connection.
    pub(super) fn is_after_connecting(self) -> bool {
        matches!(
            self,
            Self::Silent | Self::Closed | Self::Reset | Self::Answered | Self::WrongEcho { .. }
        )
    }
}

impl From<ConnectFailure> for Trouble {
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
