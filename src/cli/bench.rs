//! The command lines of `tcpctl bench` and `tcpctl merge`.

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{ArgGroup, Args, ValueEnum, ValueHint};

use crate::units;

/// The arguments of `tcpctl bench`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
#[command(
    after_help = MORE,
    after_long_help = EXAMPLES,
    group(ArgGroup::new("request").args(["message", "file", "hex", "payload"])),
    group(ArgGroup::new("rule").args(["expect", "lines", "idle"])),
    group(ArgGroup::new("line_end").args(["crlf", "lf"])),
)]
pub struct BenchArgs {
    /// HOST[:PORT], a board's name, or sim[:PROFILE][,key=value...]
    ///
    /// The default port is 3000. Write IPv6 as [ADDRESS%ZONE]:PORT. Names are those that discover
    /// shows. sim is a virtual board for this command only; its keys are the options of tcpctl sim.
    ///
    /// Default: TCPCTL_TARGET, then `target` of the config file.
    pub target: Option<String>,

    /// What to measure [default: limits,latency]
    ///
    /// Several are separated by commas: --only ramp,throughput.
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<Part>,

    /// Message of each request; - reads standard input [default: Hello TCP world! and CRLF]
    #[arg(
        short,
        long,
        value_name = "MESSAGE",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub message: Option<String>,
    /// Send the content of this file; - reads standard input
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub file: Option<PathBuf>,
    /// Send these bytes, e.g. '48 69 0d 0a'
    #[arg(
        long,
        value_name = "HEX",
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub hex: Option<String>,
    /// Append CR LF
    #[arg(long, help_heading = "Request", hide_short_help = true)]
    pub crlf: bool,
    /// Append LF
    #[arg(long, help_heading = "Request", hide_short_help = true)]
    pub lf: bool,
    /// Send a message of this size instead, e.g. 1KiB
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = units::size,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub payload: Option<u64>,
    /// Regex that a valid reply must match
    ///
    /// The reply is complete as soon as it matches. Without --expect, --lines and --idle a reply is
    /// complete when the server closes. For a server that keeps connections open, bench derives the
    /// rule from the first replies: their length or number of lines, otherwise 250 ms of silence.
    #[arg(
        long,
        value_name = "REGEX",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub expect: Option<String>,
    /// Number of lines of a complete reply
    ///
    /// A last line without a line end counts when the server closes.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroU64>,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub lines: Option<NonZeroU64>,
    /// Silence after which a reply is complete, e.g. 100ms
    ///
    /// The silence is not included in the time of the reply.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub idle: Option<Duration>,
    /// Send many requests over each connection, one at a time
    #[arg(short, long, help_heading = "Request", hide_short_help = true)]
    pub keep_alive: bool,
    /// How to close connections [default: fin]
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        help_heading = "Request",
        hide_short_help = true
    )]
    pub close: Option<CloseWith>,

    /// Connections to keep busy
    ///
    /// Default: as many as the server serves at once, one fewer where nothing queues, 1 where the
    /// number is not known exactly. With --rate: the maximum number of requests in flight, default
    /// 256. With --ramp: the last step. Throughput: the number of streams, default 4, at most 64.
    #[arg(
        short,
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroUsize>,
        value_hint = ValueHint::Other,
        help_heading = "Load"
    )]
    pub connections: Option<NonZeroUsize>,
    /// Length of the load [default: 5s]
    ///
    /// Throughput: the length of each of up to six measurements.
    #[arg(
        short,
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        conflicts_with = "requests",
        value_hint = ValueHint::Other,
        help_heading = "Load"
    )]
    pub duration: Option<Duration>,
    /// Number of requests, instead of a length
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroU64>,
        value_hint = ValueHint::Other,
        help_heading = "Load"
    )]
    pub requests: Option<NonZeroU64>,
    /// Start requests at a constant rate, e.g. 200/s
    ///
    /// An open loop: requests start on schedule, however slow the server is. Times count from the
    /// intended start, so that a stalled server cannot hide the requests that waited.
    #[arg(
        short,
        long,
        value_name = "RATE",
        value_parser = units::rate,
        value_hint = ValueHint::Other,
        help_heading = "Load"
    )]
    pub rate: Option<f64>,
    /// Load before the measurement starts [default: 0]
    ///
    /// Default for throughput: a tenth of -d, at most 1s.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub warmup: Option<Duration>,
    /// Start at this time, e.g. 2026-12-01T10:00:00Z
    ///
    /// An RFC 3339 time, so that several computers start together. bench reports whether this computer's
    /// clock is synchronized, if the operating system provides it. See docs/distributed.md.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = units::time,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub start_at: Option<SystemTime>,
    /// Local address to connect from; several are used in turn
    #[arg(
        long,
        value_name = "ADDRESS",
        help_heading = "Load",
        hide_short_help = true
    )]
    pub source: Vec<IpAddr>,
    /// How the load engine waits for its connections [default: epoll on Linux]
    #[arg(
        long,
        value_enum,
        value_name = "INTERFACE",
        help_heading = "Load",
        hide_short_help = true
    )]
    pub io: Option<Io>,
    /// Threads of the load engine [default: 1]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroUsize>,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub threads: Option<NonZeroUsize>,
    /// Timeout of a connection attempt
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub connect_timeout: Duration,
    /// Timeout of a complete reply [default: 10s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub reply_timeout: Option<Duration>,

    /// Increase the connections and find the knee
    ///
    /// 1, 2, 3, 4, 6, 8, ... connections for 1 s each. Beyond the knee, more connections bring less
    /// than 10% more replies, or fail. The ramp ends when the knee is found, at twice the number that
    /// the server accepts, or at --connections. If connections fail, bench determines whether they were
    /// too many or reconnected too soon.
    #[arg(long, help_heading = "Limits and ramp")]
    pub ramp: bool,
    /// Maximum number of connections for limits and ramp [default: 256]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroUsize>,
        value_hint = ValueHint::Other,
        help_heading = "Limits and ramp",
        hide_short_help = true
    )]
    pub max_connections: Option<NonZeroUsize>,
    /// Maximum time for the limits and for the ramp, each [default: 30s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Limits and ramp",
        hide_short_help = true
    )]
    pub budget: Option<Duration>,

    /// Label of this run in the report
    #[arg(long, value_name = "TEXT", value_hint = ValueHint::Other, help_heading = "Report", hide_short_help = true)]
    pub label: Option<String>,
    /// Print only the summary
    #[arg(long, help_heading = "Report", hide_short_help = true)]
    pub brief: bool,
    /// Write an HTML page with plots and the report
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report")]
    pub html: Option<PathBuf>,
    /// Save the run, for --compare and tcpctl merge
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report")]
    pub save: Option<PathBuf>,
    /// Compare with a saved run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report")]
    pub compare: Option<PathBuf>,
    /// Exit with 1 if this holds, e.g. 'p99 > 50ms'
    ///
    /// FIELD OP VALUE, where FIELD is any path of the report (latency.complete_us.p99), or p50 p90
    /// p99 p99_9 max rate errors served queued held. An unknown value counts as failed. Can be
    /// repeated.
    #[arg(long, value_name = "CONDITION", help_heading = "Report")]
    pub fail_if: Vec<String>,
    /// Write the histograms as an HdrHistogram interval log
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report", hide_short_help = true)]
    pub hdr_log: Option<PathBuf>,
}

