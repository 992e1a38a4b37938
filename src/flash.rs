//! `tcpctl flash`: writes firmware and settings to a board, and checks that it answers.
//!
//! ```text
//! command   the order of steps
//! settings  requested settings over stored ones
//! key       the management key, from its file to the settings
//! firmware  from a file, bundled, or built by cargo
//! loader    the board in its loader: read, checksum, write, reset
//! boot      after the reset: banner, address, greeting
//! repair    the board's state after an interruption
//! event     what is reported; text renders it
//! ```
//!
//! Everything that can be refused is refused before anything is erased. Settings are written after the
//! application, and the partition table last: an interrupted write leaves the old settings in place,
//! and running the same command again completes it.

pub mod boot;
pub mod command;
pub mod event;
pub mod firmware;
pub mod key;
pub mod loader;
pub mod repair;
pub mod settings;
pub mod text;
