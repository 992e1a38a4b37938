//! Programs as the tests see them: started, listened to, and ended whatever happens.

mod board;
mod prerequisites;
mod process;

pub(crate) use board::Board;
pub(crate) use prerequisites::{Need, skipped};
pub(crate) use process::{Ended, Process, Stream};

/// What a client of the tutorial sends.
pub(crate) const REQUEST: &str = "Hello TCP world!\r\n";
/// What a board answers.
pub(crate) const GREETING: &str = "Hello World";
/// [`REQUEST`] as the console shows it, after the peer.
pub(crate) const SHOWN: &str = r#" len=18 "Hello TCP world!\r\n" time="#;
