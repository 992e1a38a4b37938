//! Where a board is now, by its MAC address: a board that changes its network has another address.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::mdns::message::DnsName;
use crate::mdns::{Browser, MdnsEvent, PORT, Purpose, SERVICE_TYPE, socket_addresses};
use crate::net::interfaces;
use crate::serial;

/// A board that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its greeting server.
    pub addresses: Vec<SocketAddr>,
    /// The port of its management channel, if it has one.
    pub management: Option<u16>,
}

/// Asks all boards, and returns the first whose MAC address is accepted; `None` if there is none within
/// `timeout`.
pub async fn by_mac(accept: impl Fn([u8; 6]) -> bool, timeout: Duration) -> Option<Announced> {
    let service_type = DnsName::of_text(&format!("{SERVICE_TYPE}.local"))?;
    let mut mdns = Browser::new(service_type, PORT, Purpose::Search);
    mdns.use_interfaces(&interfaces::list().unwrap_or_default());
    let end = Instant::now() + timeout;
    while Instant::now() < end {
        if mdns.next_question() <= Instant::now() {
            mdns.ask().await;
        }
        let wake = mdns.next_question().min(end);
        tokio::select! {
            received = mdns.receive() => {
                for event in mdns.learn(received).await {
                    let MdnsEvent::Found(origin, service) = event else {
                        continue;
                    };
                    let text = |key: &str| {
                        let found = service.text.iter().find(|(known, _)| known == key);
                        found.map(|(_, value)| value.as_str())
                    };
                    let mac = text("mac").and_then(serial::mac_address);
                    let addresses =
                        socket_addresses(&service.addresses, service.port, origin.interface);
                    if mac.and_then(|mac| bytes(&mac)).is_some_and(&accept)
                        && !addresses.is_empty()
                    {
                        let management = text("mgmt").and_then(|port| port.parse().ok());
                        return Some(Announced {
                            addresses,
                            management,
                        });
                    }
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
    None
}

/// The bytes of a MAC address with colons.
fn bytes(mac: &str) -> Option<[u8; 6]> {
    let bytes: Result<Vec<_>, _> = mac
        .split(':')
        .map(|digits| u8::from_str_radix(digits, 16))
        .collect();
    bytes.ok()?.try_into().ok()
}
