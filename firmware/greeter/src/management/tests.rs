extern crate std;
use core::cell::Cell;
use core::future::pending;
use core::net::Ipv4Addr;
use std::string::{String, ToString};
use std::vec::Vec;

use embassy_futures::join::join;
use embassy_net::StackResources;
use embassy_net::tcp::State;
use tcpctl_management::{ClientEvent, ClientSession};
use tcpctl_settings::{Field, MAX_LEN, Network, Passphrase, Security, Ssid};

use super::*;
use crate::link_tests::{Link, finish, fixed, until_done};
use crate::presence::Presence;
use crate::test_clock::advance;
use crate::test_flash::TestFlash;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PASSPHRASE: &str = "correct horse";

fn key() -> ManagementKey {
    ManagementKey::new([7; 32])
}

fn settings() -> Settings {
    let mut settings = Settings::new(Network::Station {
        ssid: Ssid::new("old").unwrap(),
        security: Security::Wpa2(Passphrase::new(PASSPHRASE).unwrap()),
    });
    settings.management_key = Some(key());
    settings
}

/// A flash with these settings in this number of sectors.
fn flashed(settings: &Settings, sectors: u32) -> RefCell<TestFlash> {
    let mut flash = TestFlash::new();
    flash.settings_sectors = sectors;
    let mut buffer = [0; MAX_LEN];
    let block = settings.encode(&mut buffer).unwrap();
    flash.put("settings", block);
    RefCell::new(flash)
}

/// Calls that the board received.
#[derive(Default)]
struct Asked {
    sessions: Cell<u8>,
    greeting: RefCell<Vec<u8>>,
    restarts: Cell<u32>,
    lines: RefCell<Vec<String>>,
    online: Presence<1>,
}

impl Host for &Asked {
    fn random(&self) -> [u8; RANDOM_LEN] {
        self.sessions.set(self.sessions.get() + 1);
        [self.sessions.get(); RANDOM_LEN]
    }

    fn apply(&self, server: &ServerSettings) {
        *self.greeting.borrow_mut() = server.greeting().as_bytes().to_vec();
    }

    fn restart(&self) {
        self.restarts.set(self.restarts.get() + 1);
    }

    fn print(&self, line: &dyn fmt::Display) {
        self.lines.borrow_mut().push(line.to_string());
    }
}

type TestManagement<'a> = Management<'a, &'a RefCell<TestFlash>, &'a Asked>;

/// Runs a board from its start with the content of the flash until `script` is done.
fn run<R>(
    flash: &RefCell<TestFlash>,
    asked: &Asked,
    script: impl AsyncFnOnce(Stack<'_>, &TestManagement<'_>) -> R,
) -> R {
    let selected = SettingsStore::open(flash).unwrap().begin().unwrap();
    let trial = TrialRun::new(Some(&selected));
    let about = About {
        firmware: "0.1.0",
        chip: "test",
        mac: MAC,
    };
    let management = Management::new(&selected.record.settings, flash, &trial, about, asked)
        .unwrap()
        .unwrap();
    let link = Link::default();
    let (mut a, mut b) = (StackResources::<2>::new(), StackResources::<3>::new());
    let (board, mut board_runner) = embassy_net::new(link.board(), fixed(1), &mut a, 1);
    let (peer, mut peer_runner) = embassy_net::new(link.peer(), fixed(2), &mut b, 2);
    let (mut receive, mut send) = buffers().unwrap();
    asked.online.set(true);
    let served = asked.online.serve_online(async || {
        serve(board, &management, &mut receive, &mut send).await;
        pending::<()>().await;
    });
    let service = join(management.supervise(), served);
    finish(until_done(
        &mut board_runner,
        &mut peer_runner,
        service,
        script(peer, &management),
    ))
}

/// A client's connection with its buffers.
macro_rules! connect {
    ($socket:ident, $stack:expr) => {
        let (mut receive, mut send) = ([0; 2048], [0; 2048]);
        let mut $socket = TcpSocket::new($stack, &mut receive, &mut send);
        let _ = $socket
            .connect((Ipv4Addr::new(192, 168, 1, 1), MANAGEMENT_PORT))
            .await;
    };
}

/// An authenticated client.
struct Client<'s, 'b> {
    socket: &'s mut TcpSocket<'b>,
    session: ClientSession,
}

