//! The command line of `tcpctl monitor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::units;

/// The arguments of `tcpctl monitor`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct MonitorArgs {
    /// Which board: a path (/dev/ttyUSB0), its name, its MAC or the USB serial number
    ///
    /// Left out, it is TCPCTL_PORT, then `port` of the config file. Without any, the one board that
    /// is plugged in.
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<String>,
    /// Bits per second
    #[arg(
        long,
        value_name = "BAUD",
        default_value_t = 115_200,
        value_parser = units::baud,
        value_hint = ValueHint::Other,
        hide_short_help = true
    )]
    pub baud: u32,
    /// The firmware's ELF, which names a panic's addresses
    ///
    /// They become functions and lines.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub elf: Option<PathBuf>,
    /// End with 0 at the first line that matches
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub until: Option<String>,
    /// End after this time
    ///
    /// Where --until is unmet with 1, or with 28 if nothing came at all; without --until with 0.
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration, value_hint = ValueHint::Other)]
    pub timeout: Option<Duration>,
    /// The bytes as they come
    ///
    /// No time, no lines; on a terminal still escaped.
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
}

pub(super) const ABOUT: &str = "\
Show what a board prints on its serial line, with the time (UTC) of each line.

Opening the port resets no board. What a board prints can't harm the terminal. When the board is \
unplugged, the command waits until it is back. On a terminal Ctrl-R resets the board, Ctrl-C ends. While its \
output is stopped (Ctrl-S, a pipe that nobody reads) up to 4 MiB wait to be shown; what the board \
prints beyond that is lost where the serial driver has no room for it.";

const MORE: &str = "\
Examples: tcpctl monitor --help
See also: tcpctl flash, tcpctl discover";

const EXAMPLES: &str = "\
Examples:
  What the one board that is plugged in prints:
    $ tcpctl monitor

  Wait in a script until the board can be reached, and take its address:
    $ tcpctl monitor --json --until '^ready ' | jq -r '.addr // empty'

  A panic with functions and lines:
    $ tcpctl monitor --elf tcpctl-firmware

See also:
  tcpctl flash, tcpctl discover, tcpctl config

Exit codes:
  0 at --until's line, without it after --timeout or Ctrl-C; 1 --until unmet, 28 and nothing came; \
2 usage; 70 the port can't be opened; 130 and 143 interrupted before --until or --timeout";
