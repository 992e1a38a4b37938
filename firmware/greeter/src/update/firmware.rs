//! The firmware of a board: the running version, updates, and the end of a trial.

use core::cell::{Cell, RefCell};
use core::fmt;

use alloc::boxed::Box;
use alloc::string::ToString;
use embassy_time::{Duration, Timer};
use tcpctl_management::{FirmwareReport, Refusal, Request, Response, UpdateRefusal};

use crate::flash::WritableFlash;
use crate::reset::Reset;

use super::image::chip_id;
use super::{Announced, EndedTrial, Slots, TrialEnd, Update, Version};

/// Maximum bytes that a client may send before they are acknowledged: those in flight during a
/// round trip.
pub const WINDOW: u32 = 16 * 1024;
/// Time on the network after which a new application is confirmed.
pub const SERVED_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time from the start to the confirmation of a trial. It covers the start, attempts to
/// join the network, and [`SERVED_TIMEOUT`].
pub const TRIAL_TIMEOUT: Duration = Duration::from_secs(300);

/// The firmware of a board. `F` is a handle of the flash, see [`crate::flash`].
pub struct Firmware<F> {
    flash: F,
    version: Version,
    /// Chip whose images the board accepts.
    chip: Option<&'static str>,
    slots: RefCell<Slots>,
    update: Cell<Update>,
    ended: Option<EndedTrial>,
}

/// The newest update, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The running firmware is on trial.
    OnTrial,
    /// The board returned to the previous firmware.
    Ended(TrialEnd),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTrial => f.write_str("trial"),
            Self::Ended(end) => end.fmt(f),
        }
    }
}

impl<F: WritableFlash + Clone> Firmware<F> {
    /// The firmware with this version in the slots that [`Slots::at_start`] found, on a board with
    /// this chip, after `reset`. Without a chip the board accepts no images.
    ///
    /// Records the end of a trial that ended with `reset`.
    pub fn new(
        flash: F,
        slots: Slots,
        version: &str,
        chip: Option<&'static str>,
        reset: Reset,
    ) -> Self {
        let id = chip.and_then(chip_id);
        Self {
            ended: slots.ended_trial(&mut flash.clone(), reset),
            flash,
            version: fitting(version),
            chip: chip.filter(|_| id.is_some()),
            slots: RefCell::new(slots),
            update: Cell::new(Update::new(id.unwrap_or(u16::MAX))),
        }
    }

    /// Version of the running firmware.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the running firmware is on trial.
    pub fn is_on_trial(&self) -> bool {
        self.slots.borrow().is_on_trial()
    }

    /// The newest trial, if it ended with a return to this firmware.
    pub fn ended(&self) -> Option<&EndedTrial> {
        self.ended.as_ref()
    }

    /// The newest update, unless it is confirmed.
    pub fn status(&self) -> Option<Status> {
        if self.is_on_trial() {
            return Some(Status::OnTrial);
        }
        self.ended.as_ref().map(|ended| Status::Ended(ended.end))
    }

    /// Confirms the trial after [`SERVED_TIMEOUT`]. Run it while the board is on its network. It never
    /// returns.
    pub async fn confirm_when_served(&self) {
        Timer::after(SERVED_TIMEOUT).await;
        // After an error, the trial ends with the next reset.
        let _ = self.slots.borrow_mut().confirm(&mut self.flash.clone());
        core::future::pending::<()>().await;
    }

    /// Waits until the trial has failed, and records the failure. The board must restart. Never
    /// returns otherwise.
    pub async fn trial_failed(&self) {
        Timer::after(TRIAL_TIMEOUT).await;
        if self.is_on_trial() {
            let slots = *self.slots.borrow();
            // If it cannot be recorded, the next start records another reason.
            let _ = slots.give_up(&mut self.flash.clone(), TrialEnd::NotConfirmed);
            return;
        }
        core::future::pending::<()>().await;
    }

    /// Serves a request; `None` if it is not about firmware.
    ///
    /// Blocks while a sector is erased, about 45 ms on a chip, and yields after that.
    pub async fn handle(&self, request: &Request) -> Option<Result<Response, Refusal>> {
        let mut flash = self.flash.clone();
        let slots = *self.slots.borrow();
        let mut update = self.update.get();
        let result = match request {
            Request::Firmware => return Some(Ok(self.report())),
            &Request::ConfirmUpdate { sequence } => return Some(self.confirm(sequence)),
            &Request::BeginUpdate { size, sha256 } => match self.chip {
                Some(_) => update
                    .begin(&slots, Announced { size, sha256 })
                    .map(|offset| Response::Ready {
                        offset,
                        window: WINDOW,
                    }),
                None => Err(UpdateRefusal::NoChip),
            },
            Request::UpdateData { offset, bytes } => {
                let written = update.write(&mut flash, &slots, *offset, bytes).await;
                written.map(|offset| Response::Written { offset })
            }
            Request::VerifyUpdate => {
                let verified = update.verify(&mut flash, &slots).await;
                verified.map(|_| Response::Done)
            }
            Request::StartUpdate => update
                .start(&mut flash, &slots)
                .map(|sequence| Response::Restarting { sequence }),
            _ => return None,
        };
        // If this future is dropped before this line, the old state of the transfer remains: the
        // bytes are sent and written again.
        self.update.set(update);
        Some(result.map_err(Refusal::Update))
    }

    fn report(&self) -> Response {
        let slots = self.slots.borrow();
        Response::Firmware(Box::new(FirmwareReport {
            version: self.version.to_string(),
            chip: self.chip.map(ToString::to_string),
            slot: u8::try_from(slots.running()).unwrap_or(u8::MAX),
            capacity: slots.other().ok().map(|slot| slot.size),
            trial: slots.trial(),
            ended: self
                .ended
                .as_ref()
                .map(|ended| tcpctl_management::EndedTrial {
                    sequence: ended.sequence,
                    version: ended.version.as_ref().map(ToString::to_string),
                    reason: ended.end.code(),
                }),
        }))
    }

    fn confirm(&self, sequence: u32) -> Result<Response, Refusal> {
        let mut flash = self.flash.clone();
        let mut slots = self.slots.borrow_mut();
        if slots.trial() == Some(sequence) {
            let confirmed = slots.confirm(&mut flash);
            confirmed.map_err(|_| Refusal::Update(UpdateRefusal::Flash))?;
        } else if !slots.is_confirmed(&mut flash, sequence) {
            return Err(Refusal::NoSuchTrial);
        }
        Ok(Response::Done)
    }
}

/// The version, truncated to the capacity of [`Version`].
fn fitting(version: &str) -> Version {
    let mut fits = Version::new();
    for character in version.chars() {
        if fits.push(character).is_err() {
            break;
        }
    }
    fits
}
