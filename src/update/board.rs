//! Updates one board: plan, send, verify, restart, wait, confirm.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tcpctl_greeter::console::Mac;
use tcpctl_greeter::update::{TRIAL_TIMEOUT, TrialEnd};
use tcpctl_management::{FirmwareReport, Refusal, Request, Response, UpdateRefusal};
use tokio::time::Instant;

use super::plan::{Image, UpdatePlan, change};
use super::report::{Change, FirmwareFacts, InstallPlan, UpdateEvent, UpdateReport};
use super::text::Rendered;
use super::transfer::{self, TransferError, size};
use crate::esp::chip;
use crate::failure::{Failure, Kind};
use crate::management::access::{Access, Found};
use crate::management::locate::{self, channel_failure};
use crate::management::{Channel, ChannelError};
use crate::output::{EventPrinter, Output, Progress, human};
use crate::sanitize;
use crate::target::Target;
use crate::units::microseconds;

/// Maximum attempts in a row without a new byte before a transfer fails.
const MAX_ATTEMPTS: u32 = 3;
/// Pause before a broken transfer or confirmation is repeated.
const RESUME_DELAY: Duration = Duration::from_secs(1);
/// Time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Time for the board to restart. A board that later reports no trial has lost it.
const RESTART_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after the end of a trial for the board to return: a start, a scan, and a DHCP lease.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);

/// The progress of an update, for a command that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has changed.
    Untouched,
    /// A part of the image is in the inactive slot.
    Sending,
    /// The board starts the new firmware, or runs it on trial.
    OnTrial,
    /// The update has ended.
    Ended,
}

/// The update of one board.
pub(super) struct BoardUpdate<'a> {
    pub(super) plan: &'a UpdatePlan,
    pub(super) output: &'a Output,
    pub(super) target: &'a Target,
    pub(super) stage: Cell<Stage>,
    events: EventPrinter<'a>,
}

/// The outcome of a trial.
enum Outcome {
    /// The new firmware runs on trial, or has confirmed itself.
    Back(Box<Found>, FirmwareReport),
    RolledBack(FirmwareReport, TrialEnd),
    /// The board reports neither the trial nor its end.
    Lost(FirmwareReport),
}

impl<'a> BoardUpdate<'a> {
    pub(super) fn new(plan: &'a UpdatePlan, target: &'a Target, output: &'a Output) -> Self {
        Self {
            plan,
            output,
            target,
            stage: Cell::new(Stage::Untouched),
            events: EventPrinter::new(output),
        }
    }

