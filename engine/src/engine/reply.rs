//! Decides when a reply is complete, and whether it is the expected one.

use std::cmp::Ordering;

use regex::bytes::Regex;

use crate::load::{Expectation, LEARNING_SILENCE, LearnedRule, Load, ReplyRule, Reuse};
use crate::measurement::{ErrorClass, RuleUse};
use crate::readiness::nanos;

/// Maximum length of a match: bytes of the reply that the pattern search keeps.
const LOOK_BACK: usize = 64 * 1024;

/// A pause that may separate a reply from unsolicited data, nanoseconds. Segments of one reply
/// follow closer, unless one was lost or delayed.
const BURST_GAP: u64 = 50_000_000;

/// Consecutive replies that contradict a learned rule before it is revised.
const MISMATCHES_BEFORE_REVISION: u32 = 2;

/// The received part of a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) bytes: u64,
    /// Line feeds; counted only if the rule needs them.
    lines: u64,
    /// Arrival of the last byte, nanoseconds.
    pub(super) last_byte: u64,
    ends_line: bool,
}

/// The reply of the current request.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) received: Received,
    /// The part before the first pause of [`BURST_GAP`]; empty without such a pause.
    pub(super) first_burst: Received,
    /// Arrival of the first byte, nanoseconds.
    pub(super) first_byte: u64,
    /// When the last byte was read, nanoseconds.
    pub(super) read_at: u64,
    /// How long the last byte waited before it was read, nanoseconds, if the network reports it.
    pub(super) delay: Option<u64>,
    /// Whether an earlier reply was completed on this connection.
    pub(super) is_repeated: bool,
    /// Bytes that the pattern has not matched yet; unused if the reply arrives in one piece.
    unmatched: Option<Vec<u8>>,
}

/// The state of a reply after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More bytes are expected.
    Partial,
    /// Silence decides whether more bytes follow.
    UntilSilence,
    /// More bytes are expected, but a learned rule may be wrong: long silence ends the reply.
    UntilLongSilence,
    /// Complete and as expected.
    Complete,
    /// Complete, and longer than learned.
    Mismatch,
    /// Not as expected.
    Wrong,
}

/// The meaning of bytes that arrive between a complete reply and the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surplus {
    Dropped,
    /// They make the next reply too long, which is a wrong reply.
    Wrong,
    /// The learned rule was wrong.
    Mismatch,
}

/// The meaning of silence for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Complete as expected.
    Match,
    /// Complete, and the rule was learned from it.
    Learned,
    /// Complete, and shorter or longer than learned.
    Mismatch,
    /// The reply does not end by silence.
    Undecided,
}

impl Reply {
    /// Resets the state for the next reply.
    pub(super) fn clear(&mut self) {
        self.received = Received::default();
        self.first_burst = Received::default();
        self.unmatched = None;
    }

    /// Handles bytes that arrived at `at`.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8], at: u64, rule: &Rule) -> Verdict {
        if self.received.bytes == 0 {
            self.first_byte = at;
        } else if self.first_burst.bytes == 0
            && at.saturating_sub(self.received.last_byte) >= BURST_GAP
        {
            self.first_burst = self.received;
        }
        self.received.bytes += bytes.len() as u64;
        self.received.last_byte = at;
        if rule.counts_lines() {
            self.received.lines += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.received.ends_line = bytes.last() == Some(&b'\n');
        }
        match &rule.state {
            State::Given(ReplyRule::Expect(pattern)) => self.search(bytes, pattern),
            State::Given(given) => self.judge(given),
            State::Learning => Verdict::UntilSilence,
            State::Learned(learned) => self.compare(*learned),
        }
    }

    fn judge(&self, given: &ReplyRule) -> Verdict {
        match given {
            ReplyRule::Idle(_) => Verdict::UntilSilence,
            ReplyRule::Bytes(bytes) => match self.received.bytes.cmp(&bytes.get()) {
                Ordering::Less => Verdict::Partial,
                Ordering::Equal => Verdict::Complete,
                Ordering::Greater => Verdict::Wrong,
            },
            ReplyRule::Lines(lines) if self.received.lines >= lines.get() => Verdict::Complete,
            ReplyRule::Lines(_) | ReplyRule::Close | ReplyRule::Expect(_) => Verdict::Partial,
        }
    }

    #[inline(never)]
    fn compare(&self, learned: LearnedRule) -> Verdict {
        let (received, expected) = match learned {
            LearnedRule::Close => return Verdict::Partial,
            LearnedRule::Idle => return Verdict::UntilSilence,
            LearnedRule::Bytes { first, next } => (self.received.bytes, self.expected(first, next)),
            LearnedRule::Lines { first, next } => {
                let lines = self.received.lines;
                if lines == self.expected(first, next) && !self.received.ends_line {
                    return Verdict::Mismatch;
                }
                (lines, self.expected(first, next))
            }
        };
        match received.cmp(&expected) {
            Ordering::Less => Verdict::UntilLongSilence,
            Ordering::Equal => Verdict::Complete,
            Ordering::Greater => Verdict::Mismatch,
        }
    }

    /// The expected size of this reply: `first` for the first reply on a connection, else `next`.
    const fn expected(&self, first: u64, next: u64) -> u64 {
        if self.is_repeated { next } else { first }
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
}

