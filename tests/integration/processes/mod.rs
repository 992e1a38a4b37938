//! Child processes of tests: started, read, and killed in any case.

mod board;
mod prerequisites;
mod process;

pub(crate) use board::Board;
pub(crate) use prerequisites::{Need, skipped};
pub(crate) use process::{Ended, Process, Stream};

/// The request of the tutorial's client.
pub(crate) const REQUEST: &str = "Hello TCP world!\r\n";
/// The reply of a board.
pub(crate) const GREETING: &str = "Hello World";
/// [`REQUEST`] as the console prints it, after the peer.
pub(crate) const SHOWN: &str = r#" len=18 "Hello TCP world!\r\n" reply=11 took="#;
