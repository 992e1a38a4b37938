//! Dispatches a parsed command line to its command.

pub mod usage;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::{Options, Output, Verbosity};
use crate::{
    bench, completions, config_command, configure, discover, flash, listen, man, monitor, read,
    schema, send, sim, status, update,
};

/// Runs a command and prints its failure, if any.
pub fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let options = Options {
        json: global.json,
        verbosity: match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        },
        color: global.color,
    };
    match command {
        Command::Bench(args) => {
            let output = Output::new("bench", options);
            output.finish(bench::command::run(&args, &output))
        }
        Command::Completions(args) => {
            let output = Output::new("completions", options);
            output.finish(completions::run(&args, &output))
        }
        Command::Config(_) => {
            let output = Output::new("config", options);
            output.finish(config_command::run(&global, &output))
        }
        Command::Configure(args) => {
            let output = Output::new("configure", options);
            output.finish(configure::command::run(&args, &output))
        }
        Command::Update(args) => {
            let output = Output::new("update", options);
            output.finish(update::command::run(&args, &output))
        }
        Command::Flash(args) => {
            let output = Output::new("flash", options);
            output.finish(flash::command::run(&args, &output))
        }
        Command::Listen(args) => {
            let output = Output::new("listen", options);
            output.finish(listen::command::run(&args, &output))
        }
        Command::Man(args) => {
            let output = Output::new("man", options);
            output.finish(man::run(&args, &output))
        }
        Command::Merge(args) => {
            let output = Output::new("merge", options);
            output.finish(bench::command::run_merge(&args, &output))
        }
        Command::Discover(args) => {
            let output = Output::new("discover", options);
            output.finish(discover::command::run(&args, &output))
        }
        Command::Monitor(args) => {
            let output = Output::new("monitor", options);
            output.finish(monitor::command::run(&args, &output))
        }
        Command::Read(args) => {
            let output = Output::new("read", options);
            output.finish(read::run(&args, &output))
        }
        Command::Status(args) => {
            let output = Output::new("status", options);
            output.finish(status::run(&args, &output))
        }
        Command::Schema(args) => {
            let output = Output::new("schema", options);
            let schema = schema::of(args.command).as_bytes();
            output.finish(output.write(schema).map(|()| Exit::Done))
        }
        Command::Send(args) => {
            let output = Output::new("send", options);
            output.finish(send::run(&args, &output))
        }
        Command::Sim(args) => {
            let output = Output::new("sim", options);
            output.finish(sim::command::run(&args, &output))
        }
    }
}
