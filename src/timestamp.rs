//! Times of events: RFC 3339 in JSON, local time of day on a terminal.

use std::time::SystemTime;

use serde::Serializer;

use crate::sys;

/// Serializes a time as RFC 3339 UTC with milliseconds: `2026-11-25T22:17:50.123Z`.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// The time of day in UTC: `22:17:50.123Z`.
pub fn utc_time_of_day(time: SystemTime) -> String {
    let time = humantime::format_rfc3339_millis(time).to_string();
    time.get(11..).unwrap_or(&time).to_owned()
}

/// The time of day in the system's time zone, `23:17:50.123`; in UTC where the zone is unknown.
pub fn local_time_of_day(time: SystemTime) -> String {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or_default();
    match sys::local_time_of_day(seconds) {
        Some((hour, minute, second)) => format!(
            "{hour:02}:{minute:02}:{second:02}.{:03}",
            since_epoch.subsec_millis()
        ),
        None => utc_time_of_day(time),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_of_day_have_milliseconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(45_296_789);
        assert_eq!(utc_time_of_day(time), "12:34:56.789Z");
        // Time zones differ by whole minutes. UTC would end in Z.
        #[cfg(unix)]
        assert!(local_time_of_day(time).ends_with(":56.789"));
    }
}
