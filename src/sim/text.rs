//! Text of `sim`: the lines of the firmware's console, with the time.

use std::fmt::Write as _;

use crate::output::{Render, View, human};
use crate::sim::report::{LeaseChange, SimEvent, SimReport};
use crate::{sanitize, timestamp};

impl Render for SimReport {
    /// With `-q` requests are not shown.
    fn render(&self, view: &View) -> Option<String> {
        if view.is_quiet && matches!(self.event, SimEvent::Request { .. }) {
            return None;
        }
        // The terminal shows `^C` at the start of the summary's line.
        let end = matches!(self.event, SimEvent::Summary { .. }) && view.is_terminal;
        let start = if end { "\n" } else { "" };
        Some(format!("{start}{}\n", line(self, view.is_terminal)))
    }
}

/// One line without its newline. Bytes from peers are escaped.
fn line(report: &SimReport, is_terminal: bool) -> String {
    match &report.event {
        SimEvent::Ready {
            addr,
            mode,
            workers,
            backlog,
            mgmt,
            firmware,
            ..
        } => {
            let mut line =
                format!("ready addr={addr} mode={mode} workers={workers} backlog={backlog}");
            if let Some(port) = mgmt {
                let _ = write!(line, " mgmt={port}");
            }
            if let Some(version) = firmware {
                let _ = write!(line, " firmware={}", sanitize::one_line(version));
            }
            line
        }
        SimEvent::Request {
            peer,
            len,
            request,
            reply_bytes,
            elapsed_us,
        } => {
            let request = request.0.escape_ascii();
            let reply = match reply_bytes {
                Some(bytes) => bytes.to_string(),
                None => "reset".to_owned(),
            };
            let took = human::microseconds(*elapsed_us as f64).replace(' ', "");
            let time = if is_terminal {
                timestamp::local_time_of_day(report.time)
            } else {
                humantime::format_rfc3339_millis(report.time).to_string()
            };
            format!(
                "request peer={peer} len={len} \"{request}\" reply={reply} took={took} time={time}"
            )
        }
        SimEvent::Lease { mac, addr, change } => {
            let change = match change {
                LeaseChange::Leased => "leased",
                LeaseChange::Renewed => "renewed",
                LeaseChange::Released => "released",
                LeaseChange::Declined => "declined",
            };
            format!("station {change} mac={mac} addr={addr}")
        }
        SimEvent::Link { up, host, reason } => {
            let mut line = format!("link {}", if *up { "up" } else { "down" });
            if let Some(host) = host {
                let _ = write!(line, " host={host}.local");
            }
            if let Some(reason) = reason {
                let _ = write!(line, " reason=\"{reason}\"");
            }
            line
        }
        SimEvent::Trial {
            state,
            sequence,
            reason,
            remaining_s,
        } => {
            let mut line = format!("trial {state} sequence={sequence}");
            if let Some(reason) = reason {
                let _ = write!(line, " reason=\"{reason}\"");
            }
            if let Some(seconds) = remaining_s {
                let _ = write!(line, " confirm_s={seconds}");
            }
            line
        }
        SimEvent::Summary {
            accepted,
            served,
            refused,
            timed_out,
            reset,
            bytes_in,
            bytes_out,
            events_dropped,
        } => {
            let mut line = format!(
                "summary accepted={accepted} served={served} refused={refused} \
                 timed_out={timed_out} reset={reset} bytes_in={bytes_in} bytes_out={bytes_out}"
            );
            if *events_dropped > 0 {
                let _ = write!(line, " events_dropped={events_dropped}");
            }
            line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::console;
    use crate::board::console::ConsoleEvent;
    use crate::sim::report::Payload;

    #[test]
    fn request_is_one_escaped_line() {
        let bytes = b"GET /\x1b[2J\r\n\xff\"".to_vec();
        let event = SimEvent::Request {
            peer: "127.0.0.1:5".parse().unwrap(),
            len: bytes.len(),
            request: Payload(bytes),
            reply_bytes: Some(11),
            elapsed_us: 1_320,
        };
        let line = line(&SimReport::now(event), false);
        let start = r#"request peer=127.0.0.1:5 len=13 "GET /\x1b[2J\r\n\xff\"" reply=11 took=1.32ms time=2"#;
        assert!(line.starts_with(start), "{line}");
        assert!(
            line.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{line}"
        );
    }

    #[test]
    fn request_has_the_local_time_on_a_terminal() {
        let event = SimEvent::Request {
            peer: "127.0.0.1:5".parse().unwrap(),
            len: 2,
            request: Payload(b"hi".to_vec()),
            reply_bytes: Some(11),
            elapsed_us: 1_320,
        };
        let report = SimReport::now(event);
        let local = timestamp::local_time_of_day(report.time);
        let shown = line(&report, true);
        assert!(
            shown.ends_with(&format!(" took=1.32ms time={local}")),
            "{shown}"
        );
    }

    #[test]
    fn request_parses_as_a_console_line() {
        let peer = "127.0.0.1:5".parse().unwrap();
        for bytes in [
            &b""[..],
            b"hi",
            b"a \"quoted\" word\r\n",
            b"\\",
            b"\" time=1",
        ] {
            let event = SimEvent::Request {
                peer,
                len: bytes.len(),
                request: Payload(bytes.to_vec()),
                reply_bytes: None,
                elapsed_us: 5,
            };
            let line = line(&SimReport::now(event), false);
            let expected = ConsoleEvent::Request {
                peer,
                len: bytes.len() as u64,
                request: bytes.escape_ascii().to_string(),
            };
            assert_eq!(console::parse(&line), expected, "{line}");
        }
    }
}
