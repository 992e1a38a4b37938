//! The command line of `tcpctl man`.

use clap::Args;
use clap::builder::PossibleValuesParser;

/// The arguments of `tcpctl man`.
#[derive(Debug, Args)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
pub struct ManArgs {
    /// Command [default: tcpctl itself]
    #[arg(value_parser = PossibleValuesParser::new(COMMANDS), hide_possible_values = true)]
    pub command: Option<String>,
}

/// All commands.
const COMMANDS: [&str; 16] = [
    "bench",
    "discover",
    "flash",
    "configure",
    "update",
    "monitor",
    "read",
    "send",
    "listen",
    "sim",
    "status",
    "merge",
    "schema",
    "config",
    "completions",
    "man",
];

pub(super) const ABOUT: &str = "\
Print the manual page of a command, or of tcpctl itself.

The page is in roff format, and holds the same text as --help.";

const MORE: &str = "\
Examples: tcpctl man --help
See also: tcpctl completions";

const EXAMPLES: &str = "\
Examples:
  Read a page:
    $ tcpctl man bench | man -l -

  Install the pages of tcpctl and of one command:
    $ tcpctl man > ~/.local/share/man/man1/tcpctl.1
    $ tcpctl man send > ~/.local/share/man/man1/tcpctl-send.1

  Find an option of bench:
    $ tcpctl man bench | man -l - | grep -- --fail-if

See also:
  tcpctl completions

Exit codes:
  0 done, 2 usage";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page() {
        let cli = Cli::command();
        let names: Vec<_> = cli.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, super::COMMANDS);
    }
}
