//! The options of the commands that use a board's management channel.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// How to reach the management channel.
#[derive(Debug, Args)]
pub struct ManagementOptions {
    /// File of the management key; `-` reads standard input [default: keys/MAC, see tcpctl config]
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Connection",
        hide_short_help = true
    )]
    pub key_file: Option<PathBuf>,
    /// TCP port of the management channel [default: what `status` names, else 3001]
    #[arg(
        long,
        value_name = "PORT",
        value_parser = clap::value_parser!(u16).range(1..),
        value_hint = ValueHint::Other,
        help_heading = "Connection",
        hide_short_help = true
    )]
    pub management_port: Option<u16>,
}
