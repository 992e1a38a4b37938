//! `tcpctl`: parse, run, map the result to an exit code. A shell that asks what could be typed gets its
//! answer first.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use tcpctl::cli::Cli;
use tcpctl::{completions, output};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    if let Some(exit) = completions::asked(&arguments) {
        return exit.into();
    }
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => tcpctl::run(cli),
        Err(error) => output::parse_error(&error, &arguments),
    }
    .into()
}
