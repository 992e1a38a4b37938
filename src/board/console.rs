//! The console of a board: lines of a word and `key=value` pairs, mixed with the output of the ROM,
//! the bootloader and other programs. All of it is untrusted.

use std::net::SocketAddr;

use serde::Serialize;

/// Longer lines are split, so that a board that prints no line end cannot fill the memory.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// Splits bytes into lines that end in LF, CR LF or LF CR.
#[derive(Debug, Default)]
pub struct LineSplitter {
    line: Vec<u8>,
    after_line_end: bool,
}

impl LineSplitter {
    /// The lines that these bytes complete, without their ends.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for &byte in bytes {
            let after_line_end = std::mem::replace(&mut self.after_line_end, byte == b'\n');
            if byte == b'\n' {
                lines.push(self.take());
                continue;
            }
            if byte == b'\r' && after_line_end {
                continue;
            }
            self.line.push(byte);
            if self.line.len() == MAX_LINE_BYTES {
                lines.push(self.take());
            }
        }
        lines
    }

    /// The unfinished line.
    pub fn rest(&self) -> &[u8] {
        &self.line
    }

    /// Takes the unfinished line.
    pub fn take(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.line);
        while line.last() == Some(&b'\r') {
            line.pop();
        }
        line
    }
}

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ConsoleEvent {
    /// The firmware has started.
    Banner(Banner),
    /// The server is reachable.
    Ready {
        /// Address of the server.
        addr: SocketAddr,
    },
    /// A request was received.
    Request {
        /// The client.
        peer: SocketAddr,
        /// Length of the request in bytes.
        len: u64,
        /// Text of the request, escaped by the board.
        request: String,
    },
    /// A station of the access point changed.
    Station {
        /// `joined`, `leased`, `left` and others.
        change: String,
        /// MAC address of the station.
        mac: String,
        /// IP address of the station, if the line has one.
        addr: Option<String>,
    },
    /// The server's counters.
    Counters {
        /// The counters as JSON, as the board prints them.
        counters: serde_json::Value,
    },
    /// The firmware panicked, now or before its last reboot.
    Panic {
        /// Panic message.
        message: String,
    },
    /// Anything else.
    Line {
        /// Text of the line.
        text: String,
    },
}

/// The fields of the firmware's banner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Banner {
    /// Version of the firmware.
    pub version: String,
    /// Chip.
    pub chip: String,
    /// MAC address.
    pub mac: String,
    /// `ap` or `sta`.
    pub mode: String,
    /// Source of the settings: `flash`, `trial` or `default`.
    pub settings: String,
    /// Reset reason.
    pub reset: String,
}

