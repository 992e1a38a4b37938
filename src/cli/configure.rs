//! The command line of `tcpctl configure`.

use clap::{Args, ValueHint};
use tcpctl_settings::Field;
use tcpctl_settings::sectors::ConfirmTimeout;

use super::management::ManagementOptions;
use super::settings::{OptionSet, SecurityOptions, SettingsOptions};
use crate::units;

/// The arguments of `tcpctl configure`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub struct ConfigureArgs {
    /// Board: HOST[:PORT], a board's name, or sim[:PROFILE][,key=value...]
    ///
    /// Default: TCPCTL_TARGET, then `target` of the config file.
    pub target: Option<String>,

    /// Settings to change.
    #[command(flatten)]
    pub settings: SettingsOptions<ConfigureSettings>,
    /// Whether the network has a passphrase.
    #[command(flatten)]
    pub security: SecurityOptions,

    /// Print the settings in force, without the passphrase
    #[arg(
        long,
        conflicts_with_all = [
            "settings", "open", "password_stdin", "confirm", "no_confirm", "no_wait", "dry_run",
            "address", "confirm_timeout",
        ],
        help_heading = "What to do"
    )]
    pub show: bool,
    /// Print what would change and change nothing
    #[arg(long, conflicts_with = "confirm", help_heading = "What to do")]
    pub dry_run: bool,
    /// Time in which the board must be confirmed, else it returns to its old settings
    ///
    /// 10s to 1h, from the restart of the board on.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "90s",
        value_parser = confirm_timeout,
        value_hint = ValueHint::Other,
        help_heading = "What to do",
        hide_short_help = true
    )]
    pub confirm_timeout: ConfirmTimeout,
    /// Expected new address of the board: HOST[:PORT]
    ///
    /// configure tries it in addition to the old address and to those that mDNS finds. Use it if the new
    /// network assigns the board a fixed address.
    #[arg(
        long,
        value_name = "ADDRESS",
        value_hint = ValueHint::Hostname,
        help_heading = "What to do",
        hide_short_help = true
    )]
    pub address: Option<String>,
    /// Send the new settings and exit; another computer confirms them
    ///
    /// For a board that this computer cannot reach afterwards. On the other computer, with a copy of the
    /// key file: tcpctl configure TARGET --confirm
    #[arg(
        long,
        conflicts_with_all = ["confirm", "no_wait", "address"],
        help_heading = "What to do",
        hide_short_help = true
    )]
    pub no_confirm: bool,
    /// Confirm the settings that another computer has sent
    #[arg(
        long,
        conflicts_with_all = ["settings", "open", "password_stdin", "address"],
        help_heading = "What to do",
        hide_short_help = true
    )]
    pub confirm: bool,
    /// Do not wait for a greeting
    ///
    /// Settings that need a restart are sent as with --no-confirm.
    #[arg(long, help_heading = "What to do", hide_short_help = true)]
    pub no_wait: bool,

    /// How to reach the management channel.
    #[command(flatten)]
    pub channel: ManagementOptions,
}

/// The settings that `configure` changes.
#[derive(Debug, Clone, Default)]
pub struct ConfigureSettings;

impl OptionSet for ConfigureSettings {
    const HEADING: &str = "Settings";
    const FIELDS: &[Field] = Field::OPTIONS;
    const COMMON: &[Field] = &[Field::Mode, Field::Ssid, Field::Greeting];
    // A setting without a given value is not changed, so it has no default.
    const OTHER_DEFAULT: &[Field] = Field::OPTIONS;
}

fn confirm_timeout(text: &str) -> Result<ConfirmTimeout, String> {
    let duration = units::duration(text)?;
    u16::try_from(duration.as_secs())
        .ok()
        .filter(|_| duration.subsec_nanos() == 0)
        .and_then(ConfirmTimeout::from_secs)
        .ok_or_else(|| "must be whole seconds from 10s to 1h".to_owned())
}

pub(super) const ABOUT: &str = "\
Change a board's settings over the network, with automatic rollback.

configure prints what changes, sends it, and waits until the board is back. New network settings are \
on trial: unless they are confirmed in time, the board returns to its old ones by itself, also after a \
power cut. configure confirms them as soon as it reaches the board under the new settings, then checks \
that the server sends its greeting. The greeting and the request timeout change at once.

The connection is encrypted and authenticated with the board's management key, which tcpctl flash stored \
in the file keys/MAC. tcpctl config shows where; copy the file to configure the board from another \
computer. The passphrase is read hidden from the terminal or with --password-stdin, and never printed.";

const MORE: &str = "\
Examples and all options: tcpctl configure --help
See also: tcpctl flash, tcpctl status, tcpctl config";

const EXAMPLES: &str = "\
Examples:
  Move a board to another network:
    $ tcpctl configure tcpctl-0b3c --ssid home
    passphrase of home:

  Read the passphrase from a password manager:
    $ pass wifi/home | tcpctl configure tcpctl-0b3c --ssid home --password-stdin

  Show the settings in force:
    $ tcpctl configure tcpctl-0b3c --show

  Change the greeting, without a restart:
    $ tcpctl configure tcpctl-0b3c --greeting 'Hello desk'

  Move a board to a network that only another computer reaches:
    $ tcpctl configure 192.168.1.1 --mode sta --ssid lab --no-confirm
    $ ssh lab tcpctl configure tcpctl-0b3c --confirm

  Change the greeting of a virtual board:
    $ tcpctl configure sim --greeting hi

See also:
  tcpctl flash, tcpctl status, tcpctl config, tcpctl sim

Exit codes:
  0 changed and confirmed, 2 usage, 6 name not resolved, 7 no connection, 28 the board did not come \
back, 56 connection broken, 70 wrong key, rolled back, or refused by the board, 130 interrupted";
