//! When is asked again who is there.
//!
//! A search asks a few times within two seconds (RFC 6762 §5.1): a datagram may be lost on Wi-Fi, a
//! board asleep. Who asks for longer does it ever more seldom (§5.2): each pause is twice the one
//! before, from a second up to an hour. So a watch does not ask everybody whether those that it
//! knows are still there: it asks each of them alone (§5.5), and everybody only where one has just
//! fallen silent, or has gone. That new boards are found all the same is due to their announcements:
//! where nothing that others tell everybody has come yet, a firewall may keep it away, and the pauses
//! stay short. So do those of a search, which ends by itself.

use std::time::{Duration, Instant};

/// When a search asks again, from its first question on.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(1600),
];
/// The pauses after that, and those of a watch: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The longest of a search, and of a watch that hears no announcements.
const LONGEST_DEAF: Duration = Duration::from_secs(8);
/// From one question to those that a watch knows to the next.
pub(crate) const ROUND: Duration = Duration::from_millis(600);
/// Those that have gone are asked with every so many rounds.
const ROUNDS_OF_GONE: u32 = 5;

/// When what is asked.
#[derive(Debug)]
pub(crate) struct Schedule {
    watching: bool,
    hears: bool,
    begin: Instant,
    asked: usize,
    /// The last question to everybody, whatever it was for.
    last: Option<Instant>,
    everyone: Instant,
    pause: Duration,
    round: Instant,
    rounds: u32,
}

/// Whom a question to all of a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Everybody.
    Everyone,
    /// Those on whose link somebody has just fallen silent.
    Silent,
}

/// What is to be asked now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// All of a link at once.
    pub(crate) together: Option<Whom>,
    /// Each that is known, alone.
    pub(crate) known: bool,
    /// Each that has gone, alone.
    pub(crate) gone: bool,
}

impl Schedule {
    pub(crate) fn new(watching: bool, now: Instant) -> Self {
        Self {
            watching,
            hears: false,
            begin: now,
            asked: 0,
            last: None,
            everyone: now,
            pause: FIRST_PAUSE,
            round: now + ROUND,
            rounds: 0,
        }
    }

    /// Begins anew: somebody is there who was not asked.
    pub(crate) fn restart(&mut self, now: Instant) {
        (self.begin, self.everyone, self.asked) = (now, now, 0);
        self.pause = FIRST_PAUSE;
    }

    /// What others tell everybody comes here.
    pub(crate) fn hears(&mut self) {
        self.hears = true;
    }

    /// Somebody has gone, and may be back soon.
    pub(crate) fn lose(&mut self, now: Instant) {
        self.pause = FIRST_PAUSE;
        self.everyone = self.everyone.min(now + FIRST_PAUSE);
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Instant {
        if self.watching {
            self.everyone.min(self.round)
        } else {
            self.everyone
        }
    }

    /// Whether a search has only just begun, where what is not complete is asked for insistently.
    pub(crate) fn is_starting(&self) -> bool {
        self.asked <= AGAIN.len()
    }

    /// What is due now, where somebody has just fallen silent or nobody has.
    pub(crate) fn due(&mut self, now: Instant, is_silent: bool) -> Due {
        let mut due = Due::default();
        let lately = |last: Option<Instant>| last.is_some_and(|at| now < at + FIRST_PAUSE);
        if now >= self.everyone {
            due.together = Some(Whom::Everyone);
            let again = AGAIN.get(self.asked).filter(|_| !self.watching);
            self.everyone = match again {
                Some(after) => (self.begin + *after).max(now + Duration::from_millis(50)),
                None => now + self.pause,
            };
            if again.is_none() {
                let longest = if self.watching && self.hears {
                    LONGEST_PAUSE
                } else {
                    LONGEST_DEAF
                };
                self.pause = (self.pause * 2).min(longest);
            }
            self.asked = self.asked.saturating_add(1);
        }
        if self.watching && now >= self.round {
            due.known = true;
            due.gone = self.rounds.is_multiple_of(ROUNDS_OF_GONE);
            if is_silent && due.together.is_none() && !lately(self.last) {
                due.together = Some(Whom::Silent);
                self.everyone = self.everyone.max(now + FIRST_PAUSE);
            }
            self.rounds = self.rounds.wrapping_add(1);
            self.round = now + ROUND;
        }
        if due.together.is_some() {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mdns::SUSPECT;

    /// When everybody is asked in so long a time, from the beginning on.
    fn asked(
        schedule: &mut Schedule,
        begin: Instant,
        span: Duration,
        silent: bool,
    ) -> Vec<Duration> {
        let mut times = Vec::new();
        loop {
            let now = schedule.next();
            if now > begin + span {
                return times;
            }
            let due = schedule.due(now, silent);
            assert_ne!(due, Due::default(), "nothing to do, and no time passes");
            if due.together.is_some() {
                times.push(now - begin);
            }
        }
    }

    #[test]
    fn a_watch_asks_everybody_ever_more_seldom_down_to_once_an_hour() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(true, begin);
        schedule.hears();
        let times = asked(&mut schedule, begin, Duration::from_hours(12), false);
        let mut pauses: Vec<_> = times
            .windows(2)
            .map(|it| it[1].saturating_sub(it[0]))
            .collect();
        assert_eq!(pauses[0], Duration::from_secs(1));
        let longest = pauses.iter().position(|it| *it == LONGEST_PAUSE).unwrap();
        for (one, next) in pauses.iter().zip(&pauses[1..=longest]) {
            assert!(*next >= (*one * 2).min(LONGEST_PAUSE), "{pauses:?}");
        }
        let mut rest = pauses.drain(longest..);
        assert!(rest.all(|it| it == LONGEST_PAUSE));
    }

    #[test]
    fn a_search_asks_some_times_in_its_two_seconds_and_then_more_seldom() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(false, begin);
        let times = asked(&mut schedule, begin, Duration::from_secs(30), false);
        let times: Vec<_> = times.iter().map(Duration::as_millis).collect();
        assert_eq!(
            times,
            [0, 200, 500, 1000, 1600, 2600, 4600, 8600, 16600, 24600]
        );
    }

    #[test]
    fn a_watch_that_hears_no_announcements_asks_every_eight_seconds() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(true, begin);
        let times = asked(&mut schedule, begin, Duration::from_secs(25), false);
        assert_eq!(times, [0, 1, 3, 7, 15, 23].map(Duration::from_secs));
        schedule.hears();
        let later = begin + Duration::from_secs(25);
        let times = asked(&mut schedule, later, Duration::from_mins(1), false);
        assert_eq!(times, [6, 14, 30].map(Duration::from_secs));
    }

    #[test]
    fn while_somebody_is_silent_everybody_is_asked_no_oftener_than_once_a_second() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(true, begin);
        let times = asked(&mut schedule, begin, Duration::from_mins(1), true);
        let pauses = || times.windows(2).map(|it| it[1].saturating_sub(it[0]));
        assert!(pauses().all(|it| it >= Duration::from_secs(1)), "{times:?}");
        assert!(pauses().all(|it| it < SUSPECT), "{times:?}");
    }

    #[test]
    fn who_has_gone_is_asked_for_soon_and_not_at_once() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(true, begin);
        asked(&mut schedule, begin, Duration::from_mins(30), false);
        let gone = begin + Duration::from_mins(30);
        schedule.lose(gone);
        let times = asked(&mut schedule, gone, Duration::from_secs(8), false);
        assert_eq!(times, [1, 2, 4, 8].map(Duration::from_secs));
    }
}
