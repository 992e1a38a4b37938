//! Histograms as other tools read them: `HdrHistogram`'s V2 form, and its interval log.
//!
//! In this form runs from several machines are merged without loss: the merged histogram is that
//! of all samples together.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::report::Report;
use tcpctl_engine::measurement::{SecondHistograms, Timed};
use tcpctl_engine::times::Times;

/// No histogram that tcpctl writes unpacks to more than a tenth of this.
const LARGEST: u64 = 4 << 20;

/// V2's cookies (magic numbers): as it is, and deflated; 0x10 is its word size.
const V2: u32 = 0x1c84_9313;
const V2_DEFLATED: u32 = 0x1c84_9314;

/// Times that are written as base64 of `HdrHistogram`'s V2 form, deflated.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed(pub Times);

impl Packed {
    fn text(&self) -> String {
        let mut bytes = Vec::new();
        // Into memory, of a histogram with fewer than 2^32 buckets: it can't fail.
        let _ = V2DeflateSerializer::new().serialize(&self.0.histogram(), &mut bytes);
        BASE64_STANDARD.encode(bytes)
    }

    /// Reads what a file, perhaps a hostile one, says is a histogram.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &dyn std::fmt::Display| format!("not a V2 histogram: {what}");
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|error| wrong(&error))?;
        let bytes = inflated(&bytes).ok_or_else(|| wrong(&"it is cut short or too large"))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map(|histogram: Histogram<u64>| Self(histogram.into()))
            .map_err(|error| wrong(&error))
    }
}

/// A V2 histogram as it is, its header checked: the library believes it, and would allocate what
/// it says.
fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let (cookie, rest) = bytes.split_first_chunk()?;
    let bytes = match u32::from_be_bytes(*cookie) {
        V2 => bytes.to_vec(),
        V2_DEFLATED => {
            let (length, deflated) = rest.split_first_chunk()?;
            let deflated = deflated.get(..u32::from_be_bytes(*length) as usize)?;
            let mut bytes = Vec::new();
            let mut reader = flate2::read::ZlibDecoder::new(deflated).take(LARGEST);
            reader.read_to_end(&mut bytes).ok()?;
            bytes
        }
        _ => return None,
    };
    // Cookie, payload's length, normalising offset, digits; lowest and highest value, ratio.
    let field = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let payload = bytes.get(40..)?;
    let sound = field(4)? as usize == payload.len()
        && bytes.len() as u64 <= LARGEST
        && field(12)? <= 4
        // The one number whose negation overflows in the library.
        && !payload.windows(9).any(|nine| nine == [0xff; 9]);
    sound.then_some(bytes)
}

impl Serialize for Packed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The sum of two distributions, of whatever bounds: as if both had been recorded into one.
///
/// # Errors
/// One line: the values of one do not fit the other.
pub(super) fn sum(one: &Times, other: &Times) -> Result<Times, String> {
    let mut sum =
        Histogram::<u64>::new(3).unwrap_or_else(|_| unreachable!("three digits are permitted"));
    for part in [one, other] {
        sum.add(part.histogram().as_ref())
            .map_err(|error| format!("the histograms do not fit together: {error}"))?;
    }
    Ok(sum.into())
}

/// An interval log: histograms of nanoseconds, by tag, and the time that they cover.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    start: SystemTime,
    length: Duration,
    histograms: BTreeMap<String, Times>,
    /// The same second by second, from the start on; empty where that is not known.
    seconds: Vec<SecondHistograms>,
}

/// The tag of the log's lines.
const fn tag(timed: Timed) -> &'static str {
    match timed {
        Timed::Connect => "connect",
        Timed::FirstByte => "first_byte",
        Timed::Complete => "complete",
        Timed::ScheduleError => "schedule_error",
    }
}

impl Log {
    /// The log of a run, with an interval for each of `seconds`, or of the whole run where there
    /// are none; `None` where no load was sent.
    pub fn of(report: &Report, seconds: &[SecondHistograms]) -> Option<Self> {
        let (latency, histograms) = (report.latency.as_ref()?, report.histograms.as_ref()?);
        let known = |timed| match timed {
            Timed::Connect => Some(&histograms.connect),
            Timed::FirstByte => Some(&histograms.first_byte),
            Timed::Complete => Some(&histograms.complete),
            Timed::ScheduleError => histograms.schedule_error.as_ref(),
        };
        Some(Self {
            start: report.load_started_at(),
            length: Duration::try_from_secs_f64(latency.duration_us / 1e6).unwrap_or_default(),
            histograms: Timed::ALL
                .into_iter()
                .filter_map(|timed| Some((tag(timed).to_owned(), known(timed)?.0.clone())))
                .filter(|(_, histogram)| !histogram.is_empty())
                .collect(),
            seconds: seconds.to_vec(),
        })
    }

