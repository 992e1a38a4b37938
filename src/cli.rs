//! The command line: every type that clap fills, and no logic.
#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help, which knows no Markdown"
)]

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::sim::plan;
use crate::sim::spec::Profile;
use crate::units;

/// Everything for small TCP servers on microcontrollers: talk to them, from one terminal.
#[derive(Debug, Parser)]
#[command(
    name = "tcpctl",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print JSON: one object for one result, JSON Lines for a stream
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour; without it NO_COLOR, CLICOLOR_FORCE and the terminal decide
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorWhen,
}

/// The values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// Where it is a terminal that shows colour, and the environment does not object.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Nowhere.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send a message to a TCP server and print its reply
    #[command(long_about = SEND_ABOUT)]
    Send(Box<SendArgs>),
    /// Run a virtual board: the firmware's own server, with no hardware
    #[command(long_about = SIM_ABOUT)]
    Sim(Box<SimArgs>),
}

/// The arguments of `tcpctl send`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line; the plan has types for them"
)]
#[command(
    after_long_help = SEND_EXAMPLES,
    group(ArgGroup::new("what").args(["message", "message_option", "file", "hex"])),
    group(ArgGroup::new("rule").args(["until_close", "idle", "lines", "expect", "no_reply"])),
    group(ArgGroup::new("line_end").args(["crlf", "lf"])),
    group(ArgGroup::new("family").args(["ipv4", "ipv6"])),
)]
pub struct SendArgs {
    /// HOST[:PORT] (3000 if none), [V6%zone]:PORT, or a virtual board: sim[:PROFILE][,key=value...]
    ///
    /// One positional argument is always TARGET. Left out, it is TCPCTL_TARGET, then `target` of
    /// the config file.
    #[arg(value_hint = ValueHint::Hostname)]
    pub target: Option<String>,
    /// What to send; `-` streams standard input, on a terminal line by line
    ///
    /// With none of MESSAGE, -m, --file and --hex, standard input is streamed as it is; on a
    /// terminal `Hello TCP world!` and CRLF is sent.
    #[arg(value_hint = ValueHint::Other)]
    pub message: Option<OsString>,

