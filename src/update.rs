//! `tcpctl update`: new firmware over the management channel.
//!
//! ```text
//! plan      arguments, and which firmware goes to which board
//! command   one board or several, and interrupts
//! board     one board: plan, send, verify, restart, wait, confirm
//! transfer  the image in requests, within the board's window
//! report    what is reported; text renders it
//! ```
//!
//! The board does the part that must not fail: it writes the slot that does not run, checks it, starts it
//! on trial, and returns to the old firmware by itself.

mod board;
pub mod command;
pub mod plan;
pub mod report;
pub mod text;
mod transfer;
