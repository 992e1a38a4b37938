//! `tcpctl configure`: changes a board's settings over the management channel.
//!
//! ```text
//! plan      arguments, and the settings that change
//! command   show, send, wait, confirm
//! report    what is reported; text renders it
//! ```
//!
//! The board does the part that must not fail: it stores new settings beside the old ones, and returns to
//! those by itself unless the new ones are confirmed.

pub mod command;
pub mod plan;
pub mod report;
pub mod text;
