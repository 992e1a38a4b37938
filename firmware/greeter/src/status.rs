//! The status of a board: the reply to `status` and the console line `counters`. One line of JSON, the
//! same on a chip and on a virtual board. Values that a board does not have are `null`.

use core::fmt;

use embassy_time::Duration;

use crate::counters::Counters;
use crate::reset::Reset;
use crate::{management, trial, update};

/// Maximum length of a [`Report`] as text, with a chip, mode and version of up to 16 characters.
pub const MAX_LEN: usize = 799;

/// Values that only the board can provide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals<'a> {
    /// The host name.
    pub name: &'a str,
    /// The firmware's version.
    pub firmware: &'a str,
    /// The chip, `esp32c3`; `virtual` on a desktop.
    pub chip: &'static str,
    /// `ap` or `sta`.
    pub mode: &'static str,
    /// Time since the start.
    pub uptime: Duration,
    /// Reset reason of the last start.
    pub boot_reason: Option<Reset>,
    /// Free heap, in bytes.
    pub heap_free: Option<usize>,
    /// Lowest free heap, in bytes.
    pub heap_lowest: Option<usize>,
    /// Bytes of the main stack that were never used.
    pub stack_lowest: Option<usize>,
    /// Signal strength of the access point, in dBm, in STA mode.
    pub rssi_dbm: Option<i8>,
    /// Number of stations, in AP mode.
    pub stations: Option<usize>,
    /// Chip temperature, in tenths of a degree Celsius.
    pub temperature_decidegrees: Option<i16>,
    /// Connections to each bench service, 0 where they are off.
    pub service_streams: usize,
    /// Limits that are lower than the settings request.
    pub reduced: Reduced,
    /// The management server; `None` where it is off.
    pub management: Option<management::Counters>,
    /// The newest trial of settings.
    pub trial: Option<trial::Report>,
    /// The newest firmware update, unless it is confirmed.
    pub update: Option<update::Status>,
}

/// Limits that are lower than the settings request, because of the chip's radio or memory. Displays
/// as a JSON array.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reduced {
    /// Stations of the access point.
    pub max_stations: bool,
    /// Connections of the greeting server.
    pub slots: bool,
    /// Connections to each bench service.
    pub services: bool,
}

impl fmt::Display for Reduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        f.write_str("[")?;
        for (is_reduced, name) in [
            (self.max_stations, "max_stations"),
            (self.slots, "slots"),
            (self.services, "services"),
        ] {
            if is_reduced {
                write!(f, r#"{separator}"{name}""#)?;
                separator = ",";
            }
        }
        f.write_str("]")
    }
}

/// A board that reports its status.
pub trait Board {
    /// The current values. Called while a request is answered: it must not block.
    fn vitals(&self) -> Vitals<'_>;
}

/// The status. Displays as one JSON object, without a line end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report<'a> {
    /// Values from the board.
    pub vitals: Vitals<'a>,
    /// Counters of the greeting server.
    pub counters: Counters,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vitals, counters } = self;
        // The names need no escaping.
        write!(
            f,
            r#"{{"schema":"tcpctl.status/1","name":"{}","firmware":"{}","chip":"{}","mode":"{}","uptime_ms":{}"#,
            vitals.name,
            vitals.firmware,
            vitals.chip,
            vitals.mode,
            vitals.uptime.as_millis()
        )?;
        field(f, "boot_reason", vitals.boot_reason.map(Quoted))?;
        field(f, "heap_free", vitals.heap_free)?;
        field(f, "heap_lowest", vitals.heap_lowest)?;
        field(f, "stack_lowest", vitals.stack_lowest)?;
        field(f, "rssi_dbm", vitals.rssi_dbm)?;
        field(f, "stations", vitals.stations)?;
        field(
            f,
            "temperature_c",
            vitals.temperature_decidegrees.map(Tenths),
        )?;
        field(f, "accepted", Some(counters.accepted))?;
        field(f, "served", Some(counters.served))?;
        field(f, "refused", counters.refused)?;
        field(f, "timed_out", Some(counters.timed_out))?;
        field(f, "reset", Some(counters.reset))?;
        field(f, "bytes_in", Some(counters.bytes_in))?;
        field(f, "bytes_out", Some(counters.bytes_out))?;
        field(f, "slots", Some(counters.slots))?;
        field(f, "in_use", Some(counters.in_use))?;
        field(f, "waiting", Some(counters.waiting))?;
        field(f, "services", Some(vitals.service_streams))?;
        field(f, "reduced", Some(vitals.reduced))?;
        field(f, "management", vitals.management.map(Management))?;
        field(f, "trial", vitals.trial.map(Trial))?;
        field(f, "update", vitals.update.map(Quoted))?;
        f.write_str("}")
    }
}

fn field(f: &mut fmt::Formatter<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, r#","{name}":{value}"#),
        None => write!(f, r#","{name}":null"#),
    }
}

/// A word that needs no escaping, in quotes.
struct Quoted<T>(T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#""{}""#, self.0)
    }
}

/// The management server as a JSON object.
struct Management(management::Counters);

impl fmt::Display for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let management::Counters {
            port,
            sessions,
            failures,
        } = self.0;
        write!(
            f,
            r#"{{"port":{port},"sessions":{sessions},"failures":{failures}}}"#
        )
    }
}

