//! Decides when a reply ends and whether it succeeded: a state machine without sockets or clocks.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::expect::{Pattern, Search};
use crate::failure::Kind;

/// The rule that ends the reply.
#[derive(Debug, Clone)]
pub(super) enum EndRule {
    /// This much silence after the last byte, or the server's FIN.
    Idle(Duration),
    /// Only the server's FIN.
    UntilClose,
    /// This many lines.
    Lines(u64),
    /// A match of this pattern.
    Expect(Pattern),
    /// No reply is expected; everything sent must be acknowledged.
    Acknowledged,
}

/// The event that ended an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EndedBy {
    /// The server closed.
    Closed,
    /// `--expect` matched.
    Matched,
    /// `--lines` lines arrived.
    Lines,
    /// Nothing arrived for the idle time.
    Idle,
    /// Everything sent was acknowledged.
    Acknowledged,
    /// The reply timeout expired.
    Timeout,
    /// The connection was reset.
    Reset,
    /// SIGINT or SIGTERM arrived.
    Interrupted,
}

impl EndedBy {
    /// The ending as text.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Closed => "close",
            Self::Matched => "match",
            Self::Lines => "the last line",
            Self::Idle => "idle timeout",
            Self::Acknowledged => "acknowledgment",
            Self::Timeout => "reply timeout",
            Self::Reset => "reset",
            Self::Interrupted => "signal",
        }
    }
}

/// Detects the end of a reply.
///
/// The reply timer and the idle timer start at the end of input. A close, a match or the last line
/// ends the reply at any time.
#[derive(Debug)]
pub(super) struct EndDetector {
    rule: RuleState,
    reply_timeout: Duration,
    input_ended: Option<Instant>,
    last_byte: Option<Instant>,
}

/// A rule with its state.
#[derive(Debug)]
enum RuleState {
    Idle(Duration),
    UntilClose,
    Lines { missing: u64, partial: bool },
    Expect { search: Search, matched: bool },
    Acknowledged,
}

/// The result of passing received bytes to an [`EndDetector`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Bytes that belong to the reply; fewer than received only after the last line.
    pub bytes: usize,
    /// The ending, if the bytes end the reply.
    pub ended: Option<EndedBy>,
}

impl EndDetector {
    pub(super) fn new(rule: &EndRule, reply_timeout: Duration) -> Self {
        let rule = match rule {
            EndRule::Idle(idle) => RuleState::Idle(*idle),
            EndRule::UntilClose => RuleState::UntilClose,
            EndRule::Lines(lines) => RuleState::Lines {
                missing: *lines,
                partial: false,
            },
            EndRule::Expect(pattern) => RuleState::Expect {
                search: pattern.search(),
                matched: false,
            },
            EndRule::Acknowledged => RuleState::Acknowledged,
        };
        Self {
            rule,
            reply_timeout,
            input_ended: None,
            last_byte: None,
        }
    }

    /// All input was passed to the network.
    pub(super) fn input_ended(&mut self, now: Instant) {
        self.input_ended.get_or_insert(now);
    }

    /// Bytes of the reply arrived.
    pub(super) fn received(&mut self, now: Instant, bytes: &[u8]) -> Taken {
        self.last_byte = Some(now);
        let all = Taken {
            bytes: bytes.len(),
            ended: None,
        };
        match &mut self.rule {
            RuleState::Idle(_) | RuleState::UntilClose | RuleState::Acknowledged => all,
            RuleState::Lines { missing, partial } => {
                let mut from = 0;
                while let Some(length) = bytes[from..].iter().position(|byte| *byte == b'\n') {
                    from += length + 1;
                    *missing -= 1;
                    if *missing == 0 {
                        *partial = false;
                        return Taken {
                            bytes: from,
                            ended: Some(EndedBy::Lines),
                        };
                    }
                }
                *partial = from < bytes.len() || (*partial && from == 0);
                all
            }
            RuleState::Expect { search, matched } => {
                *matched = search.push(bytes);
                Taken {
                    ended: matched.then_some(EndedBy::Matched),
                    ..all
                }
            }
        }
    }

