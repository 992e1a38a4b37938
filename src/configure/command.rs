//! Runs `tcpctl configure`: show, send, wait until the board is back, confirm.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tcpctl_management::{Refusal, Request, Response, Shown};
use tcpctl_settings::sectors::{RollbackReason, TrialState};
use tcpctl_settings::{Changes, ManagementKey, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::locate::{Route, channel_failure};
use super::plan::{self, Action, ConfigurePlan, KeySource};
use super::report::{ConfigureEvent, ConfigureReport, Proof};
use crate::cli::ConfigureArgs;
use crate::connect::Endpoint;
use crate::discover::names;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::management::Channel;
use crate::output::{BrokenPipe, Output, human};
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
            pending: std::cell::Cell::new(false),
        };
        tokio::select! {
            biased;
            exit = interrupt.requested() => {
                output.end_status();
                output.interrupted();
                configure.note_pending();
                Ok(exit)
            }
            ended = configure.carry_out() => {
                output.end_status();
                ended
            }
        }
    })?
}

struct Configure<'a> {
    plan: &'a ConfigurePlan,
    output: &'a Output,
    /// Whether the board is on trial and nobody has confirmed it.
    pending: std::cell::Cell<bool>,
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
struct Sought<'a> {
    /// Where it was.
    route: &'a Route,
    /// The sequence number of the trial.
    sequence: u32,
    /// When it was sent the settings.
    sent: Instant,
    key: &'a ManagementKey,
    mac: [u8; 6],
}

/// What became of a trial.
enum Outcome {
    Back(Box<Reached>),
    RolledBack(RollbackReason),
}

