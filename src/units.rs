//! Parses values of the command line: `250us`, `1.5s`, `10k`, `1MiB`, `20Mbit`, `1%`, regular
//! expressions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use regex::bytes::{Regex, RegexBuilder};
use tcpctl_settings::{Field, RequestTimeout, Value};

use crate::failure::Failure;
use crate::sanitize;

/// Parses a duration: a decimal number and one of `ns us ms s m h`, e.g. `250us`, `1.5s`.
///
/// # Errors
/// One line with the reason and an example. A bare number is refused, because seconds
/// and milliseconds are both common; `0` alone needs no unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let nanoseconds_per_unit = match unit {
        "ns" => 1.0,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        "" if number == "0" => 1.0,
        "" if !number.is_empty() => {
            return Err(format!(
                "'{text}' has no unit: write e.g. {number}s or {number}ms"
            ));
        }
        _ => {
            return Err(format!(
                "'{text}' is not a duration: write e.g. 250us, 10ms, 1.5s, 2m"
            ));
        }
    };
    let number = decimal(number)
        .ok_or_else(|| format!("'{text}' is not a duration: write e.g. 250us, 10ms, 1.5s, 2m"))?;
    let nanoseconds = (number * nanoseconds_per_unit).round();
    // At most a century, so that arithmetic with Instant cannot overflow.
    if nanoseconds > 3.2e18 {
        return Err(format!("'{text}' is longer than a century"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded above, and never negative"
    )]
    Ok(Duration::from_nanos(nanoseconds as u64))
}

/// Parses a time of day with its date (RFC 3339): `2026-12-01T10:00:00Z`, `2026-12-01T11:00:00.5+01:00`.
///
/// # Errors
/// One line with the reason and an example.
pub fn time(text: &str) -> Result<SystemTime, String> {
    let invalid = || format!("'{text}' is not a time: write e.g. 2026-12-01T10:00:00Z");
    let upper = text.to_ascii_uppercase();
    let (local, ahead) = if let Some(utc) = upper.strip_suffix('Z') {
        (utc, 0)
    } else {
        let at = upper.len().checked_sub(6).ok_or_else(invalid)?;
        let (local, offset) = upper.split_at_checked(at).ok_or_else(invalid)?;
        (local, seconds_ahead(offset).ok_or_else(invalid)?)
    };
    let local = humantime::parse_rfc3339(&format!("{local}Z")).map_err(|_| invalid())?;
    let offset = Duration::from_secs(u64::from(i32::unsigned_abs(ahead)));
    let utc = if ahead > 0 {
        local.checked_sub(offset)
    } else {
        local.checked_add(offset)
    };
    utc.ok_or_else(invalid)
}

/// Seconds that an offset such as `+01:00` is ahead of UTC.
fn seconds_ahead(offset: &str) -> Option<i32> {
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two_digits = |text: &str, end: i32| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>()
            .ok()
            .filter(|number| digits && *number < end)
    };
    Some(sign * (two_digits(hours, 24)? * 3600 + two_digits(minutes, 60)? * 60))
}

/// Parses the value of a setting. Durations may have any unit.
///
/// # Errors
/// What is wrong with the value, without the name of the setting.
pub fn setting(field: Field, text: &str) -> Result<Value, String> {
    let value = match field {
        Field::RequestTimeout => {
            RequestTimeout::try_from(duration(text)?).map(Value::RequestTimeout)
        }
        _ => field.parse(text),
    };
    value.map_err(|invalid| invalid.reason.to_string())
}

/// Parses a [`duration`] greater than 0.
///
/// # Errors
/// As [`duration`].
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be greater than 0, e.g. 500ms or 10s".to_owned()),
        duration => Ok(duration),
    }
}

/// Parses a number of bytes: `64`, `10k` (10,000), `1KiB` (1,024), `1MiB`, `2G`.
///
/// # Errors
/// One line with the reason and an example.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "B" => 1.0,
        "k" | "K" | "kB" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "Ki" | "KiB" => 1024.0,
        "Mi" | "MiB" => 1024.0 * 1024.0,
        "Gi" | "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("'{text}' is not a size: write e.g. 64, 10k, 1MiB")),
    };
    let number = decimal(number)
        .ok_or_else(|| format!("'{text}' is not a size: write e.g. 64, 10k, 1MiB"))?;
    let bytes = number * factor;
    // 2^53: a double is exact up to this number.
    if bytes > 9_007_199_254_740_992.0 {
        return Err(format!("'{text}' is larger than 8 PiB"));
    }
    if bytes.fract() != 0.0 {
        return Err(format!("'{text}' is not a whole number of bytes"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number below 2^53"
    )]
    Ok(bytes as u64)
}

