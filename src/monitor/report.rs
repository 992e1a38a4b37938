//! The report of one console line: `tcpctl.monitor/1`.

use std::time::SystemTime;

use serde::Serialize;

use super::symbols::Frame;
use crate::board::console::{self, ConsoleEvent};
use crate::timestamp;

/// A line of a board's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitorReport {
    schema: &'static str,
    /// What the line says.
    #[serde(flatten)]
    pub event: ConsoleEvent,
    /// The code addresses in it that the ELF explains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// Whether the line has no end yet. The whole line follows when it has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// When the line was complete, or shown.
    #[serde(serialize_with = "timestamp::serialize")]
    pub time: SystemTime,
}

impl MonitorReport {
    /// A complete line of text without color that has just arrived.
    pub fn line(text: &str, frames: Vec<Frame>) -> Self {
        Self {
            schema: "tcpctl.monitor/1",
            event: console::parse(text),
            frames,
            partial: false,
            time: SystemTime::now(),
        }
    }

    /// The beginning of a line.
    pub fn unfinished(text: String) -> Self {
        Self {
            schema: "tcpctl.monitor/1",
            event: ConsoleEvent::Line { text },
            frames: Vec::new(),
            partial: true,
            time: SystemTime::now(),
        }
    }
}
