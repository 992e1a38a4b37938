//! A few exchanges with the otherwise idle server: how it replies, and how soon.

use std::time::Duration;

use super::LimitsProgress;
use super::fin_probe;
use super::model::{Abort, Baseline, FinResponse, ServerBehavior};
use super::pool::{ConnectionPool, Handle, HeldConnection};
use super::timing::{SLOW_REPLY, Timeouts};
use tcpctl_engine::readiness::{Network, Release};

/// Number of exchanges to measure.
const EXCHANGES: usize = 12;
/// Fewer exchanges are enough if they are slow: this many after this time.
const ENOUGH: [(usize, Duration); 3] = [
    (8, Duration::from_millis(150)),
    (2, Duration::from_millis(250)),
    (1, Duration::from_secs(1)),
];
/// A server that rejects this many connections counts as rejecting all.
const REJECTIONS: usize = 3;
/// Maximum handshakes with a retransmitted SYN. After that, one of them counts as the round trip.
const RETRANSMITTED_SYNS: usize = 3;

/// Measures a few exchanges, one after the other. A connection without a reply stays in the pool.
pub(super) fn measure<N: Network>(pool: &mut ConnectionPool<'_, N>) -> Result<Baseline, Abort> {
    let begin = pool.now();
    let retransmissions = pool.retransmissions;
    let mut connects = Vec::new();
    let mut first_bytes = Vec::new();
    let mut resent = Vec::new();
    let mut behavior = ServerBehavior::Replies;
    let mut closes = None;
    let mut rejections = 0;
    let mut retransmitted_syns = 0;
    let mut closes_on_fin = false;
    let mut serves_fin = false;
    let mut is_watched = false;
    let mut exchange = 0;
    while exchange < EXCHANGES {
        if is_enough(exchange, pool.since(begin)) {
            break;
        }
        pool.report(LimitsProgress::Baseline { exchange });
        let (handle, took) = connect(pool, &mut connects, &mut retransmitted_syns)?;
        // Wait for data before a request, unless the server is known to wait for one.
        if exchange == 0 || behavior != ServerBehavior::Replies {
            let grace = grace(took);
            pool.wait(grace, |pool| {
                pool.is(handle, |it| it.unsolicited_at().is_some())
            })?;
            let connection = pool.get(handle).copied();
            if let Some(after) = connection.and_then(|it| it.greeted_after()) {
                first_bytes.push(after);
                let is_closed = pool.wait(grace, |pool| pool.is(handle, |it| !it.is_live()))?;
                behavior = if is_closed {
                    ServerBehavior::GreetsAndCloses
                } else {
                    ServerBehavior::GreetsAndWaits
                };
                closes = Some(is_closed);
                pool.release(handle, Release::Fin);
                exchange += 1;
                continue;
            }
            if let Some((_, end)) = connection.and_then(|it| it.ended) {
                // The server is full of other clients' connections, or accepts none.
                pool.release(handle, Release::Reset);
                rejections += 1;
                if rejections == REJECTIONS {
                    behavior = ServerBehavior::Rejects(end);
                    break;
                }
                pool.back_off(rejections)?;
                continue;
            }
        }
        pool.send_request(handle);
        let is_answered = pool.wait(pool.reply_timeout, |pool| {
            pool.is(handle, |it| it.answered_at().is_some())
        })?;
        if !is_answered {
            if exchange == 0 {
                behavior = ServerBehavior::NeverReplies;
            }
            break;
        }
        if let Some(after) = pool.get(handle).and_then(HeldConnection::answered_after) {
            first_bytes.push(after);
            resent.push((after, pool.retransmissions(handle).unwrap_or_default()));
        }
        if closes != Some(false) {
            let grace = (took * 4).max(Duration::from_millis(60));
            closes = Some(pool.wait(grace, |pool| pool.is(handle, |it| !it.is_live()))?);
        }
        let since_handshake = pool.get(handle).and_then(HeldConnection::greeted_after);
        pool.release(handle, Release::Fin);
        // The second request is sent at once. If its reply takes longer than the grace of the
        // first, the first may have been answered without a request.
        let reply = first_bytes.last().copied().unwrap_or_default();
        let is_slow = reply >= SLOW_REPLY;
        if !is_watched && (is_slow || exchange == 1 && reply >= grace(took)) {
            is_watched = true;
            let since_handshake = since_handshake.unwrap_or_default();
            match fin_probe::watch(pool, took, reply, since_handshake)? {
                FinResponse::Greets(after) => {
                    behavior = ServerBehavior::GreetsAndCloses;
                    // The greeting's time counts from the handshake. These are two such times.
                    first_bytes = vec![since_handshake, after];
                    break;
                }
                FinResponse::Closes => closes_on_fin = is_slow,
                FinResponse::Serves => serves_fin = true,
                FinResponse::KeepsOpen => {}
            }
        }
        exchange += 1;
    }
    pool.retransmissions -= spurious(&resent).min(pool.retransmissions - retransmissions);
    let is_lossy = retransmitted_syns > 0 || pool.retransmissions > retransmissions;
    Ok(Baseline {
        behavior,
        closes_on_fin,
        serves_fin,
        has_accept_timer: false,
        closes_after_reply: closes,
        timeouts: Timeouts::new(&connects, &first_bytes, is_lossy),
        first_byte: first_bytes,
    })
}

/// Establishes a connection and returns it with its round trip. A handshake with a retransmitted
/// SYN measures no round trip: the wait for a greeting would last so long that a server which soon
/// answers silent connections seems to greet first.
fn connect<N: Network>(
    pool: &mut ConnectionPool<'_, N>,
    connects: &mut Vec<Duration>,
    retransmitted_syns: &mut usize,
) -> Result<(Handle, Duration), Abort> {
    loop {
        let is_first = connects.is_empty() && *retransmitted_syns == 0;
        let (handle, took) = pool.connect_with_retries(is_first)?;
        if pool.syn_retransmissions(handle).unwrap_or_default() == 0 {
            connects.push(took);
            return Ok((handle, took));
        }
        *retransmitted_syns += 1;
        if let Some(&last) = connects.last() {
            return Ok((handle, last));
        }
        if *retransmitted_syns > RETRANSMITTED_SYNS {
            return Ok((handle, took));
        }
        pool.release(handle, Release::Fin);
    }
}

/// Requests that were retransmitted although nothing was lost: lwIP delays its ACK by up to
/// 250 ms, and Linux retransmits after 200 ms. The reply to a request that was really lost comes
/// later than the others. A single exchange cannot show that.
fn spurious(resent: &[(Duration, u32)]) -> usize {
    const MAX_DELAY: Duration = Duration::from_millis(150);
    let Some(fastest) = resent.iter().map(|it| it.0).min() else {
        return 0;
    };
    let is_no_later = |it: &&(Duration, u32)| resent.len() > 1 && it.0 < fastest + MAX_DELAY;
    let counts = resent.iter().filter(is_no_later).map(|it| it.1 as usize);
    counts.sum()
}

fn is_enough(exchanges: usize, elapsed: Duration) -> bool {
    ENOUGH
        .iter()
        .any(|&(count, time)| exchanges >= count && elapsed > time)
}

/// How long to wait for data that the server sends before a request.
fn grace(round_trip: Duration) -> Duration {
    (round_trip * 4).max(Duration::from_millis(30))
}
