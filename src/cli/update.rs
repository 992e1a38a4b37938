//! The command line of `tcpctl update`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::management::ManagementOptions;
use crate::units;

/// The arguments of `tcpctl update`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct UpdateArgs {
    /// Board: HOST[:PORT], a name, or sim [default: TCPCTL_TARGET, or target of the config file]
    #[arg(value_name = "TARGET", value_hint = ValueHint::Hostname)]
    pub target: Option<String>,

    /// Firmware: ELF, application image or merged image
    ///
    /// It must be this project's firmware, for the chip of the board. An ELF whose entry point does not
    /// lead to main is refused. Default: the bundled firmware, or in a checkout a build of firmware/esp32.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "What to do")]
    pub firmware: Option<PathBuf>,
    /// Install an older version, or one that cannot be compared
    #[arg(long, help_heading = "What to do")]
    pub allow_downgrade: bool,
    /// Print what would be installed and change nothing
    #[arg(long, help_heading = "What to do")]
    pub dry_run: bool,
    /// Do not wait until the board is back
    ///
    /// The board confirms the new firmware itself after a minute on its network.
    #[arg(long, help_heading = "What to do")]
    pub no_wait: bool,

    /// Update every target in this file; `-` reads standard input
    ///
    /// One target per line, or the JSON Lines of `discover --json`. After the first failure no other board
    /// is started.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["target", "key_file"],
        help_heading = "Several boards"
    )]
    pub targets: Option<PathBuf>,
    /// Boards to update at the same time
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        value_parser = units::whole::<NonZeroU16>,
        value_hint = ValueHint::Other,
        requires = "targets",
        conflicts_with = "target",
        help_heading = "Several boards"
    )]
    pub parallel: NonZeroU16,

    /// How to reach the management channel.
    #[command(flatten)]
    pub channel: ManagementOptions,
}

pub(super) const ABOUT: &str = "\
Install new firmware over the network; the board returns to the old one by itself if it fails.

The firmware goes to the slot of the flash that does not run, while the board serves its clients. The \
board checks it and starts it on trial. update confirms it as soon as it reaches the board again. After a \
panic, a power cut, or five minutes without its network, the board returns to the old firmware, and \
status shows why. After a broken connection the transfer resumes where it stopped.

The connection is encrypted and authenticated with the board's management key, which tcpctl flash stored \
in the file keys/MAC. tcpctl config shows where.";

const MORE: &str = "\
Examples and all options: tcpctl update --help
See also: tcpctl flash, tcpctl configure, tcpctl status";

const EXAMPLES: &str = "\
Examples:
  Update a board to the bundled firmware:
    $ tcpctl update tcpctl-0b3c

  See what would be installed:
    $ tcpctl update tcpctl-0b3c --dry-run

  Install your own build:
    $ tcpctl update tcpctl-0b3c --firmware target/firmware/esp32c3.elf

  Update all boards, one after the other:
    $ tcpctl discover --json | tcpctl update --targets -

See also:
  tcpctl flash, tcpctl configure, tcpctl status, tcpctl sim

Exit codes:
  0 installed and confirmed, 2 usage, e.g. another chip or an older version, 6 name not resolved, 7 no \
connection, 28 the board did not come back, 56 connection broken, 70 wrong key, refused by the board, or \
rolled back, 130 interrupted";
