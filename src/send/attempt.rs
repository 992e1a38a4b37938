//! One try: connect, with retries, then one exchange, then what is told of it.

use std::rc::Rc;
use std::time::Duration;

use super::exchange::{Outcome, exchange};
use super::plan::Plan;
use super::report::SendReport;
use super::rule::EndedBy;
use super::wire::Wire;
use crate::connect::{self, Connection, Endpoint};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::{Output, ReplyPrinter, human};
use crate::sanitize;
use crate::sim::Session;
use crate::target::Place;

/// The longest pause between two tries to connect.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// What a target's place is connected to through; a virtual board is started for it.
pub(super) fn endpoint(place: &Place, target: &str) -> Result<Endpoint, Failure> {
    Ok(match place {
        Place::Name { host, port } => Endpoint::Name {
            host: host.clone(),
            port: *port,
        },
        Place::Addresses(addresses) => Endpoint::Addresses(addresses.clone()),
        Place::Virtual(spec) => {
            Endpoint::Virtual(Rc::new(Session::start(spec).map_err(|error| {
                Failure::new(
                    Kind::Device,
                    format!("the virtual board did not start: {error}"),
                )
                .about(target)
            })?))
        }
    })
}

/// All that a try needs.
pub(super) struct Attempt<'a> {
    pub(super) plan: &'a Plan,
    pub(super) target: &'a str,
    pub(super) endpoint: &'a Endpoint,
    pub(super) output: &'a Output,
    pub(super) interrupt: &'a Interrupt,
}

/// What came of a try.
pub(super) enum Tried {
    /// An exchange was held, well or not.
    Held(Outcome),
    /// No connection could be made.
    Unconnected(Failure),
    /// Interrupted before there was a connection.
    Interrupted(Exit),
}

impl Tried {
    /// How the command ends for it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Held(outcome) => outcome.exit,
            Self::Unconnected(failure) => failure.exit(),
            Self::Interrupted(exit) => *exit,
        }
    }

    /// Why it is not what was asked for.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Held(outcome) => outcome.failure.as_ref(),
            Self::Unconnected(failure) => Some(failure),
            Self::Interrupted(_) => None,
        }
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        target: &'a str,
        endpoint: &'a Endpoint,
        output: &'a Output,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self {
            plan,
            target,
            endpoint,
            output,
            interrupt,
        }
    }

    /// The only try of a command.
    pub(super) async fn once(&self) -> anyhow::Result<Exit> {
        let mut printer = self.output.reply(self.plan.form);
        let tried = self.run(None, &mut printer).await?;
        match tried.failure() {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(tried.exit()),
        }
    }

    /// One try; its report is printed, its failure is not.
    pub(super) async fn run(
        &self,
        seq: Option<u64>,
        printer: &mut ReplyPrinter<'_>,
    ) -> anyhow::Result<Tried> {
        let connection = tokio::select! {
            biased;
            exit = self.interrupt.requested() => {
                self.output.interrupted();
                return Ok(Tried::Interrupted(exit));
            }
            connection = self.connect() => connection,
        };
        let Connection {
            stream,
            address,
            connect_time,
        } = match connection {
            Ok(connection) => connection,
            Err(failure) => return Ok(Tried::Unconnected(failure)),
        };
        self.output.detail(|| {
            let time = human::time(connect_time);
            if self.target == address.to_string() {
                format!("connected to {address} in {time}")
            } else {
                let target = sanitize::one_line(self.target);
                format!("connected to {target} at {address} in {time}")
            }
        });
        let wire = Wire::new(stream, self.plan.message.open()?, self.plan.half_close);
        let outcome = exchange(wire, self.target, self.plan, printer, self.interrupt).await?;
        if outcome.ended_by == EndedBy::Interrupted {
            self.output.interrupted();
        }
        self.output.detail(|| {
            format!(
                "{}: {}",
                sanitize::one_line(self.target),
                told(&outcome, connect_time)
            )
        });
        if self.output.is_json() {
            let report = SendReport::new(self.target, address, connect_time, &outcome, seq);
            self.output.object(&report)?;
        }
        Ok(Tried::Held(outcome))
    }

    /// Connects; what fails before a byte is sent is tried again as often as was asked.
    async fn connect(&self) -> Result<Connection, Failure> {
        let mut delay = self.plan.retry_delay.min(LONGEST_DELAY);
        let mut retry = 0;
        loop {
            let error = match connect::connect(&self.plan.dialer, self.endpoint).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error.into_failure(self.target),
            };
            if retry == self.plan.retries {
                return Err(error);
            }
            retry += 1;
            self.output.note(&format!(
                "{}; retry {retry} of {} in {}",
                error.message,
                self.plan.retries,
                human::time(delay)
            ));
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }
}

/// An exchange in one line: what ended it, and its figures.
fn told(outcome: &Outcome, connect_time: Duration) -> String {
    let first_byte = match outcome.first_byte {
        Some(time) => format!("first byte after {}, ", human::time(time)),
        None => String::new(),
    };
    format!(
        "ended by {}: {} sent, {} received, {first_byte}{} in all",
        outcome.ended_by.told(),
        human::bytes(outcome.sent),
        human::bytes(outcome.received),
        human::time(connect_time + outcome.took)
    )
}
