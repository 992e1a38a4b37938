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
//! | [`status`] | the board's readings, for a request of `status` and the console |
//! | [`backlog`] | whose turn it is: workers given out in arrival order |
//! | [`services`] | echo, discard and chargen, for measuring |
//! | [`console`] | what the board prints, on a chip's serial line and in `tcpctl sim` alike |
//! | [`lines`] | lines on their way to a slow console |
//! | [`rate`] | how many of them a flood may print |
//! | [`panic_record`] | a panic's last words, across a reset |
//! | [`backtrace`] | where a panic came from, as far as its stack tells |
//! | [`reset`] | why the board started, in one word |
//! | [`stored`] | the settings, out of their partition |
//! | [`plan`] | a network as the radio's driver is told it |
//! | [`chosen`] | the stored settings or, where they are of no use, the defaults; and why |
//! | [`driver`] | what the radio's driver says no to, in words |
//! | [`boot_loop`] | settings that fail at every start are left alone |
//! | [`counters`] | what has been counted since the start |
//! | [`bursts`] | a driver that gives the servers their turn between frames |
//! | [`refusals`] | a driver that counts the SYNs that the stack refused |
//! | [`dhcp`] | the DHCP server of a board that is its own access point |
//! | [`mdns`] | the mDNS responder: announces the board and answers for it |
//! | [`access_point`] | the address of a board that opens a network, and who is on it |
//! | [`station`] | joining a network and staying on it; why that fails, in words |
//! | [`backoff`] | how long to wait before trying again |
//! | [`presence`] | servers that are there while the network is |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod access_point;
pub mod backlog;
pub mod backoff;
pub mod backtrace;
pub mod boot_loop;
pub mod bursts;
pub mod chosen;
mod connection;
pub mod console;
pub mod counters;
pub mod dhcp;
pub mod driver;
pub mod lines;
pub mod mdns;
pub mod panic_record;
pub mod plan;
pub mod presence;
pub mod rate;
pub mod refusals;
pub mod reset;
pub mod server;
pub mod services;
pub mod station;
pub mod status;
pub mod stored;
mod udp;

#[cfg(test)]
mod cable_tests;
#[cfg(test)]
mod test_clock;
