//! Finds a board by its MAC address: on another network it has another IP address.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::mdns::message::DnsName;
use crate::mdns::{Browser, MdnsEvent, PORT, Purpose, SERVICE_TYPE, socket_addresses};
use crate::net::interfaces;
use crate::serial;

/// Maximum announcements with one MAC address.
const MAX_CLAIMS: usize = 8;

/// A board that announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Addresses of its greeting server.
    pub addresses: Vec<SocketAddr>,
    /// Port of its management channel, if it has one.
    pub management: Option<u16>,
}

/// Time for further announcements after the first: responders wait up to 120 ms (RFC 6762, section
/// 6).
const FURTHER: Duration = Duration::from_millis(400);

/// Queries all boards, and returns those whose MAC address `accept` accepts. Announcements are not
/// authenticated: several boards may claim one address. Returns soon after the first, or at the end
/// of `timeout`.
pub async fn by_mac(accept: impl Fn([u8; 6]) -> bool, timeout: Duration) -> Vec<Announced> {
    let mut boards = Vec::new();
    let Some(service_type) = DnsName::of_text(&format!("{SERVICE_TYPE}.local")) else {
        return boards;
    };
    let mut mdns = Browser::new(service_type, PORT, Purpose::Search);
    mdns.use_interfaces(&interfaces::list().unwrap_or_default());
    let mut end = Instant::now() + timeout;
    while Instant::now() < end {
        if mdns.next_question() <= Instant::now() {
            mdns.ask().await;
        }
        let wake = mdns.next_question().min(end);
        tokio::select! {
            received = mdns.receive() => {
                for event in mdns.learn(received).await {
                    let Some(board) = announced(event, &accept) else {
                        continue;
                    };
                    if boards.is_empty() {
                        end = end.min(Instant::now() + FURTHER);
                    }
                    if boards.len() < MAX_CLAIMS && !boards.contains(&board) {
                        boards.push(board);
                    }
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
    boards
}

/// The board of an announcement, if `accept` accepts its MAC address.
fn announced(event: MdnsEvent, accept: impl Fn([u8; 6]) -> bool) -> Option<Announced> {
    let MdnsEvent::Found(origin, service) = event else {
        return None;
    };
    service
        .txt("mac")
        .and_then(serial::mac_bytes)
        .filter(|mac| accept(*mac))?;
    let addresses = socket_addresses(&service.addresses, service.port, origin.interface);
    let management = service.txt("mgmt").and_then(|port| port.parse().ok());
    (!addresses.is_empty()).then_some(Announced {
        addresses,
        management,
    })
}
