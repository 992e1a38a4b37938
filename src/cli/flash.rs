//! The command line of `tcpctl flash`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use tcpctl_settings::Field;

use super::settings::{OptionSet, SecurityOptions, SettingsOptions};
use crate::units;

/// The arguments of `tcpctl flash`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub struct FlashArgs {
    /// Settings of the board.
    #[command(flatten)]
    pub settings: SettingsOptions<FlashSettings>,
    /// Whether the network has a passphrase.
    #[command(flatten)]
    pub security: SecurityOptions,
    /// Print a generated passphrase also in a pipe or file, and in the plan of --json
    ///
    /// Without this option it is shown once, on the terminal only.
    #[arg(long, help_heading = "Settings", hide_short_help = true)]
    pub show_passphrase: bool,

    /// File of the management key [default: keys/MAC, see tcpctl config]
    ///
    /// Holds the key of the board's management channel, 64 hexadecimal digits; the board gets it. A file
    /// that does not exist is created, with the board's key or a new one. A file that others can read is
    /// refused. Without this option a board keeps its key.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "show_settings",
        help_heading = "Settings",
        hide_short_help = true
    )]
    pub key_file: Option<PathBuf>,

    /// Serial port: path, board name, MAC or USB serial number
    ///
    /// A path is e.g. /dev/ttyUSB0. Default: TCPCTL_PORT, then `port` of the config file, then the only connected board.
    #[arg(short, long, value_name = "PORT", help_heading = "Board")]
    pub port: Option<String>,
    /// Baud rate while writing; falls back to 115200
    #[arg(
        long,
        value_name = "BAUD",
        default_value_t = 460_800,
        value_parser = units::loader_baud,
        value_hint = ValueHint::Other,
        help_heading = "Board",
        hide_short_help = true
    )]
    pub baud: u32,
    /// Expected chip; without a board, the chip to build for [default: esp32c3]
    #[arg(
        long,
        value_name = "CHIP",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub chip: Option<String>,
    /// How to enter the loader
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub before: Before,
    /// What to do with the board at the end
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHAT",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub after: After,

    /// Firmware: ELF, application image or merged image
    ///
    /// It must be this project's firmware. Default: the bundled firmware, or in a checkout a build
    /// of firmware/esp32.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "What to do")]
    pub firmware: Option<PathBuf>,
    /// Write only the settings
    #[arg(
        long,
        conflicts_with_all = ["firmware", "save_image", "erase"],
        help_heading = "What to do"
    )]
    pub settings_only: bool,
    /// Print the board's settings and write nothing
    #[arg(
        long,
        conflicts_with_all = [
            "settings_only", "firmware", "save_image", "erase", "dry_run", "settings", "open",
            "password_stdin",
        ],
        help_heading = "What to do"
    )]
    pub show_settings: bool,
    /// Erase the whole flash first, settings included
    #[arg(long, help_heading = "What to do")]
    pub erase: bool,
    /// Do not ask before erasing
    #[arg(short, long, help_heading = "What to do", hide_short_help = true)]
    pub yes: bool,
    /// Print the plan and write nothing
    ///
    /// Needs a board only with --port or --settings-only.
    #[arg(long, help_heading = "What to do")]
    pub dry_run: bool,
    /// Save one image of the whole flash to a file, for esptool and emulators
    ///
    /// The image of no particular board has management off, unless --key-file gives it a key.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["erase", "port"],
        value_hint = ValueHint::FilePath,
        help_heading = "What to do",
        hide_short_help = true
    )]
    pub save_image: Option<PathBuf>,
    /// Exit after the reset, without waiting until the board is ready
    #[arg(long, help_heading = "What to do", hide_short_help = true)]
    pub no_wait: bool,
    /// Show the board's console afterwards
    #[arg(long, conflicts_with_all = ["no_wait", "dry_run", "save_image"], help_heading = "What to do")]
    pub monitor: bool,
}

/// The settings that `flash` writes.
#[derive(Debug, Clone, Default)]
pub struct FlashSettings;

impl OptionSet for FlashSettings {
    const HEADING: &str = "Settings";
    const FIELDS: &[Field] = Field::OPTIONS;
    const COMMON: &[Field] = &[Field::Mode, Field::Ssid];
}

/// How to enter the loader. The names are those of esptool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Before {
    /// Use the port's reset lines, if it has any
    #[default]
    #[value(alias = "default_reset")]
    DefaultReset,
    /// Use the reset sequence of the chip's native USB port
    #[value(alias = "usb_reset")]
    UsbReset,
    /// The board is in its loader: BOOT and RESET were pressed
    #[value(alias = "no_reset")]
    NoReset,
    /// The stub runs already; needs --chip
    #[value(alias = "no_reset_no_sync")]
    NoResetNoSync,
}

/// What to do with the board at the end. The names are those of esptool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum After {
    /// Start it with the reset line, or the watchdog
    #[default]
    #[value(alias = "hard_reset")]
    HardReset,
    /// Leave it in its loader
    #[value(alias = "no_reset")]
    NoReset,
    /// Leave it in the stub
    #[value(aliases = ["no_reset_stub", "no-reset-no-stub"])]
    NoResetStub,
    /// Start it with the watchdog
    #[value(alias = "watchdog_reset")]
    WatchdogReset,
}

pub(super) const ABOUT: &str = "\
Write firmware and settings to a board, and check that it answers.

flash prints a plan first: chip, MAC address, flash size, and which parts it will write. It skips parts \
that flash holds already, verifies what it wrote, resets the board, and waits until the board answers \
with its greeting.

Stored settings are kept unless you give others. The passphrase is read hidden from the terminal or \
with --password-stdin. It is never printed, except once if flash generates it for an access point.

flash also gives the board a management key, which tcpctl configure needs. The key is stored in a file \
that only you can read, before anything is written to the board. An existing key is kept.";

const MORE: &str = "\
Examples and all options: tcpctl flash --help
See also: tcpctl monitor, tcpctl discover";

const EXAMPLES: &str = "\
Examples:
  Make a blank board an access point with a generated passphrase:
    $ tcpctl flash --mode ap

  Join a network instead; write only the settings:
    $ tcpctl flash --settings-only --mode sta --ssid home
    passphrase of home:

  Read the passphrase from a password manager:
    $ pass wifi/home | tcpctl flash --mode sta --ssid home --password-stdin

  Show what would be written, without a board:
    $ tcpctl flash --mode ap --open --dry-run

  Save one image for esptool or an emulator:
    $ tcpctl flash --mode ap --open --chip esp32c3 --save-image board.bin

See also:
  tcpctl monitor, tcpctl discover, tcpctl config

Exit codes:
  0 written and verified, and the board answers if it is reachable from here; 1 the board closed \
without a greeting; 2 usage, e.g. firmware for another chip; 70 the board or a write failed; 130 \
interrupted";
