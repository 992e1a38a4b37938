//! The events of `listen`: `tcpctl.listen/1`.

use std::net::SocketAddr;
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Serialize;

use crate::timestamp;

/// An event with its time.
#[derive(Debug, Serialize)]
pub struct ListenReport<'a> {
    schema: &'static str,
    /// What happened.
    #[serde(flatten)]
    pub event: ListenEvent<'a>,
    /// Time of the event.
    #[serde(serialize_with = "timestamp::serialize")]
    pub time: SystemTime,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ListenEvent<'a> {
    /// Connections are accepted.
    Ready {
        /// The listening address.
        addr: SocketAddr,
    },
    /// A connection was accepted.
    Accepted {
        /// The client.
        peer: SocketAddr,
    },
    /// Bytes arrived.
    Received {
        /// The client.
        peer: SocketAddr,
        /// Number of bytes.
        len: usize,
        /// The bytes.
        #[serde(flatten)]
        data: Data<'a>,
    },
    /// A connection ended.
    Closed {
        /// The client.
        peer: SocketAddr,
        /// Reason for the end.
        reason: CloseReason,
        /// Bytes received.
        received_bytes: u64,
        /// Bytes sent.
        sent_bytes: u64,
    },
}

/// Received bytes, as text if they are UTF-8.
#[derive(Debug, Serialize)]
pub enum Data<'a> {
    /// UTF-8.
    #[serde(rename = "data")]
    Text(&'a str),
    /// Base64.
    #[serde(rename = "data_base64")]
    Base64(String),
}

/// Reasons for the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    /// The client closed it.
    Peer,
    /// The reply was sent.
    Replied,
    /// The client reset it.
    Reset,
    /// `listen` ended.
    Ended,
}

impl<'a> Data<'a> {
    /// The data of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes)
            .map_or_else(|_| Self::Base64(BASE64_STANDARD.encode(bytes)), Self::Text)
    }
}

impl<'a> ListenReport<'a> {
    /// An event that happens now.
    pub fn now(event: ListenEvent<'a>) -> Self {
        Self {
            schema: "tcpctl.listen/1",
            event,
            time: SystemTime::now(),
        }
    }
}
