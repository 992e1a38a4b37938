//! What `monitor` tells: one type for a person's lines and a program's (`tcpctl.monitor/1`).

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::symbols::Frame;
use crate::console::{Banner, Said};

/// A line of a board's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitorReport {
    schema: &'static str,
    /// What it says.
    #[serde(flatten)]
    pub event: MonitorEvent,
    /// The addresses of code in it, where an ELF explains them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// The line itself, for people.
    #[serde(skip)]
    pub line: String,
    /// When it was complete.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum MonitorEvent {
    /// The firmware has started.
    Banner {
        /// The words of its banner.
        #[serde(flatten)]
        banner: Banner,
    },
    /// It can be reached.
    Ready {
        /// Where.
        addr: SocketAddr,
    },
    /// A request was read.
    Request {
        /// Who sent it.
        peer: SocketAddr,
        /// Its length in bytes.
        len: u64,
        /// What it says, escaped by the board.
        request: String,
    },
    /// A station of the access point.
    Station {
        /// `joined`, `leased`, `left` and the like.
        change: String,
        /// Its MAC address.
        mac: String,
        /// Its address, where the line tells one.
        addr: Option<String>,
    },
    /// The server's counters.
    Counters {
        /// As the board tells them.
        counters: serde_json::Value,
    },
    /// It has panicked, or says after its reboot that it had.
    Panic {
        /// Why.
        message: String,
    },
    /// Anything else.
    Line {
        /// The line.
        text: String,
    },
}

impl MonitorReport {
    /// A line that has come now.
    pub fn now(line: String, frames: Vec<Frame>) -> Self {
        let event = match crate::console::parse(&line) {
            Said::Banner(banner) => MonitorEvent::Banner { banner },
            Said::Ready(addr) => MonitorEvent::Ready { addr },
            Said::Request { peer, len, request } => MonitorEvent::Request { peer, len, request },
            Said::Station { change, mac, addr } => MonitorEvent::Station { change, mac, addr },
            Said::Counters(counters) => MonitorEvent::Counters { counters },
            Said::Panic(message) => MonitorEvent::Panic { message },
            Said::Line => MonitorEvent::Line { text: line.clone() },
        };
        Self {
            schema: "tcpctl.monitor/1",
            event,
            frames,
            line,
            time: SystemTime::now(),
        }
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}
