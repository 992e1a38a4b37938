//! The management channel: settings over the network, authenticated and encrypted.
//!
//! # The exchange
//!
//! The board listens on TCP port [`MANAGEMENT_PORT`]. Each message is a frame: its length as two bytes,
//! big-endian, and that many bytes.
//!
//! ```text
//! client                                                     board
//!    |  <--- hello: "TCPM", protocol version, MAC (clear) ----  |
//!    |  ---- psk, e (48 bytes) ------------------------------>  |
//!    |  <--- e, ee (48 bytes) --------------------------------  |
//!    |  ==== Request ========================================>  |  first message it acts on
//!    |  <=== Response ========================================  |
//!    |  ...                                                     |
//! ```
//!
//! The handshake is `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s` (Noise Protocol Framework, revision 34)
//! with the board's [`ManagementKey`](tcpctl_settings::ManagementKey) as the pre-shared key and the
//! whole hello as the prologue, so that a changed version or MAC fails the handshake. Neither handshake
//! message carries a payload, and one with a payload is refused. An attacker can replay the first
//! message, but cannot complete the handshake: a session counts as authenticated from the first
//! transport message on.
//!
//! After any error the board closes the connection without a reply: a wrong key, a replay, a frame that
//! is too long. The client cannot see which ([`ClientError::Handshake`]), and neither can an attacker.
//! One session runs at a time; while it does, connections to the port are refused.
//!
//! # Changing settings
//!
//! [`Request::Apply`] changes settings that need no restart, immediately and permanently. All others need
//! a trial:
//!
//! 1. [`Request::Trial`]: the board checks the new settings, stores them next to the old ones, answers
//!    [`Response::Restarting`] with the sequence number of the trial, and restarts with them.
//! 2. [`Request::Confirm`] with that number, in a new session, makes them permanent. Until then a
//!    restart, a failure to join the network or the confirm timeout returns the board to the old
//!    settings. [`Shown::trial`] has the outcome and the reason.
//!
//! Only changed settings are sent, and the board never sends a passphrase or its key.
//!
//! # New firmware
//!
//! 1. [`Request::BeginUpdate`] announces an image. The board answers with the offset to send from, which is
//!    not 0 if it already holds a part of the same image.
//! 2. [`Request::UpdateData`], in order. Each is answered once its bytes are in flash, so that the client
//!    is not faster than the flash.
//! 3. [`Request::VerifyUpdate`]: the board checks the image in flash. Nothing has selected it so far.
//! 4. [`Request::StartUpdate`]: the board restarts with it, on trial.
//! 5. [`Request::ConfirmUpdate`], in a new session, makes it permanent. So does a minute on its network.
//!    Until then any restart returns the board to the previous firmware, and [`Request::Firmware`] reports
//!    the reason.
//!
//! # Versions
//!
//! The hello's version changes only if the exchange above does. New requests and settings are appended
//! to the wire types: a board that does not know one answers [`Response::Unsupported`].
//!
//! # Use
//!
//! [`BoardSession`] and [`ClientSession`] do no I/O and have no clock. The caller feeds received bytes,
//! sends what they return, and limits the time of each step.
//!
//! ```
//! use tcpctl_management::{
//!     BoardEvent, BoardSession, ClientEvent, ClientSession, Request, Response,
//! };
//! use tcpctl_settings::ManagementKey;
//!
//! let key = ManagementKey::new([7; 32]);
//! // Real sessions use 32 fresh random bytes on each side.
//! let (mut board, hello) = BoardSession::start([2, 0, 0, 0, 0, 1], &key, [1; 32])?;
//! let mut client = ClientSession::new();
//!
//! let ClientEvent::Hello(hello) = client.receive(&mut &hello[..])? else { panic!() };
//! assert_eq!(hello.mac, [2, 0, 0, 0, 0, 1]); // finds the key
//! let first = client.authenticate(&key, [2; 32])?;
//! let BoardEvent::Send(second) = board.receive(&mut &first[..])? else { panic!() };
//! let ClientEvent::Established = client.receive(&mut &second[..])? else { panic!() };
//!
//! let request = client.request(&Request::Confirm { sequence: 3 })?;
//! let BoardEvent::Request(Request::Confirm { sequence: 3 }) = board.receive(&mut &request[..])? else {
//!     panic!()
//! };
//! let response = board.respond(&Response::Done)?;
//! let ClientEvent::Response(Response::Done) = client.receive(&mut &response[..])? else { panic!() };
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod board;
mod client;
mod frame;
mod hello;
pub mod message;
mod noise;
mod shown;
mod wire;

pub use board::{BoardEvent, BoardSession, Closed};
pub use client::{ClientError, ClientEvent, ClientSession};
pub use frame::{MAX_FRAME, MAX_MESSAGE};
pub use hello::{Hello, PROTOCOL_VERSION};
pub use message::{
    EndedTrial, FirmwareReport, MAX_UPDATE_DATA, MIN_FIRST_DATA, Refusal, Request, Response, Shown,
    TrialReport, UpdateRefusal,
};
pub use noise::RANDOM_LEN;
pub use shown::ShownSettings;
pub use tcpctl_settings::MANAGEMENT_PORT;
pub use wire::Unreadable;
