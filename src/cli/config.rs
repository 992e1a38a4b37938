//! The command line of `tcpctl config`.

use clap::Args;

/// The arguments of `tcpctl config`: only the global ones.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct ConfigArgs {}

pub(super) const ABOUT: &str = "\
Show the settings in force and where each comes from.

Options override the environment, the environment overrides the config file, and the file overrides \
built-in defaults. The file is $XDG_CONFIG_HOME/tcpctl/config.toml, by default ~/.config/tcpctl/config.toml, \
on Windows %APPDATA%\\tcpctl\\config.toml; TCPCTL_CONFIG names another file. It is TOML with these keys:

  target = \"192.168.1.1:3000\"  # TARGET of send, bench, ...; like TCPCTL_TARGET
  port = \"/dev/ttyUSB0\"        # --port of flash and monitor; like TCPCTL_PORT

color cannot be set in the config file: use NO_COLOR, CLICOLOR_FORCE or --color.

The management key of each board is in $XDG_DATA_HOME/tcpctl/keys/MAC, by default \
~/.local/share/tcpctl/keys/MAC, on Windows %LOCALAPPDATA%\\tcpctl\\keys\\MAC. MAC has 12 hexadecimal \
digits. Copy a file to another computer to configure the board from there; keep its mode 0600.";

const MORE: &str = "\
Keys of the file and examples: tcpctl config --help
See also: tcpctl send, tcpctl bench, tcpctl flash, tcpctl monitor";

const EXAMPLES: &str = "\
Examples:
  Show the settings in force:
    $ tcpctl config

  Set a target for one project, e.g. with direnv or in a script:
    $ TCPCTL_TARGET=sim:tutorial tcpctl config

  Print the target that send would use:
    $ tcpctl config --json | jq -r .settings.target.value

See also:
  tcpctl send, tcpctl bench, tcpctl flash, tcpctl monitor

Exit codes:
  0 done, 2 the file or a value is invalid";
