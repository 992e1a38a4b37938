//! For people.

use std::time::Duration;

use super::Colour;
use crate::failure::Failure;

/// A failure as one line.
pub(super) fn error(failure: &Failure, colour: Colour) -> String {
    format!("{} {failure}", colour.alarm("error:"))
}

/// A number of bytes: `1 byte`, `18 bytes`.
pub fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}

/// A measured time with three digits: `45 us`, `1.32 ms`, `2.01 s`.
pub fn time(duration: Duration) -> String {
    let microseconds = duration.as_secs_f64() * 1e6;
    let (value, unit) = match microseconds {
        us if us < 999.5 => (us, "us"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = match value {
        _ if unit == "us" => 0,
        small if small < 9.995 => 2,
        medium if medium < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (nanoseconds, text) in [
            (45_000, "45 us"),
            (999_400, "999 us"),
            (1_320_000, "1.32 ms"),
            (12_340_000, "12.3 ms"),
            (500_000_000, "500 ms"),
            (2_010_000_000, "2.01 s"),
            (120_000_000_000, "120 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
