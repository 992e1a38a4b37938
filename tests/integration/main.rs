//! The integration tests: one binary with a module per command or topic. A test that needs a
//! process of its own starts one (`bench_engine::kernel`) or is a separate binary (`idle`, `soak`).

mod bench;
mod bench_engine;
mod common;
mod completions;
mod config;
#[cfg(target_os = "linux")]
mod configure;
mod discover;
mod faults;
mod firmware_images;
#[cfg(target_os = "linux")]
mod flash;
mod fuzz_corpus;
mod greeter;
mod help;
mod limit_finder;
#[path = "../../benches/support/limited.rs"]
mod limited;
#[cfg(target_os = "linux")]
mod listen;
#[cfg(target_os = "linux")]
mod monitor;
#[cfg(target_os = "linux")]
mod peers;
mod policy;
mod processes;
mod query;
#[cfg(unix)]
mod send;
mod session;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(unix)]
mod sim;
mod simulated;
mod throughput;
mod transcripts;
#[cfg(target_os = "linux")]
mod update;
mod version;
