//! Where a request's time went: to the network or to the server, and what held up its sending.

use super::report::Latency;
use crate::output::human;

/// The network's share of the median time to the first byte, and the server's, in one sentence;
/// `None` where round trips are not known, or there was no reply.
///
/// A new connection waits for two round trips, its handshake's and its request's, a kept one for the
/// latter alone. The shortest round trip has the least of the server in it.
pub(crate) fn first_byte(latency: &Latency) -> Option<String> {
    let whole = latency.first_byte_us.p50?;
    let round_trip = latency.min_rtt_us?.p50?;
    let (trips, name) = if latency.keep_alive {
        (1.0, "a round trip")
    } else {
        (2.0, "two round trips")
    };
    let network = (trips * round_trip).min(whole);
    let [whole, network, server] = [whole, network, whole - network].map(human::microseconds);
    Some(format!(
        "the network {network} ({name}), the server {server}: the median first byte after {whole}"
    ))
}

/// What held up the sending of requests, all connections together; `None` where nothing did, or it
/// is not known.
pub(crate) fn held_up(latency: &Latency) -> Option<String> {
    let parts = [
        (latency.receiver_limited_us, "by the receiver's window"),
        (latency.send_buffer_limited_us, "by the send buffer here"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter_map(|(time, by)| {
            let time = time.filter(|time| *time > 0.0)?;
            Some(format!("{} {by}", human::microseconds(time)))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::example;

    #[test]
    fn the_network_has_two_round_trips_of_a_new_connection() {
        // Half have their first byte after 7.8 ms, over a round trip of 2.5 ms.
        let mut latency = example::report().latency.unwrap();
        let text = first_byte(&latency).unwrap();
        assert_eq!(
            text,
            "the network 5.00 ms (two round trips), the server 2.80 ms: the median first byte after \
             7.80 ms"
        );
        latency.keep_alive = true;
        let text = first_byte(&latency).unwrap();
        assert!(
            text.contains("(a round trip), the server 5.30 ms"),
            "{text}"
        );
        latency.min_rtt_us = None;
        assert_eq!(first_byte(&latency), None);
    }

    #[test]
    fn what_held_up_sending_is_named_and_nothing_is_not() {
        let mut latency = example::report().latency.unwrap();
        assert_eq!(held_up(&latency), None);
        latency.receiver_limited_us = Some(12_000.0);
        assert_eq!(
            held_up(&latency).unwrap(),
            "12.0 ms by the receiver's window"
        );
        latency.send_buffer_limited_us = Some(3_000.0);
        assert!(
            held_up(&latency)
                .unwrap()
                .ends_with("by the send buffer here")
        );
        latency.receiver_limited_us = None;
        latency.send_buffer_limited_us = None;
        assert_eq!(held_up(&latency), None);
    }
}
