//! tcpctl finds, tests, benchmarks, configures and flashes small TCP servers on ESP32 boards.
//!
//! This crate is the command line. It has no stable API: its modules are public for its own tests
//! and benchmarks only. The documented libraries are `tcpctl-engine` (the load engine),
//! `tcpctl-settings` (a board's settings) and `tcpctl-greeter` (a board's servers).
//!
//! Every command goes one way: arguments, plan, engine, report, rendering.
//!
//! - `cli` holds the clap types. `app` dispatches to a command.
//! - Each command has a folder: `bench`, `discover`, `flash`, `monitor`, `send`, `sim`, ... `query` is what `status` and
//!   `read` share. It turns
//!   arguments into a plan, does the work, fills a report, and renders it as text.
//! - `keys` stores the management keys of boards, `management` is the channel that they protect.
//! - `connect` turns a TARGET into a connection: by name, by address, or to a virtual board.
//! - `net`, `mdns`, `serial` and `esp` are the protocols and devices below the commands.
//! - `output` is the only module that prints. `sanitize` escapes untrusted bytes.
//! - `failure` and `exit` decide exit codes.
//! - `sys` holds what differs between systems, and the only `unsafe` code.

// Its symbols, for embassy's queues: MinGW's ld links all of a library before it drops what is unused.
#[cfg(windows)]
use critical_section as _;

#[doc(hidden)]
pub mod app;
#[doc(hidden)]
pub mod atomic_file;
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod board;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod completions;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod config_command;
#[doc(hidden)]
pub mod configure;
#[doc(hidden)]
pub mod connect;
#[doc(hidden)]
pub mod dirs;
#[doc(hidden)]
pub mod discover;
#[doc(hidden)]
pub mod esp;
#[doc(hidden)]
pub mod exchange;
#[doc(hidden)]
pub mod exec;
#[doc(hidden)]
pub mod exit;
#[doc(hidden)]
pub mod failure;
#[doc(hidden)]
pub mod flash;
#[doc(hidden)]
pub mod interrupt;
#[doc(hidden)]
pub mod keys;
#[doc(hidden)]
pub mod listen;
#[doc(hidden)]
pub mod man;
#[doc(hidden)]
pub mod management;
#[doc(hidden)]
pub mod mdns;
#[doc(hidden)]
pub mod monitor;
#[doc(hidden)]
pub mod net;
#[doc(hidden)]
pub mod output;
#[doc(hidden)]
pub mod passphrase;
#[doc(hidden)]
pub mod query;
#[doc(hidden)]
pub mod read;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod sanitize;
#[doc(hidden)]
pub mod schema;
#[doc(hidden)]
pub mod send;
#[doc(hidden)]
pub mod serial;
#[doc(hidden)]
pub mod shell;
#[doc(hidden)]
pub mod sim;
#[doc(hidden)]
pub mod status;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod target;
#[doc(hidden)]
pub mod timestamp;
mod toml_text;
#[doc(hidden)]
pub mod units;
#[doc(hidden)]
pub mod update;
