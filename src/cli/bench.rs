//! The command lines of `tcpctl bench` and `tcpctl merge`.

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use crate::units;

/// The arguments of `tcpctl bench`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct BenchArgs {
    /// HOST[:PORT], a board's name, or sim[:PROFILE][,key=value...]
    ///
    /// Without a port it is 3000; IPv6 is [ADDRESS%ZONE]:PORT. A name is one that discover shows.
    /// sim is
    /// a virtual board for this command alone; its keys are the long options of tcpctl sim.
    ///
    /// Left out, it is TCPCTL_TARGET, then `target` of the config file.
    pub target: Option<String>,

    /// Do this alone [default: limits and latency]
    ///
    /// May be repeated.
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Vec<Part>,

    /// What each request sends [default: Hello TCP world! and CRLF]
    #[arg(
        short,
        long,
        value_name = "MESSAGE",
        allow_hyphen_values = true,
        conflicts_with = "payload",
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub message: Option<String>,
    /// Send so many bytes instead, e.g. 1KiB
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = units::size,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub payload: Option<u64>,
    /// What a right reply matches; the reply is complete as soon as it does
    ///
    /// Without it a reply is complete when the server closes; with --keep-alive, when it is as
    /// long as the first one was.
    #[arg(
        long,
        value_name = "REGEX",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Request",
        hide_short_help = true
    )]
    pub expect: Option<String>,
    /// Send many requests over each connection, one at a time
    #[arg(short, long, help_heading = "Request", hide_short_help = true)]
    pub keep_alive: bool,
    /// How connections are closed [default: fin]
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        help_heading = "Request",
        hide_short_help = true
    )]
    pub close: Option<CloseWith>,

    /// Connections at a time
    ///
    /// With --rate, the most that may be under way, and 256 if not given.
    /// Without it, as many as the limits say that the server serves at once; 1 where they were not
    /// looked for, or can't say. It is also the last step of a --ramp. Streams of the throughput: 4 if
    /// not given, at most 64.
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
    /// How long [default: 5s]
    ///
    /// Of the throughput, each of its flows, up to six.
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
    /// How many requests, instead of how long
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
    /// Start requests on a constant schedule, e.g. 200/s
    ///
    /// However slow the server is (open loop). Times count from when a request should have started,
    /// so that a server that stalls can't
    /// hide the requests that it kept waiting.
    #[arg(
        short,
        long,
        value_name = "RATE",
        value_parser = units::rate,
        value_hint = ValueHint::Other,
        help_heading = "Load"
    )]
    pub rate: Option<f64>,
    /// Load the server for so long before anything counts [default: 0; of the throughput a tenth of
    /// -d, at most 1s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::duration,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub warmup: Option<Duration>,
    /// Connect from this address of this computer; several take turns
    #[arg(
        long,
        value_name = "ADDRESS",
        help_heading = "Load",
        hide_short_help = true
    )]
    pub source: Vec<IpAddr>,
    /// Threads of this program's own [default: 1]
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
    /// How long to wait for a connection
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
    /// How long to wait for a complete reply [default: 10s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Load",
        hide_short_help = true
    )]
    pub reply_timeout: Option<Duration>,

    /// With more and more connections, find the knee
    ///
    /// 1, 2, 3, 4, 6, 8, ... connections, a second each. From the knee on more connections bring
    /// less than 10% more replies, or fail. The ramp ends
    /// once the knee is clear, at twice what the server holds, or at --connections. Where
    /// connections fail, it finds out whether they were too many or only came back too soon.
    #[arg(long, help_heading = "Limits and ramp")]
    pub ramp: bool,
    /// Never hold more connections than this to find the limits, nor in a ramp [default: 256]
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
    /// How long the search for the limits may take, and how long a ramp [default: 30s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "Limits and ramp",
        hide_short_help = true
    )]
    pub budget: Option<Duration>,

    /// Write a page with plots and the whole report in it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report")]
    pub html: Option<PathBuf>,
    /// Save the run, for --compare and tcpctl merge
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report")]
    pub save: Option<PathBuf>,
    /// Compare with a saved run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report")]
    pub compare: Option<PathBuf>,
    /// Exit 1 where this holds, e.g. 'p99 > 50ms'
    ///
    /// May be repeated.
    /// FIELD OP VALUE: any field of the report (latency.complete_us.p99), or p50 p90 p99 p99_9 max
    /// rate errors served queued held. A field that could not be measured counts as failed.
    #[arg(long, value_name = "CONDITION", help_heading = "Report")]
    pub fail_if: Vec<String>,
    /// Write the histograms as an HdrHistogram log (V2)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Report", hide_short_help = true)]
    pub hdr_log: Option<PathBuf>,
}