/// What ends a reply, as given or learned.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    state: State,
    examples: Examples,
    examples_needed: u32,
    /// Replies that contradicted the learned rule.
    mismatches: u64,
    /// The number of contradicting replies in a row, up to the latest.
    in_a_row: u32,
}

#[derive(Debug, Clone)]
enum State {
    Given(ReplyRule),
    Learning,
    Learned(LearnedRule),
}

/// Replies that ended by silence; `None` once their sizes differ.
#[derive(Debug, Clone, Copy, Default)]
struct Examples {
    count: u32,
    /// The first reply on a connection: it may include a greeting.
    first: Option<Received>,
    /// The replies after it.
    next: Option<Received>,
    differ_in_bytes: bool,
    differ_in_lines: bool,
}

impl Examples {
    fn add(&mut self, reply: &Reply, received: Received) {
        let known = if reply.is_repeated {
            &mut self.next
        } else {
            &mut self.first
        };
        let known = *known.get_or_insert(received);
        self.count += 1;
        self.differ_in_bytes |= known.bytes != received.bytes;
        self.differ_in_lines |= known.lines != received.lines || !received.ends_line;
    }

    /// The most exact rule that all examples agree with.
    fn rule(&self) -> LearnedRule {
        let Some(first) = self.first.or(self.next) else {
            return LearnedRule::Idle;
        };
        let next = self.next.unwrap_or(first);
        if !self.differ_in_bytes {
            LearnedRule::Bytes {
                first: first.bytes,
                next: next.bytes,
            }
        } else if !self.differ_in_lines {
            LearnedRule::Lines {
                first: first.lines,
                next: next.lines,
            }
        } else {
            LearnedRule::Idle
        }
    }
}

impl Rule {
    pub(super) fn new(load: &Load) -> Self {
        Self {
            state: match &load.expect {
                Expectation::Given(rule) => State::Given(rule.clone()),
                Expectation::Learn => State::Learning,
                Expectation::Learned(rule) => State::Learned(*rule),
            },
            examples: Examples::default(),
            examples_needed: match load.reuse {
                Reuse::PerRequest => 2,
                // The first reply of a connection, and two more.
                Reuse::KeepAlive => 3,
            },
            mismatches: 0,
            in_a_row: 0,
        }
    }

    /// Whether the rule is not known yet.
    pub(super) fn is_learning(&self) -> bool {
        matches!(self.state, State::Learning)
    }

    fn counts_lines(&self) -> bool {
        match &self.state {
            State::Given(rule) => matches!(rule, ReplyRule::Lines(_)),
            State::Learning => true,
            State::Learned(rule) => *rule != LearnedRule::Close,
        }
    }

    /// What bytes after a complete reply mean.
    pub(super) fn surplus(&self) -> Surplus {
        match self.state {
            State::Given(ReplyRule::Bytes(_)) => Surplus::Wrong,
            State::Given(_) | State::Learned(LearnedRule::Idle) => Surplus::Dropped,
            State::Learning | State::Learned(_) => Surplus::Mismatch,
        }
    }

    /// The silence that ends a reply.
    pub(super) fn silence(&self) -> u64 {
        match self.state {
            State::Given(ReplyRule::Idle(silence)) => nanos(silence),
            _ => nanos(LEARNING_SILENCE),
        }
    }

    /// Whether a server that never falls silent may have sent unsolicited data.
    pub(super) fn allows_unsolicited_data(&self) -> bool {
        !matches!(self.state, State::Given(_))
    }

