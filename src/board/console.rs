//! What a board prints on its serial line: lines of one word and `key=value` pairs, between the
//! ROM's, the bootloader's and other programs' own. All of it is text from outside.

use std::net::SocketAddr;

use serde::Serialize;

/// The longest line that is kept; what is longer is cut here, so that a board that prints no line
/// end can't fill the memory.
const LINE_LIMIT: usize = 8 * 1024;

/// Cuts bytes into lines, wherever they are split.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// The lines that these bytes complete, without their ends.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                lines.push(self.take());
                continue;
            }
            self.line.push(byte);
            if self.line.len() == LINE_LIMIT {
                lines.push(self.take());
            }
        }
        lines
    }

    /// What came without a line end so far.
    pub fn rest(&self) -> &[u8] {
        &self.line
    }

    /// Takes what came without a line end.
    pub fn take(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        line
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Said {
    /// The firmware has started.
    Banner(Banner),
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

/// The words of the firmware's banner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Banner {
    /// Its version.
    pub version: String,
    /// The chip.
    pub chip: String,
    /// Its MAC address.
    pub mac: String,
    /// `ap` or `sta`.
    pub mode: String,
    /// Where its settings are from: `flash` or `default`.
    pub settings: String,
    /// Why it was reset.
    pub reset: String,
}

/// Reads a line.
pub fn parse(line: &str) -> Said {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let value = |key: &str| {
        rest.split(' ')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let said = match word {
        "tcpctl-firmware" => value("v").map(|version| {
            Said::Banner(Banner {
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
            .map(|addr| Said::Ready { addr }),
        "request" => request(rest),
        "station" => value("mac").map(|mac| Said::Station {
            change: rest.split(' ').next().unwrap_or_default().to_owned(),
            mac,
            addr: value("addr"),
        }),
        "counters" => serde_json::from_str(rest)
            .ok()
            .map(|counters| Said::Counters { counters }),
        "panic" => Some(Said::Panic {
            message: quoted(rest).unwrap_or(rest).to_owned(),
        }),
        _ => None,
    };
    said.or_else(|| rust_panic(line))
        .unwrap_or_else(|| Said::Line {
            text: line.to_owned(),
        })
}

fn request(rest: &str) -> Option<Said> {
    let (peer, rest) = rest.strip_prefix("peer=")?.split_once(' ')?;
    let (len, text) = rest.strip_prefix("len=")?.split_once(' ')?;
    Some(Said::Request {
        peer: peer.parse().ok()?,
        len: len.parse().ok()?,
        request: quoted(text).unwrap_or(text).to_owned(),
    })
}

/// The text between a quote and the next one that is not escaped; a virtual board says the time
/// behind it.
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

/// What a panicking program prints itself, before it reboots.
fn rust_panic(line: &str) -> Option<Said> {
    let at = line.find("panicked at ")?;
    Some(Said::Panic {
        message: line[at..].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_contract_are_understood() {
        let banner = parse(
            "tcpctl-firmware v=0.1.0 chip=esp32c3 mac=84:f7:03:1a:0b:3c mode=ap settings=flash \
             reset=power-on",
        );
        let Said::Banner(banner) = banner else {
            panic!("{banner:?}");
        };
        assert_eq!(banner.version, "0.1.0");
        assert_eq!((&*banner.mode, &*banner.reset), ("ap", "power-on"));
        assert_eq!(
            parse("ready addr=192.168.1.1:3000"),
            Said::Ready {
                addr: "192.168.1.1:3000".parse().unwrap()
            }
        );
        assert_eq!(
            parse(r#"request peer=192.168.1.2:49152 len=18 "Hello \"TCP\" world!\r\n""#),
            Said::Request {
                peer: "192.168.1.2:49152".parse().unwrap(),
                len: 18,
                request: r#"Hello \"TCP\" world!\r\n"#.to_owned(),
            }
        );
        assert_eq!(
            parse("station leased mac=02:00:00:1a:2b:3c addr=192.168.1.2"),
            Said::Station {
                change: "leased".to_owned(),
                mac: "02:00:00:1a:2b:3c".to_owned(),
                addr: Some("192.168.1.2".to_owned()),
            }
        );
        assert_eq!(
            parse(r#"counters {"served":3}"#),
            Said::Counters {
                counters: serde_json::json!({"served": 3})
            }
        );
        assert_eq!(
            parse(r#"panic "out of memory""#),
            Said::Panic {
                message: "out of memory".to_owned()
            }
        );
    }

    #[test]
    fn a_quoted_text_ends_at_its_own_quote() {
        for (line, text) in [
            (r#""" time=2026"#, ""),
            (r#""\\" "x""#, r"\\"),
            (r#""a \" b" time=2026"#, r#"a \" b"#),
            // As it is, where it is cut short or was never quoted.
            (r#""a \""#, r#""a \""#),
            ("a \"b\"", "a \"b\""),
        ] {
            let said = parse(&format!("request peer=127.0.0.1:5 len=1 {line}"));
            let Said::Request { request, .. } = said else {
                panic!("{said:?}");
            };
            assert_eq!(request, text, "{line}");
        }
    }

    #[test]
    fn anything_else_is_a_line() {
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
            assert_eq!(parse(line), Said::Line { text });
        }
    }

    #[test]
    fn lines_are_whole_wherever_they_are_split() {
        let mut lines = Lines::default();
        assert!(lines.push(b"one\r").is_empty());
        assert_eq!(lines.push(b"\ntwo\nth"), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(lines.rest(), b"th");
        let endless = lines.push(&vec![b'x'; 3 * LINE_LIMIT]);
        assert!(endless.iter().all(|line| line.len() == LINE_LIMIT));
        assert_eq!(endless.len(), 3);
    }
}
