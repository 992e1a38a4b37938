//! TARGET arguments: `HOST[:PORT]`, `[V6%zone]:PORT`, a board's name, or a virtual board, `sim[:...]`.
//!
//! A board's name may contain spaces (RFC 6763 §4.1.1): `Board in the kitchen`, with or without
//! `:PORT`. The escapes of other tools, `Board\032in\032the\032kitchen`, mean the same.

pub mod list;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::failure::Failure;
use crate::sanitize;
use crate::sim::spec::Spec;
use crate::sys;

/// Default port of a target.
pub const DEFAULT_PORT: u16 = 3000;

/// A parsed TARGET.
#[derive(Debug, Clone)]
pub struct Target {
    /// Text as the user wrote it, for messages and reports.
    pub text: String,
    /// What the target names.
    pub kind: TargetKind,
}

/// What a target names.
#[derive(Debug, Clone)]
pub enum TargetKind {
    /// A name to resolve.
    Name {
        /// The name.
        host: String,
        /// The port, if given; otherwise the port that the board announces is used.
        port: Option<u16>,
    },
    /// Addresses of one server, at least one, the preferred first.
    Addresses(Vec<SocketAddr>),
    /// A virtual board for this command.
    Virtual(Box<Spec>),
}

impl Target {
    /// Parses a TARGET.
    ///
    /// # Errors
    /// A usage error that quotes the text and gives the expected form.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        match parse_kind(text) {
            Ok(kind) => Ok(Self {
                text: text.to_owned(),
                kind,
            }),
            Err(problem) => {
                let text = sanitize::one_line(text);
                let (message, hint) = match problem {
                    Problem::Form(what) => (what.to_owned(), FORMS.to_owned()),
                    Problem::Fix { what, fix } => (what, fix),
                };
                // Both texts may quote user input.
                let (message, hint) = (sanitize::one_line(&message), sanitize::one_line(&hint));
                Err(Failure::usage(format!("target '{text}': {message}"))
                    .hint(hint)
                    .about(text))
            }
        }
    }
}

