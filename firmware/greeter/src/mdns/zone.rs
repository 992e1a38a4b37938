//! The board's names and record data.

use core::fmt::{self, Write as _};
use core::net::Ipv4Addr;

use edge_mdns::NameSlice;
use heapless::{String, Vec};

use super::records::Kind;

/// Maximum label length of a domain name, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;
/// Maximum data of a record: the TXT strings.
const MAX_DATA: usize = 256;

const LOCAL: &str = "local";
const SERVICE: &str = "_tcpctl";
const TCP: &str = "_tcp";

pub(super) type Data = Vec<u8, MAX_DATA>;
/// Labels of a name, without the root. The reverse name has the most.
pub(super) type Labels<'z> = Vec<&'z str, 6>;

/// The identity that a board announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Host name without `.local`, and name of the service instance: 1 to 63 letters, digits and inner
    /// hyphens.
    pub hostname: &'a str,
    /// The TCP port of the greeting server.
    pub port: u16,
    /// The chip, such as `esp32c3` (TXT `chip`).
    pub chip: &'a str,
    /// `ap` or `sta` (TXT `mode`).
    pub mode: &'a str,
    /// The firmware's version (TXT `fw`).
    pub firmware: &'a str,
    /// MAC address (TXT `mac`).
    pub mac: [u8; 6],
    /// The TCP port of the management server, if it is on (TXT `mgmt`).
    pub management: Option<u16>,
}

/// Why an [`Identity`] cannot be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidIdentity {
    /// The host name is not one label of letters, digits and hyphens.
    Hostname,
    /// The TXT strings do not fit into 256 bytes.
    Text,
}

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "the host name must be 1 to 63 letters, digits or inner hyphens",
            Self::Text => "chip, mode and firmware version are too long for a TXT record",
        })
    }
}

impl core::error::Error for InvalidIdentity {}

/// The names and data of the board's records.
#[derive(Clone, Debug)]
pub(super) struct Zone<'a> {
    base: &'a str,
    port: u16,
    text: Data,
    /// The label in use: the host name, with a number after a conflict.
    label: String<MAX_LABEL>,
    number: u32,
    address: Ipv4Addr,
    /// Bytes of the address as labels, last byte first.
    reverse: [String<3>; 4],
}

impl<'a> Zone<'a> {
    pub(super) fn new(identity: &Identity<'a>) -> Result<Self, InvalidIdentity> {
        let base = identity.hostname;
        let hyphen_at_end = base.starts_with('-') || base.ends_with('-');
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if base.is_empty() || hyphen_at_end || !base.bytes().all(allowed) {
            return Err(InvalidIdentity::Hostname);
        }
        let label = String::try_from(base).map_err(|_| InvalidIdentity::Hostname)?;
        let text = text(identity).ok_or(InvalidIdentity::Text)?;
        Ok(Self {
            base,
            port: identity.port,
            text,
            label,
            number: 1,
            address: Ipv4Addr::UNSPECIFIED,
            reverse: Default::default(),
        })
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(super) fn set_address(&mut self, address: Ipv4Addr) {
        self.address = address;
        for (label, byte) in self
            .reverse
            .iter_mut()
            .zip(address.octets().into_iter().rev())
        {
            label.clear();
            // Cannot fail: a byte has at most three digits.
            let _ = write!(label, "{byte}");
        }
    }

    /// Changes to the next name: `greeter`, `greeter-2`, `greeter-3` (RFC 6762 §9, appendix D).
    pub(super) fn rename(&mut self) {
        self.number = self.number.checked_add(1).unwrap_or(2);
        let mut suffix: String<11> = String::new();
        // Cannot fail: there is room for a hyphen and ten digits.
        let _ = write!(suffix, "-{}", self.number);
        let kept = self.base.len().min(MAX_LABEL - suffix.len());
        self.label.clear();
        // The base is ASCII, so any cut is between characters.
        let _ = write!(
            self.label,
            "{}{suffix}",
            self.base.get(..kept).unwrap_or_default()
        );
    }

    pub(super) fn host(&self) -> Labels<'_> {
        labels(&[&self.label, LOCAL])
    }