impl<'s, 'b> Client<'s, 'b> {
    /// Authenticates with this key.
    async fn start(
        socket: &'s mut TcpSocket<'b>,
        key: &ManagementKey,
    ) -> Result<Self, Option<tcpctl_management::ClientError>> {
        let mut client = Self {
            socket,
            session: ClientSession::new(),
        };
        let event = client.event().await?;
        assert!(matches!(event, ClientEvent::Hello(hello) if hello.mac == MAC));
        let first = client.session.authenticate(key, [99; 32]).unwrap();
        send(client.socket, &first).await.map_err(|_| None)?;
        let event = client.event().await?;
        assert!(matches!(event, ClientEvent::Established));
        Ok(client)
    }

    async fn event(&mut self) -> Result<ClientEvent, Option<tcpctl_management::ClientError>> {
        loop {
            // One byte at a time, so that no bytes are left over.
            let mut byte = [0];
            match self.socket.read(&mut byte).await {
                Ok(1) => match self.session.receive(&mut &byte[..]).map_err(Some)? {
                    ClientEvent::NeedMore => {}
                    event => return Ok(event),
                },
                _ => return Err(None),
            }
        }
    }

    async fn ask(&mut self, request: Request) -> Response {
        let bytes = self.session.request(&request).unwrap();
        send(self.socket, &bytes).await.unwrap();
        match self.event().await.unwrap() {
            ClientEvent::Response(response) => response,
            other => panic!("{other:?}"),
        }
    }
}

/// The response to a request in a session of its own.
async fn ask(stack: Stack<'_>, request: Request) -> Response {
    connect!(socket, stack);
    let mut client = Client::start(&mut socket, &key()).await.unwrap();
    let response = client.ask(request).await;
    close(&mut socket).await;
    response
}

/// Closes in order, and waits until the board listens again.
async fn close(socket: &mut TcpSocket<'_>) {
    socket.close();
    while socket.state() != State::TimeWait && socket.state() != State::Closed {
        Timer::after_millis(1).await;
    }
    Timer::after_millis(5).await;
}

fn change(pairs: &[(Field, &str)]) -> Box<Changes> {
    let mut changes = Changes::default();
    for (field, value) in pairs {
        changes.set(field.parse(value).unwrap());
    }
    Box::new(changes)
}

fn trial(pairs: &[(Field, &str)]) -> Request {
    Request::Trial {
        changes: change(pairs),
        confirm_timeout: ConfirmTimeout::DEFAULT,
    }
}

fn shown(response: Response) -> Shown {
    match response {
        Response::Shown(shown) => *shown,
        other => panic!("{other:?}"),
    }
}

/// The settings that the board would start with now.
fn stored(flash: &RefCell<TestFlash>) -> Settings {
    let mut store = SettingsStore::open(flash).unwrap();
    store.load().unwrap().record.settings
}

#[test]
fn greeting_change_is_immediate_and_permanent() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, management| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let before = shown(client.ask(Request::Show).await);
        assert_eq!(before.settings, ShownSettings::of(&settings()));
        assert_eq!((before.sequence, before.trial), (1, None));
        let changes = change(&[(Field::Greeting, "hi"), (Field::RequestTimeout, "1s")]);
        let response = client.ask(Request::Apply { changes }).await;
        assert_eq!(response, Response::Done);
        let after = shown(client.ask(Request::Show).await);
        let greeting = after.settings.value(Field::Greeting).unwrap();
        assert_eq!(greeting.to_string(), "hi");
        assert_eq!(after.sequence, 2);
        close(&mut socket).await;
        let counters = management.counters();
        assert_eq!((counters.sessions, counters.failures), (1, 0));
    });
    assert_eq!(*asked.greeting.borrow(), b"hi");
    assert_eq!(asked.restarts.get(), 0);
    let stored = stored(&flash);
    assert_eq!(stored.server.greeting().as_bytes(), b"hi");
    // Other settings are kept, including the secrets.
    assert_eq!(stored.network, settings().network);
    assert_eq!(stored.management_key, settings().management_key);
}

