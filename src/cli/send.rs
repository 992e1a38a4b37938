//! The command line of `tcpctl send`.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueHint};

use crate::output::ReplyForm;
use crate::units;

/// The arguments of `tcpctl send`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line; the plan has types for them"
)]
#[command(
    after_help = MORE,
    after_long_help = EXAMPLES,
    group(ArgGroup::new("what").args(["message", "message_option", "file", "hex"])),
    group(ArgGroup::new("rule").args(["until_close", "idle", "lines", "expect", "no_reply"])),
    group(ArgGroup::new("line_end").args(["crlf", "lf"])),
    group(ArgGroup::new("family").args(["ipv4", "ipv6"])),
)]
pub struct SendArgs {
    /// HOST[:PORT], a board's name, or sim[:PROFILE][,key=value...]
    ///
    /// The default port is 3000. IPv6 is [ADDRESS%ZONE]:PORT. Board names are those that discover
    /// lists. sim is a virtual board for this command only; its keys are the long options of
    /// tcpctl sim.
    ///
    /// A single positional argument is always TARGET; with --targets it is MESSAGE. Default:
    /// TCPCTL_TARGET, then `target` of the config file.
    pub target: Option<String>,
    /// Message to send; `-` streams standard input
    ///
    /// On a terminal `-` starts a conversation, line by line. Without MESSAGE, -m, --file and --hex,
    /// standard input is streamed; on a terminal `Hello TCP world!` and CR LF are sent.
    #[arg(value_hint = ValueHint::Other)]
    pub message: Option<OsString>,