    /// What to send, where TARGET is left out; `-` as above
    #[arg(
        short = 'm',
        long = "message",
        value_name = "MESSAGE",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Message"
    )]
    pub message_option: Option<OsString>,
    /// Send this file, byte for byte
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Message")]
    pub file: Option<PathBuf>,
    /// Send these bytes, e.g. '48 69 0d 0a'
    #[arg(long, value_name = "HEX", value_hint = ValueHint::Other, help_heading = "Message")]
    pub hex: Option<String>,
    /// Append CR LF; in a conversation, to every line
    #[arg(long, help_heading = "Message")]
    pub crlf: bool,
    /// Append LF
    #[arg(long, help_heading = "Message")]
    pub lf: bool,
    /// Close the write side (FIN) at the end of input
    ///
    /// Many small servers take a FIN for a client that is gone, and never answer it: so the write
    /// side stays open unless you say so.
    #[arg(long, help_heading = "Message")]
    pub half_close: bool,

    /// End only when the server closes
    #[arg(long, help_heading = "Where the reply ends (one of)")]
    pub until_close: bool,
    /// End when this long after the last byte nothing more came [default: 2s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Where the reply ends (one of)"
    )]
    pub idle: Option<Duration>,
    /// End after this many lines; a last one without a line end counts when the server closes
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..),
        value_hint = ValueHint::Other,
        help_heading = "Where the reply ends (one of)"
    )]
    pub lines: Option<u64>,
    /// End when this matches what came; ^ and $ are the ends of lines
    ///
    /// Bytes are matched as they come, across packets. `$` also matches at the end of what has
    /// come so far, as for a prompt. A match longer than 64 KiB may be missed.
    #[arg(
        long,
        value_name = "REGEX",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Where the reply ends (one of)"
    )]
    pub expect: Option<String>,
    /// Want no reply: close the write side, and end when everything is acknowledged
    #[arg(long, help_heading = "Where the reply ends (one of)")]
    pub no_reply: bool,

    /// How long to try to connect, name and all addresses together
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Time"
    )]
    pub connect_timeout: Duration,
    /// How long to wait for the reply, from the end of input
    ///
    /// It is the time for the first byte, with --lines and --expect for all that they ask, with
    /// --until-close for each silence, with --no-reply for each acknowledgement. While input is
    /// being sent, it is how long the server may take nothing and say nothing.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Time"
    )]
    pub reply_timeout: Duration,
    /// Try again up to N times where no connection could be made
    ///
    /// Only what failed before a byte of the message was sent is tried again, so that nothing is
    /// ever sent twice.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 0,
        hide_default_value = true,
        value_hint = ValueHint::Other,
        help_heading = "Time"
    )]
    pub retry: u32,
    /// The pause before the first new try; it doubles with each, up to 30s
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "500ms",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Time"
    )]
    pub retry_delay: Duration,

    /// Do it N times, a connection each, and print statistics at the end
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..),
        value_hint = ValueHint::Other,
        help_heading = "More than once"
    )]
    pub count: Option<u64>,
    /// From the start of one try to the start of the next [default: 1s]
    #[arg(
        long,
        value_name = "DURATION",
        requires = "count",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "More than once"
    )]
    pub interval: Option<Duration>,
    /// Send to every target in this file, one a line or JSON Lines of `discover --json`
    ///
    /// `-` reads standard input. Blank lines and lines that begin with # are skipped. The exit
    /// code is the worst.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["target", "count"],
        help_heading = "More than once"
    )]
    pub targets: Option<PathBuf>,
    /// How many targets at a time [default: 8]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u16).range(1..),
        value_hint = ValueHint::Other,
        help_heading = "More than once"
    )]
    pub parallel: Option<u16>,

    /// How to print the reply [default: text]
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "json")]
    pub output: Option<ReplyForm>,

    /// Use IPv4 only
    #[arg(short = '4', long, help_heading = "Network")]
    pub ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long, help_heading = "Network")]
    pub ipv6: bool,
    /// Connect from this address of this computer
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::Other, help_heading = "Network")]
    pub source: Option<IpAddr>,
    /// Connect through this network interface
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other, help_heading = "Network")]
    pub interface: Option<String>,
}

/// The values of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReplyForm {
    /// As it came; on a terminal, what could harm it is escaped.
    #[default]
    Text,
    /// Offset, hexadecimal and ASCII, as `hexdump -C` prints.
    Hex,
    /// As it came, even on a terminal.
    Raw,
}

/// The arguments of `tcpctl sim`.
#[derive(Debug, Args)]
#[command(after_long_help = SIM_EXAMPLES)]
pub struct SimArgs {
    /// What kind of board and network
    #[arg(value_enum, default_value_t)]
    pub profile: SimProfile,