/// The values of `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Connections served at once, connections that wait, and what happens to the next one
    Limits,
    /// Reply times, rate and failures
    Latency,
    /// The rate with an increasing number of connections, as with --ramp
    Ramp,
    /// Bytes per second to discard, from chargen, and through echo
    Throughput,
}

/// The values of `--close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CloseWith {
    /// FIN, as usual
    #[default]
    Fin,
    /// RST, which leaves no connection in TIME-WAIT on this computer
    Rst,
}

/// The values of `--io`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Io {
    /// Readiness by epoll(7), on Linux
    Epoll,
    /// Completions by io_uring(7); this version has none
    Uring,
}

/// The arguments of `tcpctl merge`.
#[derive(Debug, Args)]
#[command(after_help = MERGE_MORE, after_long_help = MERGE_EXAMPLES)]
pub struct MergeArgs {
    /// Saved runs: files of tcpctl bench --save or --json; - for JSON Lines on standard input
    #[arg(required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub runs: Vec<PathBuf>,
    /// Merge runs with different targets, or that did not run at the same time
    #[arg(long)]
    pub force: bool,
    /// Print only the summary
    #[arg(long)]
    pub brief: bool,
    /// Write an HTML page with plots and the report
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Save the merged run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save: Option<PathBuf>,
    /// Write the histograms as an HdrHistogram interval log
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub hdr_log: Option<PathBuf>,
}

