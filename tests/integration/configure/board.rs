//! A board's side of a change, in simulated time: trials, rollbacks, and power cuts.

use std::net::Ipv4Addr;

use embassy_net::tcp::TcpSocket;
use embassy_time::{Instant, Timer};
use tcpctl::sim::boot::Hardware;
use tcpctl::sim::flash::VirtualFlash;
use tcpctl::sim::networks::{KnownNetwork, Networks};
use tcpctl::sim::servers::ADDRESS;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl_greeter::stored;
use tcpctl_management::{
    ClientEvent, ClientSession, MANAGEMENT_PORT, Refusal, Request, Response, Shown,
};
use tcpctl_settings::sectors::{ConfirmTimeout, RollbackReason, TrialState};
use tcpctl_settings::{
    Changes, ManagementKey, Mode, Passphrase, Security, Settings, Ssid, Workers,
};

use crate::simulated::{Client, GREETING, LEASED, MAC, exchange, simulate_with, write_all};

const KEY: [u8; 32] = [7; 32];

fn spec(changes: &[(&str, &str)]) -> Spec {
    Spec {
        management_key: Some(ManagementKey::new(KEY)),
        ..Spec::with(Profile::Ideal, changes.iter().copied()).expect("a valid spec")
    }
}

fn hardware(spec: &Spec) -> Hardware {
    Hardware {
        mac: MAC,
        ..Hardware::new(spec).expect("settings")
    }
}

fn wpa2(text: &str) -> Security {
    Security::Wpa2(Passphrase::new(text).unwrap())
}

fn network(name: &str, passphrase: &str) -> KnownNetwork {
    KnownNetwork {
        ssid: Ssid::new(name).unwrap(),
        security: wpa2(passphrase),
    }
}

/// A board on the network `lab`, near `home`.
fn station() -> (Spec, Hardware) {
    let lab = network("lab", "correct horse");
    let spec = Spec {
        station_network: Some(lab.clone()),
        ..spec(&[("mode", "sta")])
    };
    let networks = Networks::fixed(vec![lab, network("home", "battery staple")]);
    let hardware = Hardware {
        networks,
        ..hardware(&spec)
    };
    (spec, hardware)
}

/// A management session.
struct Session<'a> {
    socket: TcpSocket<'a>,
    noise: ClientSession,
    input: Vec<u8>,
}

impl<'a> Session<'a> {
    /// Opens a session; `None` if the board refuses it or is not reachable.
    async fn try_open(client: Client<'a>, address: Ipv4Addr) -> Option<Self> {
        let buffers = Box::leak(Box::new(([0_u8; 4096], [0_u8; 4096])));
        let mut socket = TcpSocket::new(client.stack, &mut buffers.0, &mut buffers.1);
        socket.set_timeout(Some(embassy_time::Duration::from_secs(1)));
        socket.connect((address, MANAGEMENT_PORT)).await.ok()?;
        let mut session = Self {
            socket,
            noise: ClientSession::new(),
            input: Vec::new(),
        };
        let ClientEvent::Hello(hello) = session.event().await? else {
            return None;
        };
        assert_eq!(hello.mac, MAC);
        let key = ManagementKey::new(KEY);
        let first = session.noise.authenticate(&key, [9; 32]).ok()?;
        session.socket.write(&first).await.ok()?;
        match session.event().await? {
            ClientEvent::Established => Some(session),
            other => panic!("{other:?}"),
        }
    }

    async fn open(client: Client<'a>, address: Ipv4Addr) -> Self {
        for _ in 0..1000 {
            if let Some(session) = Self::try_open(client, address).await {
                return session;
            }
            Timer::after_millis(50).await;
        }
        panic!("no management channel at {address}");
    }

    async fn event(&mut self) -> Option<ClientEvent> {
        loop {
            let mut input = &self.input[..];
            let event = self.noise.receive(&mut input).ok()?;
            let taken = self.input.len() - input.len();
            self.input.drain(..taken);
            if !matches!(event, ClientEvent::NeedMore) {
                return Some(event);
            }
            let mut chunk = [0; 2048];
            match self.socket.read(&mut chunk).await {
                Ok(count) if count > 0 => self.input.extend_from_slice(&chunk[..count]),
                _ => return None,
            }
        }
    }