/// Parses a bit rate and returns bits per second: `20Mbit`, `500kbit`, `1Gbit`, `9600bit`.
///
/// # Errors
/// One line with the reason and an example. Zero is refused.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    let form = || format!("'{text}' is not a rate: write e.g. 20Mbit, 500kbit");
    let (number, unit) = split(text);
    let unit = unit
        .strip_suffix("/s")
        .or_else(|| unit.strip_suffix("ps"))
        .unwrap_or(unit);
    let factor = match unit {
        "bit" => 1.0,
        "kbit" | "Kbit" => 1e3,
        "Mbit" => 1e6,
        "Gbit" => 1e9,
        _ => return Err(form()),
    };
    let bits = decimal(number).ok_or_else(form)? * factor;
    if !(1.0..=1e12).contains(&bits) {
        return Err(format!("'{text}' is out of range: 1bit to 1000Gbit"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded just above"
    )]
    Ok(bits as u64)
}

/// Parses a percentage, `1%`, or a fraction, `0.01`, and returns the fraction, 0 to 1.
///
/// # Errors
/// One line with the reason and an example.
pub fn share(text: &str) -> Result<f64, String> {
    let form = || format!("'{text}' is not a percentage: write e.g. 1% or 0.01");
    let (number, unit) = split(text);
    let divisor = match unit {
        "%" => 100.0,
        "" => 1.0,
        _ => return Err(form()),
    };
    let share = decimal(number).ok_or_else(form)? / divisor;
    if share > 1.0 {
        return Err(format!("'{text}' is more than 100%"));
    }
    Ok(share)
}

/// Splits `text` into its leading number and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A non-negative decimal without sign or exponent.
fn decimal(text: &str) -> Option<f64> {
    text.starts_with(|c: char| c.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Parses an integer; with a `NonZero` type, 1 or more.
///
/// # Errors
/// One line with the expected form.
pub fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| {
        let digits = text.trim_start_matches('0');
        let is_number = !text.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match digits {
            "" if is_number => "must be 1 or more",
            _ if is_number => "too large",
            _ => "write a whole number, e.g. 4",
        }
        .to_owned()
    })
}

/// Parses the baud rate of a serial port: `115200`.
pub fn baud(text: &str) -> Result<u32, String> {
    const RATES: std::ops::RangeInclusive<u32> = 300..=8_000_000;
    match text.parse() {
        Ok(rate) if RATES.contains(&rate) => Ok(rate),
        Ok(_) => Err("write 300 to 8000000".to_owned()),
        Err(_) => Err("write a number, e.g. 115200".to_owned()),
    }
}

/// Parses a baud rate for flashing. The ROM loaders start at 115200, so lower rates do not exist.
pub fn loader_baud(text: &str) -> Result<u32, String> {
    match baud(text) {
        Ok(rate) if rate < 115_200 => {
            Err("must be 115200 or more, the rate at which loaders start".to_owned())
        }
        other => other,
    }
}

/// Parses a rate: `200/s`, `0.5/s`, `100`.
///
/// # Errors
/// One line that shows the form.
pub fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let digits = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    match number.parse() {
        Ok(rate) if digits && rate > 0.0 => Ok(rate),
        _ => Err(format!(
            "'{text}' must be a rate greater than 0, e.g. 200/s"
        )),
    }
}

/// Parses an IP address with its port.
///
/// # Errors
/// One line that shows the form.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, e.g. 127.0.0.1:3000 or [::1]:3000".into())
}

/// Parses an address to listen on: `0.0.0.0:3000`, `127.0.0.1`, `3000` or `:3000`. The default address
/// is `0.0.0.0`, the default port 3000.
///
/// # Errors
/// One line that shows the form.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let unbracketed = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    let address = unbracketed.unwrap_or(text).parse::<IpAddr>();
    text.parse()
        .or_else(|_| port.map(|port| SocketAddr::new(any, port)))
        .or_else(|_| address.map(|address| SocketAddr::new(address, 3000)))
        .map_err(|_| "write an address and a port, e.g. 0.0.0.0:3000 or 3000".to_owned())
}

/// Compiles the regular expression of `option`, e.g. `--expect`. It matches bytes, and `^` and `$`
/// match at the ends of lines that end in LF or CR LF.
///
/// # Errors
/// A usage error of one line.
pub fn regex(option: &str, pattern: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .crlf(true)
        .build()
        .map_err(|error| {
            // A syntax error shows the pattern over several lines; its last line has the reason.
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            Failure::usage(format!(
                "{option} '{}' is not a valid regular expression: {why}",
                sanitize::one_line(pattern),
            ))
            .hint("put a \\ before a character that is meant literally")
        })
}

