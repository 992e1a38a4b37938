//! `tcpctl`: parse, run, map the result to an exit code. A shell that asks what could be typed gets its
//! answer first.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use tcpctl::cli::Cli;
use tcpctl::{app, completions};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    if let Some(exit) = completions::asked(&arguments) {
        return exit.into();
    }
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => app::run(cli),
        Err(error) => app::usage::parse_error(&error, &arguments),
    }
    .into()
}
