//! The board's servers, over [`embassy_net::Stack`]: written once, run on a chip and on the
//! virtual board.
//!
//! Everything here is a future or plain state. There are no statics, no executor tasks and no
//! allocation, so a chip wraps the futures in tasks, a desktop joins them on one thread, and two
//! boards live in one process.
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | the greeting server: slots, workers, the backlog |
//! | [`backlog`] | whose turn it is: workers given out in arrival order |
//! | [`services`] | echo, discard and chargen, for measuring |
//! | [`console`] | what the board prints, on a chip's serial line and in `tcpctl sim` alike |
//! | [`counters`] | what has been counted since the start |
//! | [`bursts`] | a driver that gives the servers their turn between frames |
//! | [`refusals`] | a driver that counts the SYNs that the stack refused |
//! | [`dhcp`] | the DHCP server of a board that is its own access point |
//! | [`mdns`] | the mDNS responder: announces the board and answers for it |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod backlog;
pub mod bursts;
mod connection;
pub mod console;
pub mod counters;
pub mod dhcp;
pub mod mdns;
pub mod refusals;
pub mod server;
pub mod services;
mod udp;

#[cfg(test)]
mod cable_tests;
#[cfg(test)]
mod test_clock;
