//! Happy eyeballs (RFC 8305): all addresses of a server are tried, a quick one wins, and a dead
//! address family costs a quarter of a second, not the whole timeout.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

/// "Connection Attempt Delay", RFC 8305 section 5: 250 ms is what it recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Alternates the address families and keeps the order within each (RFC 8305 section 4).
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

/// Starts an attempt at each address, the next one when the one before has failed or has taken
/// 250 ms; the first success wins and ends the others.
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
        // The usual case needs no tasks.
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
            // Nothing runs, and more wait; or a task was ended, which only its panic could do.
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

    /// Runs a race in which each address has its fate, and returns the result and the time taken.
    fn run(fates: &'static [(&'static str, u64, bool)]) -> (Result<SocketAddr, usize>, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let begin = tokio::time::Instant::now();
            let list = fates.iter().map(|(address, ..)| address.parse().unwrap());
            let result = race(list.collect(), |address| async move {
                let (_, after, succeeds) = fates
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
    fn a_dead_first_address_costs_a_quarter_of_a_second() {
        let (winner, took) = run(&[(V6[0], 60_000, false), (V4[0], 5, true)]);
        assert_eq!(winner, Ok(V4[0].parse().unwrap()));
        assert_eq!(took, Duration::from_millis(255));
    }

    #[test]
    fn a_refusal_starts_the_next_attempt_at_once() {
        let (winner, took) = run(&[(V6[0], 1, false), (V4[0], 5, true)]);
        assert_eq!(winner, Ok(V4[0].parse().unwrap()));
        assert_eq!(took, Duration::from_millis(6));
    }

    #[test]
    fn a_slow_first_address_may_still_win() {
        let (winner, took) = run(&[(V6[0], 300, true), (V4[0], 100, true)]);
        assert_eq!(winner, Ok(V6[0].parse().unwrap()));
        assert_eq!(took, Duration::from_millis(300));
    }

    #[test]
    fn when_all_fail_all_are_told() {
        let (result, took) = run(&[(V6[0], 1, false), (V4[0], 2, false), (V4[1], 3, false)]);
        assert_eq!(result, Err(3));
        assert_eq!(took, Duration::from_millis(6));
    }
}
