//! The command line of `tcpctl discover`.

use std::num::NonZeroU16;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::net::cidr::Cidr;
use crate::units;

/// The arguments of `tcpctl discover`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub struct DiscoverArgs {
    /// Time to search
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::duration,
        default_value = "2s",
        value_hint = ValueHint::Other,
        help_heading = "Ending"
    )]
    pub timeout: Duration,
    /// Stop at the first board
    #[arg(long, conflicts_with = "expect_count", help_heading = "Ending")]
    pub first: bool,
    /// Stop once N boards are found; fewer are a failure
    #[arg(
        long,
        value_name = "N",
        value_parser = count,
        value_hint = ValueHint::Other,
        help_heading = "Ending"
    )]
    pub expect_count: Option<NonZeroU16>,
    /// Run until Ctrl-C and show boards that appear, change and disappear
    ///
    /// On a terminal a table is redrawn; in a pipe each event is a line of JSON.
    #[arg(
        short,
        long,
        conflicts_with_all = ["timeout", "first", "expect_count"],
        help_heading = "Ending"
    )]
    pub watch: bool,

    /// Service type to browse for
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = crate::mdns::SERVICE_TYPE,
        value_hint = ValueHint::Other,
        help_heading = "Where to look",
        hide_short_help = true
    )]
    pub service_type: String,
    /// Use only this network interface
    #[arg(long, value_name = "NAME", help_heading = "Where to look")]
    pub interface: Option<String>,
    /// Also connect to port 3000 of every address in a network
    ///
    /// For example 192.168.1.0/24. Probes at most 500 addresses per second. All addresses are
    /// probed, regardless of --timeout. Each address that answers is listed with the first line of its
    /// reply. Probe only your own networks.
    #[arg(
        long,
        value_name = "CIDR",
        value_hint = ValueHint::Other,
        help_heading = "Where to look"
    )]
    pub probe: Option<Cidr>,
    /// Probe networks larger than a /20 (4096 addresses)
    #[arg(
        long,
        requires = "probe",
        help_heading = "Where to look",
        hide_short_help = true
    )]
    pub force: bool,
    /// Do not use mDNS
    #[arg(
        long,
        conflicts_with = "service_type",
        help_heading = "Where to look",
        hide_short_help = true
    )]
    pub no_mdns: bool,
    /// Do not list serial ports
    #[arg(long, help_heading = "Where to look", hide_short_help = true)]
    pub no_serial: bool,

    /// Print the names of the boards seen in the last day, without searching
    #[arg(
        long,
        conflicts_with_all = [
            "timeout", "first", "expect_count", "watch", "service_type", "interface", "probe",
            "no_mdns", "no_serial",
        ],
        hide_short_help = true
    )]
    pub names: bool,
}

fn count(text: &str) -> Result<NonZeroU16, String> {
    text.parse()
        .map_err(|_| format!("must be a number from 1 to {}", u16::MAX))
}

pub(super) const ABOUT: &str = "\
List the boards on the network and on serial ports.

Boards announce themselves over mDNS. A board that is an access point is also tried at \
192.168.1.1:3000, if this computer is on that network. Serial ports are listed by their USB device \
and never opened. A board found in several ways is one line.

A board is online if a connection to it succeeded. discover connects once and closes at once. A \
server at 192.168.1.1:3000 that sends no greeting may be a router, and is listed as unconfirmed.

A listed name is a TARGET: tcpctl send NAME, with or without .local.";

const MORE: &str = "\
Examples and all options: tcpctl discover --help
See also: tcpctl send, tcpctl flash, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  List all boards:
    $ tcpctl discover

  Print the address of the first board:
    $ tcpctl discover --first --no-serial --json | jq -r '.addresses[0]'

  Wait up to a minute until four boards are up:
    $ tcpctl discover --expect-count 4 --timeout 1m

  Find boards where multicast is blocked:
    $ tcpctl discover --probe 192.168.178.0/24

  Send to all boards:
    $ tcpctl discover --json | tcpctl send --targets - -m status

See also:
  tcpctl send, tcpctl flash, tcpctl sim

Exit codes:
  0 found, 1 nothing or fewer than --expect-count found, 2 usage; --watch ends with 0";
