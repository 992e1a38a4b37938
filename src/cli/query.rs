//! The command lines of `tcpctl status` and `tcpctl read`.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueHint};

use crate::units;

/// Options of commands that ask boards.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Ask every target in this file; `-` reads standard input
    ///
    /// One target per line, or the JSON Lines of `discover --json`. A board that fails is reported and
    /// does not stop the others. The exit code is that of the worst failure.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub targets: Option<PathBuf>,
    /// Targets to ask in parallel
    #[arg(
        long,
        value_name = "N",
        default_value = "8",
        value_parser = units::whole::<NonZeroU16>,
        value_hint = ValueHint::Other,
        hide_short_help = true
    )]
    pub parallel: NonZeroU16,
    /// Repeat until interrupted [default: 1s]
    ///
    /// The duration is the time from the start of one round to the start of the next.
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        default_missing_value = "1s",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other
    )]
    pub watch: Option<Duration>,
    /// Timeout for one board, from the first connection attempt to the end of its reply
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        hide_short_help = true
    )]
    pub timeout: Duration,
}

/// The arguments of `tcpctl status`.
#[derive(Debug, Args)]
#[command(after_help = STATUS_MORE, after_long_help = STATUS_EXAMPLES)]
pub struct StatusArgs {
    /// Boards: HOST[:PORT], a board's name, or sim[:PROFILE][,key=value...]
    ///
    /// Default: TCPCTL_TARGET, then `target` of the config file.
    #[arg(value_name = "TARGET")]
    pub target: Vec<String>,
    /// Common options.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// The arguments of `tcpctl read`.
#[derive(Debug, Args)]
#[command(
    after_help = READ_MORE,
    after_long_help = READ_EXAMPLES,
    group(ArgGroup::new("form").args(["csv", "senml", "prometheus", "json"])),
)]
pub struct ReadArgs {
    /// Board: HOST[:PORT], a board's name, or sim[:PROFILE][,key=value...]
    ///
    /// Default: TCPCTL_TARGET, then `target` of the config file. With --targets, every positional
    /// argument is a sensor.
    pub target: Option<String>,
    /// Sensors to print [default: all]
    #[arg(value_name = "SENSOR", value_hint = ValueHint::Other)]
    pub sensors: Vec<String>,
    /// Common options.
    #[command(flatten)]
    pub query: QueryArgs,
    /// Number of rounds [default: 1; unlimited with --watch]
    #[arg(
        long,
        value_name = "N",
        value_parser = units::whole::<NonZeroU64>,
        value_hint = ValueHint::Other
    )]
    pub count: Option<NonZeroU64>,
    /// Print CSV
    #[arg(long, help_heading = "Format")]
    pub csv: bool,
    /// Print the SenML JSON as received (RFC 8428)
    #[arg(long, help_heading = "Format")]
    pub senml: bool,
    /// Print the text exposition format of Prometheus
    #[arg(long, help_heading = "Format")]
    pub prometheus: bool,
}

pub(super) const STATUS_ABOUT: &str = "\
Ask boards for their status: firmware, uptime, memory, signal, connections.

Prints one row per board. Boards that run another firmware do not answer.";

const STATUS_MORE: &str = "\
Examples and all options: tcpctl status --help
See also: tcpctl read, tcpctl discover";

const STATUS_EXAMPLES: &str = "\
Examples:
  Show the status of a virtual board:
    $ tcpctl status sim

  Show the status of every board on the network:
    $ tcpctl discover --json | tcpctl status --targets -

  Watch a board during a benchmark:
    $ tcpctl status 192.168.1.1 --watch 2s

See also:
  tcpctl read, tcpctl discover, tcpctl bench

Exit codes:
  0 done, 1 the reply is not a status, 2 usage, 6 name not resolved, 7 cannot connect, 28 timeout, \
56 connection broken, 130 and 143 interrupted; --watch ends with 0";

pub(super) const READ_ABOUT: &str = "\
Read the sensors of a board.

Prints name, value and unit of each sensor. Boards send SenML (RFC 8428); units are those of its \
registry, e.g. Cel for degrees Celsius.";

const READ_MORE: &str = "\
Examples and all options: tcpctl read --help
See also: tcpctl status, tcpctl discover";

const READ_EXAMPLES: &str = "\
Examples:
  Read all sensors of a virtual board:
    $ tcpctl read sim

  Record a temperature once a minute:
    $ tcpctl read 192.168.1.1 temperature --watch 1m --csv >>temperature.csv

  Export the sensors of every board to Prometheus:
    $ tcpctl discover --json | tcpctl read --targets - --prometheus >boards.prom

See also:
  tcpctl status, tcpctl discover, tcpctl flash

Exit codes:
  0 done, 1 no such sensor, or the board has none, 2 usage, 6 name not resolved, 7 cannot connect, \
28 timeout, 56 connection broken, 130 and 143 interrupted; --watch ends with 0";
