//! `tcpctl discover`, without root: boards of our own announcer on the loopback, on a port of mDNS
//! that nobody else has, and the command line itself.

mod boards;
mod command;
mod hostile;
#[cfg(target_os = "linux")]
mod network;
#[cfg(unix)]
mod terminal;
