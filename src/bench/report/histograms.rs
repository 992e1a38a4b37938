//! Whole distributions in `HdrHistogram`'s V2 format, which its other tools read.

use std::io::Read as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use tcpctl_engine::times::Times;

/// Maximum size of an unpacked histogram, bytes: ten times the largest that tcpctl writes.
const MAX_UNPACKED: u64 = 4 << 20;

/// The cookies of the V2 format, plain and deflated, with the word size (0x10).
const V2: u32 = 0x1c84_9313;
const V2_DEFLATED: u32 = 0x1c84_9314;

/// The distributions of a run, nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// Distribution of `latency.connect_us`.
    pub connect: PackedHistogram,
    /// Distribution of `latency.first_byte_us`.
    pub first_byte: PackedHistogram,
    /// Distribution of `latency.complete_us`.
    pub complete: PackedHistogram,
    /// Distribution of `latency.schedule_error_us`.
    pub schedule_error: Option<PackedHistogram>,
    /// Distribution of `latency.smoothed_rtt_us`.
    pub smoothed_rtt: Option<PackedHistogram>,
    /// Distribution of `latency.min_rtt_us`.
    pub min_rtt: Option<PackedHistogram>,
    /// Distribution of `latency.client_delay_us`.
    #[serde(default)]
    pub client_delay: Option<PackedHistogram>,
}

/// A distribution that is written as base64 of the deflated V2 format.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedHistogram(pub Times);

impl PackedHistogram {
    /// The base64 text.
    pub fn encode(&self) -> String {
        encode(&self.0.histogram())
    }

    /// Decodes untrusted base64 text.
    fn decode(text: &str) -> Result<Self, String> {
        let invalid = |what: &dyn std::fmt::Display| format!("not a V2 histogram: {what}");
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|error| invalid(&error))?;
        let bytes = inflate(&bytes).ok_or_else(|| invalid(&"truncated or too large"))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map(|histogram: Histogram<u64>| Self(histogram.into()))
            .map_err(|error| invalid(&error))
    }
}

/// Base64 of the deflated V2 format.
pub(in crate::bench) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Cannot fail: it writes to memory, and the histogram has fewer than 2^32 buckets.
    let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    BASE64_STANDARD.encode(bytes)
}

/// Inflates the V2 format and checks its header, because the library allocates what the header
/// requests.
fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let (cookie, rest) = bytes.split_first_chunk()?;
    let bytes = match u32::from_be_bytes(*cookie) {
        V2 => bytes.to_vec(),
        V2_DEFLATED => {
            let (length, deflated) = rest.split_first_chunk()?;
            let deflated = deflated.get(..u32::from_be_bytes(*length) as usize)?;
            let mut bytes = Vec::new();
            let mut reader = flate2::read::ZlibDecoder::new(deflated).take(MAX_UNPACKED);
            reader.read_to_end(&mut bytes).ok()?;
            bytes
        }
        _ => return None,
    };
    // Header: cookie, payload length, normalizing offset, digits, lowest, highest, ratio.
    let field = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let payload = bytes.get(40..)?;
    let is_valid = field(4)? as usize == payload.len()
        && bytes.len() as u64 <= MAX_UNPACKED
        && field(12)? <= 4
        // The library negates this number, which overflows.
        && !payload.windows(9).any(|nine| nine == [0xff; 9]);
    is_valid.then_some(bytes)
}

impl Serialize for PackedHistogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for PackedHistogram {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::decode(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_restores_what_was_encoded(
            samples in proptest::collection::vec(1_u64..100_000_000_000, 1..50),
        ) {
            let histogram = PackedHistogram(samples.into_iter().collect());
            prop_assert_eq!(PackedHistogram::decode(&histogram.encode()).unwrap(), histogram);
        }

        #[test]
        fn damaged_histogram_does_not_panic(at: prop::sample::Index, with: u8) {
            let times: Times = [1, 1_000, 5_000_000].into_iter().collect();
            let mut bytes = Vec::new();
            hdrhistogram::serialization::V2Serializer::new()
                .serialize(&times.histogram(), &mut bytes)
                .unwrap();
            let at = at.index(bytes.len());
            bytes[at] = with;
            let _ = PackedHistogram::decode(&BASE64_STANDARD.encode(bytes));
        }
    }

    #[test]
    fn wrong_length_in_header_is_refused() {
        let mut bytes = Vec::new();
        bytes.extend(V2.to_be_bytes());
        bytes.extend(u32::MAX.to_be_bytes());
        bytes.extend([0; 32]);
        assert!(PackedHistogram::decode(&BASE64_STANDARD.encode(&bytes)).is_err());
        // The number whose negation overflows.
        bytes[4..8].copy_from_slice(&9_u32.to_be_bytes());
        bytes.extend([0xff; 9]);
        assert!(PackedHistogram::decode(&BASE64_STANDARD.encode(&bytes)).is_err());
    }
}