    /// The result of the peer's FIN.
    pub(super) fn end(&mut self, reply: &Reply) -> Result<(), ErrorClass> {
        if reply.received.bytes == 0 {
            return Err(ErrorClass::ClosedEarly);
        }
        match &self.state {
            State::Given(ReplyRule::Close | ReplyRule::Idle(_)) => Ok(()),
            State::Given(ReplyRule::Expect(_)) => Err(ErrorClass::WrongReply),
            // The FIN ends a last line without a line end.
            State::Given(ReplyRule::Lines(lines))
                if !reply.received.ends_line && reply.received.lines + 1 == lines.get() =>
            {
                Ok(())
            }
            // A complete reply would have ended before.
            State::Given(_) => Err(ErrorClass::ClosedEarly),
            State::Learning => {
                self.state = State::Learned(LearnedRule::Close);
                Ok(())
            }
            State::Learned(LearnedRule::Close | LearnedRule::Idle) => {
                self.matches();
                Ok(())
            }
            State::Learned(_) => {
                self.contradict(reply, reply.received, MISMATCHES_BEFORE_REVISION);
                Ok(())
            }
        }
    }

    /// Notes a reply that agrees with the learned rule.
    pub(super) fn matches(&mut self) {
        self.in_a_row = 0;
    }

    /// Notes bytes that followed a complete reply.
    pub(super) fn has_surplus(&mut self) {
        self.mismatches += 1;
    }

    /// Notes a reply that is longer than learned.
    pub(super) fn exceeded_by(&mut self, reply: &Reply) {
        self.contradict(reply, reply.received, MISMATCHES_BEFORE_REVISION);
    }

    /// The result of silence after a reply.
    pub(super) fn end_by_silence(&mut self, reply: &Reply, received: Received) -> Silence {
        let size_and_expected = match &self.state {
            State::Given(ReplyRule::Idle(_)) | State::Learned(LearnedRule::Idle) => None,
            State::Given(_) | State::Learned(LearnedRule::Close) => return Silence::Undecided,
            State::Learning => {
                self.examples.add(reply, received);
                if self.examples.count >= self.examples_needed {
                    self.state = State::Learned(self.examples.rule());
                }
                return Silence::Learned;
            }
            State::Learned(LearnedRule::Bytes { first, next }) => {
                Some((received.bytes, reply.expected(*first, *next)))
            }
            State::Learned(LearnedRule::Lines { first, next }) => {
                Some((received.lines, reply.expected(*first, *next)))
            }
        };
        if size_and_expected.is_none_or(|(size, expected)| size == expected) {
            self.matches();
            return Silence::Match;
        }
        // Waiting for silence is expensive, so one such reply is enough.
        self.contradict(reply, received, 1);
        Silence::Mismatch
    }

    /// Notes a reply that contradicts the learned rule; revises the rule after `limit` of them in a
    /// row. Single ones may come from data that the server sends on its own.
    #[cold]
    fn contradict(&mut self, reply: &Reply, received: Received, limit: u32) {
        self.mismatches += 1;
        self.in_a_row += 1;
        if self.in_a_row >= limit {
            self.in_a_row = 0;
            self.examples.add(reply, received);
            self.state = State::Learned(self.examples.rule());
        }
    }

    /// Notes a reply without the FIN that a learned rule expects.
    pub(super) fn missed_fin(&mut self) {
        if matches!(self.state, State::Learned(LearnedRule::Close)) {
            self.mismatches += 1;
            self.state = State::Learning;
        }
    }

