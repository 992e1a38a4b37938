//! The management channel of a board: one authenticated, encrypted session.

pub mod access;
pub mod key;
pub mod locate;

use std::io;
use std::time::Duration;

use tcpctl_management::{
    ClientError, ClientEvent, ClientSession, Hello, RANDOM_LEN, Request, Response,
};
use tcpctl_settings::ManagementKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::connect::Stream;

/// Limit for the handshake, and for each response. A chip needs 60 ms to compute, and less than a
/// second to write flash.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes per read.
const CHUNK: usize = 2048;

/// A connection to a board that has sent its hello.
pub struct UnauthenticatedChannel {
    stream: Stream,
    session: ClientSession,
    input: Vec<u8>,
    /// The board's hello, which is not authenticated.
    pub hello: Hello,
}

/// An authenticated session.
pub struct Channel {
    stream: Stream,
    session: ClientSession,
    input: Vec<u8>,
}

/// Why a session failed.
#[derive(Debug)]
pub enum ChannelError {
    /// The connection broke, or was closed.
    Broken(io::Error),
    /// No answer in time.
    TimedOut,
    /// The board closed the connection during the handshake: the key is wrong.
    Rejected,
    /// The peer violated the protocol.
    Protocol(ClientError),
}

impl From<ClientError> for ChannelError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Handshake => Self::Rejected,
            other => Self::Protocol(other),
        }
    }
}

impl UnauthenticatedChannel {
    /// Waits for the hello of the board.
    ///
    /// # Errors
    /// None came, or the peer is not a management server.
    pub async fn receive(stream: Stream) -> Result<Self, ChannelError> {
        let mut channel = Channel {
            stream,
            session: ClientSession::new(),
            input: Vec::new(),
        };
        match channel.event().await? {
            ClientEvent::Hello(hello) => Ok(Self {
                stream: channel.stream,
                session: channel.session,
                input: channel.input,
                hello,
            }),
            _ => Err(ClientError::OutOfOrder.into()),
        }
    }

    /// Proves to both sides that the other has the key.
    ///
    /// # Errors
    /// [`ChannelError::Rejected`] if they have not.
    pub async fn authenticate(self, key: &ManagementKey) -> Result<Channel, ChannelError> {
        let Self {
            stream,
            mut session,
            input,
            ..
        } = self;
        let mut random = [0; RANDOM_LEN];
        getrandom::fill(&mut random)
            .map_err(|error| ChannelError::Broken(io::Error::other(error)))?;
        let bytes = session.authenticate(key, random)?;
        let mut channel = Channel {
            stream,
            session,
            input,
        };
        let established = async {
            channel.send(&bytes).await?;
            channel.event().await
        };
        match established.await {
            Ok(ClientEvent::Established) => Ok(channel),
            Ok(_) => Err(ClientError::OutOfOrder.into()),
            // A board with another key closes without a reply. A reset is a broken connection.
            Err(ChannelError::Broken(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ChannelError::Rejected)
            }
            Err(error) => Err(error),
        }
    }
}

impl Channel {
    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// The session is over.
    pub async fn request(&mut self, request: &Request) -> Result<Response, ChannelError> {
        self.send_request(request).await?;
        self.response().await
    }

    /// Sends a request. Its response follows those of earlier requests.
    ///
    /// # Errors
    /// The session is over.
    pub async fn send_request(&mut self, request: &Request) -> Result<(), ChannelError> {
        let bytes = self.session.request(request)?;
        self.send(&bytes).await
    }

    /// Waits for the next response.
    ///
    /// # Errors
    /// The session is over.
    pub async fn response(&mut self) -> Result<Response, ChannelError> {
        match self.event().await? {
            ClientEvent::Response(response) => Ok(response),
            _ => Err(ClientError::OutOfOrder.into()),
        }
    }

    /// Ends the session, so that the board can serve the next one.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        let sent = timeout_at(Instant::now() + STEP_TIMEOUT, self.stream.write_all(bytes)).await;
        sent.map_err(|_| ChannelError::TimedOut)?
            .map_err(ChannelError::Broken)
    }

    /// The next event other than [`ClientEvent::NeedMore`].
    async fn event(&mut self) -> Result<ClientEvent, ChannelError> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        let mut chunk = [0; CHUNK];
        loop {
            let mut input = &self.input[..];
            let event = self.session.receive(&mut input);
            let taken = self.input.len() - input.len();
            self.input.drain(..taken);
            match event? {
                ClientEvent::NeedMore => {}
                event => return Ok(event),
            }
            let count = timeout_at(deadline, self.stream.read(&mut chunk))
                .await
                .map_err(|_| ChannelError::TimedOut)?
                .map_err(ChannelError::Broken)?;
            if count == 0 {
                return Err(ChannelError::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
            self.input.extend_from_slice(&chunk[..count]);
        }
    }
}