#[test]
fn trial_restarts_the_board_and_a_confirmation_keeps_it() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, _| {
        let response = ask(stack, trial(&[(Field::Ssid, "new")])).await;
        assert_eq!(response, Response::Restarting { sequence: 2 });
    });
    assert_eq!(asked.restarts.get(), 1);
    run(&flash, &asked, async |stack, management| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let report = shown(client.ask(Request::Show).await).trial.unwrap();
        assert_eq!((report.sequence, report.state), (2, TrialState::Started));
        assert!((80..=90).contains(&report.remaining_s.unwrap()));
        // Other changes are refused meanwhile.
        for request in [
            trial(&[(Field::Ssid, "third")]),
            Request::Apply {
                changes: change(&[(Field::Greeting, "hi")]),
            },
        ] {
            let response = client.ask(request).await;
            assert_eq!(response, Response::Refused(Refusal::TrialInProgress));
        }
        for other in [1, 3] {
            let response = client.ask(Request::Confirm { sequence: other }).await;
            assert_eq!(response, Response::Refused(Refusal::NoSuchTrial));
        }
        // Confirm twice, as if the first response had been lost.
        for _ in 0..2 {
            let response = client.ask(Request::Confirm { sequence: 2 }).await;
            assert_eq!(response, Response::Done);
        }
        let report = shown(client.ask(Request::Show).await).trial.unwrap();
        assert_eq!(report.state, TrialState::Confirmed);
        assert_eq!(report.remaining_s, None);
        assert!(management.trial().open().is_none());
    });
    assert_eq!(
        *asked.lines.borrow(),
        ["trial pending sequence=2", "trial confirmed sequence=2"]
    );
    let again = run(&flash, &asked, async |stack, _| {
        shown(ask(stack, Request::Show).await)
    });
    assert_eq!(again.sequence, 2);
    assert_eq!(
        stored(&flash).network.ssid(),
        Some(&Ssid::new("new").unwrap())
    );
}

#[test]
fn abort_returns_to_the_previous_settings() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, _| {
        ask(stack, trial(&[(Field::Ssid, "new")])).await;
    });
    run(&flash, &asked, async |stack, management| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let response = client.ask(Request::Abort { sequence: 2 }).await;
        assert_eq!(response, Response::Restarting { sequence: 1 });
        // Until the restart neither the timer nor a failure to join changes the reason.
        assert!(management.trial().open().is_none());
        management.trial().roll_back(RollbackReason::NotJoined);
        management.roll_back(RollbackReason::NotJoined);
        close(&mut socket).await;
    });
    assert_eq!(asked.restarts.get(), 2);
    run(&flash, &asked, async |stack, _| {
        let shown = shown(ask(stack, Request::Show).await);
        let state = TrialState::RolledBack(RollbackReason::Aborted);
        assert_eq!((shown.sequence, shown.trial.unwrap().state), (1, state));
        let late = ask(stack, Request::Confirm { sequence: 2 }).await;
        assert_eq!(late, Response::Refused(Refusal::NoSuchTrial));
    });
}

#[test]
fn rollback_records_its_reason_and_restarts() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, management| {
        // Without a trial there is nothing to roll back.
        management.roll_back(RollbackReason::NotConfirmed);
        ask(stack, trial(&[(Field::Ssid, "new")])).await;
    });
    assert_eq!(asked.restarts.get(), 1);
    run(&flash, &asked, async |_, _| {
        asked.online.set(false);
        advance(Duration::from_secs(89));
        Timer::after_millis(2).await;
        assert_eq!(asked.restarts.get(), 1);
        advance(Duration::from_secs(1));
        while asked.restarts.get() == 1 {
            Timer::after_millis(1).await;
        }
    });
    assert_eq!(asked.restarts.get(), 2);
    let line = "trial rolled-back sequence=2 reason=\"not confirmed\"";
    assert_eq!(asked.lines.borrow().last().unwrap(), line);
    let selected = SettingsStore::open(&flash).unwrap().begin().unwrap();
    let state = TrialState::RolledBack(RollbackReason::NotConfirmed);
    assert_eq!(selected.trial.unwrap().state, state);
    assert_eq!(selected.record.settings, settings());
}

#[test]
fn board_restarts_although_the_client_has_left() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, _| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let request = trial(&[(Field::Ssid, "new")]);
        let bytes = client.session.request(&request).unwrap();
        send(client.socket, &bytes).await.unwrap();
        socket.flush().await.unwrap();
        socket.abort();
        while asked.restarts.get() == 0 {
            Timer::after_millis(10).await;
        }
    });
}

/// Without this restart, the trial would start at a later reset.
#[test]
fn announced_restart_needs_no_network() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, management| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let request = trial(&[(Field::Ssid, "new")]);
        let bytes = client.session.request(&request).unwrap();
        send(client.socket, &bytes).await.unwrap();
        while !management.is_restarting.get() {
            Timer::after_millis(1).await;
        }
        asked.online.set(false);
        let lost = Instant::now();
        Timer::after(RESTART_TIMEOUT / 2).await;
        assert_eq!(asked.restarts.get(), 0);
        // Other changes are refused before the restart.
        asked.online.set(true);
        connect!(second, stack);
        assert_eq!(second.state(), State::Closed, "refused");
        while asked.restarts.get() == 0 {
            Timer::after_millis(1).await;
        }
        let took = lost.elapsed();
        let limit = RESTART_TIMEOUT + Duration::from_millis(10);
        assert!(took <= limit, "{took}");
    });
}