pub(super) const ABOUT: &str = "\
Measure the limits, latency and throughput of a TCP server.

Limits: how many connections the server serves at once, how many wait, what happens to the next \
one, and how soon a slot is reused. bench finds them with idle connections, opened one at a time.

Latency: bench connects, sends a request, reads the reply and closes, repeatedly. It reports the \
times to the connection, to the first byte and to the complete reply, and failures by class. \
Failures of this computer are not counted as the server's. Refused connections back off. --ramp \
repeats this with more connections, until the rate no longer grows.

Throughput (--only throughput): upload to discard (port 9), download from chargen (19), round trip \
through echo (7), each with one stream and then with several. Without these services bench uses the \
server's own port; the report names the ports.";

const MORE: &str = "\
Examples and all options: tcpctl bench --help
See also: tcpctl merge, tcpctl schema, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  Measure a virtual board, then your own, with an HTML report:
    $ tcpctl bench sim
    $ tcpctl bench 192.168.1.1 -c 4 -d 10s --html report.html

  Find the limits only, without load:
    $ tcpctl bench 192.168.1.1 --only limits

  Find the knee, and why connections fail beyond it:
    $ tcpctl bench 192.168.1.1 --only limits --ramp

  In CI, fail if the server is slow or unreliable:
    $ tcpctl bench sim --fail-if 'p99 > 50ms' --fail-if 'errors > 0'

  Measure throughput; a board has the services if its setting services is on:
    $ tcpctl bench sim:esp32,services=on --only throughput -d 2s

  Send 20 requests per second for a minute, and compare with a later run:
    $ tcpctl bench 192.168.1.1 -r 20/s -d 1m --save today.json
    $ tcpctl bench 192.168.1.1 -r 20/s -d 1m --compare today.json

See also:
  tcpctl merge, tcpctl schema, tcpctl sim, tcpctl send

Exit codes:
  0 done, 1 a --fail-if holds, 2 usage, 6 name not resolved, 7 could not connect, 28 no reply in \
time, 56 connections broke, 70 this computer failed (no free port, disk full), 130 and 143 \
interrupted";

const MERGE_MORE: &str = "\
Examples: tcpctl merge --help
See also: tcpctl bench";

const MERGE_EXAMPLES: &str = "\
Examples:
  Merge runs from several computers into one report:
    $ tcpctl merge a.json b.json

  Start on two computers at the same time (docs/distributed.md has more ways):
    $ ssh a tcpctl bench board --start-at 2027-01-01T10:00:00Z --json >a.json &
    $ ssh b tcpctl bench board --start-at 2027-01-01T10:00:00Z --json >b.json
    $ tcpctl merge a.json b.json --html all.html

  Read runs from standard input:
    $ cat a.json b.json | tcpctl merge -

  Save the merged run, for a later --compare:
    $ tcpctl merge a.json b.json --save all.json

See also:
  tcpctl bench, tcpctl schema

Exit codes:
  0 done, 2 usage: not a saved run, or runs that cannot be merged";
