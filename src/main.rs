//! `tcpctl`: parse, run, map the result to an exit code.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use tcpctl::cli::Cli;
use tcpctl::{app, completions, interrupt};

fn main() -> ExitCode {
    interrupt::exit_by_default();
    let arguments = app::usage::expand_help(env::args_os().collect());
    if let Some(exit) = completions::answer_script(&arguments) {
        return exit.into();
    }
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => app::run(cli),
        Err(error) => app::usage::parse_error(&error, &arguments),
    }
    .into()
}