    /// The rule at the end of a run.
    pub(super) fn usage(&self) -> RuleUse {
        let learned = match &self.state {
            State::Given(rule) => {
                return RuleUse {
                    kind: Some(rule.kind()),
                    learned: None,
                    mismatches: 0,
                };
            }
            State::Learning => (self.examples.count > 0).then(|| self.examples.rule()),
            State::Learned(rule) => Some(*rule),
        };
        RuleUse {
            kind: learned.map(LearnedRule::kind),
            learned,
            mismatches: self.mismatches,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::RuleKind;

    fn rule(expect: Expectation) -> Rule {
        Rule::new(&Load {
            expect,
            ..Load::new(([127, 0, 0, 1], 3000).into())
        })
    }

    fn given(given: ReplyRule) -> Rule {
        rule(Expectation::Given(given))
    }

    fn pattern(pattern: &str) -> Rule {
        given(ReplyRule::Expect(Regex::new(pattern).expect("valid")))
    }

    fn reply(text: &str, rule: &Rule) -> Reply {
        let mut reply = Reply::default();
        reply.take(text.as_bytes(), 0, rule);
        reply
    }

    #[test]
    fn pattern_matches_across_splits_in_bounded_memory() {
        let mut rule = pattern("ab+c");
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
        assert_eq!(rule.end(&reply), Err(ErrorClass::WrongReply));
    }

    #[test]
    fn given_length_is_exact() {
        let mut rule = given(ReplyRule::Bytes(5.try_into().expect("not zero")));
        let mut reply = Reply::default();
        assert_eq!(reply.take(b"abc", 0, &rule), Verdict::Partial);
        assert_eq!(rule.end(&reply), Err(ErrorClass::ClosedEarly));
        assert_eq!(reply.take(b"de", 0, &rule), Verdict::Complete);
        assert_eq!(reply.take(b"f", 0, &rule), Verdict::Wrong);
    }

    #[test]
    fn given_lines_end_a_reply() {
        let rule = given(ReplyRule::Lines(2.try_into().expect("not zero")));
        let mut reply = Reply::default();
        assert_eq!(reply.take(b"one\ntw", 0, &rule), Verdict::Partial);
        assert_eq!(reply.take(b"o\n", 0, &rule), Verdict::Complete);
    }

    #[test]
    fn fin_ends_the_last_of_the_given_lines() {
        for (received, ended) in [
            ("one\ntwo", Ok(())),
            ("one\n", Err(ErrorClass::ClosedEarly)),
            ("one", Err(ErrorClass::ClosedEarly)),
        ] {
            let mut rule = given(ReplyRule::Lines(2.try_into().expect("not zero")));
            let mut reply = Reply::default();
            assert_eq!(reply.take(received.as_bytes(), 0, &rule), Verdict::Partial);
            assert_eq!(rule.end(&reply), ended, "{received:?}");
        }
    }

    #[test]
    fn equal_examples_teach_a_length() {
        let mut rule = rule(Expectation::Learn);
        for _ in 0..2 {
            assert!(rule.is_learning());
            let reply = reply("pong", &rule);
            assert_eq!(
                rule.end_by_silence(&reply, reply.received),
                Silence::Learned
            );
        }
        assert_eq!(rule.usage().kind, Some(RuleKind::Bytes));
        let mut reply = Reply::default();
        assert_eq!(reply.take(b"po", 0, &rule), Verdict::UntilLongSilence);
        assert_eq!(reply.take(b"ng", 0, &rule), Verdict::Complete);
        assert_eq!(reply.take(b"!", 0, &rule), Verdict::Mismatch);
    }

    #[test]
    fn lines_of_varying_length_teach_a_number_of_lines() {
        let mut rule = rule(Expectation::Learn);
        for text in ["count=9\n", "count=10\n"] {
            let reply = reply(text, &rule);
            rule.end_by_silence(&reply, reply.received);
        }
        assert_eq!(rule.usage().kind, Some(RuleKind::Lines));
        let mut reply = Reply::default();
        assert_eq!(reply.take(b"count=", 0, &rule), Verdict::UntilLongSilence);
        assert_eq!(reply.take(b"11\n", 0, &rule), Verdict::Complete);
    }

    #[test]
    fn replies_without_a_pattern_end_by_silence() {
        let mut rule = rule(Expectation::Learn);
        for text in ["a", "bc"] {
            let reply = reply(text, &rule);
            rule.end_by_silence(&reply, reply.received);
        }
        assert_eq!(rule.usage().kind, Some(RuleKind::Idle));
    }

    #[test]
    fn length_that_changes_is_revised() {
        let mut rule = rule(Expectation::Learn);
        for _ in 0..2 {
            let reply = reply("n=9\n", &rule);
            rule.end_by_silence(&reply, reply.received);
        }
        // One longer reply may be unsolicited data.
        rule.exceeded_by(&reply("n=10\n", &rule));
        assert_eq!(rule.usage().kind, Some(RuleKind::Bytes));
        rule.exceeded_by(&reply("n=11\n", &rule));
        assert_eq!(rule.usage().kind, Some(RuleKind::Lines));
        assert_eq!(rule.usage().mismatches, 2);
    }

    #[test]
    fn pause_marks_the_end_of_the_first_burst() {
        let rule = rule(Expectation::Learn);
        let mut reply = Reply::default();
        reply.take(b"po", 0, &rule);
        reply.take(b"ng", BURST_GAP - 1, &rule);
        reply.take(b".", 2 * BURST_GAP, &rule);
        reply.take(b".", 3 * BURST_GAP, &rule);
        assert_eq!(reply.first_burst.bytes, 4);
        assert_eq!(reply.first_burst.last_byte, BURST_GAP - 1);
    }
}
