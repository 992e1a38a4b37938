//! When to repeat queries.
//!
//! The daemon repeats its question with growing pauses (RFC 6762 §5.2). On top of that, a search
//! asks a few times within two seconds, because datagrams get lost on Wi-Fi, and a watch asks each
//! known board by unicast (§5.5). Where the daemon receives nothing, a firewall or another program
//! may hold its port: then the pauses here stay short.

use std::time::{Duration, Instant};

/// When a search repeats its first query.
const REPEATS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(1600),
];
/// First pause after that, and maximum pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// How often a watch queries each known board.
const ROUND: Duration = Duration::from_millis(600);
/// Boards that are gone are queried once in this many rounds.
const ROUNDS_PER_GONE: u32 = 5;

/// The schedule of queries.
#[derive(Debug)]
pub(super) struct Schedule {
    is_watch: bool,
    begin: Instant,
    asked: usize,
    everyone: Instant,
    pause: Duration,
    round: Instant,
    rounds: u32,
}

/// The queries that are due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// All boards, by multicast.
    pub(super) everyone: bool,
    /// Each known board, by unicast.
    pub(super) known: bool,
    /// Boards that have disappeared, each at its last address.
    pub(super) gone: bool,
}

impl Schedule {
    pub(super) fn new(is_watch: bool, now: Instant) -> Self {
        Self {
            is_watch,
            begin: now,
            asked: 0,
            everyone: now,
            pause: FIRST_PAUSE,
            round: now + ROUND,
            rounds: 0,
        }
    }

    /// Starts over, because there is a new interface.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.begin, self.everyone, self.asked) = (now, now, 0);
        self.pause = FIRST_PAUSE;
    }

    /// When something is due.
    pub(super) fn next(&self) -> Instant {
        if self.is_watch {
            self.everyone.min(self.round)
        } else {
            self.everyone
        }
    }

    /// The queries that are due. If the daemon hears boards, a watch leaves multicast queries to
    /// it.
    pub(super) fn due(&mut self, now: Instant, daemon_hears: bool) -> Due {
        let mut due = Due::default();
        if now >= self.everyone {
            due.everyone = self.asked == 0 || !(self.is_watch && daemon_hears);
            let repeat = REPEATS.get(self.asked).filter(|_| !self.is_watch);
            self.everyone = match repeat {
                Some(after) => (self.begin + *after).max(now + Duration::from_millis(50)),
                None => now + self.pause,
            };
            if repeat.is_none() {
                self.pause = (self.pause * 2).min(MAX_PAUSE);
            }
            self.asked = self.asked.saturating_add(1);
        }
        if self.is_watch && now >= self.round {
            due.known = true;
            due.gone = self.rounds.is_multiple_of(ROUNDS_PER_GONE);
            self.rounds = self.rounds.wrapping_add(1);
            self.round = now + ROUND;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When everyone is queried within `span`, in milliseconds from the start.
    fn asked(is_watch: bool, daemon_hears: bool, span: Duration) -> Vec<u128> {
        let begin = Instant::now();
        let mut schedule = Schedule::new(is_watch, begin);
        let mut times = Vec::new();
        while schedule.next() <= begin + span {
            let now = schedule.next();
            if schedule.due(now, daemon_hears).everyone {
                times.push((now - begin).as_millis());
            }
        }
        times
    }

    #[test]
    fn a_search_repeats_quickly_and_then_slows_down() {
        let times = asked(false, true, Duration::from_secs(30));
        let expected = [0, 200, 500, 1000, 1600, 2600, 4600, 8600, 16600, 24600];
        assert_eq!(times, expected);
    }

    #[test]
    fn watch_repeats_only_while_its_daemon_receives_nothing() {
        let minute = Duration::from_mins(1);
        assert_eq!(asked(true, true, minute), [0]);
        let deaf = asked(true, false, Duration::from_secs(25));
        assert_eq!(deaf, [0, 1000, 3000, 7000, 15000, 23000]);
    }

    #[test]
    fn a_watch_asks_known_boards_in_rounds() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(true, begin);
        schedule.due(begin, true);
        let mut gone = 0;
        for round in 1..=10 {
            let due = schedule.due(begin + ROUND * round, true);
            assert!(due.known);
            gone += u32::from(due.gone);
        }
        assert_eq!(gone, 10 / ROUNDS_PER_GONE);
    }
}
