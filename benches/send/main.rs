//! The cost of `tcpctl send` compared with nc and ncat.
//!
//! ```text
//! cargo bench --bench send              # both, about half a minute
//! cargo bench --bench send -- exchange  # start to exit, compared with nc
//! cargo bench --bench send -- pipe      # a gibibyte, compared with ncat
//! ```
//!
//! Runs alternate, and the ratio counts. No time is a failure.

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

const TCPCTL: &str = env!("CARGO_BIN_EXE_tcpctl");

fn main() -> ExitCode {
    sections::run(&[("exchange", exchange::run), ("pipe", pipe::run)])
}