    pub(super) fn instance(&self) -> Labels<'_> {
        labels(&[&self.label, SERVICE, TCP, LOCAL])
    }

    /// Owner name of a record.
    pub(super) fn owner(&self, kind: Kind) -> Labels<'_> {
        match kind {
            Kind::Address | Kind::OnlyAddress => self.host(),
            Kind::Service | Kind::Text | Kind::OnlyService => self.instance(),
            Kind::Instance => labels(&[SERVICE, TCP, LOCAL]),
            Kind::Type => labels(&["_services", "_dns-sd", "_udp", LOCAL]),
            Kind::Reverse => {
                let [a, b, c, d] = &self.reverse;
                labels(&[a, b, c, d, "in-addr", "arpa"])
            }
        }
    }

    /// Record data with uncompressed names, as compared by RFC 6762 §8.2.
    pub(super) fn data(&self, kind: Kind) -> Data {
        let mut data = Data::new();
        // Cannot fail: names have at most 64 + 21 bytes.
        let fits = match kind {
            Kind::Address => data.extend_from_slice(&self.address.octets()).ok(),
            Kind::Text => data.extend_from_slice(&self.text).ok(),
            Kind::Service => {
                let [high, low] = self.port.to_be_bytes();
                // Priority 0 and weight 0.
                let fields = data.extend_from_slice(&[0, 0, 0, 0, high, low]).ok();
                fields.and_then(|()| push_name(&mut data, &self.host()))
            }
            Kind::Instance => push_name(&mut data, &self.instance()),
            Kind::Type => push_name(&mut data, &self.owner(Kind::Instance)),
            Kind::Reverse => push_name(&mut data, &self.host()),
            // Window 0, the bitmap's length, and a bit for each type: A is 1, TXT 16, SRV 33.
            Kind::OnlyAddress => push_name(&mut data, &self.host())
                .and_then(|()| data.extend_from_slice(&[0, 1, 0x40]).ok()),
            Kind::OnlyService => push_name(&mut data, &self.instance())
                .and_then(|()| data.extend_from_slice(&[0, 5, 0, 0, 0x80, 0, 0x40]).ok()),
        };
        debug_assert!(fits.is_some(), "{kind:?} does not fit");
        data
    }
}

/// `labels` as a domain name.
pub(super) fn name<'l>(labels: &'l Labels<'_>) -> NameSlice<'l> {
    NameSlice::new(labels)
}

fn labels<'z>(labels: &[&'z str]) -> Labels<'z> {
    labels.iter().copied().collect()
}

fn push_name(data: &mut Data, labels: &[&str]) -> Option<()> {
    for label in labels {
        push_string(data, label)?;
    }
    data.push(0).ok()
}

/// Appends a length byte and the string, the format of labels and TXT strings.
fn push_string(data: &mut Data, string: &str) -> Option<()> {
    data.push(u8::try_from(string.len()).ok()?).ok()?;
    data.extend_from_slice(string.as_bytes()).ok()
}

/// The TXT record's data: `txtvers` first (RFC 6763 §6.7).
fn text(identity: &Identity<'_>) -> Option<Data> {
    let mac = identity.mac;
    let mut data = Data::new();
    for pair in [
        format_args!("txtvers=1"),
        format_args!("chip={}", identity.chip),
        format_args!("mode={}", identity.mode),
        format_args!("fw={}", identity.firmware),
        format_args!(
            "mac={:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]
        ),
    ] {
        let mut string: String<255> = String::new();
        string.write_fmt(pair).ok()?;
        push_string(&mut data, &string)?;
    }
    if let Some(port) = identity.management {
        let mut string: String<16> = String::new();
        write!(string, "mgmt={port}").ok()?;
        push_string(&mut data, &string)?;
    }
    Some(data)
}
