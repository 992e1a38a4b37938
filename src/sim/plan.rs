//! The plan of `tcpctl sim`.

use std::net::SocketAddr;

use super::spec::{Profile, Spec};
use crate::cli::{SimArgs, SimProfile};
use crate::failure::Failure;

/// A virtual board and how it is reachable.
#[derive(Debug, Clone, PartialEq)]
pub struct SimPlan {
    /// The board and its link.
    pub spec: Spec,
    /// How it is reachable.
    pub exposure: Exposure,
    /// Whether to announce the relay over mDNS.
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

/// How the board is reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// Through a listening socket of this computer.
    Relay(SocketAddr),
    /// On a TAP interface.
    Tap(String),
}

impl SimPlan {
    /// Checks the arguments.
    ///
    /// # Errors
    /// A usage error that names the invalid option.
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
        // A board on a TAP interface runs its own responder.
        let announce = args.announce && args.tap.is_none();
        if announce && args.listen.is_ipv6() {
            return Err(
                Failure::usage("--announce needs an IPv4 address in --listen")
                    .hint("use e.g. --listen 127.0.0.1:3000 or --listen 0.0.0.0:3000"),
            );
        }
        Ok(Self {
            spec,
            exposure,
            announce,
        })
    }
}
