//! The command line of `tcpctl monitor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::units;

/// The arguments of `tcpctl monitor`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct MonitorArgs {
    /// Serial port: a path (/dev/ttyUSB0), or the board's name, MAC address or USB serial number
    ///
    /// Default: TCPCTL_PORT, then `port` of the config file, then the only board that is plugged in.
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
    /// ELF of the firmware, to decode the addresses of a panic
    ///
    /// Each address gets a line with its function and source line; -v adds the functions that it is
    /// inlined into.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub elf: Option<PathBuf>,
    /// Exit with 0 at the first line that matches
    ///
    /// Colors are removed first. A line without an end, such as a prompt, counts after 100 ms of
    /// silence.
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub until: Option<String>,
    /// Exit after this time
    ///
    /// With --until the exit code is 1, or 28 if nothing arrived at all. Without --until it is 0.
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration, value_hint = ValueHint::Other)]
    pub timeout: Option<Duration>,
    /// Print the bytes as they arrive, without times
    ///
    /// On a terminal, control characters are still escaped.
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// Do not read the keyboard
    ///
    /// By default typed keys go to the board if standard input and output are a terminal. Ctrl-] ends,
    /// Ctrl-T Ctrl-R resets the board, and Ctrl-T Ctrl-T sends Ctrl-T.
    #[arg(long)]
    pub no_input: bool,
}

pub(super) const ABOUT: &str = "\
Show what a board prints on its serial port, with the time of each line, and send typed keys to it.

Times are local on a terminal and UTC in a pipe and in JSON. Opening the port does not reset the board. \
The board's colors are shown; other control sequences are escaped. When the board is unplugged, the \
command waits until it is back. On a terminal Ctrl-] ends, Ctrl-T Ctrl-R resets the board, and all other \
keys, Ctrl-C included, go to the board. While the output is stopped (Ctrl-S, a blocked pipe), up to \
4 MiB are buffered.";

const MORE: &str = "\
Examples: tcpctl monitor --help
See also: tcpctl flash, tcpctl discover";

const EXAMPLES: &str = "\
Examples:
  Show the console of the only board that is plugged in:
    $ tcpctl monitor

  Wait in a script until the board is ready, and print its address:
    $ tcpctl monitor --json --until '^ready ' | jq -r '.addr // empty'

  Decode the addresses of a panic:
    $ tcpctl monitor --elf tcpctl-firmware

See also:
  tcpctl flash, tcpctl discover, tcpctl config

Exit codes:
  0 --until matched, or without it the end by --timeout or Ctrl-]; 1 --until unmet; 28 --until unmet and no \
output; 2 usage; 70 the port does not open; 130, 143 ended by SIGINT or SIGTERM, or by Ctrl-] before --until or \
--timeout";
