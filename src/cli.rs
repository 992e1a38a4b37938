//! The command line: every type that clap fills, and no logic.
#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help, which knows no Markdown"
)]

mod bench;
mod deferred;
mod discover;
mod flash;
mod monitor;
mod send;
mod sim;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use bench::{BenchArgs, CloseWith, MergeArgs, Part};
pub use deferred::Deferred;
pub use discover::DiscoverArgs;
pub use flash::{After, Before, FlashArgs};
pub use monitor::MonitorArgs;
pub use send::{ReplyForm, SendArgs};
pub use sim::{SimArgs, SimProfile};

/// Everything for small TCP servers on microcontrollers: find them, talk to them and measure them, from one terminal.
#[derive(Debug, Parser)]
#[command(
    name = "tcpctl",
    version,
    max_term_width = 100,
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
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print JSON: one object for one result, JSON Lines for a stream
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour; without it NO_COLOR, CLICOLOR_FORCE and the terminal decide
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorWhen,
}

/// The values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// Where it is a terminal that shows colour, and the environment does not object.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Nowhere.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure what a TCP server can take, and how fast it answers
    #[command(long_about = bench::ABOUT)]
    Bench(Deferred<BenchArgs>),
    /// List the boards on the network and on the cable
    #[command(long_about = discover::ABOUT)]
    Discover(Deferred<DiscoverArgs>),
    /// Put the firmware and its settings onto a board, and see that it answers
    #[command(long_about = flash::ABOUT)]
    Flash(Deferred<FlashArgs>),
    /// Show what a board prints on its serial line
    #[command(long_about = monitor::ABOUT)]
    Monitor(Deferred<MonitorArgs>),
    /// Send a message to a TCP server and print its reply
    #[command(long_about = send::ABOUT)]
    Send(Deferred<SendArgs>),
    /// Run a virtual board: the firmware's own server, with no hardware
    #[command(long_about = sim::ABOUT)]
    Sim(Deferred<SimArgs>),
    /// Join saved runs of bench into one report
    Merge(Deferred<MergeArgs>),
    /// Print the JSON schema of a command's output
    Schema(Deferred<SchemaArgs>),
}

/// The arguments of `tcpctl schema`.
#[derive(Debug, Args)]
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
