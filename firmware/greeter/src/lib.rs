//! The servers of a board over [`embassy_net::Stack`], for chips and for virtual boards.
//!
//! Everything is a future or plain state: no statics and no executor tasks. Only management sessions
//! allocate. A chip wraps the futures in tasks. A computer joins them on one thread, with any number of
//! boards per process.
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | the greeting server: slots, workers, the backlog |
//! | [`status`] | the status line, for requests and the console |
//! | [`handler`] | requests with a reply of their own |
//! | [`backlog`] | assigns workers in arrival order |
//! | [`services`] | echo, discard and chargen |
//! | [`console`] | console lines |
//! | [`lines`] | queue of lines for a slow console |
//! | [`rate`] | rate limit for console lines |
//! | [`memory`] | the memory of each chip, and the connections that fit |
//! | [`otadata`] | the application slot to start, and trials of new ones |
//! | [`update`] | new firmware over the network: slots, transfer, trial |
//! | [`panic_record`] | a panic message that survives a reset |
//! | [`backtrace`] | backtrace of a panic |
//! | [`reset`] | reset reasons |
//! | [`stored`] | reads the settings from flash |
//! | [`flash`] | writes to flash |
//! | [`settings_store`] | writes the settings |
//! | [`trial`] | a trial of settings, until it is confirmed or rolled back |
//! | [`management`] | the management server |
//! | [`radio_config`] | configuration of the radio |
//! | [`active_settings`] | the settings in force: stored or default |
//! | [`driver`] | errors of the radio driver |
//! | [`boot_loop`] | ignores settings that fail at every start |
//! | [`counters`] | counters of the greeting server |
//! | [`bursts`] | driver that lets the servers run between frames |
//! | [`refusals`] | driver that counts refused SYNs |
//! | [`dhcp`] | DHCP server of an access point |
//! | [`mdns`] | mDNS responder |
//! | [`access_point`] | address and stations of an access point |
//! | [`station`] | joining a network and staying on it |
//! | [`backoff`] | exponential backoff |
//! | [`presence`] | servers that run while the board is online |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod access_point;
pub mod active_settings;
pub mod backlog;
pub mod backoff;
pub mod backtrace;
pub mod boot_loop;
pub mod bursts;
mod connection;
pub mod console;
pub mod counters;
pub mod dhcp;
pub mod driver;
pub mod flash;
pub mod handler;
pub mod lines;
pub mod management;
pub mod mdns;
pub mod memory;
pub mod otadata;
pub mod panic_record;
pub mod presence;
pub mod radio_config;
pub mod rate;
pub mod refusals;
pub mod reset;
pub mod server;
pub mod services;
pub mod settings_store;
pub mod station;
pub mod status;
pub mod stored;
pub mod trial;
mod udp;
pub mod update;

#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod test_clock;
#[cfg(test)]
mod test_flash;
