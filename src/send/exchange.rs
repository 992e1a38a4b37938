//! One exchange over one connection: message out, reply in, until a rule ends it.

use std::time::{Duration, Instant};

use super::duplex::{Duplex, Event, Unacknowledged};
use super::plan::SendPlan;
use super::rule::{EndDetector, EndRule, EndedBy};
use crate::connect::Stream;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::ReplyPrinter;
use crate::output::human::{self, bytes};
use crate::sanitize;

/// Maximum bytes of a reply in a report.
const CAPTURE_BYTES: usize = 64 * 1024;

/// The outcome of an exchange.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The event that ended it.
    pub ended_by: EndedBy,
    /// Bytes passed to the network.
    pub sent: u64,
    /// Bytes of the reply.
    pub received: u64,
    /// First bytes of the reply.
    pub reply: Vec<u8>,
    /// Time from the connection to the first byte of the reply.
    pub first_byte: Option<Duration>,
    /// Time from the connection to the end.
    pub duration: Duration,
    /// The failure, if the exchange did not succeed.
    pub failure: Option<Failure>,
    /// Exit code.
    pub exit: Exit,
}

impl Outcome {
    /// The end of the exchange and its figures, in one line.
    pub(super) fn describe(&self) -> String {
        format!(
            "ended by {}, {} sent, {} received{}",
            self.ended_by.describe(),
            bytes(self.sent),
            bytes(self.received),
            self.describe_first_byte(),
        )
    }

    /// `, first byte after 3.2 ms`; empty without a reply.
    pub(super) fn describe_first_byte(&self) -> String {
        self.first_byte.map_or_else(String::new, |time| {
            format!(", first byte after {}", human::time(time))
        })
    }
}

/// Runs one exchange over `stream`.
///
/// # Errors
/// Errors that make further exchanges pointless: the input is unreadable, or the output is not
/// writable.
pub(super) async fn exchange(
    stream: Stream,
    target: &str,
    plan: &SendPlan,
    printer: &mut ReplyPrinter<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<Outcome> {
    let mut duplex = Duplex::new(stream, plan.message.open()?, plan.half_close);
    let mut reply = Reply::new(plan);
    let ended_by = reply.run(&mut duplex, plan, printer, interrupt).await?;
    printer.finish()?;

    let duration = reply.start.elapsed();
    let interrupted = interrupt
        .already()
        .filter(|_| ended_by == EndedBy::Interrupted);
    let failure = match reply.detector.verdict(ended_by) {
        Err(kind) if interrupted.is_none() => Some(
            Explanation {
                target: &sanitize::one_line(target),
                plan,
                ended_by,
                sent: duplex.sent(),
                received: reply.received,
                has_unsent: duplex.has_unsent(),
            }
            .failure(kind)
            .about(target),
        ),
        _ => None,
    };
    Ok(Outcome {
        ended_by,
        sent: duplex.sent(),
        received: reply.received,
        reply: reply.captured,
        first_byte: reply.first_byte,
        duration,
        exit: interrupted.unwrap_or_else(|| failure.as_ref().map_or(Exit::Done, Failure::exit)),
        failure,
    })
}

/// The reply so far.
struct Reply {
    start: Instant,
    detector: EndDetector,
    received: u64,
    captured: Vec<u8>,
    first_byte: Option<Duration>,
}

impl Reply {
    fn new(plan: &SendPlan) -> Self {
        Self {
            start: Instant::now(),
            detector: EndDetector::new(&plan.rule, plan.reply_timeout),
            received: 0,
            captured: Vec::new(),
            first_byte: None,
        }
    }

    /// Runs until something ends the exchange.
    async fn run(
        &mut self,
        duplex: &mut Duplex,
        plan: &SendPlan,
        printer: &mut ReplyPrinter<'_>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<EndedBy> {
        let waits_for_acknowledgment = matches!(plan.rule, EndRule::Acknowledged);
        let mut input_open = true;
        let mut peer_closed = false;
        let timer = tokio::time::sleep(plan.reply_timeout);
        tokio::pin!(timer);
        let requested = interrupt.requested();
        tokio::pin!(requested);
        loop {
            let (deadline, meaning) = self.detector.deadline().unwrap_or_else(|| {
                (
                    duplex.last_progress() + plan.reply_timeout,
                    EndedBy::Timeout,
                )
            });
            if timer.deadline() != deadline.into() {
                timer.as_mut().reset(deadline.into());
            }
            let event = tokio::select! {
                biased;
                _ = &mut requested => return Ok(EndedBy::Interrupted),
                event = duplex.next() => event,
                () = &mut timer => {
                    if !input_open {
                        return Ok(meaning);
                    }
                    // Waiting for input has no time limit. A server that neither reads nor sends
                    // has one.
                    if !duplex.has_unsent() {
                        duplex.reset_idle_timer();
                    } else if duplex.last_progress() + plan.reply_timeout <= Instant::now() {
                        return Ok(EndedBy::Timeout);
                    }
                    continue;
                }
            };
            match event {
                Event::Received(count) => {
                    if let Some(ended_by) = self.take(duplex.received(count), plan, printer)? {
                        return Ok(ended_by);
                    }
                    duplex.reset_idle_timer();
                }
                // A FIN closes one direction, so the server may still read.
                Event::Closed if waits_for_acknowledgment => {}
                Event::Closed if input_open && !plan.message.is_conversation() => {
                    peer_closed = true;
                }
                Event::Closed => return Ok(EndedBy::Closed),
                Event::Broken => return Ok(EndedBy::Reset),
                Event::InputFailed(error) => return Err(super::input::read_failure(&error).into()),
                Event::InputEnded => {
                    input_open = false;
                    self.detector.input_ended(Instant::now());
                    if !(waits_for_acknowledgment || peer_closed) {
                        continue;
                    }
                    let acknowledged = tokio::select! {
                        _ = &mut requested => return Ok(EndedBy::Interrupted),
                        acknowledged = duplex.acknowledged(plan.reply_timeout) => acknowledged,
                    };
                    return Ok(match acknowledged {
                        Ok(()) if peer_closed => EndedBy::Closed,
                        Ok(()) => EndedBy::Acknowledged,
                        Err(Unacknowledged::Broken) => EndedBy::Reset,
                        Err(Unacknowledged::TimedOut) => EndedBy::Timeout,
                    });
                }
            }
        }
    }

    /// Processes and prints bytes of the reply. Returns the event if they end it.
    fn take(
        &mut self,
        bytes: &[u8],
        plan: &SendPlan,
        printer: &mut ReplyPrinter<'_>,
    ) -> anyhow::Result<Option<EndedBy>> {
        if matches!(plan.rule, EndRule::Acknowledged) {
            return Ok(None);
        }
        self.first_byte.get_or_insert_with(|| self.start.elapsed());
        let taken = self.detector.received(Instant::now(), bytes);
        let bytes = &bytes[..taken.bytes];
        self.received += bytes.len() as u64;
        let room = CAPTURE_BYTES
            .saturating_sub(self.captured.len())
            .min(bytes.len());
        if printer.captures() {
            self.captured.extend_from_slice(&bytes[..room]);
        }
        printer.reply(bytes)?;
        // Printing may have waited for the reader, which is not silence of the server.
        self.detector.printed(Instant::now());
        Ok(taken.ended)
    }
}

/// Describes a failed exchange.
struct Explanation<'a> {
    target: &'a str,
    plan: &'a SendPlan,
    ended_by: EndedBy,
    sent: u64,
    received: u64,
    has_unsent: bool,
}

