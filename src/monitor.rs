//! `tcpctl monitor`: shows a board's console with times, decodes the addresses of panics, and sends
//! typed keys to the board.
//!
//! `port_thread` reads and writes the port and reopens it after a replug. `command` splits the bytes
//! into lines, [`console`](crate::board::console) parses them into `report`s, and `text` prints
//! those. `keyboard` reads keys, `symbols` reads the ELF.

pub mod command;
mod keyboard;
mod port_thread;
pub mod report;
pub mod symbols;
mod text;
