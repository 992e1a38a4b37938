//! `tcpctl bench`: the most truthful load test of a small TCP server.

pub mod chart;
pub mod compare;
pub mod engine;
#[cfg(test)]
pub(crate) mod example;
pub mod fail_if;
pub mod hdr_log;
pub mod html;
pub mod limits;
pub mod load;
pub mod measurement;
pub mod merge;
mod plot;
pub mod report;
pub mod saved;
pub mod stats;
pub mod verdict;
