//! The command line of `tcpctl completions`.

use clap::{Args, ValueEnum};

/// The arguments of `tcpctl completions`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// For which shell
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
Print a script that completes tcpctl's command line in a shell.

The script asks tcpctl at each TAB: commands, options, values, files, serial ports, network interfaces, \
and as targets the boards that discover saw in the last day. Nothing is sent for that.";

const MORE: &str = "\
Where the script goes: tcpctl completions --help
See also: tcpctl man";

const EXAMPLES: &str = "\
Examples:
  bash, in this terminal, or in all if this is a line of ~/.bashrc:
    $ source <(tcpctl completions bash)

  zsh, in a folder of $fpath, e.g. after fpath=(~/.zfunc $fpath) in ~/.zshrc, before compinit:
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