/// Parses pairs of hexadecimal digits. Spaces, commas and colons may separate bytes, 0x may precede
/// them.
///
/// # Errors
/// A usage error of one line about `--hex`.
pub fn hex(text: &str) -> Result<Vec<u8>, Failure> {
    let fail = |what: String| {
        Err(Failure::usage(format!("--hex: {what}"))
            .hint("write pairs of digits, e.g. '48 69 0d 0a'"))
    };
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for group in text.split(|c: char| c.is_ascii_whitespace() || c == ':' || c == ',') {
        let digits = group
            .strip_prefix("0x")
            .or_else(|| group.strip_prefix("0X"))
            .unwrap_or(group);
        if let Some(other) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
            return fail(format!(
                "'{}' is not a hexadecimal digit",
                other.escape_debug()
            ));
        }
        if digits.len() % 2 == 1 {
            return fail(format!("'{digits}' has an odd number of digits"));
        }
        for pair in digits.as_bytes().chunks_exact(2) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).unwrap_or_default();
            bytes.push(u8::try_from(digit(0) << 4 | digit(1)).unwrap_or_default());
        }
    }
    Ok(bytes)
}

/// A duration in microseconds, as reports give it.
pub fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn durations_have_units() {
        for micro in ["us", "\u{b5}s", "\u{3bc}s"] {
            let text = format!("250{micro}");
            assert_eq!(duration(&text), Ok(Duration::from_micros(250)));
        }
        assert_eq!(duration("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn invalid_durations_are_rejected_with_an_example() {
        for text in [
            "",
            "s",
            "-1s",
            "1e3s",
            "1..5s",
            "5 s",
            "1s5",
            "ten",
            "99999999h",
            "∞s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("5").unwrap_err().contains("5s or 5ms"));
        assert!(!duration("").unwrap_err().contains("e.g. s"));
    }

    #[test]
    fn invalid_integers_are_rejected() {
        assert_eq!(whole("12"), Ok(12_u16));
        for (text, printed) in [
            ("0", "1 or more"),
            ("00", "1 or more"),
            ("65536", "too large"),
            ("99999999999999999999999", "too large"),
            ("", "a whole number"),
            ("-1", "a whole number"),
            ("1.5", "a whole number"),
            ("four", "a whole number"),
        ] {
            let message = whole::<NonZeroU16>(text).unwrap_err();
            assert!(message.contains(printed), "{text}: {message}");
        }
    }

    #[test]
    fn listen_addresses_have_defaults() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1", "127.0.0.1:3000"),
            ("8000", "0.0.0.0:8000"),
            (":0", "0.0.0.0:0"),
            ("::1", "[::1]:3000"),
            ("[::]", "[::]:3000"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(listen_address(text), Ok(address.parse().unwrap()), "{text}");
        }
        for text in ["", "board", "70000", "1.2.3", "[127.0.0.1]x"] {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        assert_eq!(size("64"), Ok(64));
        assert_eq!(size("10k"), Ok(10_000));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("1.5KiB"), Ok(1536));
        for text in ["", "k", "-1", "1.5", "1TiB", "99999999GiB", "0x10"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_positive_decimals() {
        assert_eq!(rate("200/s"), Ok(200.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        for text in [
            "0", "0/s", "-1/s", "1e3/s", "inf", "nan", "", "/s", "ten/s", "1/m",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_percentages() {
        assert_eq!(bandwidth("20Mbit"), Ok(20_000_000));
        assert_eq!(bandwidth("500kbit/s"), Ok(500_000));
        assert!(bandwidth("20").is_err());
        assert!(bandwidth("0bit").is_err());
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0.25"), Ok(0.25));
        assert!(share("101%").is_err());
        assert!(share("-1%").is_err());
    }

    #[test]
    fn times_may_have_an_offset() {
        let utc = time("2026-12-01T10:00:00Z").unwrap();
        let since = utc.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_796_119_200);
        for same in [
            "2026-12-01T10:00:00+00:00",
            "2026-12-01T11:00:00+01:00",
            "2026-12-01T04:15:00-05:45",
            "2026-12-01t10:00:00z",
        ] {
            assert_eq!(time(same), Ok(utc), "{same}");
        }
        let later = time("2026-12-01T11:00:00.25+01:00").unwrap();
        assert_eq!(later, utc + Duration::from_millis(250));
        for text in [
            "",
            "10:00",
            "2026-12-01",
            "2026-12-01T10:00:00",
            "2026-12-01T10:00:00+1:00",
            "2026-12-01T10:00:00+24:00",
            "2026-12-01T10:00:00+01:60",
            "2026-13-01T10:00:00Z",
            "tomorrow",
            "1970-01-01T00:00:00+01:00é",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hex_may_have_separators_and_prefixes() {
        for text in [
            "48690d0a",
            "48 69 0D 0A",
            "48:69:0d:0a",
            "0x48, 0x69,0x0d 0x0a",
        ] {
            assert_eq!(hex(text).unwrap(), b"Hi\r\n", "{text}");
        }
        assert_eq!(hex("").unwrap(), b"");
    }

    #[test]
    fn invalid_hex_is_named() {
        for (text, what) in [("4g", "'g'"), ("486", "odd"), ("48 6", "'6'"), ("é", "'é'")] {
            let failure = hex(text).unwrap_err();
            assert!(failure.message.contains(what), "{failure}");
        }
    }
}
