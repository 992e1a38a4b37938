//! `tcpctl discover` without root: announced boards on the loopback, on an mDNS port of their own, and
//! the command line.

mod boards;
mod command;
mod hostile;
#[cfg(target_os = "linux")]
mod network;
#[cfg(unix)]
mod terminal;
