//! `tcpctl bench` and `tcpctl merge`: the limits, latency and throughput of a TCP server.
//!
//! [`plan`] turns arguments into a plan, [`command`] carries it out: [`limits`] finds how many
//! connections the server takes, the crate `tcpctl-engine` loads it, [`ramp`] repeats that with more
//! connections, [`throughput`] moves bytes. [`summarize`] makes a [`report`] of it, which is plain
//! data; [`verdict`] adds conclusions and warnings, [`compare`] and [`fail_if`] judge it.
//! [`text`], [`html`], [`saved`] and [`hdr_log`] are its output formats.

pub(crate) mod breakdown;
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
mod start_at;
pub mod summarize;
pub mod text;
pub mod throughput;
pub mod verdict;
