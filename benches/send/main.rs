//! What `tcpctl send` costs, beside the tools that people use for the same.
//!
//! ```text
//! cargo bench --bench send              # both, about half a minute
//! cargo bench --bench send -- exchange  # start to exit, beside nc
//! cargo bench --bench send -- pipe      # a gibibyte, beside ncat
//! ```
//!
//! Runs alternate, and the ratio is what counts. Nothing here fails on a time.

mod exchange;
mod pipe;
mod servers;

#[path = "../support/installed.rs"]
mod installed;
#[path = "../support/sections.rs"]
mod sections;
#[path = "../support/spread.rs"]
mod spread;
#[path = "../support/table.rs"]
mod table;

use std::process::ExitCode;

use sections::{Result, met};

/// The program that is measured.
const TCPCTL: &str = env!("CARGO_BIN_EXE_tcpctl");

fn main() -> ExitCode {
    sections::run(&[("exchange", exchange::run), ("pipe", pipe::run)])
}
