//! The command line: clap types, no logic.
#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these comments are help texts, not Markdown"
)]

mod bench;
mod completions;
mod config;
mod configure;
mod deferred;
mod discover;
mod flash;
mod listen;
mod man;
mod management;
mod monitor;
mod query;
mod send;
mod settings;
mod sim;
mod update;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::ColorWhen;

pub use bench::{BenchArgs, CloseWith, Io, MergeArgs, Part};
pub use completions::{CompletionsArgs, Shell};
pub use config::ConfigArgs;
pub use configure::ConfigureArgs;
pub use deferred::Deferred;
pub use discover::DiscoverArgs;
pub use flash::{After, Before, FlashArgs};
pub use listen::ListenArgs;
pub use man::ManArgs;
pub use management::ManagementOptions;
pub use monitor::MonitorArgs;
pub use query::{QueryArgs, ReadArgs, StatusArgs};
pub use send::SendArgs;
pub use settings::SecurityOptions;
pub use sim::{SimArgs, SimProfile};
pub use update::UpdateArgs;

/// Find, test, benchmark, configure and flash small TCP servers on ESP32 boards
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
    /// Global options.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Global options.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print JSON
    ///
    /// One object for a single result, JSON Lines for a stream. `tcpctl schema COMMAND` prints the
    /// schema.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print more on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count, hide_short_help = true)]
    pub verbose: u8,
    /// Print only data and errors
    #[arg(short, long, global = true, hide_short_help = true)]
    pub quiet: bool,
    /// When to use color; NO_COLOR and CLICOLOR_FORCE are respected
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
    /// Find a TCP server's limits and measure its latency
    #[command(long_about = bench::ABOUT)]
    Bench(Deferred<BenchArgs>),
    /// List boards on the network and on serial ports
    #[command(long_about = discover::ABOUT)]
    Discover(Deferred<DiscoverArgs>),
    /// Write firmware and settings to a board, and check that it answers
    #[command(long_about = flash::ABOUT)]
    Flash(Deferred<FlashArgs>),
    /// Change a board's settings over the network
    #[command(long_about = configure::ABOUT)]
    Configure(Deferred<ConfigureArgs>),
    /// Install new firmware on a board over the network
    #[command(long_about = update::ABOUT)]
    Update(Deferred<UpdateArgs>),
    /// Show a board's serial console
    #[command(long_about = monitor::ABOUT)]
    Monitor(Deferred<MonitorArgs>),
    /// Read a board's sensors
    #[command(long_about = query::READ_ABOUT)]
    Read(Deferred<ReadArgs>),
    /// Send a message to a TCP server and print the reply
    #[command(long_about = send::ABOUT)]
    Send(Deferred<SendArgs>),
    /// Accept connections, print what arrives, and answer
    #[command(long_about = listen::ABOUT)]
    Listen(Deferred<ListenArgs>),
    /// Run a virtual board: the firmware's server without hardware
    #[command(long_about = sim::ABOUT)]
    Sim(Deferred<SimArgs>),
    /// Show the status of boards: firmware, uptime, memory, connections
    #[command(long_about = query::STATUS_ABOUT)]
    Status(Deferred<StatusArgs>),
    /// Merge saved bench reports into one
    Merge(Deferred<MergeArgs>),
    /// Print the JSON schema of a command's output
    Schema(Deferred<SchemaArgs>),
    /// Show the settings in force and where each comes from
    #[command(long_about = config::ABOUT)]
    Config(Deferred<ConfigArgs>),
    /// Print a shell completion script
    #[command(long_about = completions::ABOUT)]
    Completions(Deferred<CompletionsArgs>),
    /// Print a manual page
    #[command(long_about = man::ABOUT)]
    Man(Deferred<ManArgs>),
}

/// The arguments of `tcpctl schema`.
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_MORE, after_long_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// Command whose output the schema describes
    #[arg(value_enum)]
    pub command: SchemaOf,
}

/// Outputs with a published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// bench, and merge
    #[value(alias = "merge")]
    Bench,
    /// configure
    Configure,
    /// discover
    Discover,
    /// config
    Config,
    /// failures of any command
    Error,
    /// flash
    Flash,
    /// listen
    Listen,
    /// monitor
    Monitor,
    /// read
    Read,
    /// send, and its summary
    Send,
    /// sim
    Sim,
    /// status, and a board's reply to the request status
    Status,
    /// update
    Update,
}

/// Shown by `tcpctl` without arguments.
pub const GET_STARTED: &str = "\
Get started:
  tcpctl bench sim            benchmark a virtual board, no hardware needed
  tcpctl discover             find boards on the network and on serial ports
  tcpctl send 192.168.1.1 hi  send a message and print the reply
  tcpctl bench 192.168.1.1    find a board's limits and measure its latency
  tcpctl flash --mode ap      write the firmware to a board

All commands: tcpctl --help. Help with examples: tcpctl send --help";

const MORE: &str = "\
All commands, examples, environment, files and exit codes: tcpctl --help";

const EXAMPLES: &str = "\
Examples:
  Benchmark a virtual board:
    $ tcpctl bench sim

  Find the boards on your network and send one a message:
    $ tcpctl discover
    $ tcpctl send tcpctl-0b3c hi

  Flash a blank board:
    $ tcpctl flash --mode ap

Environment:
  TCPCTL_TARGET is the default TARGET, TCPCTL_PORT the default serial port. TCPCTL_CONFIG names \
another config file. NO_COLOR turns color off, CLICOLOR_FORCE turns it on.

Files:
  ~/.config/tcpctl/config.toml sets target and port; tcpctl config shows the settings in force.
  ~/.cache/tcpctl/boards.json holds the boards that discover found in the last day.

See also:
  tcpctl send, tcpctl bench, tcpctl discover, tcpctl flash

Exit codes:
  0 done
  1 negative result: nothing found, closed without a byte, --expect or --lines unmet, --fail-if met
  2 invalid arguments, file or setting
  6 name not resolved
  7 could not connect
  28 timed out without a reply
  56 connection broke midway
  70 the board, an operation on it, or this computer failed
  130, 143 ended by SIGINT (Ctrl-C) or SIGTERM";

const SCHEMA_MORE: &str = "\
Examples: tcpctl schema --help
See also: tcpctl bench, tcpctl discover";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  List the fields of a bench report:
    $ tcpctl schema bench | jq '.properties | keys'

  Save a schema next to the program that reads the reports:
    $ tcpctl schema bench > tcpctl.bench.json

  Show the fields of a board that discover found:
    $ tcpctl schema discover | jq .properties

See also:
  tcpctl bench, tcpctl discover, tcpctl config

Exit codes:
  0 done, 2 usage";