    /// The last bytes were printed, which may have blocked. The server's silence starts now.
    pub(super) fn printed(&mut self, now: Instant) {
        self.last_byte = Some(now);
    }

    /// The next deadline and what it means; `None` while input is being sent.
    pub(super) fn deadline(&self) -> Option<(Instant, EndedBy)> {
        let input_ended = self.input_ended?;
        let quiet_since = self.last_byte.map(|last| last.max(input_ended));
        Some(match (&self.rule, quiet_since) {
            (RuleState::Idle(idle), Some(since)) => (since + *idle, EndedBy::Idle),
            // Every byte shows that the server is alive.
            (RuleState::UntilClose, Some(since)) => (since + self.reply_timeout, EndedBy::Timeout),
            // A server that keeps sending must not hold up a script forever.
            _ => (input_ended + self.reply_timeout, EndedBy::Timeout),
        })
    }

    /// Whether an exchange with this ending succeeded; otherwise the kind of failure.
    pub(super) fn verdict(&self, ended_by: EndedBy) -> Result<(), Kind> {
        let has_reply = self.last_byte.is_some();
        let satisfied = match &self.rule {
            // A last line without a line end counts if no more can arrive.
            RuleState::Lines { missing, partial } => {
                *missing == 0 || (*missing == 1 && *partial && ended_by == EndedBy::Closed)
            }
            RuleState::Expect { matched, .. } => *matched,
            RuleState::Idle(_) | RuleState::UntilClose | RuleState::Acknowledged => {
                return match ended_by {
                    EndedBy::Timeout => Err(Kind::Timeout),
                    EndedBy::Reset => Err(Kind::Broken),
                    EndedBy::Closed if !has_reply => Err(Kind::Negative),
                    _ => Ok(()),
                };
            }
        };
        // An unmet condition has one exit code, however the exchange ended.
        satisfied.then_some(()).ok_or(Kind::Negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(2);
    const SECOND: Duration = Duration::from_secs(1);

    fn detector(rule: &EndRule) -> (EndDetector, Instant) {
        (EndDetector::new(rule, TIMEOUT), Instant::now())
    }

    fn expect(pattern: &str) -> EndRule {
        EndRule::Expect(Pattern::new(pattern).unwrap())
    }

    #[test]
    fn no_timer_runs_while_input_is_sent() {
        for rule in [
            EndRule::Idle(IDLE),
            EndRule::UntilClose,
            EndRule::Lines(1),
            expect("x"),
        ] {
            let (mut detector, start) = detector(&rule);
            assert_eq!(detector.deadline(), None);
            detector.received(start, b"a");
            assert_eq!(detector.deadline(), None);
        }
    }

    #[test]
    fn reply_timeout_starts_at_the_end_of_input() {
        for rule in [
            EndRule::Idle(IDLE),
            EndRule::UntilClose,
            EndRule::Lines(1),
            expect("x"),
        ] {
            let (mut detector, start) = detector(&rule);
            detector.input_ended(start + SECOND);
            let deadline = (start + SECOND + TIMEOUT, EndedBy::Timeout);
            assert_eq!(detector.deadline(), Some(deadline));
        }
    }

    #[test]
    fn idle_starts_at_the_last_byte_or_the_end_of_input() {
        let (mut early, start) = detector(&EndRule::Idle(IDLE));
        early.received(start, b"welcome");
        early.input_ended(start + SECOND);
        assert_eq!(
            early.deadline(),
            Some((start + SECOND + IDLE, EndedBy::Idle))
        );
        early.received(start + SECOND * 2, b"more");
        assert_eq!(
            early.deadline(),
            Some((start + SECOND * 2 + IDLE, EndedBy::Idle))
        );
    }

    #[test]
    fn every_byte_restarts_the_until_close_timeout() {
        let (mut detector, start) = detector(&EndRule::UntilClose);
        detector.input_ended(start);
        detector.received(start + SECOND * 9, b"a");
        let deadline = (start + SECOND * 9 + TIMEOUT, EndedBy::Timeout);
        assert_eq!(detector.deadline(), Some(deadline));
    }

    #[test]
    fn partial_replies_do_not_extend_the_reply_timeout() {
        for rule in [EndRule::Lines(100), expect("never")] {
            let (mut detector, start) = detector(&rule);
            detector.input_ended(start);
            for second in 1..10 {
                detector.received(start + SECOND * second, b"tick\n");
            }
            let deadline = (start + TIMEOUT, EndedBy::Timeout);
            assert_eq!(detector.deadline(), Some(deadline));
        }
    }

    #[test]
    fn reply_ends_exactly_after_the_last_line() {
        let (mut detector, start) = detector(&EndRule::Lines(2));
        assert_eq!(detector.received(start, b"one").ended, None);
        assert_eq!(detector.received(start, b" and\ntw").ended, None);
        let taken = detector.received(start, b"o\nthree\n");
        assert_eq!(
            taken,
            Taken {
                bytes: 2,
                ended: Some(EndedBy::Lines)
            }
        );
        assert_eq!(detector.verdict(EndedBy::Lines), Ok(()));
    }

    #[test]
    fn unterminated_last_line_counts_only_at_close() {
        for (reply, by, verdict) in [
            (&b"one\ntwo"[..], EndedBy::Closed, Ok(())),
            (b"one\ntwo", EndedBy::Timeout, Err(Kind::Negative)),
            (b"one\n", EndedBy::Closed, Err(Kind::Negative)),
            (b"two", EndedBy::Closed, Err(Kind::Negative)),
        ] {
            let (mut detector, start) = detector(&EndRule::Lines(2));
            detector.received(start, reply);
            assert_eq!(detector.verdict(by), verdict, "{reply:?}");
        }
    }

    #[test]
    fn match_across_reads_ends_the_reply() {
        let (mut detector, start) = detector(&expect("rea+dy"));
        assert_eq!(detector.received(start, b"not yet: rea").ended, None);
        assert_eq!(
            detector.received(start, b"aady now").ended,
            Some(EndedBy::Matched)
        );
        assert_eq!(detector.verdict(EndedBy::Matched), Ok(()));
    }

    /// The rules, whether there was a reply, the ending, and the verdict.
    type Case<'a> = (&'a [EndRule], bool, EndedBy, Result<(), Kind>);

    #[test]
    fn verdicts() {
        use EndedBy::{Acknowledged, Closed, Idle, Reset, Timeout};
        let plain = [EndRule::Idle(IDLE), EndRule::UntilClose];
        let question = [EndRule::Lines(2), expect("ok")];
        let cases: [Case<'_>; 12] = [
            (&plain, true, Closed, Ok(())),
            (&plain, false, Closed, Err(Kind::Negative)),
            (&plain, true, Idle, Ok(())),
            (&plain, true, Reset, Err(Kind::Broken)),
            (&plain, false, Reset, Err(Kind::Broken)),
            (&plain, true, Timeout, Err(Kind::Timeout)),
            (&plain, false, Timeout, Err(Kind::Timeout)),
            (&question, true, Closed, Err(Kind::Negative)),
            (&question, true, Reset, Err(Kind::Negative)),
            (&question, false, Timeout, Err(Kind::Negative)),
            (&[EndRule::Acknowledged], false, Acknowledged, Ok(())),
            (&[EndRule::Acknowledged], false, Reset, Err(Kind::Broken)),
        ];
        for (rules, came, by, verdict) in cases {
            for rule in rules {
                let (mut detector, start) = detector(rule);
                if came {
                    detector.received(start, b"no\n");
                }
                assert_eq!(detector.verdict(by), verdict, "{rule:?} {came} {by:?}");
            }
        }
    }
}