/// Parses a line.
pub fn parse(line: &str) -> ConsoleEvent {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let value = |key: &str| {
        rest.split(' ')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let event = match word {
        "tcpctl-firmware" => value("v").map(|version| {
            ConsoleEvent::Banner(Banner {
                version,
                chip: value("chip").unwrap_or_default(),
                mac: value("mac").unwrap_or_default(),
                mode: value("mode").unwrap_or_default(),
                settings: value("settings").unwrap_or_default(),
                reset: value("reset").unwrap_or_default(),
            })
        }),
        "ready" => value("addr")
            .and_then(|addr| addr.parse().ok())
            .map(|addr| ConsoleEvent::Ready { addr }),
        "request" => request(rest),
        "station" => value("mac").map(|mac| ConsoleEvent::Station {
            change: rest.split(' ').next().unwrap_or_default().to_owned(),
            mac,
            addr: value("addr"),
        }),
        "counters" => serde_json::from_str(rest)
            .ok()
            .map(|counters| ConsoleEvent::Counters { counters }),
        "panic" => Some(ConsoleEvent::Panic {
            message: quoted(rest).unwrap_or(rest).to_owned(),
        }),
        _ => None,
    };
    event
        .or_else(|| rust_panic(line))
        .unwrap_or_else(|| ConsoleEvent::Line {
            text: line.to_owned(),
        })
}

fn request(rest: &str) -> Option<ConsoleEvent> {
    let (peer, rest) = rest.strip_prefix("peer=")?.split_once(' ')?;
    let (len, text) = rest.strip_prefix("len=")?.split_once(' ')?;
    Some(ConsoleEvent::Request {
        peer: peer.parse().ok()?,
        len: len.parse().ok()?,
        request: quoted(text).unwrap_or(text).to_owned(),
    })
}

/// The text between a quote and the next unescaped one. A virtual board appends the time.
fn quoted(text: &str) -> Option<&str> {
    let text = text.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = text.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    Some(&text[..end])
}

/// The message that a panicking Rust program prints before it reboots.
fn rust_panic(line: &str) -> Option<ConsoleEvent> {
    let at = line.find("panicked at ")?;
    Some(ConsoleEvent::Panic {
        message: line[at..].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_lines_are_parsed() {
        let banner = parse(
            "tcpctl-firmware v=0.1.0 chip=esp32c3 mac=84:f7:03:1a:0b:3c mode=ap settings=flash \
             reset=power-on",
        );
        let ConsoleEvent::Banner(banner) = banner else {
            panic!("{banner:?}");
        };
        assert_eq!(banner.version, "0.1.0");
        assert_eq!((&*banner.mode, &*banner.reset), ("ap", "power-on"));
        assert_eq!(
            parse("ready addr=192.168.1.1:3000"),
            ConsoleEvent::Ready {
                addr: "192.168.1.1:3000".parse().unwrap()
            }
        );
        assert_eq!(
            parse(r#"request peer=192.168.1.2:49152 len=18 "Hello \"TCP\" world!\r\n""#),
            ConsoleEvent::Request {
                peer: "192.168.1.2:49152".parse().unwrap(),
                len: 18,
                request: r#"Hello \"TCP\" world!\r\n"#.to_owned(),
            }
        );
        assert_eq!(
            parse("station leased mac=02:00:00:1a:2b:3c addr=192.168.1.2"),
            ConsoleEvent::Station {
                change: "leased".to_owned(),
                mac: "02:00:00:1a:2b:3c".to_owned(),
                addr: Some("192.168.1.2".to_owned()),
            }
        );
        assert_eq!(
            parse(r#"counters {"served":3}"#),
            ConsoleEvent::Counters {
                counters: serde_json::json!({"served": 3})
            }
        );
        assert_eq!(
            parse(r#"panic "out of memory""#),
            ConsoleEvent::Panic {
                message: "out of memory".to_owned()
            }
        );
    }

    #[test]
    fn quoted_text_ends_at_its_quote() {
        for (line, text) in [
            (r#""" time=2026"#, ""),
            (r#""\\" "x""#, r"\\"),
            (r#""a \" b" time=2026"#, r#"a \" b"#),
            // A text that is cut off or was never quoted is kept unchanged.
            (r#""a \""#, r#""a \""#),
            ("a \"b\"", "a \"b\""),
        ] {
            let event = parse(&format!("request peer=127.0.0.1:5 len=1 {line}"));
            let ConsoleEvent::Request { request, .. } = event else {
                panic!("{event:?}");
            };
            assert_eq!(request, text, "{line}");
        }
    }

    #[test]
    fn other_text_is_a_line() {
        for line in [
            "",
            "rst:0x1 (POWERON)",
            "ready addr=nowhere",
            "request peer=x len=y z",
            "tcpctl-firmware",
            "station",
            "counters {",
        ] {
            let text = line.to_owned();
            assert_eq!(parse(line), ConsoleEvent::Line { text });
        }
    }

    #[test]
    fn lines_are_joined_across_reads() {
        let mut lines = LineSplitter::default();
        assert!(lines.push(b"one\r").is_empty());
        assert_eq!(lines.push(b"\ntwo\nth"), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(lines.rest(), b"th");
        assert_eq!(
            lines.push(b"ree\n\rfour\r\r\n\r"),
            [b"three".to_vec(), b"four".to_vec()]
        );
        assert_eq!(lines.rest(), b"");
        let endless = lines.push(&vec![b'x'; 3 * MAX_LINE_BYTES]);
        assert!(endless.iter().all(|line| line.len() == MAX_LINE_BYTES));
        assert_eq!(endless.len(), 3);
    }
}
