//! The command line of `tcpctl flash`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use tcpctl_settings::Field;

use super::settings::{OptionSet, SettingsOptions};
use crate::units;

/// The arguments of `tcpctl flash`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub struct FlashArgs {
    /// Settings of the board.
    #[command(flatten)]
    pub settings: SettingsOptions<FlashSettings>,
    /// Read the network's passphrase from standard input
    ///
    /// It is one line.
    #[arg(long, conflicts_with = "open", help_heading = "Settings")]
    pub password_stdin: bool,
    /// The network has no passphrase: anyone may listen
    #[arg(long, help_heading = "Settings")]
    pub open: bool,
    /// With --json, tell a passphrase that was made up here in the plan
    #[arg(
        long,
        requires = "json",
        help_heading = "Settings",
        hide_short_help = true
    )]
    pub tell_passphrase: bool,

    /// Which board: a path (/dev/ttyUSB0), its name, its MAC or the USB serial number
    ///
    /// Left out, it is TCPCTL_PORT, then `port` of the config file. Without any, the one board that
    /// is plugged in.
    #[arg(short, long, value_name = "PORT", help_heading = "Board")]
    pub port: Option<String>,
    /// Bits per second while writing; what the board can't do falls back to 115200
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
    /// The chip that must be there; without a board, the chip to build for [default: esp32c3]
    #[arg(
        long,
        value_name = "CHIP",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub chip: Option<String>,
    /// How the board gets into its loader
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub before: Before,
    /// What becomes of the board at the end
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHAT",
        help_heading = "Board",
        hide_short_help = true
    )]
    pub after: After,

    /// The firmware: an ELF, an app image or a merged image
    ///
    /// It is one of ours. Left out, it is the one that is built in, or is built from firmware/esp32
    /// in a
    /// checkout.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "What to do")]
    pub firmware: Option<PathBuf>,
    /// Write the settings alone
    #[arg(
        long,
        conflicts_with_all = ["firmware", "save_image", "erase"],
        help_heading = "What to do"
    )]
    pub settings_only: bool,
    /// Print the board's settings, and write nothing
    ///
    /// Its passphrase is not printed.
    #[arg(
        long,
        conflicts_with_all = [
            "settings_only", "firmware", "save_image", "erase", "dry_run", "settings", "open",
            "password_stdin",
        ],
        help_heading = "What to do"
    )]
    pub show_settings: bool,
    /// Erase the whole flash first
    ///
    /// Firmware, settings and whatever else is there.
    #[arg(long, help_heading = "What to do")]
    pub erase: bool,
    /// Do not ask before erasing
    #[arg(short, long, help_heading = "What to do", hide_short_help = true)]
    pub yes: bool,
    /// Show the plan and write nothing
    ///
    /// Without --port it needs no board, but with --settings-only: what is stored counts then.
    #[arg(long, help_heading = "What to do")]
    pub dry_run: bool,
    /// Write one image of the whole flash to a file, for esptool and emulators; needs no board
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["erase", "port"],
        value_hint = ValueHint::FilePath,
        help_heading = "What to do",
        hide_short_help = true
    )]
    pub save_image: Option<PathBuf>,
    /// End after the reset, and do not wait until the board is ready
    #[arg(long, help_heading = "What to do", hide_short_help = true)]
    pub no_wait: bool,
    /// Show the board's console afterwards
    ///
    /// As tcpctl monitor does.
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

/// How a board gets into its loader, by esptool's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Before {
    /// By its reset lines, where the port has any
    #[default]
    #[value(alias = "default_reset")]
    DefaultReset,
    /// As the chips' own USB wants it
    #[value(alias = "usb_reset")]
    UsbReset,
    /// It is there: BOOT and RESET were pressed
    #[value(alias = "no_reset")]
    NoReset,
    /// It is there, and so is the stub; needs --chip
    #[value(alias = "no_reset_no_sync")]
    NoResetNoSync,
}

/// What becomes of a board at the end, by esptool's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum After {
    /// It starts, by its reset line or else by its watchdog
    #[default]
    #[value(alias = "hard_reset")]
    HardReset,
    /// It stays in its loader
    #[value(alias = "no_reset")]
    NoReset,
    /// It stays in the stub
    #[value(aliases = ["no_reset_stub", "no-reset-no-stub"])]
    NoResetStub,
    /// It starts, by its watchdog
    #[value(alias = "watchdog_reset")]
    WatchdogReset,
}

pub(super) const ABOUT: &str = "\
Put the firmware and its settings onto a board, and see that it answers.

The plan is shown first: chip, MAC, flash, what is written where and what is there already. Then it \
is written, verified by check sum, and the board is reset; the command waits until the board says \
where it can be reached, connects, and shows the greeting.

Settings that the board has are kept unless others are given. A passphrase is typed hidden at a \
terminal or read with --password-stdin, and is never printed, except one that is made up here for \
an access point that was given none.";

const MORE: &str = "\
Examples and all options: tcpctl flash --help
See also: tcpctl monitor, tcpctl discover";

const EXAMPLES: &str = "\
Examples:
  From a blank board to an access point with a passphrase of its own:
    $ tcpctl flash --mode ap

  Join a network instead; only the settings are written:
    $ tcpctl flash --settings-only --mode sta --ssid home
    passphrase of home:

  The passphrase from a password manager:
    $ pass wifi/home | tcpctl flash --mode sta --ssid home --password-stdin

  What would be written, with no board:
    $ tcpctl flash --mode ap --open --dry-run

  One file for esptool or an emulator:
    $ tcpctl flash --mode ap --open --chip esp32c3 --save-image board.bin

See also:
  tcpctl monitor, tcpctl discover, tcpctl config

Exit codes:
  0 written, verified and as far as it can be reached from here answering; 1 the board closed \
without a greeting; 2 usage; 70 the board or the flashing failed; 130 interrupted";
