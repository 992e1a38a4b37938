//! What `tcpctl sim` is to do.

use std::net::SocketAddr;

use super::spec::{Profile, Spec};
use crate::cli::{SimArgs, SimProfile};
use crate::failure::Failure;

/// A board, and how others reach it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The board and its cable.
    pub spec: Spec,
    /// The way in.
    pub exposure: Exposure,
    /// Whether the way in is announced over mDNS.
    pub announce: bool,
}

impl From<SimProfile> for Profile {
    fn from(profile: SimProfile) -> Self {
        match profile {
            SimProfile::Ideal => Self::Ideal,
            SimProfile::Esp32 => Self::Esp32,
            SimProfile::Tutorial => Self::Tutorial,
            SimProfile::Lossy => Self::Lossy,
        }
    }
}

/// How others reach the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// Behind a listening socket of this computer.
    Relay(SocketAddr),
    /// On a TAP interface.
    Tap(String),
}

impl Plan {
    /// The plan of a command line.
    ///
    /// # Errors
    /// Options that can't be, each named.
    pub fn new(args: &SimArgs) -> Result<Self, Failure> {
        let spec = Spec::with_settings(
            args.profile.into(),
            &args.settings.changes,
            args.link_options(),
        )
        .map_err(|what| Failure::usage(format!("--{what}")))?;
        let exposure = match &args.tap {
            Some(interface) => Exposure::Tap(interface.clone()),
            None => Exposure::Relay(args.listen),
        };
        // A board on a wire is on it with its own responder.
        let announce = args.announce && args.tap.is_none();
        if announce && args.listen.is_ipv6() {
            return Err(Failure::usage(
                "--announce: boards have IPv4 addresses, and --listen has none",
            )
            .hint("write e.g. --listen 127.0.0.1:3000 or --listen 0.0.0.0:3000"));
        }
        Ok(Self {
            spec,
            exposure,
            announce,
        })
    }
}
