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
    /// The parsed line.
    #[serde(flatten)]
    pub event: ConsoleEvent,
    /// Code addresses in the line, resolved with the ELF.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// Whether the line is incomplete. The whole line follows once it is complete.
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
