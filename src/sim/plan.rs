//! The plan of `tcpctl sim`.

use std::net::SocketAddr;
use std::path::PathBuf;

use tcpctl_settings::{Changes, Mode};

use super::networks::Networks;
use super::reply::Reply;
use super::spec::{MacAddress, Profile, Spec};
use crate::cli::{SimArgs, SimProfile};
use crate::failure::{Failure, reason};
use crate::keys;
use crate::sanitize;

/// The plan of a virtual board.
#[derive(Debug, Clone, PartialEq)]
pub struct SimPlan {
    /// Board and link.
    pub spec: Spec,
    /// How the board is reachable.
    pub exposure: Exposure,
    /// Whether to announce the relay over mDNS.
    pub announce: bool,
    /// File with the board's flash, if it outlives the process.
    pub state: Option<PathBuf>,
    /// Wi-Fi networks that exist for the board, if not only its own.
    pub networks: Option<Networks>,
    /// Whether settings were given, which apply only to a new board.
    pub has_settings: bool,
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
        let mut spec = Spec::with_settings(
            args.profile.into(),
            &args.settings.changes,
            args.link_options(),
        )
        .map_err(|what| Failure::usage(format!("--{what}")))?;
        let exposure = match &args.tap {
            Some(interface) => Exposure::Tap(interface.clone()),
            None => Exposure::Relay(args.listen),
        };
        spec.reply = reply(args)?;
        let networks = args.networks.as_deref().map(Networks::read).transpose()?;
        if networks.is_some() && args.settings.changes.mode.is_none() {
            spec.mode = Mode::Station;
        }
        spec.station_network = networks.as_ref().and_then(Networks::first).cloned();
        if args.state.is_some() && args.mac.is_none() && args.seed.is_none() {
            // Each state file is another board, with its own MAC address and key file.
            spec.mac = Some(random_mac()?);
        }
        if let (Some(interface), None) = (&args.tap, &args.mac) {
            spec.mac = Some(derived_mac(interface));
        }
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
            state: args.state.clone(),
            networks,
            has_settings: args.settings.changes != Changes::default() || args.hostname.is_some(),
        })
    }
}

/// A locally administered MAC address.
fn random_mac() -> Result<MacAddress, Failure> {
    let [a, b, c] = keys::random_bytes()?;
    Ok([0x02, 0x74, 0x63, a, b, c])
}

/// The source of replies.
fn reply(args: &SimArgs) -> Result<Reply, Failure> {
    if let Some(path) = &args.reply_file {
        let name = sanitize::one_line(&path.to_string_lossy());
        let bytes = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("--reply-file {name}: {}", reason(&error))))?;
        return Ok(Reply::Bytes(bytes));
    }
    Ok(match &args.exec {
        Some(command) => Reply::Exec(command.clone()),
        None if args.echo => Reply::Echo,
        None => Reply::Greeting,
    })
}

/// A locally administered MAC address for the board on an interface: boards on one bridge must
/// differ. FNV-1a of the interface's name.
fn derived_mac(interface: &str) -> MacAddress {
    let hash = interface
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let [.., a, b, c] = hash.to_be_bytes();
    [0x02, 0x74, 0x63, a, b, c]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn mac(options: &[&str]) -> Option<MacAddress> {
        let arguments = ["tcpctl", "sim"].into_iter().chain(options.iter().copied());
        let Command::Sim(args) = Cli::try_parse_from(arguments).unwrap().command else {
            panic!("not sim");
        };
        SimPlan::new(&args).unwrap().spec.mac
    }

    #[test]
    fn boards_on_different_interfaces_have_different_macs() {
        let [a, b] = ["tap0", "tap1"].map(|interface| mac(&["--tap", interface]).unwrap());
        assert_ne!(a, b);
        // Unicast and locally administered (IEEE 802, section 8.4).
        assert_eq!(a[0] & 0b11, 0b10);
    }

    #[test]
    fn given_mac_wins_over_the_interface() {
        let given = mac(&["--tap", "tap0", "--mac", "02:00:00:00:00:07"]);
        assert_eq!(given, Some([2, 0, 0, 0, 0, 7]));
    }
}
