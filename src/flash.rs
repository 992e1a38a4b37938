//! `tcpctl flash`: the firmware and its settings onto a board, and proof that it answers.
//!
//! ```text
//! cli ---> settings   what is asked for, over what the board has
//!     ---> firmware   a file, built in, or built by cargo
//!          image      bootloader, partition table, program: for which chip, and whether it fits
//!     ---> port       which serial port, and why not
//!          loader     the board in its loader: read, check sum, write, reset
//! command: the flow; event: what it tells; boot: banner, address, greeting; repair: where it breaks
//! off
//! ```
//!
//! All that can be refused is refused before anything is erased. The settings are written after
//! the program and the partition table last: a write that breaks off leaves the old settings where
//! they were, and the same command once more completes it.

pub mod boot;
pub mod command;
pub mod event;
pub mod firmware;
pub mod loader;
pub mod repair;
pub mod settings;
pub mod text;
