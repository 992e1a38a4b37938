//! A trial of settings while it runs: when the board has to return to the previous ones.
//!
//! [`SettingsStore::begin`](crate::settings_store::SettingsStore::begin) starts a trial at the start of
//! the board. From then on the board rolls back at the first of these:
//!
//! | event | reason |
//! |---|---|
//! | the confirm timeout, counted from the start | not confirmed, or why the board is not on its network |
//! | two lasting failures in a row to join the network | that of the second |
//! | the driver refuses the settings | rejected |
//! | the client aborts | aborted |
//! | any reset: panic, watchdog, power cut | restarted, recorded at the next start |

use core::cell::Cell;
use core::fmt;
use core::future::pending;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer};
use tcpctl_settings::sectors::{RollbackReason, Selected, Trial, TrialState};

use crate::driver::DriverError;
use crate::station::{Event, Failure};

/// Lasting failures in a row after which the settings count as wrong. A single one may be a failed
/// scan.
const FAILURES: u8 = 2;

/// The newest trial of a board, with its timer.
pub struct TrialRun {
    newest: Cell<Option<Trial>>,
    /// `None` unless the trial is open.
    deadline: Cell<Option<Instant>>,
    failures: Cell<u8>,
    /// Why the board is not on its network.
    cause: Cell<Option<RollbackReason>>,
    due: Signal<NoopRawMutex, RollbackReason>,
}

impl TrialRun {
    /// The trial of the settings that a board starts with. Its timer starts now.
    pub fn new(selected: Option<&Selected>) -> Self {
        let open = selected.and_then(Selected::open_trial);
        let timeout = |trial: Trial| Duration::from_secs(trial.confirm_timeout.as_secs().into());
        Self {
            newest: Cell::new(selected.and_then(|selected| selected.trial)),
            deadline: Cell::new(open.map(|trial| Instant::now() + timeout(trial))),
            failures: Cell::new(0),
            cause: Cell::new(None),
            due: Signal::new(),
        }
    }

    /// The trial that runs: neither confirmed nor rolled back.
    pub fn open(&self) -> Option<Trial> {
        self.deadline.get().and_then(|_| self.newest.get())
    }

    /// The newest trial.
    pub fn newest(&self) -> Option<Trial> {
        self.newest.get()
    }

    /// The newest trial, for `status`.
    pub fn report(&self) -> Option<Report> {
        let trial = self.newest.get()?;
        Some(Report {
            sequence: trial.sequence,
            state: trial.state,
            remaining: self.remaining(),
        })
    }

    /// Time left to confirm.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline.get()?;
        Some(
            deadline
                .checked_duration_since(Instant::now())
                .unwrap_or_default(),
        )
    }

    /// Records that the trial was confirmed.
    pub fn confirmed(&self) {
        self.end(TrialState::Confirmed);
    }

    /// Records that the trial was rolled back. The board must restart.
    pub fn rolled_back(&self, reason: RollbackReason) {
        self.end(TrialState::RolledBack(reason));
    }

    fn end(&self, state: TrialState) {
        self.deadline.set(None);
        if let Some(trial) = self.newest.get() {
            self.newest.set(Some(Trial { state, ..trial }));
        }
    }

    /// Follows the station's events.
    pub fn on_event(&self, event: &Event) {
        match event {
            Event::Failed { failure, .. } => self.on_failure(*failure),
            Event::Rejected(_) => self.roll_back(RollbackReason::Rejected),
            Event::Online(_) => {
                self.failures.set(0);
                self.cause.set(None);
            }
            Event::Joining | Event::Offline(_) => {}
        }
    }

    fn on_failure(&self, failure: Failure) {
        let (reason, is_lasting) = reason(failure);
        self.cause.set(Some(reason));
        self.failures.set(if is_lasting {
            self.failures.get().saturating_add(1)
        } else {
            0
        });
        if self.failures.get() >= FAILURES {
            self.roll_back(reason);
        }
    }

    /// Makes a rollback due.
    pub fn roll_back(&self, reason: RollbackReason) {
        if self.deadline.get().is_some() {
            self.due.signal(reason);
        }
    }

    /// Waits until the board has to return to its previous settings. The caller then records the
    /// reason and restarts. Never returns without an open trial.
    pub async fn rollback_due(&self) -> RollbackReason {
        let Some(deadline) = self.deadline.get() else {
            return pending().await;
        };
        let event = select(self.due.wait(), Timer::at(deadline)).await;
        match (self.deadline.get(), event) {
            (None, _) => pending().await,
            (Some(_), Either::First(reason)) => reason,
            (Some(_), Either::Second(())) => {
                self.cause.get().unwrap_or(RollbackReason::NotConfirmed)
            }
        }
    }
}

/// The rollback reason for a failure to join, and whether the failure is lasting.
fn reason(failure: Failure) -> (RollbackReason, bool) {
    match failure {
        Failure::WrongPassphrase => (RollbackReason::WrongPassphrase, true),
        Failure::NoSuchNetwork => (RollbackReason::NoSuchNetwork, true),
        Failure::NoLease => (RollbackReason::NoLease, true),
        Failure::OtherSecurity => (RollbackReason::OtherSecurity, true),
        Failure::Driver(error) if error.is_about_settings() => (RollbackReason::Rejected, true),
        Failure::TooWeak
        | Failure::Full
        | Failure::NotAuthenticated
        | Failure::Refused(_)
        | Failure::GaveUp(_)
        | Failure::NoAnswer
        | Failure::Driver(DriverError::Memory | DriverError::Other | _) => {
            (RollbackReason::NotJoined, false)
        }
    }
}

impl fmt::Debug for TrialRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}

/// The newest trial of a board. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Sequence number of the settings.
    pub sequence: u32,
    /// State of the trial.
    pub state: TrialState,
    /// Time left to confirm.
    pub remaining: Option<Duration>,
}

impl Report {
    /// The word for the state.
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            TrialState::Pending => "pending",
            TrialState::Started => "started",
            TrialState::Confirmed => "confirmed",
            TrialState::RolledBack(_) => "rolled-back",
        }
    }

    /// Whether the trial is confirmed.
    pub const fn is_confirmed(&self) -> bool {
        matches!(self.state, TrialState::Confirmed)
    }

    /// Reason of the rollback.
    pub const fn reason(&self) -> Option<RollbackReason> {
        match self.state {
            TrialState::RolledBack(reason) => Some(reason),
            _ => None,
        }
    }

    /// Seconds left to confirm, rounded up.
    pub fn remaining_s(&self) -> Option<u16> {
        let remaining = self.remaining?.as_millis().div_ceil(1000);
        Some(u16::try_from(remaining).unwrap_or(u16::MAX))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trial {} sequence={}", self.state_name(), self.sequence)?;
        if let Some(reason) = self.reason() {
            write!(f, " reason=\"{reason}\"")?;
        }
        if let Some(seconds) = self.remaining_s() {
            write!(f, " confirm_s={seconds}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
