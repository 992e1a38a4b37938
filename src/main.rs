//! `tcpctl`: parse, run, map the result to an exit code.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use tcpctl::cli::Cli;
use tcpctl::output;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => tcpctl::run(cli),
        Err(error) => output::parse_error(&error, &arguments),
    }
    .into()
}
