//! When a reply is over, and whether it was a good one: a state machine without sockets and
//! clocks.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::expect::{Pattern, Search};
use crate::failure::Kind;

/// What ends the reply.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Silence this long after its last byte, or the server's close.
    Idle(Duration),
    /// The server's close alone.
    UntilClose,
    /// That many lines.
    Lines(u64),
    /// A match.
    Expect(Pattern),
    /// No reply is wanted: that all is acknowledged.
    Acknowledged,
}

/// What ended an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EndedBy {
    /// The server closed.
    Closed,
    /// `--expect` matched.
    Matched,
    /// `--lines` lines are there.
    Lines,
    /// Nothing more came for the idle time.
    Idle,
    /// Everything sent was acknowledged.
    Acknowledged,
    /// The time for the reply ran out.
    Timeout,
    /// The connection was reset.
    Reset,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl EndedBy {
    /// For a person.
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Closed => "the server's close",
            Self::Matched => "a match",
            Self::Lines => "the last line asked for",
            Self::Idle => "silence after the reply (idle)",
            Self::Acknowledged => "the last acknowledgement",
            Self::Timeout => "timeout",
            Self::Reset => "a reset",
            Self::Interrupted => "a signal",
        }
    }
}

/// Watches a reply and says when it is over.
///
/// The reply timer and the idle timer start at the end of input; a close, a match and the last
/// line end it at any time.
#[derive(Debug)]
pub(super) struct Ending {
    rule: Watch,
    reply_timeout: Duration,
    input_ended: Option<Instant>,
    last_byte: Option<Instant>,
}

/// A rule with what it remembers.
#[derive(Debug)]
enum Watch {
    Idle(Duration),
    UntilClose,
    Lines { missing: u64, partial: bool },
    Expect { search: Search, matched: bool },
    Acknowledged,
}

/// What an [`Ending`] says to bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many of them belong to the reply: less than all only after the last line.
    pub bytes: usize,
    /// What they end.
    pub ended: Option<EndedBy>,
}

impl Ending {
    pub(super) fn new(rule: &Rule, reply_timeout: Duration) -> Self {
        let rule = match rule {
            Rule::Idle(idle) => Watch::Idle(*idle),
            Rule::UntilClose => Watch::UntilClose,
            Rule::Lines(lines) => Watch::Lines {
                missing: *lines,
                partial: false,
            },
            Rule::Expect(pattern) => Watch::Expect {
                search: pattern.search(),
                matched: false,
            },
            Rule::Acknowledged => Watch::Acknowledged,
        };
        Self {
            rule,
            reply_timeout,
            input_ended: None,
            last_byte: None,
        }
    }

    /// All input is handed to the network.
    pub(super) fn input_ended(&mut self, now: Instant) {
        self.input_ended.get_or_insert(now);
    }

