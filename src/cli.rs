//! The command line: every type that clap fills, and no logic.
#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help, which knows no Markdown"
)]

mod bench;
mod completions;
mod config;
mod discover;
mod flash;
mod man;
mod monitor;
mod send;
mod sim;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::ColorWhen;

pub use bench::{BenchArgs, CloseWith, MergeArgs, Part};
pub use completions::{CompletionsArgs, Shell};
pub use config::ConfigArgs;
pub use discover::DiscoverArgs;
pub use flash::{After, Before, FlashArgs};
pub use man::ManArgs;
pub use monitor::MonitorArgs;
pub use send::SendArgs;
pub use sim::{SimArgs, SimProfile};

/// Find small TCP servers on microcontrollers, talk to them, measure and flash them.
#[derive(Debug, Parser)]
#[command(
    name = "tcpctl",
    version,
    long_version = include_str!(concat!(env!("OUT_DIR"), "/version.txt")),
    max_term_width = 100,
    after_help = MORE,
    after_long_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print JSON
    ///
    /// One object for one result, JSON Lines for a stream.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count, hide_short_help = true)]
    pub verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, hide_short_help = true)]
    pub quiet: bool,
    /// When to use color; without it NO_COLOR, CLICOLOR_FORCE and the terminal decide
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_short_help = true
    )]
    pub color: ColorWhen,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure what a TCP server can take, and how fast it answers
    #[command(long_about = bench::ABOUT)]
    Bench(Box<BenchArgs>),
    /// List the boards on the network and on the cable
    #[command(long_about = discover::ABOUT)]
    Discover(Box<DiscoverArgs>),
    /// Put the firmware and its settings onto a board, and see that it answers
    #[command(long_about = flash::ABOUT)]
    Flash(Box<FlashArgs>),
    /// Show what a board prints on its serial line
    #[command(long_about = monitor::ABOUT)]
    Monitor(Box<MonitorArgs>),
    /// Send a message to a TCP server and print its reply
    #[command(long_about = send::ABOUT)]
    Send(Box<SendArgs>),
    /// Run a virtual board: the firmware's own server, with no hardware
    #[command(long_about = sim::ABOUT)]
    Sim(Box<SimArgs>),
    /// Join saved runs of bench into one report
    Merge(Box<MergeArgs>),
    /// Print the JSON schema of a command's output
    Schema(Box<SchemaArgs>),
    /// Show the settings in force, and where each comes from
    #[command(long_about = config::ABOUT)]
    Config(Box<ConfigArgs>),
    /// Print a script that completes commands in a shell
    #[command(long_about = completions::ABOUT)]
    Completions(Box<CompletionsArgs>),
    /// Print a manual page
    #[command(long_about = man::ABOUT)]
    Man(Box<ManArgs>),
}

/// The arguments of `tcpctl schema`.
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_MORE, after_long_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// Whose output
    #[arg(value_enum)]
    pub command: SchemaOf,
}

/// The outputs that have a published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// bench, and merge
    Bench,
    /// discover
    Discover,
    /// config
    Config,
    /// A failure, of any command
    Error,
    /// flash
    Flash,
    /// monitor
    Monitor,
    /// send, and its summary
    Send,
    /// sim
    Sim,
    /// A board's answer to the request status
    Status,
}

/// What one does with it: for who calls it with no arguments.
pub const FIVE_THINGS: &str = "\
Five things that one does with it:
  tcpctl bench sim            measure a virtual board, with no hardware
  tcpctl discover             find the boards on the network and on the cable
  tcpctl send 192.168.1.1 hi  talk to one, from a terminal or a script
  tcpctl bench 192.168.1.1    learn how many clients it takes, and how fast
  tcpctl flash --mode ap      put the firmware onto a board, and see it answer

All commands: tcpctl -h; one of them, with examples: tcpctl send --help";

const MORE: &str = "\
Examples, environment, files, exit codes: tcpctl --help, tcpctl send --help, ...";

const EXAMPLES: &str = "\
Examples:
  Try it now: how many clients does a virtual board take, and how fast is it?
    $ tcpctl bench sim

  Find the boards of your network, and talk to one of them:
    $ tcpctl discover
    $ tcpctl send tcpctl-0b3c hi

  From a blank board to one that answers:
    $ tcpctl flash --mode ap

Environment:
  TCPCTL_TARGET is the TARGET where none is given, TCPCTL_PORT the serial port, TCPCTL_CONFIG names \
another config file. A non-empty NO_COLOR takes all color away, CLICOLOR_FORCE forces it.

Files:
  ~/.config/tcpctl/config.toml may set target and port; tcpctl config shows what is in force.
  ~/.cache/tcpctl/boards.json remembers the boards that discover saw, for a day.

See also:
  tcpctl send, tcpctl bench, tcpctl discover, tcpctl flash

Exit codes:
  0 done
  1 a negative answer: nothing found, closed without a byte, --expect, --lines or --fail-if unmet
  2 usage: a command line, file or setting that can't be
  6 a name was not resolved
  7 no connection could be made
  28 time ran out in silence
  56 a connection broke in the middle
  70 the board, or an operation on it, failed; or something here: a port in use, a full disk
  130, 143 interrupted by Ctrl-C or SIGTERM";

const SCHEMA_MORE: &str = "\
Examples: tcpctl schema --help
See also: tcpctl bench, tcpctl discover";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  What can a report of bench hold?
    $ tcpctl schema bench | jq '.properties | keys'

  Keep it beside the program that reads the reports:
    $ tcpctl schema bench > tcpctl.bench.json

  What does a board that discover has found look like?
    $ tcpctl schema discover | jq .properties

See also:
  tcpctl bench, tcpctl discover, tcpctl config

Exit codes:
  0 done, 2 usage";
