//! Console lines, the same on a chip's serial line and in `tcpctl sim`.
//!
//! A line is a keyword and `key=value` pairs, readable by people and by `tcpctl monitor`. Bytes of a
//! peer are escaped, so a request cannot forge a line or control a terminal.

use core::fmt;
use core::net::SocketAddrV4;

use embassy_time::Duration;

use crate::dhcp::{Change, LeaseEvent};
use crate::reset::Reset;
use crate::status::Report;

/// Where the servers report requests.
///
/// Called from the network task: an implementation must not block, and drops what it cannot queue.
pub trait Console {
    /// A request was read and is answered next.
    fn request(&self, request: &Request<'_>);

    /// The worker of a connection is free again. `sent` is the length of a complete reply.
    fn finished(&self, _peer: SocketAddrV4, _sent: Option<usize>, _elapsed: Duration) {}
}

impl<C: Console + ?Sized> Console for &C {
    fn request(&self, request: &Request<'_>) {
        (**self).request(request);
    }

    fn finished(&self, peer: SocketAddrV4, sent: Option<usize>, elapsed: Duration) {
        (**self).finished(peer, sent, elapsed);
    }
}

/// A console that prints nothing.
impl Console for () {
    fn request(&self, _request: &Request<'_>) {}
}

/// A request. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Client address.
    pub peer: SocketAddrV4,
    /// The first bytes, at most one receive buffer. Empty if the peer closed or stayed silent for the
    /// request timeout.
    pub bytes: &'a [u8],
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "request peer={} len={} \"{}\"",
            self.peer,
            self.bytes.len(),
            self.bytes.escape_ascii()
        )
    }
}

/// The first line after a start. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banner<'a> {
    /// The firmware's version.
    pub firmware: &'a str,
    /// The chip, `esp32c3`.
    pub chip: &'a str,
    /// MAC address.
    pub mac: Mac,
    /// `ap` or `sta`.
    pub mode: &'a str,
    /// Source of the settings.
    pub settings: Origin,
    /// Reset reason.
    pub reset: Reset,
    /// The SSID, any bytes.
    pub ssid: &'a [u8],
    /// Whether the network is open.
    pub open: bool,
}

/// Source of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Flash.
    Flash,
    /// Flash, on trial.
    Trial,
    /// The defaults, because flash has no usable settings.
    Default,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = match self.settings {
            Origin::Flash => "flash",
            Origin::Trial => "trial",
            Origin::Default => "default",
        };
        let security = if self.open { "open" } else { "wpa2" };
        write!(
            f,
            "tcpctl-firmware v={} chip={} mac={} mode={} settings={settings} reset={} \
             security={security} ssid=\"{}\"",
            self.firmware,
            self.chip,
            self.mac,
            self.mode,
            self.reset,
            self.ssid.escape_ascii()
        )
    }
}

/// The message of a panic, printed after the restart. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panic<'a>(pub &'a str);

impl fmt::Display for Panic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panic \"{}\"", self.0.as_bytes().escape_ascii())
    }
}

/// The periodic status. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat<'a>(pub Report<'a>);

impl fmt::Display for Heartbeat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counters {}", self.0)
    }
}

/// Number of requests that the rate limit suppressed. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppressed(pub u32);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "requests suppressed={}", self.0)
    }
}

/// The board is reachable. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Address of the greeting server.
    pub address: SocketAddrV4,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready addr={}", self.address)
    }
}

/// A change of a lease, in AP mode. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease(pub LeaseEvent);

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeaseEvent {
            mac,
            address,
            change,
        } = self.0;
        let change = match change {
            Change::Granted => "leased",
            Change::Renewed => "renewed",
            Change::Released => "released",
            Change::Declined => "declined",
        };
        write!(f, "station {change} mac={} addr={address}", Mac(mac))
    }
}

/// A station joined or left, in AP mode. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// The station is associated, possibly without an address yet.
    Joined(Mac),
    /// The station left.
    Left(Mac),
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(mac) => write!(f, "station joined mac={mac}"),
            Self::Left(mac) => write!(f, "station left mac={mac}"),
        }
    }
}

/// A MAC address. Displays as `02:00:00:1a:2b:3c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::net::Ipv4Addr;
    use std::string::ToString;

    use super::*;

    #[test]
    fn console_lines_have_the_documented_form() {
        let peer = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 2), 49152);
        assert_eq!(
            Request {
                peer,
                bytes: b"Hello TCP world!\r\n"
            }
            .to_string(),
            r#"request peer=192.168.1.2:49152 len=18 "Hello TCP world!\r\n""#
        );
        assert_eq!(
            Ready { address: peer }.to_string(),
            "ready addr=192.168.1.2:49152"
        );
        for (change, word) in [
            (Change::Granted, "leased"),
            (Change::Renewed, "renewed"),
            (Change::Released, "released"),
            (Change::Declined, "declined"),
        ] {
            let lease = Lease(LeaseEvent {
                mac: [2, 0, 0, 0x1a, 0x2b, 0x3c],
                address: *peer.ip(),
                change,
            });
            assert_eq!(
                lease.to_string(),
                std::format!("station {word} mac=02:00:00:1a:2b:3c addr=192.168.1.2")
            );
        }
        let mac = Mac([2, 0, 0, 0x1a, 0x2b, 0x3c]);
        assert_eq!(
            Station::Joined(mac).to_string(),
            "station joined mac=02:00:00:1a:2b:3c"
        );
        assert_eq!(
            Station::Left(mac).to_string(),
            "station left mac=02:00:00:1a:2b:3c"
        );
        let banner = Banner {
            firmware: "0.1.0",
            chip: "esp32c3",
            mac,
            mode: "ap",
            settings: Origin::Default,
            reset: Reset::PowerOn,
            ssid: b"tcpctl-2b3c",
            open: false,
        };
        assert_eq!(
            banner.to_string(),
            "tcpctl-firmware v=0.1.0 chip=esp32c3 mac=02:00:00:1a:2b:3c mode=ap settings=default \
             reset=power-on security=wpa2 ssid=\"tcpctl-2b3c\""
        );
        let banner = Banner {
            settings: Origin::Flash,
            open: true,
            ..banner
        };
        let line = banner.to_string();
        assert!(line.contains(" settings=flash "), "{line}");
        let on_trial = Banner {
            settings: Origin::Trial,
            ..banner
        };
        let trial = on_trial.to_string();
        assert!(trial.contains(" settings=trial "), "{trial}");
        assert!(line.contains(" security=open "), "{line}");
        assert_eq!(
            Panic("src/main.rs:7: \"no\"\nready").to_string(),
            r#"panic "src/main.rs:7: \"no\"\nready""#
        );
        assert!(
            Heartbeat(Report::default())
                .to_string()
                .starts_with(r#"counters {"schema":"#)
        );
        assert_eq!(Suppressed(12).to_string(), "requests suppressed=12");
    }

    #[test]
    fn request_bytes_are_escaped() {
        let peer = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let line = Request {
            peer,
            bytes: b"\"\nready addr=6.6.6.6:6\x1b[2J\x9b\x00\xff",
        }
        .to_string();
        assert_eq!(
            line,
            r#"request peer=127.0.0.1:1 len=29 "\"\nready addr=6.6.6.6:6\x1b[2J\x9b\x00\xff""#
        );
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
}
