//! The command line: every type that clap fills, and no logic.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are the help, which knows no Markdown"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, ValueHint};

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
    /// Say more on standard error; -vv for each step
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
    Send(Box<SendArgs>),
}

/// The arguments of `tcpctl send`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line; the plan has types for them"
)]
#[command(
    long_about = SEND_ABOUT,
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
    pub message: Option<String>,

    /// What to send, where TARGET is left out; `-` as above
    #[arg(
        short = 'm',
        long = "message",
        value_name = "MESSAGE",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Message"
    )]
    pub message_option: Option<String>,
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
        requires = "targets",
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
