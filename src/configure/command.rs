//! Runs `tcpctl configure`: show, send, wait until the board is back, confirm.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Context;
use tcpctl_management::{Refusal, Request, Response, Shown, TrialReport, UpdateRefusal};
use tcpctl_settings::sectors::{ConfirmTimeout, RollbackReason, TrialState};
use tcpctl_settings::{Changes, Mode};
use tokio::time::{Instant, timeout_at};

use super::plan::{self, Action, ConfigurePlan};
use super::report::{ConfigureEvent, ConfigureReport, GreetingCheck};
use crate::cli::ConfigureArgs;
use crate::connect::Endpoint;
use crate::exchange::{self, GREETING_TIMEOUT};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::management::access::{Access, Found};
use crate::management::locate::{self, Route, channel_failure};
use crate::management::{Channel, ChannelError};
use crate::output::{EventPrinter, Output, human};
use crate::passphrase;
use crate::sanitize;
use crate::target::TargetKind;
use crate::units::microseconds;

/// Pause between two confirmations.
const PAUSE: Duration = Duration::from_millis(300);
/// Time after the confirm timeout for the board to return with its old settings: a start, a scan,
/// and a DHCP lease.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs `tcpctl configure`.
///
/// # Errors
/// Invalid options, a wrong key, a board that refuses or rolls back, or that does not come back.
pub fn run(args: &ConfigureArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = ConfigurePlan::new(args)?;
    if args.security.open {
        output.note(passphrase::OPEN_NETWORK);
    }
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        let configure = Configure {
            plan: &plan,
            output,
            confirm_by: Cell::new(None),
            events: EventPrinter::new(output),
        };
        tokio::select! {
            biased;
            exit = interrupt.requested() => {
                output.end_status();
                output.interrupted();
                configure.note_pending();
                Ok(exit)
            }
            ended = configure.run() => {
                output.end_status();
                // Ctrl-C also ends a prompt, whose failure arrives before the signal.
                if let (Err(_), Some(exit)) = (&ended, interrupt.already()) {
                    configure.note_pending();
                    return Ok(exit);
                }
                configure.events.finish(ended)
            }
        }
    })?
}

struct Configure<'a> {
    plan: &'a ConfigurePlan,
    output: &'a Output,
    /// Deadline of the confirmation, while settings may be on trial.
    confirm_by: Cell<Option<Instant>>,
    events: EventPrinter<'a>,
}

/// A trial, by its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SentTrial {
    /// The number that the board returned.
    Known(u32),
    /// The connection broke before the response. If the board received the request, the trial has a
    /// greater number than this.
    After(u32),
}

impl SentTrial {
    fn includes(self, sequence: u32) -> bool {
        match self {
            Self::Known(known) => sequence == known,
            Self::After(old) => sequence > old,
        }
    }
}

/// The outcome of a trial.
enum Outcome {
    /// The board runs the trial's settings, or has confirmed them.
    Back(Box<(Found, Shown)>),
    RolledBack(RollbackReason),
}

