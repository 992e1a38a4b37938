//! `--hdr-log`: the histograms of a run, second by second, as an `HdrHistogram` interval log.
//!
//! Format 1.3, as `HistogramLogWriter` of the Java library writes it; values are nanoseconds.
//! Lines without a tag are the times to the complete reply, so that readers that ignore tags show
//! these.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::report::{Report, Timestamp, encode_histogram};
use tcpctl_engine::measurement::{SecondHistograms, Timed};

/// The log of a run, with an interval for each of `seconds`, or one for the whole run where there
/// are none; `None` without a load.
///
/// # Errors
/// A histogram of `seconds` is damaged.
pub fn format(report: &Report, seconds: &[SecondHistograms]) -> anyhow::Result<Option<String>> {
    let (Some(latency), Some(histograms)) = (&report.latency, &report.histograms) else {
        return Ok(None);
    };
    let length = Duration::try_from_secs_f64(latency.duration_us / 1e6).unwrap_or_default();
    let mut log = header(report.load_started_at());
    if seconds.is_empty() {
        for timed in Timed::ALL {
            let packed = match timed {
                Timed::Connect => Some(&histograms.connect),
                Timed::FirstByte => Some(&histograms.first_byte),
                Timed::Complete => Some(&histograms.complete),
                Timed::ScheduleError => histograms.schedule_error.as_ref(),
            };
            if let Some(packed) = packed.filter(|packed| !packed.0.is_empty()) {
                line(
                    &mut log,
                    timed,
                    Duration::ZERO,
                    length,
                    &packed.0.histogram(),
                );
            }
        }
    }
    let mut from = Duration::ZERO;
    for SecondHistograms(histograms) in seconds {
        // The last second may be incomplete.
        let interval = length.saturating_sub(from).min(Duration::from_secs(1));
        for (timed, bytes) in Timed::ALL.into_iter().zip(histograms) {
            if !bytes.is_empty() {
                let histogram = Deserializer::new().deserialize(&mut bytes.as_slice())?;
                line(&mut log, timed, from, interval, &histogram);
            }
        }
        from += Duration::from_secs(1);
    }
    Ok(Some(log))
}

/// The version must be in the header for `HdrHistogram_c`, the legend for spreadsheets.
fn header(start: SystemTime) -> String {
    let since = start.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs_f64();
    format!(
        "#[Logged with tcpctl {}, values in nanoseconds]\n\
         #[Histogram log format version 1.3]\n\
         #[StartTime: {seconds:.3} (seconds since epoch), {}]\n\
         #[BaseTime: {seconds:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        env!("CARGO_PKG_VERSION"),
        Timestamp(start)
    )
}

/// One interval; the third column is its maximum in milliseconds.
fn line(
    log: &mut String,
    timed: Timed,
    from: Duration,
    length: Duration,
    histogram: &Histogram<u64>,
) {
    let tag = match timed {
        Timed::Connect => "Tag=connect,",
        Timed::FirstByte => "Tag=first_byte,",
        Timed::Complete => "",
        Timed::ScheduleError => "Tag=schedule_error,",
    };
    let _ = writeln!(
        log,
        "{tag}{:.3},{:.3},{:.3},{}",
        from.as_secs_f64(),
        length.as_secs_f64(),
        histogram.max() as f64 / 1e6,
        encode_histogram(histogram)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::example;

    #[test]
    fn log_has_version_times_legend_and_intervals() {
        let mut report = example::report();
        let start = example::start() + Duration::from_secs(40);
        report.latency.as_mut().unwrap().started_at = Some(Timestamp(start));
        let log = format(&report, &[]).unwrap().unwrap();
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines[1], "#[Histogram log format version 1.3]");
        assert!(lines[2].starts_with("#[StartTime: 1700000040.250 (seconds since epoch), 2023-"));
        assert_eq!(
            lines[3],
            "#[BaseTime: 1700000040.250 (seconds since epoch)]"
        );
        assert!(lines[4].starts_with("\"StartTimestamp\","));
        // Cookie 0x1c849314 in base64: V2, deflated.
        for (line, start) in [
            (lines[5], "Tag=connect,0.000,5.000,"),
            (lines[6], "Tag=first_byte,0.000,5.000,"),
            (lines[7], "0.000,5.000,"),
        ] {
            assert!(
                line.starts_with(start) && line.contains(",HISTFAAAA"),
                "{line}"
            );
        }
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn run_without_load_has_no_log() {
        let mut report = example::report();
        report.latency = None;
        assert_eq!(format(&report, &[]).unwrap(), None);
    }
}
