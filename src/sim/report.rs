//! What `sim` tells: one type for a person's lines and a program's (`tcpctl.sim/1`).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Serialize, Serializer};
use tcpctl_greeter::console::Mac;
use tcpctl_greeter::dhcp;

use super::servers::Summary;
use crate::timestamp;

/// One event of a virtual board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimReport {
    schema: &'static str,
    /// What has happened.
    #[serde(flatten)]
    pub event: SimEvent,
    /// When it was told.
    #[serde(serialize_with = "timestamp::serialize")]
    pub time: SystemTime,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum SimEvent {
    /// The board can be reached.
    Ready {
        /// Where: this computer's address of the relay, or the board's own on the wire.
        addr: SocketAddr,
        /// `ap` or `sta`.
        mode: String,
        /// Connections served at a time.
        workers: u8,
        /// Connections that wait their turn.
        backlog: u8,
        /// The profile.
        profile: &'static str,
        /// What decides the cable's faults.
        seed: u64,
    },
    /// A request was read.
    Request {
        /// Who sent it.
        peer: SocketAddr,
        /// Its length in bytes.
        len: usize,
        /// What it says.
        #[serde(flatten)]
        request: Payload,
    },
    /// A DHCP lease began, went on or ended.
    Lease {
        /// The station's hardware address.
        mac: String,
        /// Its address.
        addr: Ipv4Addr,
        /// What happened to it.
        change: LeaseChange,
    },
    /// The board has lost its link or its address, or has a name on the wire.
    Link {
        /// Whether it can be reached.
        up: bool,
        /// The host name that it answers to over mDNS, without `.local`.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// The end.
    Summary {
        /// Connections whose handshake was completed.
        accepted: u32,
        /// Connections that were sent the whole greeting.
        served: u32,
        /// SYNs that found no free slot.
        refused: u32,
        /// Served connections that had stayed silent.
        timed_out: u32,
        /// Connections that the peer reset or left.
        reset: u32,
        /// Bytes of requests.
        bytes_in: u64,
        /// Bytes of greetings.
        bytes_out: u64,
        /// Events that came faster than they could be printed.
        events_dropped: u64,
    },
}

/// What happened to a lease, as in the board's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseChange {
    /// A new one.
    Leased,
    /// Another term.
    Renewed,
    /// Given back.
    Released,
    /// Refused by the station: somebody else has the address.
    Declined,
}

/// Bytes for JSON: as text where they are text.
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
    /// An event, now.
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
