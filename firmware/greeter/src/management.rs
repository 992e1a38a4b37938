//! The management server: one authenticated session at a time, over its own socket.
//!
//! [`Management`] serves requests: it changes settings in flash, ends trials and takes new firmware.
//! [`serve`] is its TCP server. The protocol and what it protects are described in
//! [`tcpctl_management`].
//!
//! The server has its own socket, which load on the greeting server cannot occupy. While it is in use the
//! stack refuses further connections. A session allocates 2.9 kB at its peak (the test `heap` of
//! tcpctl-management).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;

use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_net::Stack;
use embassy_net::tcp::{Error, TcpSocket};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_deadline, with_timeout};
use tcpctl_management::{
    BoardEvent, BoardSession, RANDOM_LEN, Refusal, Request, Response, Shown, ShownSettings,
    TrialReport, UpdateRefusal,
};
use tcpctl_settings::sectors::{ConfirmTimeout, RollbackReason, TrialState};
use tcpctl_settings::{Changes, MANAGEMENT_PORT, ManagementKey, ServerSettings, Settings};

use crate::connection;
use crate::counters::Count;
use crate::flash::WritableFlash;
use crate::settings_store::{Kind, SettingsStore, StoreError};
use crate::stored::Missing;
use crate::trial::{Report, TrialRun};
use crate::update::Firmware;

/// Size of the socket's receive buffer, in bytes. It holds two frames of an update, so that the
/// next one has arrived when the first is written.
pub const RECEIVE_BUFFER: usize = 2560;
/// Size of the socket's send buffer, in bytes: the longest response of this firmware.
pub const SEND_BUFFER: usize = 768;

/// Maximum time from a connection to its first authenticated request.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time between two requests of a session.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a session that failed. It limits the CPU time spent on handshakes.
pub const FAILURE_PAUSE: Duration = Duration::from_millis(250);
/// Maximum time from a request that restarts the board to the restart, if its session does not end
/// earlier.
pub const RESTART_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for a peer that no longer replies, and for the delivery of the last response.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a peer to close its side. After it the peer is reset.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum bytes to read from the socket at once.
const PIECE: usize = 256;

/// The functions of the board that the server uses.
pub trait Host {
    /// Random bytes of a cryptographic source.
    fn random(&self) -> [u8; RANDOM_LEN];
    /// Applies the settings that need no restart.
    fn apply(&self, server: &ServerSettings);
    /// Restarts the board. May return: the server does nothing more.
    fn restart(&self);
    /// Prints a console line.
    fn print(&self, _line: &dyn fmt::Display) {}
}

/// Facts about a board, for [`Request::Show`].
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The firmware's version.
    pub firmware: &'a str,
    /// The chip, or `virtual`.
    pub chip: &'static str,
    /// MAC address on the board's network: that of the interface of its Wi-Fi mode.
    pub mac: [u8; 6],
}

/// A snapshot of the counters for `status`. They wrap around.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// The TCP port for clients.
    pub port: u16,
    /// Sessions with an authenticated request.
    pub sessions: u32,
    /// Connections that ended without an authenticated request. A wrong key is the most likely
    /// cause.
    pub failures: u32,
}

/// The management of a board.
pub struct Management<'a, F, H> {
    store: RefCell<SettingsStore<F>>,
    key: ManagementKey,
    trial: &'a TrialRun,
    firmware: Option<&'a Firmware<F>>,
    about: About<'a>,
    host: H,
    is_on: Cell<bool>,
    /// Whether flash has something that takes effect at a restart.
    is_restarting: Cell<bool>,
    restart: Signal<NoopRawMutex, ()>,
    port: u16,
    sessions: Count,
    failures: Count,
}

/// A response, and the action after it.
type Outcome = (Response, Next);

/// The action after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait for the next request.
    Continue,
    /// Restart the board.
    Restart,
}

impl<'a, F: WritableFlash + Clone, H: Host> Management<'a, F, H> {
    /// Manages a board with these settings in force, on TCP port [`MANAGEMENT_PORT`]. `None` where
    /// management is off: by the setting, or because there is no key.
    ///
    /// With an open trial it is on in any case, because only a confirmation makes `management off`
    /// permanent.
    ///
    /// # Errors
    /// The settings partition cannot be found.
    pub fn new(
        settings: &Settings,
        flash: F,
        trial: &'a TrialRun,
        about: About<'a>,
        host: H,
    ) -> Result<Option<Self>, Missing> {
        let is_on = settings.server.management().is_on();
        let Some(key) = settings.management_key.clone() else {
            return Ok(None);
        };
        if !is_on && trial.open().is_none() {
            return Ok(None);
        }
        let store = SettingsStore::open(flash)?.with_trial(trial.newest());
        Ok(Some(Self {
            store: RefCell::new(store),
            key,
            trial,
            firmware: None,
            about,
            host,
            is_on: Cell::new(true),
            is_restarting: Cell::new(false),
            restart: Signal::new(),
            port: MANAGEMENT_PORT,
            sessions: Count::default(),
            failures: Count::default(),
        }))
    }