    /// Bytes of the reply came.
    pub(super) fn received(&mut self, now: Instant, bytes: &[u8]) -> Taken {
        self.last_byte = Some(now);
        let all = Taken {
            bytes: bytes.len(),
            ended: None,
        };
        match &mut self.rule {
            Watch::Idle(_) | Watch::UntilClose | Watch::Acknowledged => all,
            Watch::Lines { missing, partial } => {
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
            Watch::Expect { search, matched } => {
                *matched = search.push(bytes);
                Taken {
                    ended: matched.then_some(EndedBy::Matched),
                    ..all
                }
            }
        }
    }

    /// The bytes that came last are printed, which may have taken its time: what follows is the
    /// server's silence.
    pub(super) fn printed(&mut self, now: Instant) {
        self.last_byte = Some(now);
    }

    /// When time runs out if nothing happens, and what that means then; `None` while input is
    /// still being sent.
    pub(super) fn deadline(&self) -> Option<(Instant, EndedBy)> {
        let input_ended = self.input_ended?;
        let quiet_since = self.last_byte.map(|last| last.max(input_ended));
        Some(match (&self.rule, quiet_since) {
            (Watch::Idle(idle), Some(since)) => (since + *idle, EndedBy::Idle),
            // Each byte shows that the server is alive, however long its reply.
            (Watch::UntilClose, Some(since)) => (since + self.reply_timeout, EndedBy::Timeout),
            // A server that chats on and never says it must not hold a script for ever.
            _ => (input_ended + self.reply_timeout, EndedBy::Timeout),
        })
    }

    /// Whether what was asked for came, in an exchange that ended so; else the kind of failure.
    pub(super) fn verdict(&self, ended_by: EndedBy) -> Result<(), Kind> {
        let something_came = self.last_byte.is_some();
        let satisfied = match &self.rule {
            // A last line that lacks its line end is one when no more can come.
            Watch::Lines { missing, partial } => {
                *missing == 0 || (*missing == 1 && *partial && ended_by == EndedBy::Closed)
            }
            Watch::Expect { matched, .. } => *matched,
            Watch::Idle(_) | Watch::UntilClose | Watch::Acknowledged => {
                return match ended_by {
                    EndedBy::Timeout => Err(Kind::Timeout),
                    EndedBy::Reset => Err(Kind::Broken),
                    EndedBy::Closed if !something_came => Err(Kind::Negative),
                    _ => Ok(()),
                };
            }
        };
        // "unmet, however it ended": one code for the script that asks a question.
        satisfied.then_some(()).ok_or(Kind::Negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(2);
    const SECOND: Duration = Duration::from_secs(1);

    fn ending(rule: &Rule) -> (Ending, Instant) {
        (Ending::new(rule, TIMEOUT), Instant::now())
    }

    fn expect(pattern: &str) -> Rule {
        Rule::Expect(Pattern::new(pattern).unwrap())
    }

    #[test]
    fn while_input_is_sent_no_time_runs() {
        for rule in [
            Rule::Idle(IDLE),
            Rule::UntilClose,
            Rule::Lines(1),
            expect("x"),
        ] {
            let (mut ending, start) = ending(&rule);
            assert_eq!(ending.deadline(), None);
            ending.received(start, b"a");
            assert_eq!(ending.deadline(), None);
        }
    }

    #[test]
    fn silence_ends_with_the_reply_timeout_from_the_end_of_input() {
        for rule in [
            Rule::Idle(IDLE),
            Rule::UntilClose,
            Rule::Lines(1),
            expect("x"),
        ] {
            let (mut ending, start) = ending(&rule);
            ending.input_ended(start + SECOND);
            let deadline = (start + SECOND + TIMEOUT, EndedBy::Timeout);
            assert_eq!(ending.deadline(), Some(deadline));
        }
    }

    #[test]
    fn idle_counts_from_the_last_byte_or_the_end_of_input() {
        let (mut early, start) = ending(&Rule::Idle(IDLE));
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
    fn until_close_each_byte_gives_new_time() {
        let (mut ending, start) = ending(&Rule::UntilClose);
        ending.input_ended(start);
        ending.received(start + SECOND * 9, b"a");
        let deadline = (start + SECOND * 9 + TIMEOUT, EndedBy::Timeout);
        assert_eq!(ending.deadline(), Some(deadline));
    }

    #[test]
    fn a_chatting_server_does_not_stretch_the_time_for_a_match_or_lines() {
        for rule in [Rule::Lines(100), expect("never")] {
            let (mut ending, start) = ending(&rule);
            ending.input_ended(start);
            for second in 1..10 {
                ending.received(start + SECOND * second, b"tick\n");
            }
            let deadline = (start + TIMEOUT, EndedBy::Timeout);
            assert_eq!(ending.deadline(), Some(deadline));
        }
    }

    #[test]
    fn lines_end_exactly_after_the_last_one() {
        let (mut ending, start) = ending(&Rule::Lines(2));
        assert_eq!(ending.received(start, b"one").ended, None);
        assert_eq!(ending.received(start, b" and\ntw").ended, None);
        let taken = ending.received(start, b"o\nthree\n");
        assert_eq!(
            taken,
            Taken {
                bytes: 2,
                ended: Some(EndedBy::Lines)
            }
        );
        assert_eq!(ending.verdict(EndedBy::Lines), Ok(()));
    }

    #[test]
    fn a_last_line_without_its_end_counts_at_the_close_alone() {
        for (reply, by, verdict) in [
            (&b"one\ntwo"[..], EndedBy::Closed, Ok(())),
            (b"one\ntwo", EndedBy::Timeout, Err(Kind::Negative)),
            (b"one\n", EndedBy::Closed, Err(Kind::Negative)),
            (b"two", EndedBy::Closed, Err(Kind::Negative)),
        ] {
            let (mut ending, start) = ending(&Rule::Lines(2));
            ending.received(start, reply);
            assert_eq!(ending.verdict(by), verdict, "{reply:?}");
        }
    }

    #[test]
    fn a_match_ends_it_even_across_reads() {
        let (mut ending, start) = ending(&expect("rea+dy"));
        assert_eq!(ending.received(start, b"not yet: rea").ended, None);
        assert_eq!(
            ending.received(start, b"aady now").ended,
            Some(EndedBy::Matched)
        );
        assert_eq!(ending.verdict(EndedBy::Matched), Ok(()));
    }

    /// The rules, whether something came, how it ended, and the verdict.
    type Case<'a> = (&'a [Rule], bool, EndedBy, Result<(), Kind>);

    #[test]
    fn verdicts() {
        use EndedBy::{Acknowledged, Closed, Idle, Reset, Timeout};
        let plain = [Rule::Idle(IDLE), Rule::UntilClose];
        let question = [Rule::Lines(2), expect("ok")];
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
            (&[Rule::Acknowledged], false, Acknowledged, Ok(())),
            (&[Rule::Acknowledged], false, Reset, Err(Kind::Broken)),
        ];
        for (rules, came, by, verdict) in cases {
            for rule in rules {
                let (mut ending, start) = ending(rule);
                if came {
                    ending.received(start, b"no\n");
                }
                assert_eq!(ending.verdict(by), verdict, "{rule:?} {came} {by:?}");
            }
        }
    }
}
