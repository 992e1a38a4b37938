//! Loads for tests, and checks of their results.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tcpctl_engine::load::{Expectation, Extent, Load, Pace, Rate, ReplyRule};
use tcpctl_engine::measurement::{ErrorClass, Measurement};

pub(crate) const MS: u64 = 1_000_000;

/// A number of requests to a server that closes after each reply.
pub(crate) fn requests(target: SocketAddr, connections: usize, requests: u64) -> Load {
    Load {
        expect: Expectation::Given(ReplyRule::Close),
        pace: closed(connections),
        extent: count(requests),
        gone_after: None,
        ..Load::new(target)
    }
}

pub(crate) fn closed(connections: usize) -> Pace {
    Pace::Closed {
        connections: connections.try_into().expect("not zero"),
    }
}

pub(crate) fn open(per_second: f64, max_in_flight: usize) -> Pace {
    Pace::Open {
        rate: Rate::new(per_second).expect("a rate"),
        max_in_flight: max_in_flight.try_into().expect("not zero"),
    }
}

pub(crate) fn count(requests: u64) -> Extent {
    Extent::Requests(requests.try_into().expect("not zero"))
}

pub(crate) fn seconds(seconds: u64) -> Extent {
    Extent::Duration(Duration::from_secs(seconds))
}

/// A map with exactly these errors.
pub(crate) fn errors<const N: usize>(counts: [(ErrorClass, u64); N]) -> BTreeMap<ErrorClass, u64> {
    BTreeMap::from(counts)
}

/// A quantile of the completion times, in milliseconds.
pub(crate) fn complete_ms(measurement: &Measurement, quantile: f64) -> f64 {
    measurement.complete.value_at_quantile(quantile) as f64 / MS as f64
}

/// Whether `found` is within `percent` of `expected`.
pub(crate) fn is_within(percent: f64, found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected * percent / 100.0
}
