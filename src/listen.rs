//! `tcpctl listen`: accepts connections, prints what arrives, and answers.
//!
//! `plan` turns arguments into data. `command` accepts, `connection` receives and answers,
//! `printer` prints `report`s as JSON, as text on a terminal, or the bytes alone.

pub mod command;
mod connection;
mod plan;
mod printer;
pub mod report;
