//! One attempt: connect, with retries, then one exchange, then its report.

use std::fmt::Display;
use std::time::Duration;

use super::exchange::{Outcome, exchange};
use super::plan::SendPlan;
use super::report::SendReport;
use super::rule::EndedBy;
use crate::connect::{self, Connection, Endpoint};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::{Output, ReplyPrinter, human};
use crate::sanitize;
use crate::target::Target;

/// Maximum pause between two connection attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// The parameters of an attempt.
pub(super) struct Attempt<'a> {
    pub(super) plan: &'a SendPlan,
    pub(super) target: &'a str,
    pub(super) endpoint: &'a Endpoint,
    pub(super) output: &'a Output,
    pub(super) interrupt: &'a Interrupt,
}

/// The end of an attempt.
pub(super) enum AttemptResult {
    /// After an exchange, successful or not.
    Exchanged(Outcome),
    /// Without a connection.
    NotConnected(Failure),
    /// A signal arrived before there was a connection.
    Interrupted(Exit),
}

impl AttemptResult {
    /// The exit code for this attempt alone.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Exchanged(outcome) => outcome.exit,
            Self::NotConnected(failure) => failure.exit(),
            Self::Interrupted(exit) => *exit,
        }
    }

    /// The failure, if the attempt did not succeed.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Exchanged(outcome) => outcome.failure.as_ref(),
            Self::NotConnected(failure) => Some(failure),
            Self::Interrupted(_) => None,
        }
    }
}

/// The failures of several attempts.
#[derive(Default)]
pub(super) struct Failures {
    count: u64,
    worst: Option<Failure>,
}

impl Failures {
    pub(super) fn record(&mut self, failure: &Failure) {
        self.count += 1;
        if self
            .worst
            .as_ref()
            .is_none_or(|worst| failure.exit() > worst.exit())
        {
            self.worst = Some(failure.clone());
        }
    }

    /// Prints how many of `total` failed, if any did. Returns the exit code.
    pub(super) fn conclude(self, total: impl Display, things: &str, output: &Output) -> Exit {
        let Some(mut worst) = self.worst else {
            return Exit::Done;
        };
        worst.message = format!(
            "{} of {total} {things} failed, the worst: {}",
            self.count, worst.message
        );
        output.conclude(&worst);
        worst.exit()
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        plan: &'a SendPlan,
        target: &'a Target,
        endpoint: &'a Endpoint,
        output: &'a Output,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self {
            plan,
            target: &target.text,
            endpoint,
            output,
            interrupt,
        }
    }

    /// Runs the only attempt of a command.
    pub(super) async fn once(&self) -> anyhow::Result<Exit> {
        let mut printer = self.output.reply(self.plan.form);
        let result = self.run(None, &mut printer).await?;
        match result.failure() {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(result.exit()),
        }
    }

    /// Runs an attempt and prints its report, but not its failure.
    pub(super) async fn run(
        &self,
        seq: Option<u64>,
        printer: &mut ReplyPrinter<'_>,
    ) -> anyhow::Result<AttemptResult> {
        let connection = tokio::select! {
            biased;
            exit = self.interrupt.requested() => {
                self.output.interrupted();
                return Ok(AttemptResult::Interrupted(exit));
            }
            connection = self.connect() => connection,
        };
        let Connection {
            stream,
            address,
            connect_time,
        } = match connection {
            Ok(connection) => connection,
            Err(failure) => return Ok(AttemptResult::NotConnected(failure)),
        };
        let target = sanitize::one_line(self.target);
        self.output.detail(|| {
            let time = human::time(connect_time);
            if self.target == address.to_string() {
                format!("connected to {address} in {time}")
            } else {
                format!("connected to {target} at {address} in {time}")
            }
        });
        let outcome = exchange(stream, self.target, self.plan, printer, self.interrupt).await?;
        if outcome.ended_by == EndedBy::Interrupted {
            self.output.interrupted();
        }
        let total = human::time(connect_time + outcome.duration);
        self.output
            .detail(|| format!("{target}: {}, total {total}", outcome.describe()));
        if self.output.is_json() {
            let report = SendReport::new(self.target, address, connect_time, &outcome, seq);
            self.output.object(&report)?;
        } else if let (Some(seq), None) = (seq, &outcome.failure) {
            self.output.hint(&format!(
                "{seq}: {} from {address}{}, total {total}",
                human::bytes(outcome.received),
                outcome.describe_first_byte()
            ));
        }
        Ok(AttemptResult::Exchanged(outcome))
    }

    /// Connects. Failures before a byte is sent are retried as often as requested.
    async fn connect(&self) -> Result<Connection, Failure> {
        let mut delay = self.plan.retry_delay.min(MAX_RETRY_DELAY);
        let mut retry = 0;
        loop {
            let failure = match connect::connect(&self.plan.dialer, self.endpoint).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error.into_failure(self.target),
            };
            if retry == self.plan.retries {
                return Err(self.with_message_hint(failure));
            }
            retry += 1;
            self.output.note(&format!(
                "{} (retry {retry} of {} in {})",
                failure.message,
                self.plan.retries,
                human::time(delay)
            ));
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(MAX_RETRY_DELAY);
        }
    }

    /// The user of `tcpctl send hi` with a configured target probably meant a message.
    fn with_message_hint(&self, failure: Failure) -> Failure {
        match &self.plan.configured_target {
            Some(configured) if failure.kind == Kind::Resolve => failure.hint(format!(
                "to send this text to {}, write: tcpctl send -m '{}'",
                sanitize::one_line(configured),
                sanitize::one_line(self.target)
            )),
            _ => failure,
        }
    }
}
