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
    /// Without a port it is 3000; IPv6 is [ADDRESS%ZONE]:PORT. A name is one that discover shows.
    /// sim is
    /// a virtual board for this command alone; its keys are the long options of tcpctl sim.
    ///
    /// One positional argument is always TARGET. Left out, it is TCPCTL_TARGET, then `target` of
    /// the config file.
    pub target: Option<String>,
    /// What to send; `-` streams standard input
    ///
    /// On a terminal `-` is a conversation, line by line. With none of MESSAGE, -m, --file and
    /// --hex, standard input is streamed as it is; on a
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
        help_heading = "Message",
        hide_short_help = true
    )]
    pub message_option: Option<OsString>,
    /// Send this file, byte for byte
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
    /// Many small servers take a FIN for a client that is gone, and never answer it: so the write
    /// side stays open unless you say so.
    #[arg(long, help_heading = "Message", hide_short_help = true)]
    pub half_close: bool,

    /// End only when the server closes
    #[arg(long, help_heading = "Where the reply ends (one of)")]
    pub until_close: bool,
    /// End this long after the last byte [default: 2s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Where the reply ends (one of)"
    )]
    pub idle: Option<Duration>,
    /// End after this many lines
    ///
    /// A last one without a line end counts when the server closes.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = positive,
        value_hint = ValueHint::Other,
        help_heading = "Where the reply ends (one of)"
    )]
    pub lines: Option<u64>,
    /// End when this matches what came
    ///
    /// ^ and $ are the ends of lines. Bytes are matched as they come, across packets. `$` also
    /// matches at the end of what has
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
    #[arg(
        long,
        conflicts_with = "output",
        help_heading = "Where the reply ends (one of)",
        hide_short_help = true
    )]
    pub no_reply: bool,

    /// How long to try to connect, name and all addresses together
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
    /// How long to wait for the reply
    ///
    /// It counts from the end of input, and is the time for the first byte, with --lines and
    /// --expect for all that they ask, with
    /// --until-close for each silence, with --no-reply for each acknowledgement. While input is
    /// being sent, it is how long the server may take nothing and say nothing.
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
    /// Try again up to N times to connect
    ///
    /// Only what failed before a byte of the message was sent is tried again, so that nothing is
    /// ever sent twice.
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
    /// The pause before the first new try; it doubles with each, up to 30s
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

    /// Do it N times, and print statistics
    ///
    /// Each time is a connection of its own.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = positive,
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
        help_heading = "More than once",
        hide_short_help = true
    )]
    pub interval: Option<Duration>,
    /// Send to every target in this file
    ///
    /// One a line, or JSON Lines of `discover --json`.
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
    /// Connect from this address of this computer
    #[arg(
        long,
        value_name = "ADDRESS",
        help_heading = "Network",
        hide_short_help = true
    )]
    pub source: Option<IpAddr>,
    /// Connect through this network interface
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

The reply goes to standard output as it comes. It ends when the server closes, or 2 seconds after \
its last byte; other rules are below, and -v says which one ended it. No reply is never a success.";

const MORE: &str = "\
Examples and all options: tcpctl send --help
See also: tcpctl discover, tcpctl bench, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  Say hello to a board at its usual address, and to a virtual one:
    $ tcpctl send 192.168.1.1 'hi'
    $ tcpctl send sim

  Stream a file and save what the echo service sends back:
    $ tcpctl send 192.168.1.1:7 --half-close --until-close <in.jpg >out.jpg

  Wait in a script until a board that reboots answers as it should:
    $ tcpctl send tcpctl-0b3c.local -m status --lf --retry 10 --expect uptime

  How long does it take? Five times, and the statistics:
    $ tcpctl send sim --count 5 --interval 100ms hi

See also:
  tcpctl discover, tcpctl bench, tcpctl sim

Exit codes:
  0 done, 1 closed without a byte or --lines or --expect unmet, 2 usage, 6 name not resolved, \
7 could not connect, 28 time ran out in silence, 56 the connection broke, 70 internal, \
130 and 143 interrupted";
