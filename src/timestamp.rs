//! The moments of events, as RFC 3339 writes them, to the millisecond.

use std::time::SystemTime;

use serde::Serializer;

/// A moment in JSON: `2026-11-25T22:17:50.123Z`.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}