#[test]
fn confirmation_whose_write_reported_an_error_is_kept() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, _| {
        ask(stack, trial(&[(Field::Management, "off")])).await;
    });
    run(&flash, &asked, async |stack, management| {
        // It reached the flash despite the error, and the client asks again.
        let mut store = SettingsStore::open(&flash).unwrap();
        let open = management.trial().open().unwrap();
        store.mark(open, TrialState::Confirmed).unwrap();
        let response = ask(stack, Request::Confirm { sequence: 2 }).await;
        assert_eq!(response, Response::Done);
        assert!(management.trial().open().is_none());
        assert!(!management.is_on());
        advance(Duration::from_secs(90));
        Timer::after_millis(2).await;
    });
    assert_eq!(asked.restarts.get(), 1, "for the trial alone");
    let selected = SettingsStore::open(&flash).unwrap().begin().unwrap();
    assert_eq!(selected.trial.unwrap().state, TrialState::Confirmed);
}

#[test]
fn trial_that_could_not_start_is_set_aside_for_good() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, _| {
        ask(stack, trial(&[(Field::Ssid, "new")])).await;
    });
    flash.borrow_mut().wear_out("settings");
    run(&flash, &asked, async |stack, _| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let seen = shown(client.ask(Request::Show).await);
        assert_eq!(seen.sequence, 1);
        assert_eq!(seen.settings, ShownSettings::of(&settings()));
        let state = TrialState::RolledBack(RollbackReason::Unknown);
        assert_eq!(seen.trial.unwrap().state, state);
        // Changes are based on the settings in force, and overwrite the damaged block.
        flash.borrow_mut().worn.clear();
        let changes = change(&[(Field::Greeting, "hi")]);
        let response = client.ask(Request::Apply { changes }).await;
        assert_eq!(response, Response::Done);
        let seen = shown(client.ask(Request::Show).await);
        assert_eq!((seen.sequence, seen.trial), (3, None));
    });
    assert_eq!(stored(&flash).network, settings().network);
}

#[test]
fn refusals_change_nothing() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    let steps = flash.borrow().steps;
    run(&flash, &asked, async |stack, _| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        let changes = change(&[(Field::Ssid, "new"), (Field::Greeting, "hi")]);
        let response = client.ask(Request::Apply { changes }).await;
        assert_eq!(response, Response::Refused(Refusal::NeedsRestart));
        for (pairs, setting) in [
            (&[(Field::Channel, "3")][..], "channel"),
            (&[(Field::TcpPort, "3001")], "tcp-port"),
            // It would prevent the confirmation.
            (
                &[(Field::TcpPort, "3001"), (Field::Management, "off")],
                "tcp-port",
            ),
            (
                &[(Field::TcpPort, "7"), (Field::Services, "on")],
                "tcp-port",
            ),
        ] {
            let response = client.ask(trial(pairs)).await;
            let Response::Refused(Refusal::Invalid { field, .. }) = response else {
                panic!("{response:?}")
            };
            assert_eq!(field, setting);
        }
        for request in [
            Request::Confirm { sequence: 1 },
            Request::Abort { sequence: 1 },
        ] {
            let response = client.ask(request).await;
            assert_eq!(response, Response::Refused(Refusal::NoSuchTrial));
        }
    });
    assert_eq!(asked.restarts.get(), 0);
    assert!(asked.greeting.borrow().is_empty());
    assert_eq!(flash.borrow().steps, steps);
}

#[test]
fn board_with_one_sector_refuses_a_trial() {
    let (flash, asked) = (flashed(&settings(), 1), Asked::default());
    run(&flash, &asked, async |stack, _| {
        let response = ask(stack, trial(&[(Field::Ssid, "new")])).await;
        assert_eq!(response, Response::Refused(Refusal::NoSecondSector));
    });
}

/// What a client without the key observes: bytes after the hello, and the state of the connection.
async fn provoke(stack: Stack<'_>, bytes: &[u8]) -> (usize, State) {
    connect!(socket, stack);
    let mut hello = [0; 13];
    let mut length = 0;
    while length < hello.len() {
        length += socket.read(&mut hello[length..]).await.unwrap();
    }
    send(&mut socket, bytes).await.unwrap();
    let mut rest = [0; 100];
    let read = socket.read(&mut rest).await.unwrap();
    let state = socket.state();
    close(&mut socket).await;
    Timer::after(FAILURE_PAUSE).await;
    (read, state)
}

