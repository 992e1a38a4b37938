//! Happy Eyeballs (RFC 8305): races the addresses of a server, so that an unreachable address family
//! costs 250 ms instead of the whole timeout.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

/// Connection Attempt Delay, as RFC 8305 §5 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Alternates the address families and keeps the order within each (RFC 8305 §4).
pub(crate) fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut next, mut other): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut interleaved = VecDeque::with_capacity(next.len() + other.len());
    while let Some(address) = next.pop_front() {
        interleaved.push_back(address);
        std::mem::swap(&mut next, &mut other);
        if next.is_empty() {
            std::mem::swap(&mut next, &mut other);
        }
    }
    interleaved
}

/// Starts an attempt at each address as soon as the previous one has failed or has taken 250 ms. The
/// first success cancels the others.
///
/// # Errors
/// Every address with its error, in the order in which they failed.
pub(crate) async fn race<T, A, F>(
    mut waiting: VecDeque<SocketAddr>,
    attempt: A,
) -> Result<(SocketAddr, T), Vec<(SocketAddr, io::Error)>>
where
    T: Send + 'static,
    A: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    if waiting.len() == 1 {
        // The usual case needs no task.
        let address = waiting[0];
        return match attempt(address).await {
            Ok(stream) => Ok((address, stream)),
            Err(error) => Err(vec![(address, error)]),
        };
    }
    let mut running = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.pop_front() {
            let attempt = attempt(address);
            running.spawn(async move { (address, attempt.await) });
        }
        let ended = if waiting.is_empty() {
            running.join_next().await
        } else {
            match tokio::time::timeout(ATTEMPT_DELAY, running.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok((address, Ok(stream)))) => return Ok((address, stream)),
            Some(Ok((address, Err(error)))) => failures.push((address, error)),
            None if waiting.is_empty() => return Err(failures),
            // No attempt is running and more are waiting, or a task has panicked.
            None | Some(Err(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const V4: [&str; 2] = ["10.0.0.1:1", "10.0.0.2:1"];
    const V6: [&str; 2] = ["[2001:db8::1]:1", "[2001:db8::2]:1"];

    #[test]
    fn families_alternate_and_keep_their_order() {
        let mixed = addresses(&[V6[0], V6[1], V4[0], V4[1]]);
        assert_eq!(interleave(mixed), addresses(&[V6[0], V4[0], V6[1], V4[1]]));
        let uneven = addresses(&[V4[0], V4[1], V6[0]]);
        assert_eq!(interleave(uneven), addresses(&[V4[0], V6[0], V4[1]]));
        assert_eq!(interleave(addresses(&V4)), addresses(&V4));
        assert!(interleave(Vec::new()).is_empty());
    }

    /// Races addresses with scripted outcomes: (address, milliseconds, success). Returns the result
    /// and the time taken.
    fn run(
        outcomes: &'static [(&'static str, u64, bool)],
    ) -> (Result<SocketAddr, usize>, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let begin = tokio::time::Instant::now();
            let list = outcomes
                .iter()
                .map(|(address, ..)| address.parse().unwrap());
            let result = race(list.collect(), |address| async move {
                let (_, after, succeeds) = outcomes
                    .iter()
                    .find(|(text, ..)| text.parse() == Ok(address))
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(*after)).await;
                succeeds
                    .then_some(())
                    .ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
            })
            .await;
            let result = result
                .map(|(address, ())| address)
                .map_err(|failures| failures.len());
            (result, begin.elapsed())
        })
    }

    #[test]
    fn dead_first_address_costs_250_ms() {
        let (winner, took) = run(&[(V6[0], 60_000, false), (V4[0], 5, true)]);
        assert_eq!(winner, Ok(V4[0].parse().unwrap()));
        assert_eq!(took, Duration::from_millis(255));
    }

    #[test]
    fn refusal_starts_the_next_attempt_at_once() {
        let (winner, took) = run(&[(V6[0], 1, false), (V4[0], 5, true)]);
        assert_eq!(winner, Ok(V4[0].parse().unwrap()));
        assert_eq!(took, Duration::from_millis(6));
    }

    #[test]
    fn slow_first_address_can_still_be_used() {
        let (winner, took) = run(&[(V6[0], 300, true), (V4[0], 100, true)]);
        assert_eq!(winner, Ok(V6[0].parse().unwrap()));
        assert_eq!(took, Duration::from_millis(300));
    }

    #[test]
    fn all_failures_are_reported() {
        let (result, took) = run(&[(V6[0], 1, false), (V4[0], 2, false), (V4[1], 3, false)]);
        assert_eq!(result, Err(3));
        assert_eq!(took, Duration::from_millis(6));
    }
}