    /// The distributions, by tag.
    pub fn histograms(&self) -> &BTreeMap<String, Times> {
        &self.histograms
    }

    /// When it begins, and how long it is.
    pub fn span(&self) -> (SystemTime, Duration) {
        (self.start, self.length)
    }

    /// The log as text, one line for each second and tag, or one a tag; the third column is the
    /// longest time in milliseconds.
    ///
    /// # Errors
    /// One line; only a tag or time that the form can't express.
    pub fn text(&self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let cannot = |error: &dyn std::fmt::Display| format!("the log can't be written: {error}");
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment(concat!(
                "tcpctl ",
                env!("CARGO_PKG_VERSION"),
                ", nanoseconds"
            ))
            .with_start_time(self.start)
            .with_base_time(self.start)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut text, &mut serializer)
            .map_err(|error| cannot(&error))?;
        let mut line = |tag: &str, histogram: &Histogram<u64>, from, length| {
            let tag = match tag {
                "" => None,
                tag => Some(Tag::new(tag).ok_or_else(|| cannot(&format!("tag '{tag}'")))?),
            };
            writer
                .write_histogram(histogram, from, length, tag)
                .map_err(|error| cannot(&error))
        };
        if self.seconds.is_empty() {
            for (tag, histogram) in &self.histograms {
                line(tag, &histogram.histogram(), Duration::ZERO, self.length)?;
            }
        }
        let second = Duration::from_secs(1);
        let mut from = Duration::ZERO;
        for SecondHistograms(histograms) in &self.seconds {
            // The last may be a part of one.
            let length = self.length.saturating_sub(from).min(second);
            let filled = Timed::ALL.into_iter().zip(histograms);
            for (timed, bytes) in filled.filter(|(_, bytes)| !bytes.is_empty()) {
                let histogram: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut bytes.as_slice())
                    .map_err(|error| cannot(&error))?;
                line(tag(timed), &histogram, from, length)?;
            }
            from += second;
        }
        Ok(text)
    }

    /// Reads a log, of tcpctl or of another program; lines of one tag are summed up.
    ///
    /// # Errors
    /// One line that says what is no log.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut start = None;
        let mut base = None;
        let mut first = Duration::MAX;
        let mut last = Duration::ZERO;
        let mut histograms = BTreeMap::<String, Times>::new();
        for entry in IntervalLogIterator::new(text) {
            let entry = entry.map_err(|_| "not an HdrHistogram interval log".to_owned())?;
            match entry {
                LogEntry::StartTime(time) => start = Some(time),
                LogEntry::BaseTime(time) => base = Some(time),
                LogEntry::Interval(interval) => {
                    let tag = interval.tag().map_or("", |tag| tag.as_str());
                    let Packed(times) = Packed::parse(interval.encoded_histogram())?;
                    let sum = match histograms.get(tag) {
                        Some(known) => sum(known, &times)?,
                        None => times,
                    };
                    histograms.insert(tag.to_owned(), sum);
                    let from = interval.start_timestamp();
                    first = first.min(from);
                    last = last.max(from.saturating_add(interval.duration()));
                }
            }
        }
        if histograms.is_empty() {
            return Err("an HdrHistogram interval log without a histogram".to_owned());
        }
        // Without a base, the times of intervals count from the epoch.
        let base = base.or(start).unwrap_or_default();
        let start = SystemTime::UNIX_EPOCH
            .checked_add(base)
            .and_then(|base| base.checked_add(first))
            .ok_or("an interval log from beyond the end of time")?;
        Ok(Self {
            start,
            length: last.saturating_sub(first),
            histograms,
            seconds: Vec::new(),
        })
    }

    /// The log of both, without their seconds: those of two runs are not the same.
    ///
    /// # Errors
    /// One line: the histograms do not fit together.
    pub fn merge(mut self, other: &Self) -> Result<Self, String> {
        let end = |log: &Self| log.start.checked_add(log.length).unwrap_or(log.start);
        let last = end(&self).max(end(other));
        self.start = self.start.min(other.start);
        self.length = last.duration_since(self.start).unwrap_or_default();
        self.seconds.clear();
        for (tag, histogram) in &other.histograms {
            let sum = match self.histograms.get(tag) {
                Some(known) => sum(known, histogram)?,
                None => histogram.clone(),
            };
            self.histograms.insert(tag.clone(), sum);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bench::example;
    use crate::bench::report::Timestamp;

    fn histogram(samples: &[u64]) -> Times {
        samples.iter().copied().collect()
    }

    fn log(samples: &[u64], at: u64) -> Log {
        Log {
            start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + at),
            length: Duration::from_secs(5),
            histograms: [("complete".to_owned(), histogram(samples))].into(),
            seconds: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn the_merge_of_two_logs_is_the_log_of_both(
            one in proptest::collection::vec(1_u64..100_000_000_000, 1..50),
            other in proptest::collection::vec(1_u64..100_000_000_000, 1..50),
        ) {
            let read = |samples: &[u64]| Log::parse(&log(samples, 0).text().unwrap()).unwrap();
            let merged = read(&one).merge(&read(&other)).unwrap();
            let both = [one.as_slice(), &other].concat();
            prop_assert_eq!(&merged.histograms, &read(&both).histograms);
            // And what is read is what was recorded.
            prop_assert_eq!(&merged.histograms["complete"], &histogram(&both));
        }

        #[test]
        fn any_bytes_are_a_log_or_an_error(bytes: Vec<u8>) {
            let _ = Log::parse(&bytes);
        }

        #[test]
        fn a_damaged_histogram_does_not_panic(at: prop::sample::Index, with: u8) {
            let times = histogram(&[1, 1_000, 5_000_000]);
            let mut bytes = Vec::new();
            hdrhistogram::serialization::V2Serializer::new()
                .serialize(&times.histogram(), &mut bytes)
                .unwrap();
            let at = at.index(bytes.len());
            bytes[at] = with;
            let _ = Packed::parse(&BASE64_STANDARD.encode(bytes));
        }
    }

    #[test]
    fn a_log_has_the_lines_that_other_tools_read() {
        let text = log(&[2_000_000, 4_000_000], 0).text().unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1].starts_with("#[StartTime: 1700000000.000"),
            "{text}"
        );
        assert!(lines[2].starts_with("#[BaseTime: 1700000000.000"), "{text}");
        let interval = lines.last().unwrap();
        assert!(
            interval.starts_with("Tag=complete,0.000,5.000,4.0"),
            "{text}"
        );
        // Cookie 0x1c849314 in base64: deflated V2, what the Java reader expects.
        assert!(interval.contains(",HISTFAAAA"), "{text}");
    }

    #[test]
    fn a_log_begins_with_the_load_and_not_with_the_command() {
        let mut report = example::report();
        let began = example::start() + Duration::from_secs(40);
        report.latency.as_mut().unwrap().started_at = Some(Timestamp(began));
        let length = Duration::from_secs(5);
        let log = Log::of(&report, &[]).unwrap();
        assert_eq!(log.span(), (began, length));
        // A file of before that was told.
        report.latency.as_mut().unwrap().started_at = None;
        let log = Log::of(&report, &[]).unwrap();
        assert_eq!(log.span(), (example::start(), length));
    }

    #[test]
    fn the_merged_span_covers_both() {
        let merged = log(&[1], 3).merge(&log(&[1], 0)).unwrap();
        let (start, length) = merged.span();
        assert_eq!(
            start,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
        );
        assert_eq!(length, Duration::from_secs(8));
        assert_eq!(merged.histograms()["complete"].len(), 2);
    }

    #[test]
    fn a_histogram_that_lies_about_its_size_is_refused() {
        let mut bytes = Vec::new();
        bytes.extend(V2.to_be_bytes());
        bytes.extend(u32::MAX.to_be_bytes());
        bytes.extend([0; 32]);
        let error = Packed::parse(&BASE64_STANDARD.encode(&bytes)).unwrap_err();
        assert!(error.contains("cut short or too large"), "{error}");
        // The number whose negation overflows.
        bytes[4..8].copy_from_slice(&9_u32.to_be_bytes());
        bytes.extend([0xff; 9]);
        assert!(Packed::parse(&BASE64_STANDARD.encode(&bytes)).is_err());
    }
}
