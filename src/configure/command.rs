//! Runs `tcpctl configure`: show, send, wait until the board is back, confirm.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tcpctl_management::{Refusal, Request, Response, Shown, TrialReport, UpdateRefusal};
use tcpctl_settings::sectors::{RollbackReason, TrialState};
use tcpctl_settings::{Changes, ManagementKey, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::plan::{self, Action, ConfigurePlan, KeySource};
use super::report::{ConfigureEvent, ConfigureReport, GreetingCheck};
use crate::cli::ConfigureArgs;
use crate::connect::Endpoint;
use crate::discover::names;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::management::locate::{Route, channel_failure};
use crate::management::{Channel, ChannelError};
use crate::output::{BrokenPipe, Output, human};
use crate::passphrase;
use crate::sanitize;
use crate::target::TargetKind;

/// Limit for one attempt to reach a board that restarts.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit for one search over mDNS.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(1500);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);
/// Time after the confirm timeout for the board to be back under its old settings: a start, a scan, and
/// a DHCP lease.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);
/// The request whose reply is the greeting.
const HELLO: &[u8] = b"Hello TCP world!\r\n";
/// Limit for the greeting, and silence that ends it.
const GREETING_TIMEOUT: Duration = Duration::from_secs(8);
const GREETING_SILENCE: Duration = Duration::from_secs(1);
/// Bytes of a greeting to keep.
const GREETING_LIMIT: usize = 4096;

/// Runs `tcpctl configure`.
///
/// # Errors
/// Invalid options, a wrong key, a board that refuses or rolls back, or that does not come back.
pub fn run(args: &ConfigureArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = ConfigurePlan::new(args)?;
    if args.open {
        output.note("warning: the network is open: anyone nearby can join it and read its traffic");
    }
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        let configure = Configure {
            plan: &plan,
            output,
            confirm_by: Cell::new(None),
            output_error: RefCell::new(None),
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
                match configure.output_error.take() {
                    Some(error) => ended.and(Err(error)),
                    None => ended,
                }
            }
        }
    })?
}

struct Configure<'a> {
    plan: &'a ConfigurePlan,
    output: &'a Output,
    /// When the settings must be confirmed, while they may be on trial.
    confirm_by: Cell<Option<Instant>>,
    /// The first error of output while the board changes.
    output_error: RefCell<Option<anyhow::Error>>,
}

/// A board that was reached.
struct Reached {
    channel: Channel,
    route: Route,
    address: SocketAddr,
    mac: [u8; 6],
    shown: Shown,
}

/// A board that restarts with settings on trial.
struct BoardSearch<'a> {
    /// Where it was.
    route: &'a Route,
    /// Which trial it is.
    trial: SentTrial,
    /// When the settings must be confirmed.
    confirm_by: Instant,
    key: &'a ManagementKey,
    mac: [u8; 6],
}

/// A trial by its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SentTrial {
    /// The board answered.
    Known(u32),
    /// The connection broke before the answer. It has a greater sequence number than this, if the board
    /// received it.
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

/// What became of a trial.
enum Outcome {
    Back(Box<Reached>),
    RolledBack(RollbackReason),
}