    /// Where other programs reach it; port 0 picks a free one
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000",
        value_parser = plan::listen_address,
        value_hint = ValueHint::Other,
        help_heading = "Way in (one of)"
    )]
    pub listen: SocketAddr,
    /// Put it on this TAP interface, where it is 192.168.1.1/24 (Linux)
    ///
    /// In AP mode it runs its DHCP server and answers mDNS; in STA mode it gets its address from
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

    /// Access point or station: ap, sta [default: ap]
    #[arg(long, value_hint = ValueHint::Other, help_heading = "Board")]
    pub mode: Option<String>,
    /// Connections served at a time, 1 to 32
    #[arg(long, value_name = "N", value_hint = ValueHint::Other, help_heading = "Board")]
    pub workers: Option<String>,
    /// Connections beyond those that wait their turn, 0 to 32; one more is refused
    #[arg(long, value_name = "N", value_hint = ValueHint::Other, help_heading = "Board")]
    pub backlog: Option<String>,
    /// How long a silent connection keeps its worker before it is greeted [default: 5s]
    ///
    /// 0 is the tutorial's way: read what has come, greet.
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Board")]
    pub request_timeout: Option<String>,
    /// How long a worker is busy with each request [default: 0]
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Board")]
    pub service_time: Option<String>,
    /// What it answers [default: Hello World]
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Board"
    )]
    pub greeting: Option<String>,
    /// Echo (port 7), discard (9) and chargen (19): on, off [default: off]
    ///
    /// They are reached with --tap, and by targets such as sim:ideal,services=on; the relay of
    /// --listen passes on the greeting's port alone.
    #[arg(long, value_name = "on|off", value_hint = ValueHint::Other, help_heading = "Board")]
    pub services: Option<String>,

    /// One-way delay of the cable
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub latency: Option<String>,
    /// Mean of the random delay on top
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub jitter: Option<String>,
    /// Share of frames lost each way, e.g. 1%
    #[arg(long, value_name = "SHARE", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub loss: Option<String>,
    /// Bits per second each way, e.g. 20Mbit
    #[arg(long, value_name = "RATE", value_hint = ValueHint::Other, help_heading = "Cable")]
    pub bandwidth: Option<String>,
    /// Decides which frames are lost and late: under one seed the nth frame always is [default: 1]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_hint = ValueHint::Other,
        help_heading = "Cable"
    )]
    pub seed: Option<String>,
}

impl SimArgs {
    /// The options that were given, by their long names.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("mode", &self.mode),
            ("workers", &self.workers),
            ("backlog", &self.backlog),
            ("request-timeout", &self.request_timeout),
            ("service-time", &self.service_time),
            ("latency", &self.latency),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
            ("bandwidth", &self.bandwidth),
            ("seed", &self.seed),
            ("greeting", &self.greeting),
            ("services", &self.services),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
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

const SIM_ABOUT: &str = "\
Run a virtual board: the firmware's own server code at the end of an in-memory cable.

It is reached through a relay on a local port, or on a TAP interface. Each request is printed, \
escaped, with its peer and time. Limits and refusals are the firmware's own; delays are the \
cable's. Ctrl-C prints a summary and ends.

The relay has accepted a connection before the board is asked: one that the board refuses is \
reset, where on the wire its SYN would be refused, and the kernel's own backlog comes before the \
board's. To see refusals as they are, use --tap, or a target such as sim:esp32,workers=2.";

const SIM_EXAMPLES: &str = "\
Examples:
  A board on 127.0.0.1:3000, for tcpctl, nc, a browser or your own client:
    $ tcpctl sim

  The tutorial's board, slow and lossy, the same every time:
    $ tcpctl sim tutorial --service-time 200ms --loss 1% --seed 7

  On a network interface of its own, with DHCP and mDNS (Linux, root):
    $ sudo tcpctl sim --tap tap0

Exit codes:
  0 ended by Ctrl-C or SIGTERM, 2 usage, 70 the board could not be started";

const SEND_ABOUT: &str = "\
Send a message to a TCP server and print its reply.

The reply goes to standard output as it comes. It ends when the server closes, or 2 seconds after \
its last byte; other rules are below, and -v says which one ended it. No reply is never a success.";

const SEND_EXAMPLES: &str = "\
Examples:
  Say hello to a board at its usual address, and to a virtual one:
    $ tcpctl send 192.168.1.1 'hi'
    $ tcpctl send sim

  Stream a file and save what the echo service sends back:
    $ tcpctl send 192.168.1.1:7 --half-close --until-close < photo.jpg > back.jpg

  Wait in a script until a board that reboots answers as it should:
    $ tcpctl send greeter.local -m status --lf --retry 10 --expect '^ready' || exit

Exit codes:
  0 done, 1 closed without a byte or --lines or --expect unmet, 2 usage, 6 name not resolved,
  7 could not connect, 28 time ran out in silence, 56 the connection broke, 70 internal,
  130 and 143 interrupted";