    async fn request(&mut self, request: &Request) -> Option<Response> {
        let bytes = self.noise.request(request).ok()?;
        write_all(&mut self.socket, &bytes).await;
        match self.event().await? {
            ClientEvent::Response(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    async fn show(&mut self) -> Shown {
        match self.request(&Request::Show).await {
            Some(Response::Shown(shown)) => *shown,
            other => panic!("{other:?}"),
        }
    }

    async fn close(mut self) {
        self.socket.close();
        let _ = self.socket.flush().await;
    }
}

/// The board's reply to `Show`, in a session of its own.
async fn show(client: Client<'_>, address: Ipv4Addr) -> Shown {
    let mut session = Session::open(client, address).await;
    let shown = session.show().await;
    session.close().await;
    shown
}

fn state(shown: &Shown) -> Option<TrialState> {
    shown.trial.map(|trial| trial.state)
}

/// Shows the board until its trial is in a state that `wanted` accepts.
async fn wait_for(
    client: Client<'_>,
    addresses: &[Ipv4Addr],
    wanted: impl Fn(TrialState) -> bool,
) -> Shown {
    for &address in addresses.iter().cycle() {
        if let Some(mut session) = Session::try_open(client, address).await {
            let shown = session.show().await;
            session.close().await;
            if state(&shown).is_some_and(&wanted) {
                return shown;
            }
        }
        Timer::after_millis(100).await;
    }
    unreachable!("there is an address")
}

const IS_STARTED: fn(TrialState) -> bool = |state| state == TrialState::Started;
const IS_ROLLED_BACK: fn(TrialState) -> bool = |state| matches!(state, TrialState::RolledBack(_));

fn two_workers() -> Box<Changes> {
    Box::new(Changes {
        workers: Some(Workers::new(2).unwrap()),
        ..Changes::default()
    })
}

fn joins(ssid: &str, passphrase: &str) -> Box<Changes> {
    Box::new(Changes {
        ssid: Some(Ssid::new(ssid).unwrap()),
        security: Some(wpa2(passphrase)),
        ..Changes::default()
    })
}

/// Sends a trial. Returns its sequence number, or `None` if the board refuses it.
async fn send(client: Client<'_>, address: Ipv4Addr, changes: Box<Changes>) -> Option<u32> {
    let mut session = Session::open(client, address).await;
    let request = Request::Trial {
        changes,
        confirm_timeout: ConfirmTimeout::default(),
    };
    let response = session.request(&request).await;
    session.close().await;
    match response {
        Some(Response::Restarting { sequence }) => Some(sequence),
        _ => None,
    }
}

async fn confirm(client: Client<'_>, address: Ipv4Addr, sequence: u32) -> Option<Response> {
    let mut session = Session::open(client, address).await;
    let response = session.request(&Request::Confirm { sequence }).await;
    session.close().await;
    response
}

fn stored_settings(flash: &mut VirtualFlash) -> Settings {
    stored::load(flash).unwrap().record.settings
}

#[test]
fn confirmed_trial_is_permanent() {
    let spec = spec(&[]);
    let outcome = simulate_with(&spec, hardware(&spec), async |client| {
        let sequence = send(client, ADDRESS, two_workers()).await.unwrap();
        let shown = wait_for(client, &[ADDRESS], IS_STARTED).await;
        assert_eq!(shown.sequence, sequence);
        assert_eq!(
            confirm(client, ADDRESS, sequence).await,
            Some(Response::Done)
        );
        // The response was lost, so ask again.
        assert_eq!(
            confirm(client, ADDRESS, sequence).await,
            Some(Response::Done)
        );
        Timer::after_secs(200).await;
        assert_eq!(
            state(&show(client, ADDRESS).await),
            Some(TrialState::Confirmed)
        );
        exchange(&mut client.connect().await, b"hi").await
    });
    assert_eq!(outcome.result.as_deref(), Some(GREETING));
    let mut flash = outcome.flash;
    assert_eq!(stored_settings(&mut flash).server.workers().get(), 2);
}

#[test]
fn unconfirmed_trial_ends_with_the_confirm_timeout() {
    let spec = spec(&[]);
    let outcome = simulate_with(&spec, hardware(&spec), async |client| {
        send(client, ADDRESS, two_workers()).await.unwrap();
        let shown = wait_for(client, &[ADDRESS], IS_STARTED).await;
        let left = shown.trial.unwrap().remaining_s.unwrap();
        assert!((88..=90).contains(&left), "{left}");
        let started = Instant::now();
        Timer::after_secs(u64::from(left) - 2).await;
        let shown = show(client, ADDRESS).await;
        assert_eq!(state(&shown), Some(TrialState::Started));
        let shown = wait_for(client, &[ADDRESS], IS_ROLLED_BACK).await;
        let elapsed = started.elapsed().as_secs();
        assert!(elapsed <= 91, "{elapsed}");
        shown
    });
    let reason = TrialState::RolledBack(RollbackReason::NotConfirmed);
    assert_eq!(state(&outcome.result), Some(reason));
    let mut flash = outcome.flash;
    assert_eq!(stored_settings(&mut flash), spec.settings());
}

#[test]
fn restart_before_the_confirmation_ends_the_trial() {
    let spec = spec(&[]);
    let outcome = simulate_with(&spec, hardware(&spec), async |client| {
        send(client, ADDRESS, two_workers()).await.unwrap();
        wait_for(client, &[ADDRESS], IS_STARTED).await;
    });
    let again = Hardware {
        flash: outcome.flash,
        ..hardware(&spec)
    };
    let outcome = simulate_with(&spec, again, async |client| show(client, ADDRESS).await);
    let reason = TrialState::RolledBack(RollbackReason::Restarted);
    assert_eq!(state(&outcome.result), Some(reason));
    let mut flash = outcome.flash;
    assert_eq!(stored_settings(&mut flash), spec.settings());
}

/// The power is cut after each number of changed bytes, from the first write of a trial to its
/// confirmation. The board always starts again, with the new settings only if it reported them as
/// stored.
#[test]
fn power_cut_at_any_write_leaves_a_board_that_works() {
    const AMPLE: usize = 1 << 20;
    let spec = spec(&[]);
    let mut board = hardware(&spec);
    board.flash.cut_power_after(AMPLE);
    let whole = simulate_with(&spec, board, async |client| {
        let sequence = send(client, ADDRESS, two_workers()).await.unwrap();
        wait_for(client, &[ADDRESS], IS_STARTED).await;
        confirm(client, ADDRESS, sequence).await
    });
    assert_eq!(whole.result, Some(Response::Done));
    let all = AMPLE - whole.flash.power_left().unwrap();
    // A word that invalidates the old block, the erase, the confirm timeout, the block, and two
    // marks.
    let block = 4 + 4096 + 4;
    let cuts = [1, 4, 5, 100, block - 5, block - 4, block - 2];
    let cuts = cuts
        .into_iter()
        .chain((block..all - 8).step_by(12))
        .chain(all - 9..all)
        // Exactly `all` would cut the power between the last mark and the answer.
        .chain([all + 1]);
    let mut outcomes = Vec::new();
    for cut in cuts {
        let mut board = hardware(&spec);
        board.flash.cut_power_after(cut);
        let first = simulate_with(&spec, board, async |client| {
            // A board that cannot write still replies, but a real one would be off.
            let Some(sequence) = send(client, ADDRESS, two_workers()).await else {
                return false;
            };
            // A board that could not read its flash has no key.
            for _ in 0..20 {
                Timer::after_millis(100).await;
                if let Some(mut session) = Session::try_open(client, ADDRESS).await {
                    let confirmed = session.request(&Request::Confirm { sequence }).await;
                    session.close().await;
                    return confirmed == Some(Response::Done);
                }
            }
            false
        });
        let mut flash = first.flash;
        flash.restore_power();
        let again = Hardware {
            flash,
            ..hardware(&spec)
        };
        let second = simulate_with(&spec, again, async |client| {
            let greeting = exchange(&mut client.connect().await, b"hi").await;
            assert_eq!(greeting.as_deref(), Some(GREETING), "{cut}");
            // Another change is possible.
            let shown = show(client, ADDRESS).await;
            let mut session = Session::open(client, ADDRESS).await;
            let changes = Box::new(Changes {
                greeting: Some("moin".parse().unwrap()),
                ..Changes::default()
            });
            let trial_runs = state(&shown) == Some(TrialState::Started);
            let applied = session.request(&Request::Apply { changes }).await;
            let expected = if trial_runs {
                Response::Refused(Refusal::TrialInProgress)
            } else {
                Response::Done
            };
            assert_eq!(applied, Some(expected), "{cut}");
            trial_runs
        });
        let mut flash = second.flash;
        let workers = stored_settings(&mut flash).server.workers().get();
        let is_new = workers == 2;
        // A trial that was stored but not started starts now; one that had started has ended.
        assert_eq!(is_new, first.result || second.result, "{cut}");
        assert!([2, 4].contains(&workers));
        outcomes.push((cut, first.result, is_new));
    }
    // The cases are: neither, stored and started only at the second start, and confirmed.
    for outcome in [(false, false), (false, true), (true, true)] {
        let is_seen = outcomes.iter().any(|it| (it.1, it.2) == outcome);
        assert!(is_seen, "{outcomes:?}");
    }
}

#[test]
fn station_moves_to_another_network_and_stays() {
    let (spec, hardware) = station();
    let outcome = simulate_with(&spec, hardware, async |client| {
        let changes = joins("home", "battery staple");
        let sequence = send(client, LEASED, changes).await.unwrap();
        wait_for(client, &[LEASED], IS_STARTED).await;
        assert_eq!(
            confirm(client, LEASED, sequence).await,
            Some(Response::Done)
        );
    });
    let mut flash = outcome.flash;
    let network = stored_settings(&mut flash).network;
    assert_eq!(network.ssid(), Some(&Ssid::new("home").unwrap()));
}

#[test]
fn failure_to_join_ends_the_trial_with_its_reason() {
    for (changes, reason) in [
        (
            joins("home", "wrong horse"),
            RollbackReason::WrongPassphrase,
        ),
        (
            joins("office", "battery staple"),
            RollbackReason::NoSuchNetwork,
        ),
    ] {
        let (spec, hardware) = station();
        let outcome = simulate_with(&spec, hardware, async |client| {
            send(client, LEASED, changes).await.unwrap();
            let shown = wait_for(client, &[LEASED], IS_ROLLED_BACK).await;
            // This is long before the confirm timeout.
            assert!(Instant::now().as_secs() < 30);
            shown
        });
        let state = state(&outcome.result);
        assert_eq!(state, Some(TrialState::RolledBack(reason)));
        let mut flash = outcome.flash;
        assert_eq!(stored_settings(&mut flash), spec.settings());
    }
}

#[test]
fn access_point_becomes_a_station_and_returns() {
    let (_, Hardware { networks, .. }) = station();
    let spec = spec(&[]);
    for (passphrase, mode) in [
        ("battery staple", Mode::Station),
        ("wrong horse", Mode::AccessPoint),
    ] {
        let board = Hardware {
            networks: networks.clone(),
            ..hardware(&spec)
        };
        let outcome = simulate_with(&spec, board, async |client| {
            let changes = Changes {
                mode: Some(Mode::Station),
                ..*joins("home", passphrase)
            };
            let sequence = send(client, ADDRESS, Box::new(changes)).await.unwrap();
            let is_over = |state| state != TrialState::Pending;
            let shown = wait_for(client, &[LEASED, ADDRESS], is_over).await;
            if state(&shown) == Some(TrialState::Started) {
                assert_eq!(
                    confirm(client, LEASED, sequence).await,
                    Some(Response::Done)
                );
            }
        });
        let mut flash = outcome.flash;
        assert_eq!(stored_settings(&mut flash).network.mode(), mode);
    }
}

/// Every slot of the greeting server is taken, and more clients keep trying.
#[test]
fn flood_on_the_greeting_server_does_not_block_a_confirmation() {
    let spec = spec(&[("request-timeout", "10m")]);
    let outcome = simulate_with(&spec, hardware(&spec), async |client| {
        let hold = async || {
            let mut held = Vec::new();
            for _ in 0..spec.server.workers().get() + spec.server.backlog().get() {
                held.push(client.connect_when_free().await);
            }
            assert!(client.try_connect(client.port).await.is_err());
            held
        };
        let _held = hold().await;
        let changes = Box::new(Changes {
            host_name: Some("desk".parse().unwrap()),
            ..Changes::default()
        });
        let sequence = send(client, ADDRESS, changes).await.unwrap();
        wait_for(client, &[ADDRESS], IS_STARTED).await;
        let _held = hold().await;
        confirm(client, ADDRESS, sequence).await
    });
    assert_eq!(outcome.result, Some(Response::Done));
}

#[test]
fn second_client_is_refused_while_the_first_is_served() {
    let spec = spec(&[]);
    let outcome = simulate_with(&spec, hardware(&spec), async |client| {
        let mut first = Session::open(client, ADDRESS).await;
        assert!(Session::try_open(client, ADDRESS).await.is_none());
        first.show().await;
        first.close().await;
        // The client is served afterwards as well.
        show(client, ADDRESS).await
    });
    assert_eq!(state(&outcome.result), None);
}

#[test]
fn greeting_changes_without_a_restart() {
    let spec = spec(&[]);
    let outcome = simulate_with(&spec, hardware(&spec), async |client| {
        let mut open = client.connect().await;
        let mut session = Session::open(client, ADDRESS).await;
        let changes = Box::new(Changes {
            greeting: Some("moin".parse().unwrap()),
            ..Changes::default()
        });
        let request = Request::Apply { changes };
        assert_eq!(session.request(&request).await, Some(Response::Done));
        // An older connection gets the new greeting as well.
        exchange(&mut open, b"hi").await
    });
    assert_eq!(outcome.result.as_deref(), Some(&b"moin"[..]));
    let mut flash = outcome.flash;
    let greeting = stored_settings(&mut flash).server.greeting().clone();
    assert_eq!(greeting.as_bytes(), b"moin");
}
