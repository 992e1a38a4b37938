//! The command line of `tcpctl completions`.

use clap::{Args, ValueEnum};

/// The arguments of `tcpctl completions`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// Shell to complete in
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, 3.2 and later
    Bash,
    /// elvish
    Elvish,
    /// fish
    Fish,
    /// PowerShell, on Windows and elsewhere
    #[value(alias = "pwsh")]
    Powershell,
    /// zsh
    Zsh,
}

pub(super) const ABOUT: &str = "\
Print a completion script for a shell.

The script asks tcpctl at each TAB. tcpctl completes commands, options, values, files, serial ports, \
network interfaces, and the boards that discover found in the last day. Completion sends nothing to \
the network.";

const MORE: &str = "\
Where to install the script: tcpctl completions --help
See also: tcpctl man";

const EXAMPLES: &str = "\
Examples:
  bash, in this terminal; in ~/.bashrc for all:
    $ source <(tcpctl completions bash)

  zsh, in a directory of $fpath, e.g. after fpath=(~/.zfunc $fpath) in ~/.zshrc, before compinit:
    $ tcpctl completions zsh > ~/.zfunc/_tcpctl

  fish:
    $ tcpctl completions fish > ~/.config/fish/completions/tcpctl.fish

  elvish, at the end of ~/.config/elvish/rc.elv:
    $ tcpctl completions elvish >> ~/.config/elvish/rc.elv

  PowerShell, at the end of the profile:
    $ tcpctl completions powershell >> $PROFILE

See also:
  tcpctl man, tcpctl discover

Exit codes:
  0 done, 2 usage";