/// A trial as a JSON object.
struct Trial(trial::Report);

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, r#"{{"state":"{}""#, report.state_name())?;
        match report.reason() {
            Some(reason) => write!(f, r#","reason":"{reason}""#)?,
            None => f.write_str(r#","reason":null"#)?,
        }
        field(f, "remaining_s", report.remaining_s())?;
        f.write_str("}")
    }
}

/// A number in tenths, printed without floating point.
struct Tenths(i16);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{}", size / 10, size % 10)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use tcpctl_settings::sectors::{RollbackReason, TrialState};

    use super::*;

    #[test]
    fn report_is_one_json_object() {
        let report = Report {
            vitals: Vitals {
                name: "tcpctl-0b3c",
                firmware: "0.1.0",
                chip: "esp32c3",
                mode: "sta",
                uptime: Duration::from_millis(61_234),
                boot_reason: Some(Reset::PowerOn),
                heap_free: Some(48_000),
                heap_lowest: Some(41_000),
                stack_lowest: Some(100_000),
                rssi_dbm: Some(-61),
                stations: None,
                temperature_decidegrees: Some(-5),
                service_streams: 1,
                reduced: Reduced {
                    slots: true,
                    services: true,
                    ..Reduced::default()
                },
                management: Some(management::Counters {
                    port: 3001,
                    sessions: 2,
                    failures: 1,
                }),
                trial: Some(trial::Report {
                    sequence: 5,
                    state: TrialState::RolledBack(RollbackReason::WrongPassphrase),
                    remaining: None,
                }),
                update: Some(update::Status::Ended(update::TrialEnd::PowerCut)),
            },
            counters: Counters {
                accepted: 9,
                served: 7,
                refused: Some(3),
                timed_out: 1,
                reset: 2,
                bytes_in: 18,
                bytes_out: 77,
                slots: 8,
                in_use: 1,
                waiting: 0,
            },
        };
        assert_eq!(
            report.to_string(),
            r#"{"schema":"tcpctl.status/1","name":"tcpctl-0b3c","firmware":"0.1.0","chip":"esp32c3","mode":"sta","uptime_ms":61234,"boot_reason":"power-on","heap_free":48000,"heap_lowest":41000,"stack_lowest":100000,"rssi_dbm":-61,"stations":null,"temperature_c":-0.5,"accepted":9,"served":7,"refused":3,"timed_out":1,"reset":2,"bytes_in":18,"bytes_out":77,"slots":8,"in_use":1,"waiting":0,"services":1,"reduced":["slots","services"],"management":{"port":3001,"sessions":2,"failures":1},"trial":{"state":"rolled-back","reason":"wrong passphrase","remaining_s":null},"update":"power cut"}"#
        );
    }

    #[test]
    fn missing_value_is_null() {
        let text = Report::default().to_string();
        for name in [
            "boot_reason",
            "heap_free",
            "heap_lowest",
            "stack_lowest",
            "rssi_dbm",
            "stations",
            "temperature_c",
            "refused",
            "management",
            "trial",
            "update",
        ] {
            assert!(text.contains(&std::format!(r#""{name}":null"#)), "{text}");
        }
    }

    #[test]
    fn without_reductions_the_array_is_empty() {
        let text = Report::default().to_string();
        assert!(
            text.ends_with(
                r#","services":0,"reduced":[],"management":null,"trial":null,"update":null}"#
            ),
            "{text}"
        );
    }

    #[test]
    fn the_longest_report_fits() {
        let report = Report {
            vitals: Vitals {
                name: "12345678901234567890123456789012",
                firmware: "1234567890123456",
                chip: "1234567890123456",
                mode: "sta",
                uptime: Duration::MAX,
                boot_reason: Some(Reset::OtherWatchdog),
                // Numbers on a chip have 32 bits.
                heap_free: Some(u32::MAX as usize),
                heap_lowest: Some(u32::MAX as usize),
                stack_lowest: Some(u32::MAX as usize),
                rssi_dbm: Some(i8::MIN),
                stations: Some(255),
                temperature_decidegrees: Some(i16::MIN),
                service_streams: 2,
                reduced: Reduced {
                    max_stations: true,
                    slots: true,
                    services: true,
                },
                management: Some(management::Counters {
                    port: u16::MAX,
                    sessions: u32::MAX,
                    failures: u32::MAX,
                }),
                trial: Some(trial::Report {
                    sequence: u32::MAX,
                    // The longest reason. A trial with time left has none.
                    state: TrialState::RolledBack(RollbackReason::Restarted),
                    remaining: None,
                }),
                update: Some(update::Status::Ended(update::TrialEnd::NotConfirmed)),
            },
            counters: Counters {
                accepted: u32::MAX,
                served: u32::MAX,
                refused: Some(u32::MAX),
                timed_out: u32::MAX,
                reset: u32::MAX,
                bytes_in: u64::MAX,
                bytes_out: u64::MAX,
                slots: 64,
                in_use: 64,
                waiting: 64,
            },
        };
        let length = report.to_string().len() + "\n".len();
        assert!(length <= MAX_LEN, "{length}");
    }
}