    /// Sets the port at which clients reach the server through a relay. It is only reported.
    #[must_use]
    pub fn with_relay_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Sets the firmware, so that it can be updated.
    #[must_use]
    pub fn with_firmware(self, firmware: &'a Firmware<F>) -> Self {
        let firmware = Some(firmware);
        Self { firmware, ..self }
    }

    /// Whether the server accepts sessions: not after a confirmed `management off`.
    pub fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        Counters {
            port: self.port,
            sessions: self.sessions.get(),
            failures: self.failures.get(),
        }
    }

    /// The newest trial.
    pub fn trial(&self) -> &'a TrialRun {
        self.trial
    }

    /// Restarts the board when the open trial fails, and after each request that announced a restart.
    /// Returns if [`Host::restart`] does.
    ///
    /// Run it as long as the board runs, with or without a network: [`serve`] may be dropped before it
    /// restarts the board, and the trial in flash would then start at a later reset.
    pub async fn supervise(&self) {
        let announced = async {
            self.restart.wait().await;
            Timer::after(RESTART_TIMEOUT).await;
        };
        match select(self.trial.rollback_due(), announced).await {
            Either::First(reason) => self.roll_back(reason),
            Either::Second(()) => self.host.restart(),
        }
    }

    /// Returns the board to the settings before the open trial: records the reason and restarts.
    ///
    /// Without an open trial it does nothing.
    pub fn roll_back(&self, reason: RollbackReason) {
        if let Some(trial) = self.trial.open() {
            // If it cannot be recorded, the restart records another reason.
            let _ = self
                .store
                .borrow_mut()
                .mark(trial, TrialState::RolledBack(reason));
            self.host.print(&Report {
                sequence: trial.sequence,
                state: TrialState::RolledBack(reason),
                remaining: None,
            });
            self.host.restart();
        }
    }

    /// Serves a request. Blocks while the flash is written, about 50 ms on a chip, and needs two sectors
    /// (8 kB) of stack.
    pub async fn handle(&self, request: Request) -> Outcome {
        let response = match request {
            Request::Show => self.show(),
            Request::Apply { changes } => self.apply(&changes),
            Request::Trial {
                changes,
                confirm_timeout,
            } => self.start_trial(&changes, confirm_timeout),
            Request::Confirm { sequence } => self.confirm(sequence),
            Request::Abort { sequence } => self.abort(sequence),
            // Refused because the restart would end the trial of the settings as well.
            Request::StartUpdate if self.trial.open().is_some() => {
                Err(Refusal::Update(UpdateRefusal::SettingsOnTrial))
            }
            request => match self.firmware {
                Some(firmware) => {
                    let response = firmware.handle(&request).await;
                    response.unwrap_or(Ok(Response::Unsupported))
                }
                None => Ok(Response::Unsupported),
            },
        };
        match response {
            Ok(response @ Response::Restarting { .. }) => {
                self.is_restarting.set(true);
                self.restart.signal(());
                (response, Next::Restart)
            }
            Ok(response) => (response, Next::Continue),
            Err(refusal) => (Response::Refused(refusal), Next::Continue),
        }
    }

    // `inline(never)` here and below: inlined into the future of `handle`, every access would need the
    // offset in that large future, which takes up to three instructions on Xtensa.
    #[inline(never)]
    fn show(&self) -> Result<Response, Refusal> {
        let selected = self.load()?;
        Ok(Response::Shown(Box::new(Shown {
            firmware: self.about.firmware.into(),
            chip: self.about.chip.into(),
            settings: ShownSettings::of(&selected.record.settings),
            sequence: selected.record.sequence,
            trial: selected.trial.map(|trial| TrialReport {
                sequence: trial.sequence,
                state: trial.state,
                remaining_s: self.trial.report().and_then(|report| report.remaining_s()),
            }),
        })))
    }

    #[inline(never)]
    fn apply(&self, changes: &Changes) -> Result<Response, Refusal> {
        if changes.needs_restart() {
            return Err(Refusal::NeedsRestart);
        }
        let settings = self.changed(changes)?;
        self.write(&settings, Kind::Permanent)?;
        self.host.apply(&settings.server);
        self.host.print(&"settings changed");
        Ok(Response::Done)
    }

    #[inline(never)]
    fn start_trial(
        &self,
        changes: &Changes,
        confirm_timeout: ConfirmTimeout,
    ) -> Result<Response, Refusal> {
        let settings = self.changed(changes)?;
        // Without management its port is free, but not before the confirmation.
        if settings.server.port().get() == MANAGEMENT_PORT {
            return Err(Refusal::Invalid {
                field: "tcp-port".into(),
                reason: "port 3001 is used by management until the trial is confirmed".into(),
            });
        }
        let sequence = self.write(&settings, Kind::Trial(confirm_timeout))?;
        self.host.print(&Report {
            sequence,
            state: TrialState::Pending,
            remaining: None,
        });
        Ok(Response::Restarting { sequence })
    }

    #[inline(never)]
    fn confirm(&self, sequence: u32) -> Result<Response, Refusal> {
        let selected = self.load()?;
        let trial = selected
            .trial
            .filter(|trial| trial.sequence == sequence)
            .ok_or(Refusal::NoSuchTrial)?;
        let is_open = self.trial.open().is_some();
        match trial.state {
            // The response to the first confirmation was lost, or its write reported an error.
            TrialState::Confirmed => {}
            TrialState::Started if is_open => self
                .store
                .borrow_mut()
                .mark(trial, TrialState::Confirmed)
                .map_err(|_| Refusal::Flash)?,
            _ => return Err(Refusal::NoSuchTrial),
        }
        if is_open {
            self.trial.confirmed();
            if let Some(report) = self.trial.report() {
                self.host.print(&report);
            }
            self.is_on
                .set(selected.record.settings.server.management().is_on());
        }
        Ok(Response::Done)
    }

    #[inline(never)]
    fn abort(&self, sequence: u32) -> Result<Response, Refusal> {
        let trial = self
            .trial
            .open()
            .filter(|trial| trial.sequence == sequence)
            .ok_or(Refusal::NoSuchTrial)?;
        let reason = RollbackReason::Aborted;
        let mut store = self.store.borrow_mut();
        store
            .mark(trial, TrialState::RolledBack(reason))
            .map_err(|_| Refusal::Flash)?;
        let previous = store.load().map_err(|_| Refusal::Flash)?;
        // A second reason would make the first one unreadable.
        self.trial.rolled_back(reason);
        Ok(Response::Restarting {
            sequence: previous.record.sequence,
        })
    }

    fn load(&self) -> Result<tcpctl_settings::sectors::Selected, Refusal> {
        self.store.borrow_mut().load().map_err(|_| Refusal::Flash)
    }

    /// The settings in force with changes.
    #[inline(never)]
    fn changed(&self, changes: &Changes) -> Result<Settings, Refusal> {
        if self.trial.open().is_some() {
            return Err(Refusal::TrialInProgress);
        }
        // A restart would end the firmware's trial, and the previous firmware may not be able to
        // read settings that this one writes.
        if self.firmware.is_some_and(Firmware::is_on_trial) {
            return Err(Refusal::Update(UpdateRefusal::OnTrial));
        }
        let mut settings = self.load()?.record.settings;
        match settings.change(changes) {
            Ok(()) => Ok(settings),
            Err(invalid) => Err(Refusal::invalid(&invalid)),
        }
    }

    fn write(&self, settings: &Settings, kind: Kind) -> Result<u32, Refusal> {
        let written = self.store.borrow_mut().write(settings, kind);
        written.map_err(|error| match error {
            StoreError::NoSecondSector => Refusal::NoSecondSector,
            StoreError::TrialInProgress => Refusal::TrialInProgress,
            StoreError::Flash => Refusal::Flash,
        })
    }
}

