//! The client's side of a session.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use snow::{HandshakeState, TransportState};
use tcpctl_settings::ManagementKey;

use crate::frame::{FrameReader, MAX_FRAME, TAG_LEN};
use crate::hello::{Hello, PROTOCOL_VERSION};
use crate::message::{Request, Response};
use crate::noise::{self, HANDSHAKE_LEN, RANDOM_LEN, Role};

/// Why a session failed, as far as the client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// The peer is not a management server.
    NotManagement,
    /// The board uses another version of the protocol.
    UnsupportedVersion {
        /// Version of the board.
        board: u8,
    },
    /// The peer did not prove that it has this key. A board with another key closes the connection
    /// without a reply after [`ClientSession::authenticate`].
    Handshake,
    /// The peer sent something that is not the next message of the session: damaged, replayed, truncated
    /// or malformed.
    Protocol,
    /// The call is not valid in this state of the session, or the session has ended.
    OutOfOrder,
    /// The request is longer than [`MAX_MESSAGE`](crate::MAX_MESSAGE).
    TooLong,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotManagement => f.write_str("the peer is not a management server"),
            Self::UnsupportedVersion { board } => write!(
                f,
                "the board speaks version {board} of the management protocol, supported is \
                 {PROTOCOL_VERSION}"
            ),
            Self::Handshake => f.write_str("the handshake failed"),
            Self::Protocol => f.write_str("the peer sent an invalid message"),
            Self::OutOfOrder => f.write_str("the session is not in a state for this"),
            Self::TooLong => f.write_str("the request is too long"),
        }
    }
}

impl Error for ClientError {}

/// The next event or action of the client.
#[derive(Debug)]
pub enum ClientEvent {
    /// Receive more, because all input is processed.
    NeedMore,
    /// The board has sent its hello: continue with [`ClientSession::authenticate`].
    Hello(Hello),
    /// The board has proved that it has the key: continue with [`ClientSession::request`].
    Established,
    /// The response to the last request.
    Response(Response),
}

/// A session, from the client's side.
pub struct ClientSession {
    frames: FrameReader,
    state: State,
}

enum State {
    AwaitHello,
    /// The received hello.
    HasHello(Vec<u8>),
    Handshake(Box<HandshakeState>),
    Transport(Box<TransportState>),
    Closed,
}

impl ClientSession {
    /// Starts a session for a new connection, on which the board sends first.
    pub const fn new() -> Self {
        Self {
            frames: FrameReader::new(),
            state: State::AwaitHello,
        }
    }

    /// Processes received bytes from the front of `input` until there is an event.
    ///
    /// # Errors
    /// What is wrong with the peer. The session is over.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<ClientEvent, ClientError> {
        let event = self.next_event(input);
        if event.is_err() {
            self.state = State::Closed;
        }
        event
    }

    /// The bytes that start the handshake, after [`ClientEvent::Hello`].
    ///
    /// `random` are fresh bytes of a cryptographic source, for this session alone.
    ///
    /// # Errors
    /// [`ClientError::OutOfOrder`] at any other time.
    pub fn authenticate(
        &mut self,
        key: &ManagementKey,
        random: [u8; RANDOM_LEN],
    ) -> Result<Vec<u8>, ClientError> {
        let State::HasHello(hello) = &self.state else {
            return Err(ClientError::OutOfOrder);
        };
        let start = || {
            let mut handshake = noise::handshake(Role::Client, hello, key, random)?;
            let message = noise::write_handshake(&mut handshake)?;
            Ok((handshake, message))
        };
        let (handshake, message) = start().map_err(|_: snow::Error| ClientError::Handshake)?;
        self.state = State::Handshake(Box::new(handshake));
        Ok(message)
    }

    /// The bytes of a request, after [`ClientEvent::Established`].
    ///
    /// # Errors
    /// [`ClientError::OutOfOrder`] before that; [`ClientError::TooLong`].
    pub fn request(&mut self, request: &Request) -> Result<Vec<u8>, ClientError> {
        let State::Transport(noise) = &mut self.state else {
            return Err(ClientError::OutOfOrder);
        };
        let plain = request.encode().ok_or(ClientError::TooLong)?;
        noise::seal(noise, &plain).map_err(|_| ClientError::Protocol)
    }

    fn next_event(&mut self, input: &mut &[u8]) -> Result<ClientEvent, ClientError> {
        let (bounds, out_of_bounds) = match self.state {
            State::AwaitHello => (Hello::LEN..=Hello::MAX_LEN, ClientError::NotManagement),
            State::Handshake(_) => (HANDSHAKE_LEN..=HANDSHAKE_LEN, ClientError::Handshake),
            State::Transport(_) => (TAG_LEN..=MAX_FRAME, ClientError::Protocol),
            State::HasHello(_) | State::Closed => return Err(ClientError::OutOfOrder),
        };
        let frame = self.frames.read(input, bounds).map_err(|_| out_of_bounds)?;
        let Some(frame) = frame else {
            return Ok(ClientEvent::NeedMore);
        };
        match core::mem::replace(&mut self.state, State::Closed) {
            State::AwaitHello => {
                let hello = Hello::decode(&frame).ok_or(ClientError::NotManagement)?;
                if hello.version != PROTOCOL_VERSION {
                    let board = hello.version;
                    return Err(ClientError::UnsupportedVersion { board });
                }
                self.state = State::HasHello(frame);
                Ok(ClientEvent::Hello(hello))
            }
            State::Handshake(mut handshake) => noise::read_handshake(&mut handshake, &frame)
                .and_then(|()| handshake.into_transport_mode())
                .map(|noise| {
                    self.state = State::Transport(Box::new(noise));
                    ClientEvent::Established
                })
                .map_err(|_| ClientError::Handshake),
            State::Transport(mut noise) => {
                let plain = noise::open(&mut noise, &frame).map_err(|_| ClientError::Protocol)?;
                let response = Response::decode(&plain).ok_or(ClientError::Protocol)?;
                self.state = State::Transport(noise);
                Ok(ClientEvent::Response(response))
            }
            State::HasHello(_) | State::Closed => Err(ClientError::OutOfOrder),
        }
    }
}

impl Default for ClientSession {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::AwaitHello => "AwaitHello",
            State::HasHello(_) => "HasHello",
            State::Handshake(_) => "Handshake",
            State::Transport(_) => "Transport",
            State::Closed => "Closed",
        };
        f.debug_struct("ClientSession")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
