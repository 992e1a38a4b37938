//! `tcpctl completions`, in real shells, and what is committed in `completions/`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../processes/prerequisites.rs"]
#[allow(dead_code, reason = "each test binary takes of this what it needs")]
mod prerequisites;

mod committed;
#[cfg(unix)]
mod desk;
#[cfg(unix)]
mod shells;
