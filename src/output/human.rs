//! Formats numbers, times and errors as text.

use std::time::Duration;

use super::{Color, columns};
use crate::failure::Failure;
use crate::sanitize;

/// A failure as an `error:` line and, if there is one, a `hint:` line. Both are folded at `fold`
/// columns if that is given. The texts may quote untrusted names, paths or lines.
pub(super) fn error(failure: &Failure, color: Color, fold: Option<usize>) -> String {
    let part = |label: &str, painted: String, text: &str| {
        let text = sanitize::one_line(text);
        let text = match fold {
            Some(width) => {
                let indent = label.len() + 1;
                let lines = columns::folded(&text, width.saturating_sub(indent));
                lines.join(&format!("\n{:indent$}", ""))
            }
            None => text,
        };
        format!("{painted} {text}")
    };
    let mut lines = part("error:", color.alarm("error:"), &failure.message);
    if let Some(hint) = &failure.hint {
        lines.push('\n');
        lines += &part("hint:", color.strong("hint:"), hint);
    }
    lines
}

/// A byte count: `1 byte`, `18 bytes`.
pub fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}

/// A measured time with three significant digits: `45 us`, `1.32 ms`, `2.01 s`.
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

/// A long duration in one unit: `16 seconds`, `5 minutes`, `99 days`.
pub fn roughly(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (value, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    count(value, unit)
}

/// Formats microseconds like [`time`], with tenths below 10 us.
pub fn microseconds(us: f64) -> String {
    if us > 0.0 && us < 9.95 {
        return format!("{us:.1} us");
    }
    time(Duration::try_from_secs_f64(us / 1e6).unwrap_or_default())
}

/// A count of things: `1 thread`, `1,234 requests`.
pub fn count(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{} {thing}s", grouped(count)),
    }
}

/// A count with thousands separators: `1,234,567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A measured number with three significant digits; whole from 100 on.
pub fn number(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for display only; values beyond 2^64 saturate"
    )]
    match value.abs() {
        large if large >= 99.95 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(large.round() as u64))
        }
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        medium if medium >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Bytes per second in decimal units: `1.05 MB/s`.
pub fn bytes_per_second(rate: f64) -> String {
    let (value, unit) = match rate {
        rate if rate < 999.5 => return format!("{rate:.0} B/s"),
        rate if rate < 999.5e3 => (rate / 1e3, "kB"),
        rate if rate < 999.5e6 => (rate / 1e6, "MB"),
        rate => (rate / 1e9, "GB"),
    };
    format!("{} {unit}/s", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_escaped_for_a_terminal() {
        let quoted = "a\x1b]0;x\x07\u{202e}b\nc";
        let failure = Failure::usage(format!("the name '{quoted}' is none")).hint(quoted);
        let shown = error(&failure, Color::Off, None);
        let safe = "a\\x1b]0;x\\x07\\u{202e}b\\nc";
        assert_eq!(
            shown,
            format!("error: the name '{safe}' is none\nhint: {safe}")
        );
    }

    #[test]
    fn long_durations_have_one_unit() {
        for (seconds, text) in [
            (1, "1 second"),
            (16, "16 seconds"),
            (330, "5 minutes"),
            (7_200, "2 hours"),
            (8_589_934, "99 days"),
        ] {
            assert_eq!(roughly(Duration::from_secs(seconds)), text);
        }
    }

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

    #[test]
    fn numbers_have_three_significant_digits() {
        let numbers = [0.0, 0.126, 5.0, 12.34, 99.96, 12_345.6, -7_972.0].map(number);
        assert_eq!(
            numbers,
            ["0", "0.13", "5", "12.3", "100", "12,346", "-7,972"]
        );
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "thread"), "1 thread");
        assert_eq!(count(1_000, "request"), "1,000 requests");
        let rates = [12.0, 1_050_000.0, 2e9].map(bytes_per_second);
        assert_eq!(rates, ["12 B/s", "1.05 MB/s", "2 GB/s"]);
        assert_eq!(microseconds(0.0), "0 us");
        assert_eq!(microseconds(0.25), "0.2 us");
        assert_eq!(microseconds(8_000.0), "8.00 ms");
    }
}
