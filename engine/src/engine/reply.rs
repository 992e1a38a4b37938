//! When a reply is over, and whether it was a right one.

use regex::bytes::Regex;

use crate::load::Expectation;
use crate::measurement::ErrorClass;

/// How much of a reply a pattern can look back on, bytes.
const LOOK_BACK: usize = 64 * 1024;

/// What has come of a reply.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Bytes.
    pub(super) received: u64,
    /// When the last of them came, nanoseconds.
    pub(super) last_byte: u64,
    /// What a pattern has not matched yet. Most replies come in one piece and never need it.
    unmatched: Option<Vec<u8>>,
}

/// What bytes have made of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is more to come.
    Partial,
    /// There may be more to come: that is being learned.
    Learning,
    /// It is complete, and right.
    Complete,
    /// It is not what is expected.
    Wrong,
}

impl Reply {
    /// Forgets the reply, for the next.
    pub(super) fn clear(&mut self) {
        self.received = 0;
        self.unmatched = None;
    }

    /// Takes what has come of it.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8], now: u64, rule: &Rule) -> Verdict {
        self.received += bytes.len() as u64;
        self.last_byte = now;
        match &rule.expectation {
            Expectation::Close => Verdict::Partial,
            Expectation::Learn => Verdict::Learning,
            Expectation::Length(length) => match self.received.cmp(&length.get()) {
                std::cmp::Ordering::Less => Verdict::Partial,
                std::cmp::Ordering::Equal => Verdict::Complete,
                std::cmp::Ordering::Greater => Verdict::Wrong,
            },
            Expectation::Match(pattern) => self.search(bytes, pattern),
        }
    }

    /// Looks for a pattern in what has come so far.
    #[inline(never)]
    fn search(&mut self, bytes: &[u8], pattern: &Regex) -> Verdict {
        let matched = match &mut self.unmatched {
            None => pattern.is_match(bytes),
            Some(window) => {
                if window.len() > LOOK_BACK {
                    window.drain(..window.len() - LOOK_BACK);
                }
                window.extend_from_slice(bytes);
                pattern.is_match(window)
            }
        };
        if matched {
            return Verdict::Complete;
        }
        if self.unmatched.is_none() {
            self.unmatched = Some(bytes.to_vec());
        }
        Verdict::Partial
    }

    /// What the peer's FIN makes of it.
    pub(super) fn end(&self, rule: &Rule) -> Result<(), ErrorClass> {
        match &rule.expectation {
            _ if self.received == 0 => Err(ErrorClass::ClosedEarly),
            Expectation::Close | Expectation::Learn => Ok(()),
            // Else it would have been complete before.
            Expectation::Length(_) => Err(ErrorClass::ClosedEarly),
            Expectation::Match(_) => Err(ErrorClass::WrongReply),
        }
    }
}

/// What ends a reply: as it was asked for, or as it was learned.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    expectation: Expectation,
}

impl Rule {
    pub(super) fn new(expectation: Expectation) -> Self {
        Self { expectation }
    }

    /// Whether the first reply has still to say how long replies are.
    pub(super) fn is_learning(&self) -> bool {
        matches!(self.expectation, Expectation::Learn)
    }

    /// The first reply was so long, and the server stayed.
    pub(super) fn learn_length(&mut self, reply: &Reply) {
        if let Some(length) = std::num::NonZeroU64::new(reply.received)
            && self.is_learning()
        {
            self.expectation = Expectation::Length(length);
        }
    }

    /// The server has closed after the first reply.
    pub(super) fn learn_close(&mut self) {
        if self.is_learning() {
            self.expectation = Expectation::Close;
        }
    }

    /// Whether a reply may go on after what was expected of it.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(self.expectation, Expectation::Match(_))
    }

    /// Whether `reply`, which has been silent for long enough, is one: of several that started
    /// to learn together, the first to end has made the rule. `None`: silence says nothing.
    pub(super) fn judge_silent(&self, reply: &Reply) -> Option<Result<(), ErrorClass>> {
        match &self.expectation {
            Expectation::Length(length) if length.get() == reply.received => Some(Ok(())),
            Expectation::Length(_) => Some(Err(ErrorClass::WrongReply)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str) -> Rule {
        Rule::new(Expectation::Match(Regex::new(pattern).expect("valid")))
    }

    #[test]
    fn a_pattern_is_found_in_every_split_and_memory_stays_bounded() {
        let rule = rule("ab+c");
        let text = b"xxabbbcyy";
        for at in 0..text.len() {
            let mut reply = Reply::default();
            let (head, tail) = text.split_at(at);
            let first = reply.take(head, 0, &rule);
            let found =
                first == Verdict::Complete || reply.take(tail, 0, &rule) == Verdict::Complete;
            assert!(found, "split at {at}");
        }
        let mut reply = Reply::default();
        for _ in 0..100 {
            assert_eq!(reply.take(&[b'x'; 10_000], 0, &rule), Verdict::Partial);
        }
        let kept = reply.unmatched.as_ref().map_or(0, Vec::len);
        assert!(kept <= LOOK_BACK + 10_000, "{kept}");
        assert_eq!(reply.take(b"abc", 0, &rule), Verdict::Complete);
        assert_eq!(reply.end(&rule), Err(ErrorClass::WrongReply));
    }

    #[test]
    fn a_length_is_exact() {
        let rule = Rule::new(Expectation::Length(5.try_into().expect("not zero")));
        let mut reply = Reply::default();
        assert_eq!(reply.take(b"abc", 0, &rule), Verdict::Partial);
        assert_eq!(reply.end(&rule), Err(ErrorClass::ClosedEarly));
        assert_eq!(reply.take(b"de", 0, &rule), Verdict::Complete);
        assert_eq!(reply.take(b"f", 0, &rule), Verdict::Wrong);
    }
}
