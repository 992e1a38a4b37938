//! `tcpctl bench`: the most truthful load test of a small TCP server.

pub mod engine;
pub mod load;
pub mod measurement;