/// Why a text is not a target.
enum Problem {
    /// It matches none of the forms.
    Form(&'static str),
    /// A problem, and what to write instead.
    Fix { what: String, fix: String },
}

/// The forms of a target, as a hint.
const FORMS: &str = "write HOST, HOST:PORT, [IPV6]:PORT or sim";

fn parse_kind(text: &str) -> Result<TargetKind, Problem> {
    if text == "sim" {
        return virtual_board("");
    }
    if let Some(spec) = text.strip_prefix("sim:") {
        return virtual_board(spec);
    }
    if let Some(spec) = text.strip_prefix("sim,") {
        return virtual_board(&format!(",{spec}"));
    }
    if text.is_empty() {
        return Err(Problem::Form("empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::Form("control characters are not allowed"));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        return Err(Problem::Fix {
            what: "URLs are not supported".to_owned(),
            fix: format!("write {host}"),
        });
    }
    if text.contains(char::is_whitespace) {
        return name_with_spaces(text);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(Problem::Form("missing ]"))?;
        let port = match after.strip_prefix(':') {
            Some(port) => self::port(inside, port)?,
            None if after.is_empty() => DEFAULT_PORT,
            None => return Err(Problem::Form("only :PORT may follow the ]")),
        };
        return v6(inside, port)?.ok_or(Problem::Form("no IPv6 address inside [ ]"));
    }
    if let Some(kind) = v6(text, DEFAULT_PORT)? {
        return ambiguous(text).map_or(Ok(kind), Err);
    }
    let (host, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => {
            return Err(Problem::Fix {
                what: "more than one ':' and not an IPv6 address".to_owned(),
                fix: "write HOST:PORT, or an IPv6 address in brackets, e.g. [fe80::1%eth0]:3000"
                    .to_owned(),
            });
        }
        Some((host, port)) => (host, Some(self::port(host, port)?)),
        None => (text, None),
    };
    let known_port = port.unwrap_or(DEFAULT_PORT);
    if host.is_empty() {
        return Err(Problem::Fix {
            what: "the host is missing".to_owned(),
            fix: format!("write e.g. 127.0.0.1:{known_port} or localhost:{known_port}"),
        });
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(TargetKind::Addresses(vec![(address, known_port).into()]));
    }
    name(host, port)
}

/// A name with spaces, which only a board can have.
fn name_with_spaces(text: &str) -> Result<TargetKind, Problem> {
    let trimmed = text.trim();
    if trimmed != text {
        return Err(Problem::Fix {
            what: "leading or trailing space".to_owned(),
            fix: format!("write '{trimmed}'"),
        });
    }
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if let Ok(address) = first.parse::<IpAddr>() {
        let fix = SocketAddr::new(address, rest.trim().parse().unwrap_or(DEFAULT_PORT));
        return Err(Problem::Fix {
            what: "an address cannot contain a space".to_owned(),
            fix: format!("write {fix}"),
        });
    }
    match text.rsplit_once(':') {
        Some((name, digits)) if is_number(digits) => board_name(name, Some(port(name, digits)?)),
        _ => board_name(text, None),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A name without spaces. Mistyped addresses are rejected here, so that they are not reported as
/// unresolved names.
fn name(host: &str, port: Option<u16>) -> Result<TargetKind, Problem> {
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(Problem::Fix {
            what: "not a valid IPv4 address".to_owned(),
            fix: format!(
                "write four numbers from 0 to 255, e.g. 192.168.1.1:{}",
                port.unwrap_or(DEFAULT_PORT)
            ),
        });
    }
    // RFC 1123 names, the underscore of service names, non-ASCII characters, and punctuation common
    // in board names. Other characters are more likely a mistake.
    let is_name = |c: char| c.is_alphanumeric() || "-._'()&+!#\\".contains(c) || !c.is_ascii();
    if let Some(other) = host.chars().find(|c| !is_name(*c)) {
        return Err(Problem::Fix {
            what: format!("'{other}' is not allowed in a host name"),
            fix: FORMS.to_owned(),
        });
    }
    board_name(host, port)
}

fn board_name(name: &str, port: Option<u16>) -> Result<TargetKind, Problem> {
    let host = unescaped(name);
    if host.chars().any(char::is_control) {
        return Err(Problem::Form("control characters are not allowed"));
    }
    // RFC 1035 §2.3.4: at most 255 octets on the wire, 253 as text.
    if host.trim_end_matches('.').len() > 253 || host.split('.').any(|label| label.len() > 63) {
        return Err(Problem::Form("the host name is too long"));
    }
    Ok(TargetKind::Name { host, port })
}

/// Resolves the escapes of DNS tools (RFC 1035 §5.1): a backslash and three decimal digits, or a
/// backslash and a character. Invalid escapes are kept.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [
                b'\\',
                a @ b'0'..=b'2',
                b @ b'0'..=b'9',
                c @ b'0'..=b'9',
                after @ ..,
            ] if (*a, *b, *c) <= (b'2', b'5', b'5') => {
                bytes.push((a - b'0') * 100 + (b - b'0') * 10 + (c - b'0'));
                after
            }
            [b'\\', mark @ (b'\\' | b'.'), after @ ..] => {
                bytes.push(*mark);
                after
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

fn virtual_board(spec: &str) -> Result<TargetKind, Problem> {
    Spec::parse(spec)
        .map(|spec| TargetKind::Virtual(Box::new(spec)))
        .map_err(|what| Problem::Fix {
            what: sanitize::one_line(&what),
            fix: "write e.g. sim, sim:ideal or sim:esp32,workers=2,loss=1%".to_owned(),
        })
}

fn port(host: &str, text: &str) -> Result<u16, Problem> {
    let host = match host {
        "" => "192.168.1.1".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]"),
        host => host.to_owned(),
    };
    let fix = format!("write a port from 1 to 65535, e.g. {host}:{DEFAULT_PORT}");
    let what = match text.parse::<u16>() {
        Ok(0) => "port 0 is not a valid port".to_owned(),
        Ok(port) if text.bytes().all(|b| b.is_ascii_digit()) => return Ok(port),
        _ if text.is_empty() => "the port after ':' is missing".to_owned(),
        _ => format!("'{text}' is not a valid port"),
    };
    Err(Problem::Fix { what, fix })
}

/// An IPv6 address with or without a zone; `None` if the text is not one.
fn v6(text: &str, port: u16) -> Result<Option<TargetKind>, Problem> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else {
        return Ok(None);
    };
    let scope = match zone {
        None => 0,
        Some(zone) => scope(zone).ok_or_else(|| Problem::Fix {
            what: format!("this computer has no network interface '{zone}'"),
            fix: format!(
                "write the zone as `{}` names it, e.g. [fe80::1%eth0]:3000",
                sys::LIST_INTERFACES
            ),
        })?,
    };
    Ok(Some(TargetKind::Addresses(vec![
        SocketAddrV6::new(address, port, 0, scope).into(),
    ])))
}

fn scope(zone: &str) -> Option<u32> {
    match zone.parse::<u32>() {
        Ok(number) => (number > 0).then_some(number),
        Err(_) => sys::interface_index(zone),
    }
}

/// Reports a bare IPv6 address that seems to end in a port.
fn ambiguous(text: &str) -> Option<Problem> {
    let (head, tail) = text.rsplit_once(':')?;
    let port = tail.parse::<u16>().ok().filter(|_| tail.len() >= 4)?;
    // In `fe80::1:3000` and `1:2:3:4:5:6:7:3000`, the part before the port must be an address.
    let head_is_address =
        head.parse::<Ipv6Addr>().is_ok() || format!("{head}:").parse::<Ipv6Addr>().is_ok();
    head_is_address.then(|| Problem::Fix {
        what: "ambiguous, with or without a port".to_owned(),
        fix: format!("write [{head}]:{port}, or [{text}]:{DEFAULT_PORT}"),
    })
}

/// Whether an address is link-local without a zone (RFC 4291 §2.5.6).
pub fn needs_zone(address: &SocketAddr) -> bool {
    match address {
        SocketAddr::V6(v6) => v6.scope_id() == 0 && v6.ip().is_unicast_link_local(),
        SocketAddr::V4(_) => false,
    }
}

/// Parses an address as `discover` prints it: an IP address, IPv6 with or without a zone.
pub fn address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, port).into());
    }
    match v6(text, port) {
        Ok(Some(TargetKind::Addresses(addresses))) => addresses.first().copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
