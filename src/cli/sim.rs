//! The command line of `tcpctl sim`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum, ValueHint};
use tcpctl_settings::Field;

use super::settings::{OptionSet, SettingsOptions};
use crate::units;

/// The arguments of `tcpctl sim`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct SimArgs {
    /// What kind of board and network
    #[arg(value_enum, default_value_t)]
    pub profile: SimProfile,

    /// Where programs reach it
    ///
    /// Port 0 picks a free one.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000",
        value_parser = units::socket_address,
        value_hint = ValueHint::Other,
        help_heading = "Way in (one of)"
    )]
    pub listen: SocketAddr,
    /// Put it on this TAP interface (Linux)
    ///
    /// There it is 192.168.1.1/24. In AP mode it runs its DHCP server and answers mDNS; in STA mode
    /// it gets its address from
    /// the DHCP server that you run on the interface. The interface is made if it is not there,
    /// which takes root; `ip tuntap add dev tap0 mode tap user $USER` makes one for you to keep.
    #[arg(
        long,
        value_name = "INTERFACE",
        conflicts_with = "listen",
        value_hint = ValueHint::Other,
        help_heading = "Way in (one of)"
    )]
    pub tap: Option<String>,
    /// Announce it over mDNS: tcpctl discover finds it
    ///
    /// It is announced where --listen is. On the loopback this computer's programs find it; with an
    /// address of a network interface,
    /// or 0.0.0.0, everybody there. Port 5353 is shared with an mDNS service that runs already.
    /// On a TAP interface a board always announces itself.
    #[arg(long, help_heading = "Way in (one of)")]
    pub announce: bool,

    /// Settings of the board.
    #[command(flatten)]
    pub settings: SettingsOptions<SimSettings>,
    /// How long a worker is busy with each request [default: 0]
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Board", hide_short_help = true)]
    pub service_time: Option<String>,

    /// One-way delay of the cable
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub latency: Option<String>,
    /// Mean of the random delay on top
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Cable", hide_short_help = true)]
    pub jitter: Option<String>,
    /// Share of frames lost each way, e.g. 1%
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub loss: Option<String>,
    /// Share of frames that arrive twice
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Cable", hide_short_help = true)]
    pub duplicate: Option<String>,
    /// Share of frames that others overtake
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Cable", hide_short_help = true)]
    pub reorder: Option<String>,
    /// Share of frames that arrive with a wrong bit
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Cable", hide_short_help = true)]
    pub corrupt: Option<String>,
    /// Nothing gets through for LENGTH, START after the beginning, e.g. 5s@10s
    #[arg(long, value_name = "LENGTH@START", value_hint = ValueHint::Other, help_heading = "Cable", hide_short_help = true)]
    pub outage: Option<String>,
    /// Bits per second each way, e.g. 20Mbit
    #[arg(long, value_name = "RATE", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub bandwidth: Option<String>,
    /// Decides the fate of each frame: under one seed the nth always has the same [default: 1]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_hint = ValueHint::Other,
        help_heading = "Cable",
        hide_short_help = true
    )]
    pub seed: Option<String>,
}

impl SimArgs {
    /// The link options that were given, by their long names.
    pub fn link_options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("service-time", &self.service_time),
            ("latency", &self.latency),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
            ("duplicate", &self.duplicate),
            ("reorder", &self.reorder),
            ("corrupt", &self.corrupt),
            ("outage", &self.outage),
            ("bandwidth", &self.bandwidth),
            ("seed", &self.seed),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// The settings of a virtual board.
#[derive(Debug, Clone, Default)]
pub struct SimSettings;

impl OptionSet for SimSettings {
    const HEADING: &str = "Board";
    const FIELDS: &[Field] = Field::VIRTUAL;
    const COMMON: &[Field] = &[Field::Workers, Field::Backlog];
    const OTHER_DEFAULT: &[Field] = Self::COMMON;
}

/// The profiles of virtual boards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SimProfile {
    /// A perfect cable: what you see is the server's own doing
    Ideal,
    /// An ESP32-like board on a good Wi-Fi: 4 workers, backlog 4, a few ms, 20 Mbit/s
    #[default]
    Esp32,
    /// The tutorial's board: 1 worker, backlog 2
    Tutorial,
    /// The ESP32-like board on a bad Wi-Fi: 10 ms and more, 2% loss, 2 Mbit/s
    Lossy,
}

pub(super) const ABOUT: &str = "\
Run a virtual board: the firmware's own server code at the end of an in-memory cable.

It is reached through a relay on a local port, or on a TAP interface. Each request is printed, \
escaped, with its peer and time. Limits and refusals are the firmware's own; delays are the \
cable's. Ctrl-C prints a summary and ends.

The relay has accepted a connection before the board is asked: one that the board refuses is \
reset, where on the wire its SYN would be refused, and the kernel's own backlog comes before the \
board's. To see refusals as they are, use --tap, or a target such as sim:esp32,workers=2.";

const MORE: &str = "\
Examples and all options: tcpctl sim --help
See also: tcpctl send, tcpctl bench, tcpctl discover";

const EXAMPLES: &str = "\
Examples:
  A board on 127.0.0.1:3000, for tcpctl, nc, a browser or your own client:
    $ tcpctl sim

  A board that tcpctl discover finds, and that has a name:
    $ tcpctl sim --announce

  The tutorial's board, slow and lossy, the same every time:
    $ tcpctl sim tutorial --service-time 200ms --loss 1% --seed 7

  On a network interface of its own, with DHCP and mDNS (Linux, root):
    $ sudo tcpctl sim --tap tap0

See also:
  tcpctl send, tcpctl bench, tcpctl discover

Exit codes:
  0 ended by Ctrl-C or SIGTERM, 2 usage, 70 the board could not be started";