    /// Updates the board. An output error does not stop an update that has begun.
    ///
    /// # Errors
    /// The board cannot be updated, or returned to its old firmware.
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        let ended = self.update().await;
        self.events.finish(ended)
    }

    async fn update(&self) -> anyhow::Result<()> {
        let (access, report) = self.reach().await?;
        let image = self.image(&report).await?;
        let plan = self.install_plan(&access, &report, &image)?;
        self.check(&report, &image)?;
        self.output.print(&self.report(UpdateEvent::Plan(plan)))?;
        if self.plan.dry_run {
            return Ok(());
        }
        let (sequence, restarted) = self.install(&access, &image).await?;
        if self.plan.no_wait {
            self.output.note(
                "note: the board confirms the new firmware itself after a minute on its network",
            );
            return Ok(());
        }
        self.wait_and_confirm(&access, sequence, restarted).await
    }

    /// Connects, authenticates, and requests the state of the firmware.
    async fn reach(&self) -> Result<(Access, FirmwareReport), Failure> {
        let (access, mut channel) =
            Access::open(self.target, &self.plan.key, self.plan.management_port).await?;
        let report = self.firmware(&access, &mut channel).await?;
        channel.close().await;
        Ok((access, report))
    }

    async fn firmware(
        &self,
        access: &Access,
        channel: &mut Channel,
    ) -> Result<FirmwareReport, Failure> {
        match access.request(channel, &Request::Firmware).await? {
            Response::Firmware(report) => Ok(*report),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The image for the board's chip.
    async fn image(&self, report: &FirmwareReport) -> Result<Arc<Image>, Failure> {
        let Some(name) = &report.chip else {
            return Err(self.refused(UpdateRefusal::NoChip));
        };
        let chip = chip::parse(name).ok_or_else(|| {
            let shown = sanitize::one_line(name);
            self.failure(Kind::Device, &format!("unknown chip {shown}"))
                .hint("update tcpctl: a newer version may know it")
        })?;
        let image = self.plan.images.for_chip(chip, self.output).await;
        image.map_err(|failure| failure.about(&*self.target.text))
    }

    fn install_plan(
        &self,
        access: &Access,
        report: &FirmwareReport,
        image: &Image,
    ) -> Result<InstallPlan, Failure> {
        let Some(capacity_bytes) = report.capacity else {
            return Err(self.refused(UpdateRefusal::NoSecondSlot));
        };
        Ok(InstallPlan {
            address: access.address,
            mac: Mac(access.mac).to_string(),
            chip: image.chip.to_string(),
            running: report.version.clone(),
            firmware: FirmwareFacts {
                name: image.name.clone(),
                version: image.version.clone(),
                sha256: image.sha256_hex(),
            },
            change: change(&report.version, image.version.as_deref()),
            slot: 1 - report.slot.min(1),
            capacity_bytes,
            bytes: size(image),
            dry_run: self.plan.dry_run,
        })
    }

    /// Refuses an image that the board would refuse, and an older version.
    fn check(&self, report: &FirmwareReport, image: &Image) -> Result<(), Failure> {
        if let Some(capacity) = report.capacity.filter(|capacity| *capacity < size(image)) {
            return Err(self.refused(UpdateRefusal::TooLarge { capacity }));
        }
        if report.trial.is_some() {
            return Err(self.refused(UpdateRefusal::OnTrial));
        }
        let new = image.version.as_deref();
        let problem = match change(&report.version, new) {
            Change::Downgrade => "is older than",
            Change::Unknown => "cannot be compared with",
            Change::Upgrade | Change::Same => return Ok(()),
        };
        if !self.plan.allow_downgrade {
            let what = format!(
                "version {} {problem} {}, which the board runs",
                new.unwrap_or("(none)"),
                sanitize::one_line(&report.version)
            );
            let failure = self.failure(Kind::Usage, &what);
            return Err(failure.hint("use --allow-downgrade to install it anyway"));
        }
        Ok(())
    }

    /// Sends and starts the image. Returns the sequence number of the trial.
    async fn install(&self, access: &Access, image: &Image) -> anyhow::Result<(u32, Instant)> {
        let mut channel = self.send(access, image).await?;
        match access.request(&mut channel, &Request::VerifyUpdate).await? {
            Response::Done => {}
            other => return Err(self.unexpected(&other).into()),
        }
        self.emit(UpdateEvent::Verified {
            sha256: image.sha256_hex(),
        });
        self.stage.set(Stage::OnTrial);
        let started = access.request(&mut channel, &Request::StartUpdate).await;
        let started = started.map_err(|failure| {
            failure.hint(
                "the board may still start the new firmware: it confirms it itself after a \
                 minute on its network, or returns to the old one. See tcpctl status",
            )
        });
        match started? {
            Response::Restarting { sequence } => {
                let restarted = Instant::now();
                channel.close().await;
                self.emit(UpdateEvent::Restarting { sequence });
                Ok((sequence, restarted))
            }
            other => {
                self.stage.set(Stage::Sending);
                Err(self.unexpected(&other).into())
            }
        }
    }

    /// Sends the image, and continues after a broken connection. Returns the session.
    async fn send(&self, access: &Access, image: &Image) -> anyhow::Result<Channel> {
        let target = &self.target.text;
        let total = size(image);
        let begun = Instant::now();
        let bar = self.progress(total);
        let mut resumed = None;
        let best = Cell::new(0);
        let mut attempts = 0;
        loop {
            let mut channel = match access.reconnect().await {
                Ok(channel) => channel,
                // The board was reached before.
                Err(failure) if failure.kind != Kind::Device => {
                    attempts += 1;
                    self.pause_or_fail(attempts, best.get(), total, failure)
                        .await?;
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            let sent = async {
                let ready = transfer::begin(&mut channel, image).await?;
                self.stage.set(Stage::Sending);
                resumed.get_or_insert(ready.0);
                let mut shown = Instant::now();
                transfer::send(&mut channel, image, ready, |done| {
                    best.set(best.get().max(done));
                    bar.set(done.into());
                    if shown.elapsed() >= PROGRESS_INTERVAL || done == total {
                        shown = Instant::now();
                        self.emit(UpdateEvent::Progress { done, total });
                    }
                })
                .await
            };
            let before = best.get();
            let failure = match sent.await {
                Ok(()) => {
                    bar.end();
                    self.emit(UpdateEvent::Written {
                        bytes: total,
                        resumed_bytes: resumed.unwrap_or(0),
                        elapsed_us: microseconds(begun.elapsed()),
                    });
                    return Ok(channel);
                }
                Err(TransferError::Answer(answer)) => return Err(self.unexpected(&answer).into()),
                Err(TransferError::Channel(error @ ChannelError::Protocol(_))) => {
                    return Err(channel_failure(target, error).into());
                }
                Err(TransferError::Channel(error)) => channel_failure(target, error),
            };
            attempts = if best.get() > before { 1 } else { attempts + 1 };
            self.pause_or_fail(attempts, best.get(), total, failure)
                .await?;
        }
    }

    /// Waits before another attempt to send, or fails after the last one.
    async fn pause_or_fail(
        &self,
        attempts: u32,
        done: u32,
        total: u32,
        failure: Failure,
    ) -> Result<(), Failure> {
        if attempts < MAX_ATTEMPTS {
            self.output
                .detail(|| format!("{}; trying again", failure.message));
            tokio::time::sleep(RESUME_DELAY).await;
            return Ok(());
        }
        Err(Failure {
            kind: Kind::Broken,
            message: format!(
                "{}, after {} of {}",
                failure.message,
                human::grouped(done.into()),
                human::count(total.into(), "byte")
            ),
            hint: Some(
                "the board keeps its firmware. Run the command again; it resumes unless the board has \
                 restarted"
                    .to_owned(),
            ),
            ..failure
        })
    }

    /// A progress bar, or a line where none is visible.
    fn progress(&self, total: u32) -> Progress {
        let is_alone = self.plan.parallel.get() == 1;
        let bar = if is_alone {
            self.output.progress("sending", total.into())
        } else {
            Progress::hidden()
        };
        if !bar.is_shown() && !self.output.is_json() {
            let shown = sanitize::one_line(&self.target.text);
            let bytes = human::count(total.into(), "byte");
            self.output.note(&format!("sending    {bytes} to {shown}"));
        }
        bar
    }

    /// Waits until the board is back, and confirms. Reconnects if the connection breaks, because
    /// the board replies to a repeated confirmation.
    async fn wait_and_confirm(
        &self,
        access: &Access,
        sequence: u32,
        restarted: Instant,
    ) -> anyhow::Result<()> {
        let limit = Duration::from_micros(TRIAL_TIMEOUT.as_micros()) + RETURN_TIMEOUT;
        let mut is_back = false;
        loop {
            let waiting = access.wait(
                std::slice::from_ref(&access.route),
                async |found| self.outcome(access, found, sequence, restarted).await,
                || {
                    let seconds = restarted.elapsed().as_secs();
                    if self.plan.parallel.get() == 1 {
                        let status = format!("waiting for the board since {seconds} s");
                        self.output.status(&status);
                    }
                },
            );
            let outcome = tokio::time::timeout_at(restarted + limit, waiting).await;
            self.output.end_status();
            let Ok(outcome) = outcome else {
                self.stage.set(Stage::Ended);
                let waited = human::roughly(limit);
                let what = format!("the board did not come back within {waited}");
                return Err(self
                    .failure(Kind::Timeout, &what)
                    .hint(
                        "is it powered, and on the network of this computer? tcpctl discover finds it",
                    )
                    .into());
            };
            let (found, report) = match outcome {
                Outcome::Back(found, report) => (*found, report),
                Outcome::RolledBack(report, end) => return self.rolled_back(report, end),
                Outcome::Lost(report) => {
                    self.stage.set(Stage::Ended);
                    let version = sanitize::one_line(&report.version);
                    let what = format!("the board runs version {version} and reports no trial");
                    return Err(self
                        .failure(Kind::Device, &what)
                        .hint("another client may have updated it as well")
                        .into());
                }
            };
            if !is_back {
                is_back = true;
                self.emit(UpdateEvent::Back {
                    address: found.address,
                    version: report.version.clone(),
                    elapsed_us: microseconds(restarted.elapsed()),
                });
            }
            if self.confirm(found.channel, sequence).await? {
                self.stage.set(Stage::Ended);
                let version = report.version;
                self.emit(UpdateEvent::Confirmed { version });
                return Ok(());
            }
            tokio::time::sleep(RESUME_DELAY).await;
        }
    }

    /// The outcome of the trial according to the board; `None` while it has not restarted.
    async fn outcome(
        &self,
        access: &Access,
        mut found: Found,
        sequence: u32,
        restarted: Instant,
    ) -> Option<Outcome> {
        let report = self.firmware(access, &mut found.channel).await.ok()?;
        if report.trial == Some(sequence) {
            return Some(Outcome::Back(Box::new(found), report));
        }
        let ended = report.ended.as_ref();
        if let Some(ended) = ended.filter(|ended| ended.sequence == sequence) {
            let end = TrialEnd::from_code(ended.reason);
            return Some(Outcome::RolledBack(report, end));
        }
        let confirm = Request::ConfirmUpdate { sequence };
        match found.channel.request(&confirm).await.ok()? {
            // The firmware has confirmed itself.
            Response::Done => Some(Outcome::Back(Box::new(found), report)),
            // The old firmware still runs and is about to restart.
            Response::Refused(Refusal::NoSuchTrial)
                if report.trial.is_none() && restarted.elapsed() < RESTART_TIMEOUT =>
            {
                found.channel.close().await;
                None
            }
            _ => Some(Outcome::Lost(report)),
        }
    }

    /// Confirms the trial. Returns whether it is confirmed; if not, another session shows its
    /// outcome.
    async fn confirm(&self, mut channel: Channel, sequence: u32) -> anyhow::Result<bool> {
        match channel.request(&Request::ConfirmUpdate { sequence }).await {
            Ok(Response::Done) => {
                channel.close().await;
                Ok(true)
            }
            Ok(Response::Refused(Refusal::NoSuchTrial))
            | Err(ChannelError::Broken(_) | ChannelError::TimedOut) => Ok(false),
            Ok(other) => Err(self.unexpected(&other).into()),
            Err(error) => Err(channel_failure(&self.target.text, error).into()),
        }
    }

    fn rolled_back(&self, report: FirmwareReport, end: TrialEnd) -> anyhow::Result<()> {
        self.stage.set(Stage::Ended);
        let reason = end.to_string();
        let what = format!(
            "the board returned to version {}: {reason}",
            sanitize::one_line(&report.version)
        );
        self.emit(UpdateEvent::RolledBack {
            version: report.version,
            reason,
        });
        let failure = self.failure(Kind::Device, &what);
        Err(match end {
            TrialEnd::Panicked => failure.hint("its console has the panic message: tcpctl monitor"),
            TrialEnd::NotConfirmed => {
                failure.hint("the new firmware did not get on the board's network")
            }
            _ => failure,
        }
        .into())
    }

    fn failure(&self, kind: Kind, what: &str) -> Failure {
        locate::failure(&self.target.text, kind, what)
    }

    /// The failure for an unexpected response.
    fn unexpected(&self, response: &Response) -> Failure {
        match response {
            Response::Refused(Refusal::Update(refusal)) => self.refused(*refusal),
            Response::Unsupported => self
                .failure(
                    Kind::Device,
                    "its firmware cannot be updated over the network",
                )
                .hint("write a newer one over USB: tcpctl flash"),
            _ => self.failure(
                Kind::Device,
                "an unexpected answer on the management channel",
            ),
        }
    }

    /// The failure for a refused update.
    fn refused(&self, refusal: UpdateRefusal) -> Failure {
        let device = |what: &str| self.failure(Kind::Device, what);
        let usage = |what: &str| self.failure(Kind::Usage, what);
        match refusal {
            UpdateRefusal::NoSecondSlot => device("its flash has no second slot for new firmware")
                .hint("write the new partition table over USB: tcpctl flash"),
            UpdateRefusal::NoChip => device("a virtual board without a chip takes no firmware")
                .hint("give it a chip: sim:chip=esp32c3 as TARGET, or tcpctl sim --chip esp32c3"),
            UpdateRefusal::TooLarge { capacity } => usage(&format!(
                "the firmware does not fit the slot of {}",
                human::count(capacity.into(), "byte")
            ))
            .hint("build it with --release"),
            UpdateRefusal::OnTrial => device("its firmware is on trial")
                .hint("it confirms itself after a minute on its network: try again then"),
            UpdateRefusal::SettingsOnTrial => device("its settings are on trial")
                .hint("confirm them with tcpctl configure --confirm, or wait until the trial ends"),
            UpdateRefusal::OutOfOrder => {
                device("another client is updating it").hint("try again when that is done")
            }
            UpdateRefusal::WrongChip => usage("the board refuses the firmware of another chip"),
            UpdateRefusal::WrongProject => {
                usage("the board refuses the application of another project")
            }
            UpdateRefusal::NotAnApplication
            | UpdateRefusal::Truncated
            | UpdateRefusal::Damaged
            | UpdateRefusal::EntryPoint => {
                usage("the board refuses the firmware: the image is damaged")
                    .hint("build or download it again")
            }
            UpdateRefusal::WrongHash => {
                device("what the board wrote is not what was sent; nothing has changed")
                    .hint("try again; if it happens again, the flash is worn")
            }
            UpdateRefusal::Flash => {
                device("it cannot write its flash; the running firmware is unchanged")
                    .hint("the flash may be worn: tcpctl flash writes and checks it over USB")
            }
        }
    }

    fn report(&self, event: UpdateEvent) -> Rendered {
        Rendered {
            report: UpdateReport::new(&self.target.text, event),
            is_labeled: self.plan.parallel.get() > 1,
        }
    }

    /// Prints an event while the board changes.
    fn emit(&self, event: UpdateEvent) {
        self.output.end_status();
        self.events.emit(&self.report(event));
    }
}