impl Configure<'_> {
    async fn run(&self) -> anyhow::Result<Exit> {
        let target = &self.plan.target.text;
        let host = Endpoint::open(&self.plan.target)?;
        let route = Route::find(target, host.clone(), self.plan.management_port).await?;
        let (greeted, address) = route
            .connect_with_retry()
            .await
            .map_err(|error| error.into_failure(target))?;
        let mac = greeted.hello.mac;
        let key = self.key(&host, mac)?;
        let authenticated = greeted.authenticate(&key).await;
        let mut channel = authenticated.map_err(|error| channel_failure(target, error))?;
        let shown = self.show(&mut channel).await?;
        let board = Reached {
            channel,
            route,
            address,
            mac,
            shown,
        };
        match &self.plan.action {
            Action::Show => {
                self.print(ConfigureEvent::Settings {
                    board: plan::facts(&board.shown, mac),
                    settings: plan::values(&board.shown.settings, mac),
                    trial: board.shown.trial.as_ref().map(plan::trial),
                })?;
                board.channel.close().await;
                Ok(Exit::Done)
            }
            Action::Confirm => self.confirm_sent(board, &key).await,
            Action::Change(changes) => self.change(changes, board, &key).await,
        }
    }

    /// The board's key: a virtual board of this command has no file.
    fn key(&self, host: &Endpoint, mac: [u8; 6]) -> Result<ManagementKey, Failure> {
        match (host, &self.plan.key) {
            (Endpoint::Virtual(session), KeySource::OfBoard) => match session.management_key() {
                Some(key) => Ok(key.clone()),
                None => self.plan.key(mac),
            },
            _ => self.plan.key(mac),
        }
    }

    async fn show(&self, channel: &mut Channel) -> Result<Shown, Failure> {
        match self.request(channel, &Request::Show).await? {
            Response::Shown(shown) => Ok(*shown),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn request(&self, channel: &mut Channel, request: &Request) -> Result<Response, Failure> {
        let target = &self.plan.target.text;
        let response = channel.request(request).await;
        response.map_err(|error| channel_failure(target, error))
    }

    /// Plans, sends, and sees it through.
    async fn change(
        &self,
        changes: &Changes,
        board: Reached,
        key: &ManagementKey,
    ) -> anyhow::Result<Exit> {
        if let Some(trial) = &board.shown.trial
            && matches!(trial.state, TrialState::Pending | TrialState::Started)
        {
            return Err(self.trial_in_progress(trial).into());
        }
        let Reached {
            channel,
            route,
            mac,
            shown,
            ..
        } = board;
        // The board ends an idle session while a passphrase is typed.
        channel.close().await;
        let needed = {
            let (changes, shown) = (changes.clone(), shown.clone());
            tokio::task::spawn_blocking(move || plan::needed(&changes, &shown, passphrase::typed))
                .await??
        };
        let differences = plan::differences(&needed, &shown, mac)?;
        let is_nothing = differences.is_empty();
        let restarts = needed.needs_restart();
        self.print(ConfigureEvent::Plan {
            board: plan::facts(&shown, mac),
            changes: differences,
            restart: restarts && !is_nothing,
            confirm_timeout_s: self.plan.confirm_timeout.as_secs(),
            dry_run: self.plan.dry_run,
        })?;
        if self.plan.dry_run || is_nothing {
            return Ok(Exit::Done);
        }
        let (channel, _) = self.authenticate(&route, key).await?;
        if restarts {
            self.try_settings(channel, &route, &needed, &shown, key, mac)
                .await
        } else {
            self.apply(channel, route, &needed).await
        }
    }

    /// Changes what needs no restart.
    async fn apply(
        &self,
        mut channel: Channel,
        route: Route,
        needed: &Changes,
    ) -> anyhow::Result<Exit> {
        let changes = Box::new(needed.clone());
        match self
            .request(&mut channel, &Request::Apply { changes })
            .await?
        {
            Response::Done => {}
            other => return Err(self.unexpected(&other).into()),
        }
        self.emit(ConfigureEvent::Sent);
        let shown = self.show(&mut channel).await?;
        channel.close().await;
        self.check_greeting(&route, &shown).await
    }

    /// Sends settings as a trial, and confirms it when the board is back.
    async fn try_settings(
        &self,
        mut channel: Channel,
        route: &Route,
        needed: &Changes,
        old: &Shown,
        key: &ManagementKey,
        mac: [u8; 6],
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
                        .hint("the board may try the new settings all the same: see --show")
                        .into());
                }
                self.output.note(&format!(
                    "note: {}. The board may try the new settings all the same: looking for it",
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
        self.note_network(needed, old, mac);
        self.wait_and_confirm(&BoardSearch {
            route,
            trial,
            confirm_by,
            key,
            mac,
        })
        .await
    }

    /// Confirms the trial that another computer has sent.
    async fn confirm_sent(&self, board: Reached, key: &ManagementKey) -> anyhow::Result<Exit> {
        let nothing = |what: &str| {
            self.failure(Kind::Device, what)
                .hint("send new ones first: tcpctl configure TARGET ... --no-confirm")
        };
        let Some(trial) = board.shown.trial else {
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
        board.channel.close().await;
        let left = trial
            .remaining_s
            .unwrap_or(self.plan.confirm_timeout.as_secs());
        self.wait_and_confirm(&BoardSearch {
            route: &board.route,
            trial: SentTrial::Known(trial.sequence),
            confirm_by: self.confirm_within(left),
            key,
            mac: board.mac,
        })
        .await
    }

    /// Notes that settings may be on trial for this many seconds; returns when that ends.
    fn confirm_within(&self, seconds: u16) -> Instant {
        let confirm_by = Instant::now() + Duration::from_secs(seconds.into());
        self.confirm_by.set(Some(confirm_by));
        confirm_by
    }

    /// Waits for the board and confirms its trial. A connection that breaks meanwhile is made again: the
    /// board answers a repeated confirmation.
    async fn wait_and_confirm(&self, search: &BoardSearch<'_>) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let mut is_back = false;
        loop {
            let mut board = match self.wait(search, is_back).await? {
                Outcome::Back(board) => board,
                Outcome::RolledBack(reason) => return self.rolled_back(reason),
            };
            if !is_back && matches!(self.plan.action, Action::Change(_)) {
                self.emit(ConfigureEvent::Back {
                    address: board.address,
                    elapsed_us: micros(started.elapsed()),
                });
            }
            is_back = true;
            if self.confirm(&mut board).await? {
                board.channel.close().await;
                return self.check_greeting(&board.route, &board.shown).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Confirms the trial that the board runs; whether it is confirmed. If not, another session shows
    /// what became of it.
    async fn confirm(&self, board: &mut Reached) -> anyhow::Result<bool> {
        let Some(trial) = &board.shown.trial else {
            return Ok(false);
        };
        let request = Request::Confirm {
            sequence: trial.sequence,
        };
        match board.channel.request(&request).await {
            Ok(Response::Done) => {
                self.confirm_by.set(None);
                Ok(true)
            }
            // The confirm timeout came first, or the board has not restarted yet.
            Ok(Response::Refused(Refusal::NoSuchTrial))
            | Err(ChannelError::Broken(_) | ChannelError::TimedOut) => Ok(false),
            Ok(other) => Err(self.unexpected(&other).into()),
            Err(error) => Err(channel_failure(&self.plan.target.text, error).into()),
        }
    }

    /// Waits until the board runs the trial, or has ended it. It is looked for at its old address, at the
    /// given one, and over mDNS.
    /// `was_reached` says that it was there before, and a confirmation may have reached it.
    async fn wait(&self, search: &BoardSearch<'_>, was_reached: bool) -> anyhow::Result<Outcome> {
        let mut routes = vec![search.route.clone()];
        if let Some(address) = &self.plan.address {
            routes.push(search.route.at(Endpoint::open(address)?));
        }
        let started = Instant::now();
        let deadline = search.confirm_by + RETURN_TIMEOUT;
        let searching = async {
            loop {
                if let Some(outcome) = self.try_routes(search, &routes).await {
                    return outcome;
                }
                let left = search.confirm_by.saturating_duration_since(Instant::now());
                self.output.status(&format!(
                    "waiting for the board, {} s left to confirm",
                    left.as_secs()
                ));
                tokio::time::sleep(PAUSE).await;
            }
        };
        let browsing = async {
            while search.route.is_on_a_network() {
                let accept = |found| plan::is_same_board(found, search.mac);
                let boards = names::by_mac(accept, SEARCH_TIMEOUT).await;
                let routes: Vec<_> = boards.into_iter().map(Route::announced).collect();
                if let Some(outcome) = self.try_routes(search, &routes).await {
                    return outcome;
                }
                tokio::time::sleep(PAUSE).await;
            }
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = searching => Some(outcome),
            outcome = browsing => Some(outcome),
            () = tokio::time::sleep_until(deadline) => None,
        };
        self.output.end_status();
        if let Some(outcome) = outcome {
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
                    "it has the new settings if the confirmation arrived, else the old ones: see \
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

    /// Reaches the board on the first of several routes; `None` if it is not there, or has not restarted
    /// yet.
    async fn try_routes(
        &self,
        search: &BoardSearch<'_>,
        routes: &[Route],
    ) -> Option<anyhow::Result<Outcome>> {
        let mut attempts: FuturesUnordered<_> = routes
            .iter()
            .map(|route| attempt(route.clone(), search.key, search.mac))
            .collect();
        while let Some(reached) = attempts.next().await {
            let Some(board) = reached else { continue };
            let state = board
                .shown
                .trial
                .filter(|trial| search.trial.includes(trial.sequence))
                .map(|trial| trial.state);
            return match state {
                Some(TrialState::Started | TrialState::Confirmed) => {
                    Some(Ok(Outcome::Back(Box::new(board))))
                }
                Some(TrialState::RolledBack(reason)) => Some(Ok(Outcome::RolledBack(reason))),
                Some(TrialState::Pending) => {
                    board.channel.close().await;
                    continue;
                }
                None if matches!(search.trial, SentTrial::After(_)) => {
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
            };
        }
        None
    }

    async fn authenticate(
        &self,
        route: &Route,
        key: &ManagementKey,
    ) -> Result<(Channel, SocketAddr), Failure> {
        let target = &self.plan.target.text;
        let connected = route.connect_with_retry().await;
        let (greeted, address) = connected.map_err(|error| error.into_failure(target))?;
        let channel = greeted.authenticate(key).await;
        Ok((
            channel.map_err(|error| channel_failure(target, error))?,
            address,
        ))
    }

    /// Asks for a greeting under the new settings, and reports that they are permanent.
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
                // The settings are permanent all the same.
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
        let mut greeting = Vec::new();
        let exchange = async {
            stream.write_all(HELLO).await?;
            let mut chunk = [0; 1024];
            while greeting.len() < GREETING_LIMIT {
                let read = stream.read(&mut chunk);
                let count = if greeting.is_empty() {
                    read.await?
                } else {
                    match timeout(GREETING_SILENCE, read).await {
                        Ok(read) => read?,
                        Err(_) => break,
                    }
                };
                if count == 0 {
                    break;
                }
                greeting.extend_from_slice(&chunk[..count]);
            }
            std::io::Result::Ok(())
        };
        // What has arrived counts.
        let _ = timeout(GREETING_TIMEOUT, exchange).await;
        if greeting.is_empty() {
            return Err(self
                .failure(Kind::Negative, "confirmed, but the board sent no greeting")
                .hint("see it with tcpctl status"));
        }
        Ok(GreetingCheck {
            address: connection.address,
            greeting: String::from_utf8_lossy(&greeting).into_owned(),
            total_us: micros(started.elapsed()),
        })
    }

    /// Prints that the board went back, and fails.
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

    /// Says where this computer has to be to reach the board.
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
                 {seconds} s: join {name}, too"
            ),
            Mode::AccessPoint => format!(
                "note: the board opens {name}. It returns unless this computer joins {name} within \
                 {seconds} s"
            ),
        });
    }

    /// Says what happens to a trial that this command does not confirm.
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
        let target = &self.plan.target.text;
        Failure::new(kind, format!("{}: {what}", sanitize::one_line(target))).about(target)
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

    /// The failure of a response that is not the expected one.
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
                .hint("see what became of it with --show"),
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

    /// Prints an event while the board changes. An error of the output does not leave the board
    /// half-way: it is reported at the end, unless the pipe was closed.
    fn emit(&self, event: ConfigureEvent) {
        if let Err(error) = self.print(event)
            && !error.is::<BrokenPipe>()
        {
            self.output_error.borrow_mut().get_or_insert(error);
        }
    }
}

/// Reaches the board on one route, if it is there.
async fn attempt(route: Route, key: &ManagementKey, mac: [u8; 6]) -> Option<Reached> {
    let reached = async {
        let (greeted, address) = route.connect(ATTEMPT_TIMEOUT).await.ok()?;
        let now = greeted.hello.mac;
        if now != mac {
            return None;
        }
        let mut channel = greeted.authenticate(key).await.ok()?;
        let Ok(Response::Shown(shown)) = channel.request(&Request::Show).await else {
            return None;
        };
        Some((channel, address, now, *shown))
    };
    let (channel, address, mac, shown) = timeout(2 * ATTEMPT_TIMEOUT, reached).await.ok()??;
    Some(Reached {
        channel,
        route,
        address,
        mac,
        shown,
    })
}

/// The sequence number of the newest settings of a board.
fn newest_sequence(shown: &Shown) -> u32 {
    let trial = shown.trial.map_or(0, |trial| trial.sequence);
    shown.sequence.max(trial)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
