//! Child processes of tests: started, read, and always killed.
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "other programs are peers on Linux only")
)]

#[cfg(unix)]
mod board;
mod prerequisites;
#[cfg(unix)]
mod process;

#[cfg(unix)]
pub(crate) use board::Board;
pub(crate) use prerequisites::{Need, skipped};
#[cfg(unix)]
pub(crate) use process::{Ended, Process, Stream};

/// The request of the tutorial's client.
#[cfg(unix)]
pub(crate) const REQUEST: &str = "Hello TCP world!\r\n";
/// The reply of a board.
#[cfg(unix)]
pub(crate) const GREETING: &str = "Hello World";
/// [`REQUEST`] as the console prints it, after the peer.
#[cfg(unix)]
pub(crate) const SHOWN: &str = r#" len=18 "Hello TCP world!\r\n" reply=11 took="#;
