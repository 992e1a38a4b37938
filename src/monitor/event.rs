//! What `monitor` tells: one type for a person's lines and a program's (`tcpctl.monitor/1`).

use std::time::SystemTime;

use serde::Serialize;

use super::symbols::Frame;
use crate::board::console;
use crate::board::console::Said;
use crate::timestamp;

/// A line of a board's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitorReport {
    schema: &'static str,
    /// What it says.
    #[serde(flatten)]
    pub event: Said,
    /// The addresses of code in it, where an ELF explains them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// The line itself, for people.
    #[serde(skip)]
    pub line: String,
    /// When it was complete.
    #[serde(serialize_with = "timestamp::serialize")]
    pub time: SystemTime,
}

impl MonitorReport {
    /// A line that has come now.
    pub fn now(line: String, frames: Vec<Frame>) -> Self {
        Self {
            schema: "tcpctl.monitor/1",
            event: console::parse(&line),
            frames,
            line,
            time: SystemTime::now(),
        }
    }
}