/// The values of `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// How many connections are served at once, how many wait, what the next one sees
    Limits,
    /// How fast and how reliably requests are answered
    Latency,
    /// How many bytes a second go to discard, come from chargen and go round on echo
    Throughput,
}

/// The values of `--close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CloseWith {
    /// As programs do: a FIN each way
    #[default]
    Fin,
    /// With a reset: no TIME-WAIT on this side
    Rst,
}

/// The arguments of `tcpctl merge`.
#[derive(Debug, Args)]
#[command(after_help = MERGE_MORE, after_long_help = MERGE_EXAMPLES)]
pub struct MergeArgs {
    /// Runs that were saved with tcpctl bench --save, or printed with --json
    #[arg(required = true, num_args = 2.., value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub runs: Vec<PathBuf>,
    /// Write a page with plots and the whole report in it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Save the merged run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save: Option<PathBuf>,
    /// Write its histograms as an HdrHistogram log (V2)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub hdr_log: Option<PathBuf>,
}

pub(super) const ABOUT: &str = "\
Measure what a TCP server can take, and how fast and how reliably it answers.

First the limits: how many connections it serves at once, how many wait, what the next one sees, and \
how soon a place is free again. They are found by holding idle connections, one at a time. Then the \
latency: it connects, sends a request, reads the reply and closes, again and again, and tells connecting, the \
first byte and the complete reply apart. Every failure has a class, and what failed here is never \
counted as the server's. With --ramp it goes on, with more and more connections, until more bring \
nothing. A board that refuses is not hammered: the next try waits.

With --only throughput, bytes a second: upload to discard (port 9), download from chargen (19), round \
trip on echo (7), each with one stream and then with several. Where the host has none of them, what \
its own port takes and gives is measured, and the report says so.";

const MORE: &str = "\
Examples and all options: tcpctl bench --help
See also: tcpctl merge, tcpctl schema, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  A virtual board, then your own, with a page to attach to an issue:
    $ tcpctl bench sim
    $ tcpctl bench 192.168.1.1 -c 4 -d 10s --html report.html

  How many connections does it take? No load is sent for that:
    $ tcpctl bench 192.168.1.1 --only limits

  What do more connections bring? The knee, and why connections fail past it:
    $ tcpctl bench 192.168.1.1 --only limits --ramp

  In CI: fail where it became slow or unreliable:
    $ tcpctl bench sim --fail-if 'p99 > 50ms' --fail-if 'errors > 0'

  How many bytes a second? A board has the services where its settings say services on:
    $ tcpctl bench sim:esp32,services=on --only throughput -d 2s

  20 requests a second for a minute, and tomorrow the same beside it:
    $ tcpctl bench 192.168.1.1 -r 20/s -d 1m --save today.json
    $ tcpctl bench 192.168.1.1 -r 20/s -d 1m --compare today.json

See also:
  tcpctl merge, tcpctl schema, tcpctl sim, tcpctl send

Exit codes:
  0 done, 1 a --fail-if holds, 2 usage, 6 name not resolved, 7, 28 or 56 not one request was \
answered (could not connect, silence, broken), 70 what failed is here (no free port, a full \
disk), 130 and 143 interrupted";

const MERGE_MORE: &str = "\
Examples: tcpctl merge --help
See also: tcpctl bench";

const MERGE_EXAMPLES: &str = "\
Examples:
  One report of runs from several computers, exact as if it had been one:
    $ tcpctl merge a.json b.json

  Runs of several machines by ssh:
    $ for pc in a b; do ssh $pc tcpctl bench board --json >$pc.json & done; wait
    $ tcpctl merge a.json b.json --html all.html

  Keep the merged run, for a later --compare:
    $ tcpctl merge a.json b.json --save all.json

See also:
  tcpctl bench, tcpctl schema

Exit codes:
  0 done, 2 usage: a file that is no saved run, or runs that can't be joined";