/// An attacker observes the same for a wrong key, a frame that is too long, and another protocol.
#[test]
fn every_failure_ends_in_the_same_way() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, management| {
        let mut wrong = ClientSession::new();
        wrong
            .receive(&mut &b"\x00\x0bTCPM\x01\x02\x00\x00\x00\x00\x01"[..])
            .unwrap();
        let wrong_key = wrong
            .authenticate(&ManagementKey::new([8; 32]), [3; 32])
            .unwrap();
        let too_long = [&[0xff, 0xff][..], &[0; 98]].concat();
        let http = b"GET / HTTP/1.1\r\nHost: 192.168.1.1:3001\r\n\r\n".to_vec();
        for (tries, bytes) in (1..).zip([wrong_key, too_long, http]) {
            let seen = provoke(stack, &bytes).await;
            assert_eq!(seen, (0, State::CloseWait), "try {tries}");
            assert_eq!(management.counters().failures, tries);
        }
        assert_eq!(management.counters().sessions, 0);
        let shown = shown(ask(stack, Request::Show).await);
        assert_eq!(
            shown.sequence, 1,
            "a client with the key is served afterwards"
        );
    });
}

#[test]
fn stalled_handshake_ends_in_time() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, management| {
        let began = Instant::now();
        connect!(stalled, stack);
        assert_eq!(stalled.state(), State::Established);
        // Send one byte of the frame and nothing more.
        send(&mut stalled, &[0]).await.unwrap();
        {
            connect!(second, stack);
            assert_eq!(second.state(), State::Closed, "refused");
        }
        let mut bytes = [0; 100];
        while stalled.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        let took = began.elapsed();
        assert!(
            took >= HANDSHAKE_TIMEOUT && took < HANDSHAKE_TIMEOUT * 2,
            "{took}"
        );
        close(&mut stalled).await;
        Timer::after(FAILURE_PAUSE).await;
        assert_eq!(management.counters().failures, 1);
        ask(stack, Request::Show).await;
    });
}

#[test]
fn idle_session_ends_in_time_and_a_second_one_is_refused() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, management| {
        connect!(socket, stack);
        let mut client = Client::start(&mut socket, &key()).await.unwrap();
        client.ask(Request::Show).await;
        let began = Instant::now();
        {
            connect!(second, stack);
            assert_eq!(second.state(), State::Closed, "refused");
        }
        let ended = client.event().await;
        assert!(matches!(ended, Err(None)));
        let took = began.elapsed();
        assert!(took >= IDLE_TIMEOUT && took < IDLE_TIMEOUT * 2, "{took}");
        close(&mut socket).await;
        assert_eq!(management.counters().sessions, 1);
        ask(stack, Request::Show).await;
    });
}

#[test]
fn management_is_off_without_a_key_or_by_its_setting() {
    let asked = Asked::default();
    let trial = TrialRun::new(None);
    let about = About {
        firmware: "0.1.0",
        chip: "test",
        mac: MAC,
    };
    let is_on = |settings: &Settings| {
        let flash = flashed(settings, 2);
        Management::new(settings, &flash, &trial, about, &asked)
            .unwrap()
            .is_some()
    };
    assert!(is_on(&settings()));
    let mut no_key = settings();
    no_key.management_key = None;
    assert!(!is_on(&no_key));
    let off = settings().with_changes(&change(&[(Field::Management, "off")]));
    assert!(!is_on(&off.unwrap()));
}

#[test]
fn management_is_switched_off_when_its_trial_is_confirmed() {
    let (flash, asked) = (flashed(&settings(), 2), Asked::default());
    run(&flash, &asked, async |stack, _| {
        ask(stack, trial(&[(Field::Management, "off")])).await;
    });
    run(&flash, &asked, async |stack, management| {
        // Confirm twice, as if the connection had broken before the first response.
        for _ in 0..2 {
            let response = ask(stack, Request::Confirm { sequence: 2 }).await;
            assert_eq!(response, Response::Done);
            assert!(!management.is_on());
        }
        Timer::after(IDLE_TIMEOUT).await;
        connect!(socket, stack);
        assert_eq!(socket.state(), State::Closed, "refused");
    });
    assert!(!stored(&flash).server.management().is_on());
}
