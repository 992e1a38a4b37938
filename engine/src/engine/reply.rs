//! Decides when a reply is complete, and whether it is the expected one.

use regex::bytes::Regex;

use crate::load::Expectation;
use crate::measurement::ErrorClass;

/// Bytes of a reply that a pattern can look back on.
const LOOK_BACK: usize = 64 * 1024;

/// The received part of a reply.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Bytes.
    pub(super) received: u64,
    /// Arrival of the last byte, nanoseconds.
    pub(super) last_byte: u64,
    /// Bytes that the pattern has not matched yet; unused by replies in one piece.
    unmatched: Option<Vec<u8>>,
}

/// The state of a reply after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More bytes are expected.
    Partial,
    /// More bytes may follow; silence decides.
    Learning,
    /// Complete and as expected.
    Complete,
    /// Not as expected.
    Wrong,
}

impl Reply {
    /// Resets the state for the next reply.
    pub(super) fn clear(&mut self) {
        self.received = 0;
        self.unmatched = None;
    }

    /// Handles received bytes.
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

    /// Searches the received part for the pattern.
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

    /// The result of the peer's FIN.
    pub(super) fn end(&self, rule: &Rule) -> Result<(), ErrorClass> {
        match &rule.expectation {
            _ if self.received == 0 => Err(ErrorClass::ClosedEarly),
            Expectation::Close | Expectation::Learn => Ok(()),
            // A complete reply would have ended before.
            Expectation::Length(_) => Err(ErrorClass::ClosedEarly),
            Expectation::Match(_) => Err(ErrorClass::WrongReply),
        }
    }
}

/// What ends a reply, as given or learned.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    expectation: Expectation,
}

impl Rule {
    pub(super) fn new(expectation: Expectation) -> Self {
        Self { expectation }
    }

    /// Whether the rule is not known yet.
    pub(super) fn is_learning(&self) -> bool {
        matches!(self.expectation, Expectation::Learn)
    }

    /// Learns the length of a reply after which the server kept the connection.
    pub(super) fn learn_length(&mut self, reply: &Reply) {
        if let Some(length) = std::num::NonZeroU64::new(reply.received)
            && self.is_learning()
        {
            self.expectation = Expectation::Length(length);
        }
    }

    /// Learns that the server closes after a reply.
    pub(super) fn learn_close(&mut self) {
        if self.is_learning() {
            self.expectation = Expectation::Close;
        }
    }

    /// Whether bytes may follow the expected part of a reply.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(self.expectation, Expectation::Match(_))
    }

    /// Judges a silent reply: of several that learn together, the first to end sets the rule.
    /// `None`: silence does not decide.
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
    fn pattern_matches_across_splits_in_bounded_memory() {
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
    fn length_is_exact() {
        let rule = Rule::new(Expectation::Length(5.try_into().expect("not zero")));
        let mut reply = Reply::default();
        assert_eq!(reply.take(b"abc", 0, &rule), Verdict::Partial);
        assert_eq!(reply.end(&rule), Err(ErrorClass::ClosedEarly));
        assert_eq!(reply.take(b"de", 0, &rule), Verdict::Complete);
        assert_eq!(reply.take(b"f", 0, &rule), Verdict::Wrong);
    }
}
