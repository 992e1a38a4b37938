//! The command line of `tcpctl sim`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use tcpctl_settings::Field;

use super::settings::{OptionSet, SettingsOptions};
use crate::units;

/// The arguments of `tcpctl sim`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct SimArgs {
    /// Preset of board and link
    #[arg(value_enum, default_value_t)]
    pub profile: SimProfile,

    /// Address to listen on
    ///
    /// Port 0 picks a free port.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000",
        value_parser = units::socket_address,
        value_hint = ValueHint::Other,
        help_heading = "Network"
    )]
    pub listen: SocketAddr,
    /// Put the board on this TAP interface (Linux)
    ///
    /// In AP mode the board is 192.168.1.1/24, serves DHCP and answers mDNS. In STA mode it gets its
    /// address from a DHCP server that you run on the interface. The interface is created if it does
    /// not exist, which needs root. `ip tuntap add dev tap0 mode tap user $USER` creates one for you.
    #[arg(
        long,
        value_name = "INTERFACE",
        conflicts_with = "listen",
        value_hint = ValueHint::Other,
        help_heading = "Network"
    )]
    pub tap: Option<String>,
    /// Announce the board over mDNS, so that tcpctl discover finds it
    ///
    /// The announcement goes to the interface of --listen: on loopback only this computer sees it,
    /// with 0.0.0.0 every network does. On a TAP interface a board always announces itself.
    #[arg(long, help_heading = "Network")]
    pub announce: bool,

    /// Keep settings, key and MAC address in FILE, as flash would
    ///
    /// FILE is created for a new board with the given settings. An existing board keeps its own
    /// settings: change them with tcpctl configure, or delete FILE. The process may be killed at any time.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Board",
        hide_short_help = true
    )]
    pub state: Option<PathBuf>,
    /// Wi-Fi networks that exist for the board, as TOML
    ///
    /// For each network: [[network]], ssid = "NAME", and passphrase = "..." or open = true, each on a
    /// line of its own. Unless --mode is given, a new board starts as a station on the first one. The
    /// file is read again whenever the board joins, so networks can appear and disappear. Without it only the
    /// network of the board's starting settings exists; joining another fails with "no such network".
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Board",
        hide_short_help = true
    )]
    pub networks: Option<PathBuf>,
    /// Chip whose firmware images the board takes, e.g. esp32c3
    ///
    /// tcpctl update writes images to it. The board checks them fully, reports their version, and never
    /// runs them. Without it the board refuses updates.
    #[arg(long, value_name = "CHIP", value_hint = ValueHint::Other, help_heading = "Board", hide_short_help = true)]
    pub chip: Option<String>,
    /// MAC address [default: from the seed, from the name of --tap, or random with --state]
    #[arg(long, value_name = "MAC", value_hint = ValueHint::Other, help_heading = "Board", hide_short_help = true)]
    pub mac: Option<String>,
    /// Host name [default: from the MAC address]
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other, help_heading = "Board", hide_short_help = true)]
    pub hostname: Option<String>,
    /// Reply with the contents of a file instead of the greeting
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["echo", "exec", "greeting"],
        help_heading = "Board",
        hide_short_help = true
    )]
    pub reply_file: Option<PathBuf>,
    /// Send back what arrives, until the client closes
    #[arg(long, conflicts_with_all = ["exec", "greeting"], help_heading = "Board", hide_short_help = true)]
    pub echo: bool,
    /// Reply with the output of a shell command
    ///
    /// The command runs with sh -c once per request: the request is its standard input, its output is
    /// the reply. A request ends at FIN or after 50 ms of silence, and has at most 64 KiB. The command
    /// is killed after 10 s, or when the client resets the connection.
    #[arg(
        long,
        value_name = "COMMAND",
        value_hint = ValueHint::CommandString,
        conflicts_with = "greeting",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub exec: Option<String>,
    /// Settings of the board.
    #[command(flatten)]
    pub settings: SettingsOptions<SimSettings>,
    /// Time a worker needs per request [default: 0]
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Board", hide_short_help = true)]
    pub service_time: Option<String>,

    /// One-way delay
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Link")]
    pub delay: Option<String>,
    /// Mean of an additional random delay
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Link", hide_short_help = true)]
    pub jitter: Option<String>,
    /// Share of frames lost per direction, e.g. 1%
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Link")]
    pub loss: Option<String>,
    /// Share of frames duplicated
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Link", hide_short_help = true)]
    pub duplicate: Option<String>,
    /// Share of frames reordered
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Link", hide_short_help = true)]
    pub reorder: Option<String>,
    /// Share of frames with a flipped bit
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Link", hide_short_help = true)]
    pub corrupt: Option<String>,
    /// Lose all frames for LENGTH, from START on, e.g. 5s@10s
    #[arg(long, value_name = "LENGTH@START", value_hint = ValueHint::Other, help_heading = "Link", hide_short_help = true)]
    pub outage: Option<String>,
    /// Bits per second per direction, e.g. 20Mbit
    #[arg(long, value_name = "RATE", value_hint = ValueHint::Other, help_heading = "Link")]
    pub rate: Option<String>,
    /// Random seed; the same seed impairs the same frames [default: 1]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_hint = ValueHint::Other,
        help_heading = "Link",
        hide_short_help = true
    )]
    pub seed: Option<String>,
}

