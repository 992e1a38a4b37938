//! The board's side of a session.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use snow::{HandshakeState, TransportState};
use tcpctl_settings::ManagementKey;

use crate::frame::{self, FrameReader, MAX_FRAME, TAG_LEN};
use crate::hello::{Hello, PROTOCOL_VERSION};
use crate::message::{Refusal, Request, Response};
use crate::noise::{self, HANDSHAKE_LEN, RANDOM_LEN, Role};
use crate::wire::Unreadable;

/// The client is not authenticated, or broke the protocol: close the connection without a reply.
///
/// It has no detail, so that none reaches an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the management session failed")
    }
}

impl Error for Closed {}

impl From<snow::Error> for Closed {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// The next action of the board.
#[derive(Debug)]
pub enum BoardEvent {
    /// Receive more, because all input is processed.
    NeedMore,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Process this request, then call [`BoardSession::respond`].
    Request(Request),
}

/// A session, from the board's side.
pub struct BoardSession {
    frames: FrameReader,
    state: State,
}

enum State {
    Handshake(Box<HandshakeState>),
    Transport {
        noise: Box<TransportState>,
        is_authenticated: bool,
    },
    Closed,
}

impl BoardSession {
    /// Starts a session for a new connection. Returns the bytes to send first.
    ///
    /// `random` are fresh bytes of a cryptographic source, for this session alone.
    ///
    /// # Errors
    /// Never with valid arguments; [`Closed`] as everywhere.
    pub fn start(
        mac: [u8; 6],
        key: &ManagementKey,
        random: [u8; RANDOM_LEN],
    ) -> Result<(Self, Vec<u8>), Closed> {
        let version = PROTOCOL_VERSION;
        let hello = Hello { version, mac }.encode();
        let handshake = noise::handshake(Role::Board, &hello, key, random)?;
        let session = Self {
            frames: FrameReader::new(),
            state: State::Handshake(Box::new(handshake)),
        };
        Ok((session, frame::with_prefix(&hello)))
    }

    /// Processes received bytes from the front of `input` until there is an event.
    ///
    /// Computes an elliptic curve product for the first message, about 60 ms on an ESP32-C3.
    ///
    /// # Errors
    /// The session is over, from now on at every call.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<BoardEvent, Closed> {
        let event = self.next_event(input);
        if event.is_err() {
            self.state = State::Closed;
        }
        event
    }

    /// The bytes of a response.
    ///
    /// # Errors
    /// There is no session, or it is over.
    pub fn respond(&mut self, response: &Response) -> Result<Vec<u8>, Closed> {
        match &mut self.state {
            State::Transport {
                noise,
                is_authenticated: true,
            } => {
                let plain = response.encode().ok_or(Closed)?;
                Ok(noise::seal(noise, &plain)?)
            }
            _ => Err(Closed),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<BoardEvent, Closed> {
        let bytes = self.respond(&Response::Refused(refusal))?;
        Ok(BoardEvent::Send(bytes))
    }

    /// Whether the client has proved in this session that it has the key.
    pub const fn is_authenticated(&self) -> bool {
        matches!(
            self.state,
            State::Transport {
                is_authenticated: true,
                ..
            }
        )
    }

    fn next_event(&mut self, input: &mut &[u8]) -> Result<BoardEvent, Closed> {
        // Before the handshake a client can make the board reserve at most 50 bytes.
        let bounds = match self.state {
            State::Handshake(_) => HANDSHAKE_LEN..=HANDSHAKE_LEN,
            State::Transport { .. } => TAG_LEN..=MAX_FRAME,
            State::Closed => return Err(Closed),
        };
        let frame = self.frames.read(input, bounds).map_err(|_| Closed)?;
        let Some(frame) = frame else {
            return Ok(BoardEvent::NeedMore);
        };
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Handshake(mut handshake) => {
                noise::read_handshake(&mut handshake, &frame)?;
                let reply = noise::write_handshake(&mut handshake)?;
                self.state = State::Transport {
                    noise: Box::new(handshake.into_transport_mode()?),
                    is_authenticated: false,
                };
                Ok(BoardEvent::Send(reply))
            }
            State::Transport { mut noise, .. } => {
                let plain = noise::open(&mut noise, &frame)?;
                self.state = State::Transport {
                    noise,
                    is_authenticated: true,
                };
                match Request::decode(&plain) {
                    Ok(request) => Ok(BoardEvent::Request(request)),
                    Err(Unreadable::Unknown) => {
                        self.respond(&Response::Unsupported).map(BoardEvent::Send)
                    }
                    Err(Unreadable::Invalid(invalid)) => self.refuse(Refusal::invalid(&invalid)),
                    Err(Unreadable::ConfirmTimeout(seconds)) => {
                        self.refuse(Refusal::invalid_confirm_timeout(seconds))
                    }
                }
            }
            State::Closed => Err(Closed),
        }
    }
}

impl fmt::Debug for BoardSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardSession")
            .field("is_authenticated", &self.is_authenticated())
            .finish_non_exhaustive()
    }
}
