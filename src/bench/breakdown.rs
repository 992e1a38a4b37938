//! The parts of a request's time: network, server, and what limited sending.

use super::report::Latency;
use crate::output::human;

/// Splits the median time to the first byte into network and server; `None` if round-trip times are
/// unknown, or there was no reply.
///
/// A new connection waits for two round trips, its handshake's and its request's; a kept one only
/// for the latter. The minimum round trip contains the least of the server's time.
pub(crate) fn first_byte(latency: &Latency) -> Option<String> {
    let total = latency.first_byte_us.p50?;
    let round_trip = latency.min_rtt_us?.p50?;
    let (trips, name) = if latency.keep_alive {
        (1.0, "1 RTT")
    } else {
        (2.0, "2 RTT")
    };
    let network = (trips * round_trip).min(total);
    let [total, network, server] = [total, network, total - network].map(human::microseconds);
    Some(format!(
        "median {total}: network {network} ({name}), server {server}"
    ))
}

/// What limited sending, all connections together; `None` if nothing did, or it is unknown.
pub(crate) fn send_limits(latency: &Latency) -> Option<String> {
    let parts = [
        (latency.receiver_limited_us, "receive window"),
        (latency.send_buffer_limited_us, "local send buffer"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter_map(|(time, limit)| {
            let time = time.filter(|time| *time > 0.0)?;
            Some(format!("{limit} {}", human::microseconds(time)))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::example;

    #[test]
    fn new_connection_spends_two_round_trips_on_the_network() {
        // The median first byte is at 7.8 ms, over a round trip of 2.5 ms.
        let mut latency = example::report().latency.unwrap();
        assert_eq!(
            first_byte(&latency).unwrap(),
            "median 7.80 ms: network 5.00 ms (2 RTT), server 2.80 ms"
        );
        latency.keep_alive = true;
        assert_eq!(
            first_byte(&latency).unwrap(),
            "median 7.80 ms: network 2.50 ms (1 RTT), server 5.30 ms"
        );
        latency.min_rtt_us = None;
        assert_eq!(first_byte(&latency), None);
    }

    #[test]
    fn send_limits_are_named() {
        let mut latency = example::report().latency.unwrap();
        assert_eq!(send_limits(&latency), None);
        latency.receiver_limited_us = Some(12_000.0);
        latency.send_buffer_limited_us = Some(3_000.0);
        assert_eq!(
            send_limits(&latency).unwrap(),
            "receive window 12.0 ms, local send buffer 3.00 ms"
        );
        latency.receiver_limited_us = None;
        latency.send_buffer_limited_us = None;
        assert_eq!(send_limits(&latency), None);
    }
}
