//! Events of `sim` (`tcpctl.sim/1`).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Serialize, Serializer};
use tcpctl_greeter::console::Mac;
use tcpctl_greeter::{dhcp, trial};

use super::servers::Summary;
use crate::timestamp;

/// One event of a virtual board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimReport {
    schema: &'static str,
    /// The event.
    #[serde(flatten)]
    pub event: SimEvent,
    /// Time of the report.
    #[serde(serialize_with = "timestamp::serialize")]
    pub time: SystemTime,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum SimEvent {
    /// The board is reachable.
    Ready {
        /// Address of the relay on this computer, or of the board on a TAP interface.
        addr: SocketAddr,
        /// `ap` or `sta`.
        mode: String,
        /// Connections served at once.
        workers: u8,
        /// Connections that can wait.
        backlog: u8,
        /// TCP port of the management channel; null if it is off.
        mgmt: Option<u16>,
        /// Firmware version; null without a chip.
        firmware: Option<String>,
        /// Name of the profile.
        profile: &'static str,
        /// Random seed of the link.
        seed: u64,
    },
    /// A request was answered, or its connection broke.
    Request {
        /// The client.
        peer: SocketAddr,
        /// Length of the request in bytes.
        len: usize,
        /// The request.
        #[serde(flatten)]
        request: Payload,
        /// Bytes of the reply; null if the connection broke.
        reply_bytes: Option<usize>,
        /// Time from reading the request to the end of the reply, microseconds.
        elapsed_us: u64,
    },
    /// A DHCP lease was granted, renewed, released or declined.
    Lease {
        /// The station's MAC address.
        mac: String,
        /// The leased address.
        addr: Ipv4Addr,
        /// What happened to the lease.
        change: LeaseChange,
    },
    /// The board lost its link or address, or claimed a host name.
    Link {
        /// Whether the board is reachable.
        up: bool,
        /// The board's mDNS host name, without `.local`.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Why the board is not reachable, e.g. `no such network`.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The newest settings are or were on trial, and are not confirmed.
    Trial {
        /// `pending`, `started` or `rolled-back`.
        state: &'static str,
        /// Sequence number of the settings.
        sequence: u32,
        /// Why the board returned to its old settings; null if it did not.
        reason: Option<String>,
        /// Seconds left to confirm the settings; null unless the trial runs.
        remaining_s: Option<u16>,
    },
    /// Final counters.
    Summary {
        /// Completed handshakes.
        accepted: u32,
        /// Connections that got the whole greeting.
        served: u32,
        /// SYNs refused because no slot was free.
        refused: u32,
        /// Served connections that sent no request.
        timed_out: u32,
        /// Connections reset or closed early by the peer.
        reset: u32,
        /// Request bytes.
        bytes_in: u64,
        /// Reply bytes.
        bytes_out: u64,
        /// Events dropped because they could not be printed in time.
        events_dropped: u64,
    },
}

/// What happened to a lease. The names are those of the board's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseChange {
    /// Granted.
    Leased,
    /// Renewed.
    Renewed,
    /// Released by the station.
    Released,
    /// Declined by the station: the address is in use.
    Declined,
}

/// Bytes in JSON: text if they are UTF-8, else base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(pub Vec<u8>);

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match std::str::from_utf8(&self.0) {
            Ok(text) => map.serialize_entry("request", text)?,
            Err(_) => map.serialize_entry("request_base64", &BASE64_STANDARD.encode(&self.0))?,
        }
        map.end()
    }
}

impl SimReport {
    /// An event that happens now.
    pub fn now(event: SimEvent) -> Self {
        Self {
            schema: "tcpctl.sim/1",
            event,
            time: SystemTime::now(),
        }
    }
}

impl From<dhcp::LeaseEvent> for SimEvent {
    fn from(lease: dhcp::LeaseEvent) -> Self {
        Self::Lease {
            mac: Mac(lease.mac).to_string(),
            addr: lease.address,
            change: match lease.change {
                dhcp::Change::Granted => LeaseChange::Leased,
                dhcp::Change::Renewed => LeaseChange::Renewed,
                dhcp::Change::Released => LeaseChange::Released,
                dhcp::Change::Declined => LeaseChange::Declined,
            },
        }
    }
}

impl From<trial::Report> for SimEvent {
    fn from(report: trial::Report) -> Self {
        Self::Trial {
            state: report.state_name(),
            sequence: report.sequence,
            reason: report.reason().map(|reason| reason.to_string()),
            remaining_s: report.remaining_s(),
        }
    }
}

impl From<Summary> for SimEvent {
    fn from(summary: Summary) -> Self {
        let counters = summary.counters;
        Self::Summary {
            accepted: counters.accepted,
            served: counters.served,
            refused: counters.refused.unwrap_or_default(),
            timed_out: counters.timed_out,
            reset: counters.reset,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            events_dropped: summary.events_dropped,
        }
    }
}
