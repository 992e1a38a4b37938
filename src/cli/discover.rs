//! The command line of `tcpctl discover`.

use std::num::NonZeroU16;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::net::cidr::Cidr;
use crate::units;

/// The arguments of `tcpctl discover`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that is there or not"
)]
pub struct DiscoverArgs {
    /// How long to look
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::duration,
        default_value = "2s",
        value_hint = ValueHint::Other,
        help_heading = "Ending"
    )]
    pub timeout: Duration,
    /// End as soon as one board is found
    #[arg(long, conflicts_with = "expect_count", help_heading = "Ending")]
    pub first: bool,
    /// End as soon as so many boards are found; fewer are a failure
    #[arg(
        long,
        value_name = "N",
        value_parser = count,
        value_hint = ValueHint::Other,
        help_heading = "Ending"
    )]
    pub expect_count: Option<NonZeroU16>,
    /// Go on until Ctrl-C, and show what comes, changes and leaves
    ///
    /// On a terminal the table is kept up to date in place; in a pipe every event is a line of
    /// JSON.
    #[arg(
        short,
        long,
        conflicts_with_all = ["timeout", "first", "expect_count"],
        help_heading = "Ending"
    )]
    pub watch: bool,

    /// The service type to ask for over mDNS
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = crate::mdns::SERVICE_TYPE,
        value_hint = ValueHint::Other,
        help_heading = "Where to look",
        hide_short_help = true
    )]
    pub service_type: String,
    /// Use this network interface only
    #[arg(long, value_name = "NAME", help_heading = "Where to look")]
    pub interface: Option<String>,
    /// Also ask port 3000 of every address of this network
    ///
    /// E.g. 192.168.1.0/24.
    /// At most 500 a second, and until all have been asked, whatever --timeout says. What answers
    /// is shown with the first line that it says. Only for networks that are yours.
    #[arg(
        long,
        value_name = "CIDR",
        value_hint = ValueHint::Other,
        help_heading = "Where to look"
    )]
    pub probe: Option<Cidr>,
    /// Probe more than the 4096 addresses of a /20
    #[arg(
        long,
        requires = "probe",
        help_heading = "Where to look",
        hide_short_help = true
    )]
    pub force: bool,
    /// Ask nobody over mDNS
    #[arg(
        long,
        conflicts_with = "service_type",
        help_heading = "Where to look",
        hide_short_help = true
    )]
    pub no_mdns: bool,
    /// List no serial ports
    #[arg(long, help_heading = "Where to look", hide_short_help = true)]
    pub no_serial: bool,

    /// Print the names of the boards that were seen in the last day, and ask nobody: for completion
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
        .map_err(|_| format!("write a number from 1 to {}", u16::MAX))
}

pub(super) const ABOUT: &str = "\
List the boards on the network and on the cable.

Boards tell of themselves over mDNS; boards in AP mode are looked for at 192.168.1.1:3000 where \
this computer is on such a network; serial ports are listed by the USB device behind them, and \
never opened. What is found by several ways is one line. A board is online when a connection to \
it was made, which is made once and closed at once. What answers at 192.168.1.1:3000 and does not \
greet may be a router, and is unconfirmed. In a pipe, one line a board.

A name that is listed is a TARGET: tcpctl send NAME, with or without .local.";

const MORE: &str = "\
Examples and all options: tcpctl discover --help
See also: tcpctl send, tcpctl flash, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  What is there:
    $ tcpctl discover

  The address of the first board that answers:
    $ tcpctl discover --first --no-serial --json | jq -r '.addresses[0]'

  Wait until all four boards of the desk are up, at most a minute:
    $ tcpctl discover --expect-count 4 --timeout 1m

  Where multicast does not get through:
    $ tcpctl discover --probe 192.168.178.0/24

  Send to all of them:
    $ tcpctl discover --json | tcpctl send --targets - -m status

See also:
  tcpctl send, tcpctl flash, tcpctl sim

Exit codes:
  0 found, 1 nothing found, or fewer than --expect-count, 2 usage; --watch ends with 0";