impl Configure<'_> {
    async fn carry_out(&self) -> anyhow::Result<Exit> {
        let target = &self.plan.target.text;
        let host = Endpoint::open(&self.plan.target)?;
        let route = Route::find(target, host.clone(), self.plan.management_port).await?;
        let (greeted, address) = route
            .connect_patiently()
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
            Action::Confirm => self.confirm_sent(board).await,
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
            && let (TrialState::Pending | TrialState::Started, Some(seconds)) =
                (trial.state, trial.remaining_s)
        {
            return Err(self
                .failure(Kind::Device, "it is trying other settings already")
                .hint(format!(
                    "confirm them with tcpctl configure {} --confirm, or wait {seconds} s",
                    sanitize::one_line(&self.plan.target.text)
                ))
                .into());
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
            tokio::task::spawn_blocking(move || plan::needed(&changes, &shown)).await??
        };
        let restarts = needed.needs_restart();
        self.print(ConfigureEvent::Plan {
            board: plan::facts(&shown, mac),
            changes: plan::differences(&needed, &shown, mac)?,
            restart: restarts,
            confirm_timeout_s: self.plan.confirm_timeout.as_secs(),
            dry_run: self.plan.dry_run,
        })?;
        if self.plan.dry_run || needed.is_empty() {
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
        self.emit(ConfigureEvent::Sent)?;
        let shown = self.show(&mut channel).await?;
        channel.close().await;
        self.prove(&route, &shown).await
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
        let sequence = match self.request(&mut channel, &request).await? {
            Response::Restarting { sequence } => sequence,
            other => return Err(self.unexpected(&other).into()),
        };
        let sent = Instant::now();
        self.pending.set(true);
        channel.close().await;
        self.emit(ConfigureEvent::Sent)?;
        self.emit(ConfigureEvent::Restarting {
            confirm_timeout_s: confirm_timeout.as_secs(),
        })?;
        if self.plan.no_confirm {
            self.note_pending();
            return Ok(Exit::Done);
        }
        self.note_network(needed, old, mac);
        let sought = Sought {
            route,
            sequence,
            sent,
            key,
            mac,
        };
        let mut board = match self.wait(&sought).await? {
            Outcome::Back(board) => board,
            Outcome::RolledBack(reason) => return self.rolled_back(reason),
        };
        self.emit(ConfigureEvent::Back {
            address: board.address,
            elapsed_us: micros(sent.elapsed()),
        })?;
        self.confirm(&mut board, sequence).await?;
        board.channel.close().await;
        self.prove(&board.route, &board.shown).await
    }

    /// Confirms the trial that another computer has sent.
    async fn confirm_sent(&self, mut board: Reached) -> anyhow::Result<Exit> {
        let Some(trial) = board.shown.trial else {
            return Err(self
                .failure(Kind::Device, "there are no new settings to confirm")
                .hint("send them first: tcpctl configure TARGET ... --no-confirm")
                .into());
        };
        match trial.state {
            TrialState::RolledBack(reason) => return self.rolled_back(reason),
            TrialState::Pending | TrialState::Started => {
                self.confirm(&mut board, trial.sequence).await?;
            }
            TrialState::Confirmed => {}
        }
        board.channel.close().await;
        self.prove(&board.route, &board.shown).await
    }

    async fn confirm(&self, board: &mut Reached, sequence: u32) -> anyhow::Result<()> {
        let request = Request::Confirm { sequence };
        match self.request(&mut board.channel, &request).await? {
            Response::Done => {}
            Response::Refused(Refusal::NoSuchTrial) => {
                // The timeout came first.
                let shown = self.show(&mut board.channel).await?;
                let state = shown.trial.map(|trial| trial.state);
                if let Some(TrialState::RolledBack(reason)) = state {
                    self.rolled_back(reason)?;
                }
                return Err(self
                    .unexpected(&Response::Refused(Refusal::NoSuchTrial))
                    .into());
            }
            other => return Err(self.unexpected(&other).into()),
        }
        self.pending.set(false);
        Ok(())
    }

    /// Waits until the board runs the trial, or has ended it. It is looked for at its old address, at the
    /// given one, and over mDNS.
    async fn wait(&self, sought: &Sought<'_>) -> anyhow::Result<Outcome> {
        let mut routes = vec![sought.route.clone()];
        if let Some(address) = &self.plan.address {
            routes.push(sought.route.at(Endpoint::open(address)?));
        }
        let confirm_timeout = Duration::from_secs(self.plan.confirm_timeout.as_secs().into());
        let deadline = sought.sent + confirm_timeout + RETURN_TIMEOUT;
        let searching = async {
            loop {
                if let Some(outcome) = self.try_routes(sought, &routes).await {
                    return outcome;
                }
                let left = confirm_timeout.saturating_sub(sought.sent.elapsed());
                self.output.status(&format!(
                    "waiting for the board, {} s left to confirm",
                    left.as_secs()
                ));
                tokio::time::sleep(PAUSE).await;
            }
        };
        let browsing = async {
            while sought.route.is_on_a_network() {
                let accept = |found| plan::is_same_board(found, sought.mac);
                let Some(board) = names::by_mac(accept, SEARCH_TIMEOUT).await else {
                    continue;
                };
                let routes = [Route::announced(board)];
                if let Some(outcome) = self.try_routes(sought, &routes).await {
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
        self.pending.set(false);
        let waited = human::roughly(confirm_timeout + RETURN_TIMEOUT);
        Err(self
            .failure(
                Kind::Timeout,
                &format!("the board did not come back within {waited}"),
            )
            .hint(
                "it has returned to its old settings by itself. Is it powered, and is this computer \
                 on its old network? See what happened with --show",
            )
            .into())
    }

    /// Reaches the board on the first of several routes; `None` if it is not there, or has not restarted
    /// yet.
    async fn try_routes(
        &self,
        sought: &Sought<'_>,
        routes: &[Route],
    ) -> Option<anyhow::Result<Outcome>> {
        let mut attempts: FuturesUnordered<_> = routes
            .iter()
            .map(|route| attempt(route.clone(), sought.key, sought.mac))
            .collect();
        while let Some(reached) = attempts.next().await {
            let Some(board) = reached else { continue };
            let state = board
                .shown
                .trial
                .filter(|trial| trial.sequence == sought.sequence)
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
        let connected = route.connect_patiently().await;
        let (greeted, address) = connected.map_err(|error| error.into_failure(target))?;
        let channel = greeted.authenticate(key).await;
        Ok((
            channel.map_err(|error| channel_failure(target, error))?,
            address,
        ))
    }

    /// Asks for a greeting under the new settings, and reports that they are permanent.
    async fn prove(&self, route: &Route, shown: &Shown) -> anyhow::Result<Exit> {
        if self.plan.no_wait {
            self.emit(ConfigureEvent::Confirmed { proof: None })?;
            return Ok(Exit::Done);
        }
        let proof = self
            .greeting(route, plan::greeting_port(&shown.settings))
            .await;
        match proof {
            Ok(proof) => {
                self.emit(ConfigureEvent::Confirmed { proof: Some(proof) })?;
                Ok(Exit::Done)
            }
            Err(failure) => {
                // The settings are permanent all the same.
                self.emit(ConfigureEvent::Confirmed { proof: None })?;
                Err(failure.into())
            }
        }
    }

    async fn greeting(&self, route: &Route, port: u16) -> Result<Proof, Failure> {
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
        Ok(Proof {
            address: connection.address,
            greeting: String::from_utf8_lossy(&greeting).into_owned(),
            total_us: micros(started.elapsed()),
        })
    }

    /// Prints that the board went back, and fails.
    fn rolled_back<T>(&self, reason: RollbackReason) -> anyhow::Result<T> {
        self.pending.set(false);
        let text = reason.to_string();
        self.emit(ConfigureEvent::RolledBack {
            reason: text.clone(),
        })?;
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
        if self.pending.get() {
            self.output.note(&format!(
                "note: the board returns to its old settings unless it is confirmed within {} s: \
                 tcpctl configure {} --confirm",
                self.plan.confirm_timeout.as_secs(),
                sanitize::one_line(&self.plan.target.text)
            ));
        }
    }

    fn failure(&self, kind: Kind, what: &str) -> Failure {
        let target = &self.plan.target.text;
        Failure::new(kind, format!("{}: {what}", sanitize::one_line(target))).about(target)
    }

    /// The failure of a response that is not the expected one.
    fn unexpected(&self, response: &Response) -> Failure {
        match response {
            Response::Refused(Refusal::Invalid { field, reason }) => {
                let what = sanitize::one_line(&format!("{field}: {reason}"));
                self.failure(Kind::Usage, &format!("the board refuses {what}"))
            }
            Response::Refused(Refusal::TrialInProgress) => self
                .failure(Kind::Device, "it is trying other settings already")
                .hint("confirm them with --confirm, or wait until it returns to its old ones"),
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

    /// Prints an event while the board changes. A closed pipe does not leave the board half-way.
    fn emit(&self, event: ConfigureEvent) -> anyhow::Result<()> {
        match self.print(event) {
            Err(error) if error.is::<BrokenPipe>() => Ok(()),
            result => result,
        }
    }
}

/// Reaches the board on one route, if it is there.
async fn attempt(route: Route, key: &ManagementKey, mac: [u8; 6]) -> Option<Reached> {
    let reached = async {
        let (greeted, address) = route.connect(ATTEMPT_TIMEOUT).await.ok()?;
        let now = greeted.hello.mac;
        if !plan::is_same_board(now, mac) {
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