impl SimArgs {
    /// The given options that are not settings, by their long names.
    pub fn link_options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("mac", &self.mac),
            ("hostname", &self.hostname),
            ("chip", &self.chip),
            ("service-time", &self.service_time),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
            ("duplicate", &self.duplicate),
            ("reorder", &self.reorder),
            ("corrupt", &self.corrupt),
            ("outage", &self.outage),
            ("rate", &self.rate),
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
    /// Perfect link: only the server's own behavior is visible
    Ideal,
    /// ESP32-like board on good Wi-Fi: 4 workers, backlog 4, 3 ms, 20 Mbit/s
    #[default]
    Esp32,
    /// The tutorial's board: 1 worker, backlog 2
    Tutorial,
    /// ESP32-like board on bad Wi-Fi: 10 ms, 2% loss, 2 Mbit/s
    Lossy,
}

pub(super) const ABOUT: &str = "\
Run a virtual board: the firmware's server code behind an in-memory Ethernet link.

The board is reachable through a relay on a local port, or on a TAP interface. Each request is \
printed, escaped, with its peer and time. Limits and refusals are the firmware's; latency and \
throughput come from the link model. Ctrl-C prints a summary and stops the board.

The relay accepts a connection before the board does. If the board refuses it, the relay resets the \
connection, where a real board would refuse the SYN. For real refusals use --tap, or a target such as \
sim:esp32,workers=2.

The board has a management key, like a flashed board, in the file keys/MAC that tcpctl config names. \
The first line names the port of its management channel, mgmt=PORT.";

const MORE: &str = "\
Examples and all options: tcpctl sim --help
See also: tcpctl send, tcpctl bench, tcpctl discover";

const EXAMPLES: &str = "\
Examples:
  Run a board on 127.0.0.1:3000:
    $ tcpctl sim

  Run a board that tcpctl discover finds:
    $ tcpctl sim --announce

  Reply with a program of your own, with the firmware's limits:
    $ tcpctl sim --exec 'tr a-z A-Z' --workers 2 --backlog 1

  Run the tutorial's board, slow and with repeatable loss:
    $ tcpctl sim tutorial --service-time 200ms --loss 1% --seed 7

  Keep a board, and change its Wi-Fi from another terminal:
    $ tcpctl sim --state board --networks nets.toml
    $ tcpctl configure 127.0.0.1:3000 --ssid home

  Run a board on its own network interface, with DHCP and mDNS (Linux, root):
    $ sudo tcpctl sim --tap tap0

See also:
  tcpctl send, tcpctl bench, tcpctl discover, tcpctl configure

Exit codes:
  0 ended by Ctrl-C or SIGTERM, 2 usage, 70 the board could not be started";
