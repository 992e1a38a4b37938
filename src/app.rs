//! From parsed arguments to an exit code.

pub mod usage;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::Output;
use crate::{bench, completions, config_command, discover, flash, man, monitor, schema, send, sim};

/// Runs a command and says how it ended; all that there is to tell has been told then.
pub fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    match command {
        Command::Bench(args) => {
            let output = Output::new("bench", &global);
            output.finish(bench::command::run(&args, &output))
        }
        Command::Completions(args) => {
            let output = Output::new("completions", &global);
            output.finish(completions::run(&args, &output))
        }
        Command::Config(_) => {
            let output = Output::new("config", &global);
            output.finish(config_command::run(&global, &output))
        }
        Command::Flash(args) => {
            let output = Output::new("flash", &global);
            output.finish(flash::command::run(&args, &output))
        }
        Command::Man(args) => {
            let output = Output::new("man", &global);
            output.finish(man::run(&args, &output))
        }
        Command::Merge(args) => {
            let output = Output::new("merge", &global);
            output.finish(bench::command::run_merge(&args, &output))
        }
        Command::Discover(args) => {
            let output = Output::new("discover", &global);
            output.finish(discover::command::run(&args, &output))
        }
        Command::Monitor(args) => {
            let output = Output::new("monitor", &global);
            output.finish(monitor::command::run(&args, &output))
        }
        Command::Schema(args) => {
            let output = Output::new("schema", &global);
            let schema = schema::of(args.command).as_bytes();
            output.finish(output.write(schema).map(|()| Exit::Done))
        }
        Command::Send(args) => {
            let output = Output::new("send", &global);
            output.finish(send::run(&args, &output))
        }
        Command::Sim(args) => {
            let output = Output::new("sim", &global);
            output.finish(sim::command::run(&args, &output))
        }
    }
}