/// Serves one session after the other. Returns [`IDLE_TIMEOUT`] after the session that confirmed
/// `management off`, and when the board is about to restart.
///
/// Uses one TCP socket of the stack. See [`Management::supervise`].
pub async fn serve<F: WritableFlash + Clone, H: Host>(
    stack: Stack<'_>,
    management: &Management<'_, F, H>,
    receive: &mut [u8],
    send: &mut [u8],
) {
    let mut socket = TcpSocket::new(stack, receive, send);
    socket.set_nagle_enabled(false);
    connection::watch_peer(&mut socket, PEER_TIMEOUT);
    let mut off_at = None;
    while !management.is_restarting.get() {
        let accepted = if management.is_on() {
            socket.accept(MANAGEMENT_PORT).await
        } else {
            // The response to the confirmation may have been lost, and the client asks again.
            let off_at = *off_at.get_or_insert_with(|| Instant::now() + IDLE_TIMEOUT);
            match with_deadline(off_at, socket.accept(MANAGEMENT_PORT)).await {
                Ok(accepted) => accepted,
                Err(_) => return,
            }
        };
        if accepted.is_err() {
            // Should not happen, but the loop must not spin.
            connection::reset(&mut socket).await;
            Timer::after(CLOSE_TIMEOUT).await;
            continue;
        }
        let (is_authenticated, next) = run_session(&mut socket, management).await;
        let counter = if is_authenticated {
            &management.sessions
        } else {
            &management.failures
        };
        counter.add_one();
        // Every failure ends in the same way, so that an attacker learns nothing from it.
        connection::close(&mut socket, PEER_TIMEOUT, CLOSE_TIMEOUT).await;
        if next == Next::Restart {
            management.host.restart();
            return;
        }
        if !is_authenticated {
            Timer::after(FAILURE_PAUSE).await;
        }
    }
}

