//! The command line of `tcpctl listen`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueHint};

use crate::units;

/// The arguments of `tcpctl listen`.
#[derive(Debug, Args)]
#[command(
    after_help = MORE,
    after_long_help = EXAMPLES,
    group(ArgGroup::new("answer").args(["reply", "reply_file", "echo", "exec"])),
    group(ArgGroup::new("connections").args(["once", "count"])),
)]
pub struct ListenArgs {
    /// ADDRESS:PORT, ADDRESS or PORT to listen on; port 0 picks a free port
    #[arg(
        value_name = "ADDR",
        default_value = "0.0.0.0:3000",
        value_parser = units::listen_address,
        value_hint = ValueHint::Other
    )]
    pub address: SocketAddr,

    /// Reply with TEXT to the first bytes, then close
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        value_hint = ValueHint::Other,
        help_heading = "Answer (one of)"
    )]
    pub reply: Option<OsString>,
    /// Reply with FILE to the first bytes, then close
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Answer (one of)")]
    pub reply_file: Option<PathBuf>,
    /// Send back what arrives
    #[arg(long, help_heading = "Answer (one of)")]
    pub echo: bool,
    /// Reply with the output of CMD, run by `sh -c`
    ///
    /// The request is the command's standard input. It ends when the client closes its write side,
    /// after 50 ms of silence, or after 64 KiB. The command is killed after 10 s, or when the client
    /// resets the connection.
    #[arg(
        long,
        value_name = "CMD",
        value_hint = ValueHint::CommandString,
        help_heading = "Answer (one of)"
    )]
    pub exec: Option<String>,

    /// Exit after one connection
    #[arg(long, help_heading = "End")]
    pub once: bool,
    /// Exit after N connections
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = units::whole::<NonZeroU64>,
        value_hint = ValueHint::Other,
        help_heading = "End"
    )]
    pub count: Option<NonZeroU64>,
    /// Exit after this time
    ///
    /// With --once or --count the exit code is 1 if connections are missing, or 28 if nothing was
    /// received at all. Otherwise it is 0.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        value_hint = ValueHint::Other,
        help_heading = "End"
    )]
    pub timeout: Option<Duration>,
    /// Connections to serve at once; others wait
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value = "64",
        value_parser = units::whole::<NonZeroUsize>,
        value_hint = ValueHint::Other
    )]
    pub max_connections: NonZeroUsize,
}

pub(super) const ABOUT: &str = "\
Accept TCP connections, print what arrives, and answer.

Use it with boards that connect to this computer. On a terminal each line starts with its time and \
its client, and control characters are escaped. In a pipe, standard output has only the received \
bytes. Without an answer option nothing is sent.";

const MORE: &str = "\
Examples: tcpctl listen --help
See also: tcpctl send, tcpctl sim";

const EXAMPLES: &str = "\
Examples:
  Print what boards send to port 3000 of this computer:
    $ tcpctl listen

  Answer every request with a line, on port 8000:
    $ tcpctl listen 8000 --reply OK

  Save what the next client sends:
    $ tcpctl listen --once >reading.bin

  Answer with the output of a program:
    $ tcpctl listen --exec 'tr a-z A-Z'

See also:
  tcpctl send, tcpctl sim, tcpctl discover

Exit codes:
  0 done, also after Ctrl-C; 1 fewer connections than requested \
at --timeout; 28 nothing received at --timeout; 2 usage; 70 the address \
is not available";
