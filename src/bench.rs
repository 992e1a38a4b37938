//! `tcpctl bench`: the most truthful load test of a small TCP server.
//!
//! `plan.rs` says what is to be done, `command.rs` does it in order: [`limits`] finds what the
//! server can take, the crate `tcpctl-engine` loads it as [`load`] says and fills a [`measurement`],
//! [`ramp`] does so with more and more connections. Then `stats.rs` makes a [`report`] of what was
//! seen, `verdict.rs` draws the conclusions, `compare.rs` and `fail_if.rs` hold it against another run
//! and against conditions, and `saved.rs`, `hdr_log.rs`, `html.rs` and `merge.rs` are its other forms.

pub mod chart;
pub mod command;
pub mod compare;
#[cfg(test)]
pub(crate) mod example;
pub mod fail_if;
pub mod hdr_log;
pub mod html;
pub mod limits;
pub mod merge;
pub mod plan;
pub mod ramp;
pub mod report;
pub mod saved;
pub(crate) mod shares;
pub mod stats;
pub mod text;
pub mod throughput;
pub mod verdict;
