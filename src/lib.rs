//! `tcpctl`: find, talk to, measure and flash small TCP servers on microcontrollers.
//!
//! A command goes one way through this house, and never turns round:
//! [`cli`] says what can be written (clap types, no logic); [`config`] fills in what was left out
//! and [`target`] says what a TARGET is. The command's own folder, [`discover`], [`send`],
//! [`mod@bench`], [`flash`] or [`monitor`], turns arguments into a plan, carries it out, and makes a
//! report. [`transport`] gives it connections, over the operating system's sockets or over the cable
//! of a virtual board, [`sim`], which runs the firmware's own server; [`console`] reads what boards
//! print on their serial line. Only [`output`] prints, for people or as JSON;
//! [`sanitize`] is what stands between a peer's bytes and a terminal, and [`schema`] what a program
//! may count on. A [`failure`] has a kind,
//! and with it the [`exit`] code. [`completions`] and [`man`] tell shells and
//! readers what [`cli`] says. [`interrupt`] is Ctrl-C as something to wait for, [`serial`]
//! lists the serial ports, [`units`] reads quantities, [`timestamp`]
//! writes moments, [`pattern`] what a reply is to match, and
//! [`sys`] is all that differs between systems, with the only unsafe code.

pub mod bench;
pub mod cli;
pub mod completions;
pub mod config;
pub mod console;
pub mod discover;
pub mod exit;
pub mod failure;
pub mod flash;
pub mod interrupt;
pub mod man;
pub mod monitor;
pub mod output;
pub mod pattern;
pub mod sanitize;
pub mod schema;
pub mod send;
pub mod serial;
pub mod sim;
pub mod sys;
pub mod target;
pub mod timestamp;
pub mod transport;
pub mod units;

use cli::{Cli, Command};
use exit::Exit;
use failure::{Failure, Kind};
use output::Output;

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
            output.finish(config::command::run(&global, &output))
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

/// Runs a command's concurrent part on this thread.
///
/// It returns when the future is done: a name that is still being resolved, or input that is
/// still being waited for, holds up nobody.
///
/// # Errors
/// The system gives no more of what a runtime needs.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Internal, format!("the system is out of: {error}")))?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