/// Runs a session until its end. Returns whether the client was authenticated, and the next action.
async fn run_session<F: WritableFlash + Clone, H: Host>(
    socket: &mut TcpSocket<'_>,
    management: &Management<'_, F, H>,
) -> (bool, Next) {
    let random = management.host.random();
    let Ok((mut session, hello)) =
        BoardSession::start(management.about.mac, &management.key, random)
    else {
        return (false, Next::Continue);
    };
    let mut input = Input::new();
    let first = async {
        send(socket, &hello).await?;
        receive_request(socket, &mut session, &mut input).await
    };
    let Ok(Ok(mut request)) = with_timeout(HANDSHAKE_TIMEOUT, first).await else {
        // A request that this firmware cannot decode may still authenticate the client.
        return (session.is_authenticated(), Next::Continue);
    };
    loop {
        let (response, next) = management.handle(request).await;
        let serve = async {
            let bytes = session.respond(&response).map_err(|_| Ended)?;
            send(socket, &bytes).await?;
            if next == Next::Restart {
                return Ok(None);
            }
            let request = receive_request(socket, &mut session, &mut input).await;
            request.map(Some)
        };
        match with_timeout(IDLE_TIMEOUT, serve).await {
            Ok(Ok(Some(received))) => request = received,
            // Stored changes take effect even if the client no longer reads.
            _ => return (true, next),
        }
    }
}

/// The session has ended: the peer closed or failed.
struct Ended;

impl From<Error> for Ended {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Received bytes that are not processed yet.
struct Input {
    bytes: [u8; PIECE],
    start: usize,
    end: usize,
}

impl Input {
    const fn new() -> Self {
        Self {
            bytes: [0; PIECE],
            start: 0,
            end: 0,
        }
    }
}

/// Waits for a request. Performs the handshake before the first one.
async fn receive_request(
    socket: &mut TcpSocket<'_>,
    session: &mut BoardSession,
    input: &mut Input,
) -> Result<Request, Ended> {
    loop {
        let mut rest = &input.bytes[input.start..input.end];
        let event = session.receive(&mut rest);
        input.start = input.end - rest.len();
        match event.map_err(|_| Ended)? {
            BoardEvent::Request(request) => return Ok(request),
            BoardEvent::Send(bytes) => {
                send(socket, &bytes).await?;
                // The handshake took a while; let other servers run.
                yield_now().await;
            }
            BoardEvent::NeedMore => {
                input.start = 0;
                input.end = socket.read(&mut input.bytes).await?;
                if input.end == 0 {
                    return Err(Ended);
                }
            }
        }
    }
}

async fn send(socket: &mut TcpSocket<'_>, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let written = socket.write(bytes).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Buffers of the server's socket. They are on the heap, because many boards run without
/// management.
pub fn buffers() -> Option<(Vec<u8>, Vec<u8>)> {
    let buffer = |length| {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(length).ok()?;
        buffer.resize(length, 0);
        Some(buffer)
    };
    Some((buffer(RECEIVE_BUFFER)?, buffer(SEND_BUFFER)?))
}

#[cfg(test)]
mod tests;