impl Explanation<'_> {
    fn failure(&self, kind: Kind) -> Failure {
        let Self {
            target,
            sent,
            received,
            ..
        } = self;
        let timeout = self.plan.reply_timeout;
        let when = match self.ended_by {
            EndedBy::Closed => "before the connection was closed".to_owned(),
            EndedBy::Reset => "before the connection was reset".to_owned(),
            _ => format!("within {timeout:?}"),
        };
        let received_bytes = bytes(*received);
        match (&self.plan.rule, self.ended_by) {
            (EndRule::Expect(pattern), _) => Failure::new(
                kind,
                format!(
                    "no match for --expect '{}' in {received_bytes} from {target} {when}",
                    sanitize::one_line(pattern.as_str())
                ),
            ),
            (EndRule::Lines(lines), _) => Failure::new(
                kind,
                format!("fewer than {lines} lines in {received_bytes} from {target} {when}"),
            ),
            (EndRule::Acknowledged, EndedBy::Timeout) => Failure::new(
                kind,
                format!(
                    "{target} did not acknowledge all of {} {when}",
                    bytes(*sent)
                ),
            )
            .hint("for a slow server raise --reply-timeout"),
            (_, EndedBy::Closed) => self.no_reply(
                kind,
                format!("{target} closed the connection without a reply"),
            ),
            (_, EndedBy::Reset) if *received == 0 => Failure::new(
                kind,
                format!("{target} reset the connection before a reply"),
            ),
            (_, EndedBy::Reset) => Failure::new(
                kind,
                format!("{target} reset the connection after {received_bytes} of its reply"),
            ),
            _ if self.has_unsent => Failure::new(
                kind,
                format!(
                    "{target} accepted {}, then no more for {timeout:?}",
                    bytes(*sent)
                ),
            )
            .hint("for a slow server raise --reply-timeout"),
            _ if *received == 0 => {
                self.no_reply(kind, format!("no reply from {target} within {timeout:?}"))
            }
            _ => Failure::new(
                kind,
                format!("{target} sent {received_bytes}, then nothing for {timeout:?}"),
            )
            .hint("without --until-close a reply ends after 2s of silence"),
        }
    }

    /// The failure without a reply, with conditions that servers commonly wait for.
    fn no_reply(&self, kind: Kind, message: String) -> Failure {
        let hint = if self.sent == 0 {
            "nothing was sent because the input was empty: give a MESSAGE"
        } else if !self.plan.half_close {
            "the server may wait for a line end (--lf, --crlf) or the end of input (--half-close)"
        } else {
            "some servers close at the client's FIN: try without --half-close"
        };
        Failure::new(kind, message).hint(hint)
    }
}
