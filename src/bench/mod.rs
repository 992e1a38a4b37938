//! `tcpctl bench`: the most truthful load test of a small TCP server.

pub mod limits;
pub mod measurement;
