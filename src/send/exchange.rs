//! One exchange over one connection: input to the wire, reply to the output, until a rule ends it.

use std::time::{Duration, Instant};

use super::plan::Plan;
use super::rule::{EndedBy, Ending, Rule};
use super::wire::{Step, Unacknowledged, Wire};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::ReplyPrinter;
use crate::output::human::bytes;
use crate::sanitize;

/// How much of a reply a report holds.
const CAPTURE: usize = 64 * 1024;
/// What came of an exchange.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What ended it.
    pub ended_by: EndedBy,
    /// Bytes handed to the network.
    pub sent: u64,
    /// Bytes of the reply.
    pub received: u64,
    /// The reply's beginning.
    pub reply: Vec<u8>,
    /// From the connection to the reply's first byte.
    pub first_byte: Option<Duration>,
    /// From the connection to the end.
    pub took: Duration,
    /// Why it is not what was asked for.
    pub failure: Option<Failure>,
    /// How the command ends for it.
    pub exit: Exit,
}

/// Holds one exchange over `wire`.
///
/// # Errors
/// What makes it pointless to go on at all: the input can't be read, the output not be written.
pub(super) async fn exchange(
    mut wire: Wire,
    target: &str,
    plan: &Plan,
    printer: &mut ReplyPrinter<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<Outcome> {
    let mut reply = Reply::new(plan);
    let ended_by = reply.run(&mut wire, plan, printer, interrupt).await?;
    printer.finish()?;

    let took = reply.begin.elapsed();
    let unsent = match ended_by {
        EndedBy::Closed => wire.leaves_unsent().await,
        _ => wire.has_unsent(),
    };
    let verdict = match reply.ending.verdict(ended_by) {
        // Nothing is a success that did not send what it was told to send.
        Ok(()) if unsent && ended_by == EndedBy::Closed => Err(Kind::Broken),
        verdict => verdict,
    };
    let interrupted = interrupt
        .already()
        .filter(|_| ended_by == EndedBy::Interrupted);
    let failure = match verdict {
        Err(kind) if interrupted.is_none() => Some(
            Explanation {
                target: &sanitize::one_line(target),
                plan,
                ended_by,
                sent: wire.sent(),
                received: reply.received,
                unsent,
            }
            .failure(kind)
            .about(target),
        ),
        _ => None,
    };
    Ok(Outcome {
        ended_by,
        sent: wire.sent(),
        received: reply.received,
        reply: reply.captured,
        first_byte: reply.first_byte,
        took,
        exit: interrupted.unwrap_or_else(|| failure.as_ref().map_or(Exit::Done, Failure::exit)),
        failure,
    })
}

/// The reply so far.
struct Reply {
    begin: Instant,
    ending: Ending,
    received: u64,
    captured: Vec<u8>,
    first_byte: Option<Duration>,
}

impl Reply {
    fn new(plan: &Plan) -> Self {
        Self {
            begin: Instant::now(),
            ending: Ending::new(&plan.rule, plan.reply_timeout),
            received: 0,
            captured: Vec::new(),
            first_byte: None,
        }
    }

    /// Runs until something ends it, and says what.
    async fn run(
        &mut self,
        wire: &mut Wire,
        plan: &Plan,
        printer: &mut ReplyPrinter<'_>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<EndedBy> {
        let mut input_open = true;
        let timer = tokio::time::sleep(plan.reply_timeout);
        tokio::pin!(timer);
        let requested = interrupt.requested();
        tokio::pin!(requested);
        loop {
            let (deadline, meaning) = self
                .ending
                .deadline()
                .unwrap_or_else(|| (wire.moved() + plan.reply_timeout, EndedBy::Timeout));
            if timer.deadline() != deadline.into() {
                timer.as_mut().reset(deadline.into());
            }
            let step = tokio::select! {
                biased;
                _ = &mut requested => return Ok(EndedBy::Interrupted),
                step = wire.step() => step,
                () = &mut timer => {
                    if !input_open {
                        return Ok(meaning);
                    }
                    // The person or the program before us may take its time; a server that takes
                    // nothing of what is there, and says nothing, may not.
                    if !wire.has_unsent() {
                        wire.excuse();
                    } else if wire.moved() + plan.reply_timeout <= Instant::now() {
                        return Ok(EndedBy::Timeout);
                    }
                    continue;
                }
            };
            match step {
                Step::Received(count) => {
                    if let Some(ended_by) = self.take(wire.received(count), plan, printer)? {
                        return Ok(ended_by);
                    }
                    wire.excuse();
                }
                Step::Closed => match plan.rule {
                    // It may still read: whether it does, the acknowledgements say.
                    Rule::Acknowledged => {}
                    _ => return Ok(EndedBy::Closed),
                },
                Step::Broken => return Ok(EndedBy::Reset),
                Step::InputFailed(error) => return Err(super::input::failed(&error).into()),
                Step::InputEnded => {
                    input_open = false;
                    self.ending.input_ended(Instant::now());
                    if matches!(plan.rule, Rule::Acknowledged) {
                        let acknowledged = tokio::select! {
                            _ = &mut requested => return Ok(EndedBy::Interrupted),
                            acknowledged = wire.acknowledged(plan.reply_timeout) => acknowledged,
                        };
                        return Ok(match acknowledged {
                            Ok(()) => EndedBy::Acknowledged,
                            Err(Unacknowledged::Broken) => EndedBy::Reset,
                            Err(Unacknowledged::Silence) => EndedBy::Timeout,
                        });
                    }
                }
            }
        }
    }

    /// Takes bytes of the reply, prints them, and says what they end.
    fn take(
        &mut self,
        bytes: &[u8],
        plan: &Plan,
        printer: &mut ReplyPrinter<'_>,
    ) -> anyhow::Result<Option<EndedBy>> {
        if matches!(plan.rule, Rule::Acknowledged) {
            return Ok(None);
        }
        self.first_byte.get_or_insert_with(|| self.begin.elapsed());
        let taken = self.ending.received(Instant::now(), bytes);
        let bytes = &bytes[..taken.bytes];
        self.received += bytes.len() as u64;
        let room = CAPTURE.saturating_sub(self.captured.len()).min(bytes.len());
        if printer.captures() {
            self.captured.extend_from_slice(&bytes[..room]);
        }
        printer.reply(bytes)?;
        // Printing may have had to wait for the reader; that is not the server's silence.
        self.ending.printed(Instant::now());
        Ok(taken.ended)
    }
}

/// What there is to say about an exchange that failed.
struct Explanation<'a> {
    target: &'a str,
    plan: &'a Plan,
    ended_by: EndedBy,
    sent: u64,
    received: u64,
    unsent: bool,
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
        let how = match self.ended_by {
            EndedBy::Closed => "it closed".to_owned(),
            EndedBy::Reset => "it reset the connection".to_owned(),
            _ => format!("after {timeout:?}"),
        };
        let received_bytes = bytes(*received);
        match (&self.plan.rule, self.ended_by) {
            (Rule::Expect(pattern), _) => Failure::new(
                kind,
                format!(
                    "{target}: nothing matched --expect '{}' in {received_bytes}; {how}",
                    sanitize::one_line(pattern.as_str())
                ),
            ),
            (Rule::Lines(lines), _) => Failure::new(
                kind,
                format!("{target}: there were not {lines} lines in {received_bytes}; {how}"),
            ),
            (Rule::Acknowledged, EndedBy::Timeout) => Failure::new(
                kind,
                format!(
                    "{target}: not all {} were acknowledged; {how}",
                    bytes(*sent)
                ),
            )
            .hint("raise --reply-timeout if it is that slow"),
            (_, EndedBy::Closed) if self.unsent => Failure::new(
                kind,
                format!(
                    "{target} closed when it had taken {} and not all",
                    bytes(*sent)
                ),
            ),
            (_, EndedBy::Closed) => self.no_reply(kind, format!("{target} closed without a reply")),
            (_, EndedBy::Reset) if *received == 0 => Failure::new(
                kind,
                format!("{target} reset the connection before a reply"),
            ),
            (_, EndedBy::Reset) => Failure::new(
                kind,
                format!("{target} reset the connection after {received_bytes} of its reply"),
            ),
            _ if self.unsent => Failure::new(
                kind,
                format!(
                    "{target} took only {} and then nothing for {timeout:?}",
                    bytes(*sent)
                ),
            )
            .hint("raise --reply-timeout if it is that slow"),
            _ if *received == 0 => {
                self.no_reply(kind, format!("no reply from {target} within {timeout:?}"))
            }
            _ => Failure::new(
                kind,
                format!("{target} fell silent for {timeout:?} after {received_bytes}"),
            )
            .hint("without --until-close a pause of 2s ends a reply"),
        }
    }

    /// A silence, with what servers commonly wait for.
    fn no_reply(&self, kind: Kind, message: String) -> Failure {
        let hint = if self.sent == 0 {
            "nothing was sent, for the input was empty: give a MESSAGE"
        } else if !self.plan.half_close {
            "it may wait for a line end (--lf, --crlf) or for the end of input (--half-close)"
        } else {
            "many small servers take a FIN for a client that is gone: try without --half-close"
        };
        Failure::new(kind, message).hint(hint)
    }
}
