//! `tcpctl sim` as other programs meet it: behind its relay, at the ends of its pipes, and in
//! what it says.
#![cfg(unix)]

#[path = "../processes/mod.rs"]
#[allow(
    dead_code,
    reason = "each of the two that share it leaves a part unused"
)]
mod processes;
#[path = "../common/schema.rs"]
mod schema;

mod board;
mod clients;
mod console;
mod ending;
mod refusals;