impl Configure<'_> {
    async fn run(&self) -> anyhow::Result<Exit> {
        let plan = self.plan;
        let (access, mut channel) =
            Access::open(&plan.target, &plan.key, plan.management_port).await?;
        let shown = self.show(&access, &mut channel).await?;
        // Close the session, because the board ends it while a passphrase is typed.
        channel.close().await;
        match &plan.action {
            Action::Show => {
                self.print(ConfigureEvent::Settings {
                    board: plan::facts(&shown, access.mac),
                    settings: plan::values(&shown.settings, access.mac),
                    trial: shown.trial.as_ref().map(plan::trial),
                })?;
                Ok(Exit::Done)
            }
            Action::Confirm => self.confirm_sent(&access, &shown).await,
            Action::Change(changes) => self.change(changes, &access, &shown).await,
        }
    }

    async fn show(&self, access: &Access, channel: &mut Channel) -> Result<Shown, Failure> {
        match access.request(channel, &Request::Show).await? {
            Response::Shown(shown) => Ok(*shown),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Plans, sends and confirms.
    async fn change(
        &self,
        changes: &Changes,
        access: &Access,
        shown: &Shown,
    ) -> anyhow::Result<Exit> {
        if let Some(trial) = &shown.trial
            && matches!(trial.state, TrialState::Pending | TrialState::Started)
        {
            return Err(self.trial_in_progress(trial).into());
        }
        let needed = {
            let (changes, shown) = (changes.clone(), shown.clone());
            tokio::task::spawn_blocking(move || plan::needed(&changes, &shown, passphrase::typed))
                .await??
        };
        let differences = plan::differences(&needed, shown, access.mac)?;
        let is_nothing = differences.is_empty();
        let restarts = needed.needs_restart();
        self.print(ConfigureEvent::Plan {
            board: plan::facts(shown, access.mac),
            changes: differences,
            restart: restarts && !is_nothing,
            confirm_timeout_s: self.plan.confirm_timeout.as_secs(),
            dry_run: self.plan.dry_run,
        })?;
        if self.plan.dry_run || is_nothing {
            return Ok(Exit::Done);
        }
        let channel = access.reconnect().await?;
        if restarts {
            self.try_settings(access, channel, &needed, shown).await
        } else {
            self.apply(access, channel, &needed).await
        }
    }

    /// Applies changes that need no restart.
    async fn apply(
        &self,
        access: &Access,
        mut channel: Channel,
        needed: &Changes,
    ) -> anyhow::Result<Exit> {
        for (is_given, option) in [
            (self.plan.address.is_some(), "--address"),
            (self.plan.no_confirm && !self.plan.no_wait, "--no-confirm"),
            (
                self.plan.confirm_timeout != ConfirmTimeout::default(),
                "--confirm-timeout",
            ),
        ] {
            if is_given {
                let note = "note: these settings need no restart:";
                self.output.note(&format!("{note} {option} has no effect"));
            }
        }
        let changes = Box::new(needed.clone());
        let request = Request::Apply { changes };
        match access.request(&mut channel, &request).await? {
            Response::Done => {}
            other => return Err(self.unexpected(&other).into()),
        }
        self.emit(ConfigureEvent::Sent);
        let shown = self.show(access, &mut channel).await?;
        channel.close().await;
        self.check_greeting(&access.route, &shown).await
    }

    /// Sends settings as a trial, and confirms them when the board is back.
    async fn try_settings(
        &self,
        access: &Access,
        mut channel: Channel,
        needed: &Changes,
        old: &Shown,
    ) -> anyhow::Result<Exit> {
        let confirm_timeout = self.plan.confirm_timeout;
        let request = Request::Trial {
            changes: Box::new(needed.clone()),
            confirm_timeout,
        };
        let response = channel.request(&request).await;
        let confirm_by = self.confirm_within(confirm_timeout.as_secs());
        let trial = match response {
            Ok(Response::Restarting { sequence }) => {
                channel.close().await;
                self.emit(ConfigureEvent::Sent);
                self.emit(ConfigureEvent::Restarting {
                    confirm_timeout_s: confirm_timeout.as_secs(),
                });
                SentTrial::Known(sequence)
            }
            Ok(other) => {
                self.confirm_by.set(None);
                return Err(self.unexpected(&other).into());
            }
            Err(error @ (ChannelError::Broken(_) | ChannelError::TimedOut)) => {
                let failure = channel_failure(&self.plan.target.text, error);
                if self.plan.no_confirm {
                    return Err(failure
                        .hint("the board may still try the new settings: see --show")
                        .into());
                }
                self.output.note(&format!(
                    "note: {}. The board may still try the new settings: looking for it",
                    failure.message
                ));
                SentTrial::After(newest_sequence(old))
            }
            Err(error) => return Err(channel_failure(&self.plan.target.text, error).into()),
        };
        if self.plan.no_confirm {
            self.note_pending();
            return Ok(Exit::Done);
        }
        self.note_network(needed, old, access.mac);
        self.wait_and_confirm(access, trial, confirm_by).await
    }

    /// Confirms the trial that another computer has sent.
    async fn confirm_sent(&self, access: &Access, shown: &Shown) -> anyhow::Result<Exit> {
        let nothing = |what: &str| {
            self.failure(Kind::Device, what)
                .hint("send new ones first: tcpctl configure TARGET ... --no-confirm")
        };
        let Some(trial) = shown.trial else {
            return Err(nothing("there are no new settings to confirm").into());
        };
        match trial.state {
            TrialState::RolledBack(reason) => {
                let what =
                    format!("no settings are on trial; the last trial was rolled back: {reason}");
                return Err(nothing(&what).into());
            }
            TrialState::Confirmed => {
                return Err(
                    nothing("no settings are on trial; the last trial was confirmed").into(),
                );
            }
            TrialState::Pending | TrialState::Started => {}
        }
        let left = trial
            .remaining_s
            .unwrap_or(self.plan.confirm_timeout.as_secs());
        let confirm_by = self.confirm_within(left);
        let trial = SentTrial::Known(trial.sequence);
        self.wait_and_confirm(access, trial, confirm_by).await
    }

    /// Records that settings may be on trial for this many seconds. Returns the end of that time.
    fn confirm_within(&self, seconds: u16) -> Instant {
        let confirm_by = Instant::now() + Duration::from_secs(seconds.into());
        self.confirm_by.set(Some(confirm_by));
        confirm_by
    }

    /// Waits for the board and confirms its trial. Reconnects if the connection breaks, because the
    /// board replies to a repeated confirmation.
    async fn wait_and_confirm(
        &self,
        access: &Access,
        trial: SentTrial,
        confirm_by: Instant,
    ) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let mut is_back = false;
        loop {
            let (mut found, shown) = match self.wait(access, trial, confirm_by, is_back).await? {
                Outcome::Back(back) => *back,
                Outcome::RolledBack(reason) => return self.rolled_back(reason),
            };
            if !is_back && matches!(self.plan.action, Action::Change(_)) {
                self.emit(ConfigureEvent::Back {
                    address: found.address,
                    elapsed_us: microseconds(started.elapsed()),
                });
            }
            is_back = true;
            if self.confirm(&mut found.channel, &shown).await? {
                found.channel.close().await;
                return self.check_greeting(&found.route, &shown).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Confirms the trial that the board runs. Returns whether it is confirmed; if not, another
    /// session shows its outcome.
    async fn confirm(&self, channel: &mut Channel, shown: &Shown) -> anyhow::Result<bool> {
        let Some(trial) = &shown.trial else {
            return Ok(false);
        };
        let request = Request::Confirm {
            sequence: trial.sequence,
        };
        match channel.request(&request).await {
            Ok(Response::Done) => {
                self.confirm_by.set(None);
                Ok(true)
            }
            // The confirm timeout expired first, or the board has not restarted yet.
            Ok(Response::Refused(Refusal::NoSuchTrial))
            | Err(ChannelError::Broken(_) | ChannelError::TimedOut) => Ok(false),
            Ok(other) => Err(self.unexpected(&other).into()),
            Err(error) => Err(channel_failure(&self.plan.target.text, error).into()),
        }
    }

    /// Waits until the board runs the trial, or has ended it. Tries the old address, the given one,
    /// and mDNS. If the board was reached before, a confirmation may have reached it.
    async fn wait(
        &self,
        access: &Access,
        trial: SentTrial,
        confirm_by: Instant,
        was_reached: bool,
    ) -> anyhow::Result<Outcome> {
        let mut routes = vec![access.route.clone()];
        if let Some(address) = &self.plan.address {
            routes.push(access.route.at(Endpoint::open(address)?));
        }
        let started = Instant::now();
        let waiting = access.wait(
            &routes,
            async |found| self.outcome(found, trial).await,
            || {
                let left = confirm_by.saturating_duration_since(Instant::now());
                self.output.status(&format!(
                    "waiting for the board, {} s left to confirm",
                    left.as_secs()
                ));
            },
        );
        let outcome = timeout_at(confirm_by + RETURN_TIMEOUT, waiting).await;
        self.output.end_status();
        if let Ok(outcome) = outcome {
            return outcome;
        }
        self.confirm_by.set(None);
        if was_reached {
            return Err(self
                .failure(
                    Kind::Timeout,
                    "the connection broke during the confirmation, and the board did not come back",
                )
                .hint(
                    "it has the new settings if the confirmation arrived, otherwise the old ones: see \
                     --show",
                )
                .into());
        }
        let waited = human::roughly(started.elapsed());
        Err(self
            .failure(
                Kind::Timeout,
                &format!("the board did not come back within {waited}"),
            )
            .hint(
                "unless another computer confirms it, it returns to its old settings by itself. Is it \
                 powered, and is this computer on its old network? See what happened with --show",
            )
            .into())
    }

    /// The outcome of the trial according to the board; `None` while it has not restarted.
    async fn outcome(&self, mut found: Found, trial: SentTrial) -> Option<anyhow::Result<Outcome>> {
        let Ok(Response::Shown(shown)) = found.channel.request(&Request::Show).await else {
            return None;
        };
        let newest = shown.trial.filter(|it| trial.includes(it.sequence));
        match newest.map(|trial| trial.state) {
            Some(TrialState::Started | TrialState::Confirmed) => {
                Some(Ok(Outcome::Back(Box::new((found, *shown)))))
            }
            Some(TrialState::RolledBack(reason)) => Some(Ok(Outcome::RolledBack(reason))),
            Some(TrialState::Pending) => {
                found.channel.close().await;
                None
            }
            None if matches!(trial, SentTrial::After(_)) => {
                self.confirm_by.set(None);
                Some(Err(self
                    .failure(
                        Kind::Broken,
                        "the connection broke before the new settings arrived; nothing has changed",
                    )
                    .hint("try again")
                    .into()))
            }
            None => Some(Err(self
                .failure(Kind::Device, "its settings were changed by another client")
                .hint("see them with --show")
                .into())),
        }
    }

    /// Requests a greeting under the new settings, and reports that they are permanent.
    async fn check_greeting(&self, route: &Route, shown: &Shown) -> anyhow::Result<Exit> {
        if self.plan.no_wait {
            self.emit(ConfigureEvent::Confirmed { check: None });
            return Ok(Exit::Done);
        }
        let check = self
            .greeting(route, plan::greeting_port(&shown.settings))
            .await;
        match check {
            Ok(check) => {
                self.emit(ConfigureEvent::Confirmed { check: Some(check) });
                Ok(Exit::Done)
            }
            Err(failure) => {
                // The settings are permanent even without a greeting.
                self.emit(ConfigureEvent::Confirmed { check: None });
                Err(failure.into())
            }
        }
    }

    async fn greeting(&self, route: &Route, port: u16) -> Result<GreetingCheck, Failure> {
        let target = &self.plan.target.text;
        let started = Instant::now();
        let connection = route.connect_to_greeting(port).await;
        let connection = connection.map_err(|error| {
            let failure = error.into_failure(target);
            failure.hint("the new settings are confirmed; see the board with tcpctl status")
        })?;
        let mut stream = connection.stream;
        let deadline = Instant::now() + GREETING_TIMEOUT;
        let greeting = exchange::greeting(&mut stream, deadline)
            .await
            .map_err(|why| {
                let what = format!("confirmed, but the board sent no greeting: {why}");
                self.failure(Kind::Negative, &what)
                    .hint("see it with tcpctl status")
            })?;
        Ok(GreetingCheck {
            address: connection.address,
            greeting: String::from_utf8_lossy(&greeting).into_owned(),
            total_us: microseconds(started.elapsed()),
        })
    }

    /// Prints that the board returned to its old settings, and fails.
    fn rolled_back<T>(&self, reason: RollbackReason) -> anyhow::Result<T> {
        self.confirm_by.set(None);
        let text = reason.to_string();
        self.emit(ConfigureEvent::RolledBack {
            reason: text.clone(),
        });
        let failure = self.failure(
            Kind::Device,
            &format!("the board returned to its old settings: {text}"),
        );
        Err(match reason {
            RollbackReason::WrongPassphrase => failure.hint("try again with the right passphrase"),
            RollbackReason::NoSuchNetwork => {
                failure.hint("check the name, and that the network is in range")
            }
            RollbackReason::NotConfirmed => failure.hint(
                "this computer did not reach the board: join its new network, or give --address, or \
                 confirm from another computer with --no-confirm and --confirm",
            ),
            RollbackReason::NoLease => {
                failure.hint("does the network have a DHCP server with a free address?")
            }
            _ => failure,
        }
        .into())
    }

    /// Prints on which network this computer must be to reach the board.
    fn note_network(&self, needed: &Changes, old: &Shown, mac: [u8; 6]) {
        if !plan::changes_network(needed) || matches!(self.plan.target.kind, TargetKind::Virtual(_))
        {
            return;
        }
        let Ok(new) = old.settings.with_changes(needed) else {
            return;
        };
        let name = sanitize::one_line(&plan::network_name(&new, mac));
        let seconds = self.plan.confirm_timeout.as_secs();
        self.output.note(&match plan::mode(&new) {
            Mode::Station => format!(
                "note: the board joins {name}. It returns unless this computer reaches it within \
                 {seconds} s: join {name} as well"
            ),
            Mode::AccessPoint => format!(
                "note: the board opens {name}. It returns unless this computer joins {name} within \
                 {seconds} s"
            ),
        });
    }

    /// Prints what happens to a trial that this command does not confirm.
    fn note_pending(&self) {
        if let Some(confirm_by) = self.confirm_by.get() {
            let left = confirm_by.saturating_duration_since(Instant::now());
            self.output.note(&format!(
                "note: the board returns to its old settings unless it is confirmed within {:.0} s: \
                 tcpctl configure {} --confirm",
                left.as_secs_f64(),
                sanitize::one_line(&self.plan.target.text)
            ));
        }
    }

    fn failure(&self, kind: Kind, what: &str) -> Failure {
        locate::failure(&self.plan.target.text, kind, what)
    }

    fn trial_in_progress(&self, trial: &TrialReport) -> Failure {
        let target = sanitize::one_line(&self.plan.target.text);
        let failure = self.failure(Kind::Device, "a settings trial is in progress");
        match trial.remaining_s.filter(|_| trial.state == TrialState::Started) {
            Some(seconds) => failure.hint(format!(
                "confirm it with tcpctl configure {target} --confirm, or wait {seconds} s"
            )),
            None => failure.hint(
                "the board restarts with it: try again in a few seconds, or restart the board if it \
                 stays so",
            ),
        }
    }

    /// The failure for an unexpected response.
    fn unexpected(&self, response: &Response) -> Failure {
        match response {
            Response::Refused(Refusal::Invalid { field, reason }) => {
                let what = sanitize::one_line(&format!("{field}: {reason}"));
                self.failure(Kind::Usage, &format!("the board refuses {what}"))
            }
            Response::Refused(Refusal::TrialInProgress) => self
                .failure(Kind::Device, "a settings trial is in progress")
                .hint("confirm it with --confirm, or wait until the board returns to its old settings"),
            Response::Refused(Refusal::NoSuchTrial) => self
                .failure(Kind::Device, "the trial is over")
                .hint("see its state with --show"),
            Response::Refused(Refusal::NeedsRestart) => self
                .failure(Kind::Device, "its firmware needs a restart for these settings")
                .hint("it has another version: update the older one, the board with tcpctl flash"),
            Response::Refused(Refusal::Update(UpdateRefusal::OnTrial)) => self
                .failure(Kind::Device, "its firmware is on trial")
                .hint("try again in a minute"),
            Response::Refused(Refusal::NoSecondSector) => self
                .failure(Kind::Device, "its flash has no room for settings on trial")
                .hint("write the firmware again over USB: tcpctl flash"),
            Response::Refused(Refusal::Flash) => self.failure(
                Kind::Device,
                "it cannot write its flash; nothing has changed",
            ),
            Response::Unsupported => self
                .failure(
                    Kind::Device,
                    "its firmware does not know one of the settings",
                )
                .hint("write a newer one over USB: tcpctl flash"),
            _ => self.failure(
                Kind::Device,
                "an unexpected answer on the management channel",
            ),
        }
    }

    fn report(&self, event: ConfigureEvent) -> ConfigureReport {
        ConfigureReport::new(&self.plan.target.text, event)
    }

    /// Prints an event before anything is sent.
    fn print(&self, event: ConfigureEvent) -> anyhow::Result<()> {
        self.output.print(&self.report(event))
    }

    /// Prints an event while the board changes.
    fn emit(&self, event: ConfigureEvent) {
        self.events.emit(&self.report(event));
    }
}

/// The sequence number of the newest settings of a board.
fn newest_sequence(shown: &Shown) -> u32 {
    let trial = shown.trial.map_or(0, |trial| trial.sequence);
    shown.sequence.max(trial)
}
