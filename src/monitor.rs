//! `tcpctl monitor`: what a board prints, line by line, with the time and with its panics'
//! addresses as functions and lines.
//!
//! [`console`](crate::board::console) cuts the lines and says what they mean, [`reader`] reads the port
//! on a thread of its own and comes back after a replug, [`symbols`] knows the ELF, [`event`] is
//! what is told, and [`command`] ends it.

pub mod command;
pub mod event;
pub mod reader;
pub mod symbols;
pub mod text;