    /// Message to send, if TARGET is omitted; `-` streams standard input
    #[arg(
        short = 'm',
        long = "message",
        value_name = "MESSAGE",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Message",
        hide_short_help = true
    )]
    pub message_option: Option<OsString>,
    /// Send this file byte for byte
    ///
    /// A FIFO or device is streamed.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Message")]
    pub file: Option<PathBuf>,
    /// Send these bytes, e.g. '48 69 0d 0a'
    #[arg(long, value_name = "HEX", value_hint = ValueHint::Other, help_heading = "Message", hide_short_help = true)]
    pub hex: Option<String>,
    /// Append CR LF; in a conversation, to every line
    #[arg(long, help_heading = "Message")]
    pub crlf: bool,
    /// Append LF
    #[arg(long, help_heading = "Message", hide_short_help = true)]
    pub lf: bool,
    /// Close the write side (FIN) at the end of input
    ///
    /// By default the write side stays open, because many small servers do not answer a client that
    /// has closed it.
    #[arg(long, help_heading = "Message", hide_short_help = true)]
    pub half_close: bool,

    /// Wait until the server closes
    #[arg(long, help_heading = "End of the reply (one of)")]
    pub until_close: bool,
    /// Exit this long after the last byte [default: 2s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "End of the reply (one of)"
    )]
    pub idle: Option<Duration>,
    /// Exit after this many lines
    ///
    /// A last line without a line end counts when the server closes.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = positive,
        value_hint = ValueHint::Other,
        help_heading = "End of the reply (one of)"
    )]
    pub lines: Option<u64>,
    /// Exit when this matches the reply
    ///
    /// ^ and $ match at the ends of lines, across packets. `$` also matches at the end of the reply so
    /// far, e.g. after a prompt. A match longer than 64 KiB may be missed.
    #[arg(
        long,
        value_name = "REGEX",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "End of the reply (one of)"
    )]
    pub expect: Option<String>,
    /// Do not wait for a reply; exit once all data is acknowledged
    #[arg(
        long,
        conflicts_with = "output",
        help_heading = "End of the reply (one of)",
        hide_short_help = true
    )]
    pub no_reply: bool,

    /// Timeout for connecting, including name resolution and all addresses
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Time",
        hide_short_help = true
    )]
    pub connect_timeout: Duration,
    /// Timeout for the reply
    ///
    /// It starts at the end of input and applies to the first byte; with --lines and --expect to the
    /// whole reply, with --until-close to each pause, with --no-reply to each acknowledgment. While
    /// input is being sent, it limits how long the server may neither accept nor send data.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Time",
        hide_short_help = true
    )]
    pub reply_timeout: Duration,
    /// Retry a failed connection up to N times
    ///
    /// Nothing is ever sent twice: a connection that breaks later is not retried.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 0,
        hide_default_value = true,
        value_parser = units::whole::<u32>,
        value_hint = ValueHint::Other,
        help_heading = "Time"
    )]
    pub retry: u32,
    /// Pause before the first retry; it doubles with each, up to 30s
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "500ms",
        requires = "retry",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Time",
        hide_short_help = true
    )]
    pub retry_delay: Duration,

    /// Send N times and print statistics
    ///
    /// Each try uses a new connection. 0 repeats until interrupted. On a terminal there is a line
    /// for each reply, as with ping.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<u64>,
        value_hint = ValueHint::Other,
        help_heading = "More than once"
    )]
    pub count: Option<u64>,
    /// Time from the start of one try to the start of the next [default: 1s]
    #[arg(
        long,
        value_name = "DURATION",
        requires = "count",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "More than once",
        hide_short_help = true
    )]
    pub interval: Option<Duration>,
    /// Send to the targets in this file (`-`: standard input)
    ///
    /// One target per line, or the JSON Lines of `discover --json`. A # at the start of a line or
    /// between spaces begins a comment. Errors of discover are reported, and the message is still
    /// sent to the boards that it found. The exit code is that of the worst failure.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "count",
        help_heading = "More than once"
    )]
    pub targets: Option<PathBuf>,
    /// Targets to send to in parallel [default: 8]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroU16>,
        value_hint = ValueHint::Other,
        help_heading = "More than once",
        hide_short_help = true
    )]
    pub parallel: Option<NonZeroU16>,

    /// How to print the reply [default: text]
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        conflicts_with = "json",
        hide_short_help = true
    )]
    pub output: Option<ReplyForm>,

    /// Use IPv4 only
    #[arg(short = '4', long, help_heading = "Network", hide_short_help = true)]
    pub ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long, help_heading = "Network", hide_short_help = true)]
    pub ipv6: bool,
    /// Local address to connect from
    #[arg(
        long,
        value_name = "ADDRESS",
        help_heading = "Network",
        hide_short_help = true
    )]
    pub source: Option<IpAddr>,
    /// Network interface to connect through
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Network",
        hide_short_help = true
    )]
    pub interface: Option<String>,
}

fn positive(text: &str) -> Result<u64, String> {
    units::whole(text).map(NonZeroU64::get)
}

pub(super) const ABOUT: &str = "\
Send a message to a TCP server and print its reply.

The reply goes to standard output as it arrives. It ends when the server closes, or 2 seconds after \
its last byte. The options below set other rules, and -v shows which one applied. Without a reply the \
exit code is not 0.";

const MORE: &str = "\
Examples and all options: tcpctl send --help
See also: tcpctl discover, tcpctl bench, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  Send a message to a board at its default address, and to a virtual board:
    $ tcpctl send 192.168.1.1 'hi'
    $ tcpctl send sim

  Stream a file and save the reply of the echo service:
    $ tcpctl send 192.168.1.1:7 --half-close --until-close <in.jpg >out.jpg

  Wait in a script until a rebooting board answers:
    $ tcpctl send tcpctl-0b3c.local -m status --lf --retry 10 --expect uptime

  Measure the time to the first byte five times:
    $ tcpctl send sim --count 5 --interval 100ms hi

See also:
  tcpctl discover, tcpctl bench, tcpctl sim

Exit codes:
  0 done, 1 closed without a reply or --lines or --expect unmet, 2 usage, 6 name not resolved, \
7 cannot connect, 28 timeout, 56 connection broken, 70 internal error, \
130 and 143 interrupted";
