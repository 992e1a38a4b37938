//! The command line of `tcpctl config`.

use clap::Args;

/// The arguments of `tcpctl config`: none but those of every command.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct ConfigArgs {}

pub(super) const ABOUT: &str = "\
Show the settings in force, and where each comes from.

An option wins over the environment, the environment over the config file, and that over what is \
built in. The file is $XDG_CONFIG_HOME/tcpctl/config.toml, by default ~/.config/tcpctl/config.toml, \
on Windows %APPDATA%\\tcpctl\\config.toml; TCPCTL_CONFIG names another one. It is TOML, and may hold:

  target = \"192.168.1.1:3000\"  # the TARGET of send and bench, as TCPCTL_TARGET
  port = \"/dev/ttyUSB0\"        # the --port of flash and monitor, as TCPCTL_PORT

Color is no matter of the file: NO_COLOR, CLICOLOR_FORCE and --color decide, as in other programs.";

const MORE: &str = "\
What the file may hold, and examples: tcpctl config --help
See also: tcpctl send, tcpctl bench, tcpctl flash, tcpctl monitor";

const EXAMPLES: &str = "\
Examples:
  What is in force here?
    $ tcpctl config

  The board of this project's folder, e.g. by direnv or in a script:
    $ TCPCTL_TARGET=sim:tutorial tcpctl config

  For a script: which target would send use?
    $ tcpctl config --json | jq -r .settings.target.value

See also:
  tcpctl send, tcpctl bench, tcpctl flash, tcpctl monitor

Exit codes:
  0 done, 2 the file or a value can't be used; the message names its line";
