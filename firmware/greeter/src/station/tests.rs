extern crate std;
use core::cell::{Cell, RefCell};
use core::future::pending;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::presence::Presence;
use crate::test_clock::advance;

/// The next action of the radio.
#[derive(Debug, Clone, Copy)]
enum Step {
    Join(Result<(), Failure>),
    JoinHangs,
    Lease,
    LeaseHangs,
    LeaseFails(Failure),
    Lost(Loss),
    Moved,
    /// The network is lost at once instead of after a minute.
    ThrownOut,
    Leave,
}
use Step::{Join, JoinHangs, Lease, LeaseFails, LeaseHangs, Leave, Lost, Moved, ThrownOut};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

/// A radio that follows a script and asserts the order of calls.
struct Script<'s>(&'s RefCell<VecDeque<Step>>);

impl Script<'_> {
    async fn next(&self) -> Step {
        let step = self.0.borrow_mut().pop_front();
        match step {
            Some(step) => step,
            None => pending().await,
        }
    }
}

impl Radio for Script<'_> {
    async fn join(&mut self) -> Result<(), Failure> {
        match self.next().await {
            Join(result) => result,
            JoinHangs => pending().await,
            other => panic!("asked to join, the script says {other:?}"),
        }
    }

    async fn lease(&mut self) -> Result<Ipv4Addr, Failure> {
        match self.next().await {
            Lease => Ok(ADDRESS),
            LeaseHangs => pending().await,
            LeaseFails(failure) => Err(failure),
            other => panic!("asked for an address, the script says {other:?}"),
        }
    }

    async fn next_change(&mut self, address: Ipv4Addr) -> NetworkChange {
        match self.next().await {
            Lost(loss) => {
                Timer::after(Duration::from_secs(60)).await;
                NetworkChange::Lost(loss)
            }
            Moved => NetworkChange::Moved(Ipv4Addr::from_bits(address.to_bits() + 1)),
            ThrownOut => NetworkChange::Lost(Loss::Link),
            other => panic!("online, the script says {other:?}"),
        }
    }

    async fn leave(&mut self) {
        match self.next().await {
            Leave => {}
            other => panic!("asked to leave, the script says {other:?}"),
        }
    }
}

/// Plays a script for at most ten minutes of simulated time. Returns the console lines with their
/// seconds.
fn play(steps: &[Step]) -> Vec<(u64, String)> {
    let (printed, ended) = play_to_the_end(steps);
    assert_eq!(ended, None, "{printed:?}");
    printed
}

/// Like `play`, but also returns the result of the state machine.
fn play_to_the_end(steps: &[Step]) -> (Vec<(u64, String)>, Option<DriverError>) {
    let script = RefCell::new(steps.iter().copied().collect());
    let printed = RefCell::new(Vec::new());
    let start = embassy_time::Instant::now();
    let mut radio = Script(&script);
    let mut ended = None;
    {
        let mut machine = pin!(run(&mut radio, 1, |event| {
            // The wait is random, and the tests of `Backoff` cover it.
            let line = match event {
                Event::Failed { failure, .. } => std::format!("failed: {failure}"),
                other => other.to_string(),
            };
            let at = embassy_time::Instant::now() - start;
            printed.borrow_mut().push((at.as_secs(), line));
        }));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..6000 {
            if let Poll::Ready(error) = machine.as_mut().poll(&mut cx) {
                ended = Some(error);
                break;
            }
            advance(Duration::from_millis(100));
        }
    }
    assert!(script.borrow().is_empty(), "not played: {script:?}");
    (printed.into_inner(), ended)
}

fn lines(steps: &[Step]) -> Vec<String> {
    play(steps).into_iter().map(|(_, line)| line).collect()
}

#[test]
fn online_event_has_the_address() {
    assert_eq!(
        lines(&[Join(Ok(())), Lease, Lost(Loss::Link), Leave]),
        [
            "network joining",
            "IP: 10.0.0.7",
            "network lost reason=\"the access point is gone\"",
            "network joining",
        ]
    );
}

#[test]
fn each_address_change_is_reported() {
    assert_eq!(
        lines(&[Join(Ok(())), Lease, Moved, Moved, Lost(Loss::Link), Leave]),
        [
            "network joining",
            "IP: 10.0.0.7",
            "IP: 10.0.0.8",
            "IP: 10.0.0.9",
            "network lost reason=\"the access point is gone\"",
            "network joining",
        ]
    );
}

#[test]
fn it_rejoins_at_once_when_the_network_comes_back() {
    let printed = play(&[
        Join(Ok(())),
        Lease,
        Lost(Loss::Link),
        Leave,
        Join(Err(Failure::NoSuchNetwork)),
        Leave,
        Join(Ok(())),
        Lease,
        Lost(Loss::Lease),
        Leave,
        Join(Ok(())),
        Lease,
    ]);
    let online: Vec<u64> = printed
        .iter()
        .filter(|(_, line)| line == "IP: 10.0.0.7")
        .map(|(at, _)| *at)
        .collect();
    // Each connection lasts a minute, and the backoff at most a second.
    assert_eq!(online.len(), 3);
    assert!(online[1] - online[0] <= 62, "{online:?}");
    assert!(online[2] - online[1] <= 61, "{online:?}");
    assert!(
        printed
            .iter()
            .any(|(_, line)| line.contains("lease expired"))
    );
}

#[test]
fn each_failure_is_reported_and_retried() {
    for (failure, words) in [
        (Failure::NoSuchNetwork, "no such network"),
        (Failure::WrongPassphrase, "wrong passphrase"),
        (Failure::OtherSecurity, "security differs"),
        (Failure::Full, "is full"),
        (Failure::TooWeak, "too weak"),
        (Failure::NotAuthenticated, "not authenticated"),
        (Failure::Refused(3), "refused by the access point"),
        (Failure::GaveUp(205), "reason 205"),
        (Failure::Driver(DriverError::Memory), "out of memory"),
        (Failure::Driver(DriverError::Other), "driver"),
    ] {
        let printed = lines(&[Join(Err(failure)), Leave, Join(Ok(())), Lease]);
        assert!(printed[1].contains(words), "{printed:?}");
        assert_eq!(printed[3], "IP: 10.0.0.7");
    }
}

#[test]
fn hanging_join_times_out() {
    let printed = play(&[JoinHangs, Leave, Join(Ok(())), Lease]);
    assert_eq!(printed[1].1, "failed: no answer from the access point");
    assert_eq!(printed[1].0, JOIN_TIMEOUT.as_secs());
    assert_eq!(printed[3].1, "IP: 10.0.0.7");
}

#[test]
fn station_leaves_a_network_without_dhcp() {
    let printed = play(&[Join(Ok(())), LeaseHangs, Leave, Join(Ok(())), Lease]);
    assert!(printed[1].1.contains("no DHCP lease"), "{printed:?}");
    assert_eq!(printed[1].0, LEASE_TIMEOUT.as_secs());
    assert_eq!(printed[3].1, "IP: 10.0.0.7");
}

#[test]
fn loss_before_the_lease_is_not_a_dhcp_failure() {
    let printed = play(&[
        Join(Ok(())),
        LeaseFails(Failure::WrongPassphrase),
        Leave,
        Join(Ok(())),
        Lease,
    ]);
    assert_eq!(printed[1], (0, "failed: wrong passphrase".to_string()));
    assert_eq!(printed[3].1, "IP: 10.0.0.7");
}

#[test]
fn rejected_settings_are_not_retried() {
    for error in DriverError::ALL {
        let join = Join(Err(Failure::Driver(error)));
        if !error.is_about_settings() {
            // The error may be temporary, so the board tries again.
            let printed = lines(&[join, Leave, Join(Ok(())), Lease]);
            assert_eq!(printed[3], "IP: 10.0.0.7", "{error}");
            continue;
        }
        let (printed, ended) = play_to_the_end(&[join]);
        assert_eq!(ended, Some(error));
        let printed: Vec<String> = printed.into_iter().map(|(_, line)| line).collect();
        let reason = std::format!("network failed reason=\"{error}\" retry=never");
        assert_eq!(printed, ["network joining", &reason]);
    }
    let later = Join(Err(Failure::Driver(DriverError::Passphrase)));
    let (_, ended) = play_to_the_end(&[Join(Ok(())), Lease, Lost(Loss::Link), Leave, later]);
    assert_eq!(ended, Some(DriverError::Passphrase));
}

/// Counts live servers.
struct Serving<'c>(&'c Cell<i32>);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn servers_follow_the_network() {
    let script = RefCell::new(VecDeque::from([
        Join(Err(Failure::NoSuchNetwork)),
        Leave,
        Join(Ok(())),
        Lease,
        Moved,
        Lost(Loss::Lease),
        Leave,
        Join(Err(Failure::WrongPassphrase)),
        Leave,
        Join(Ok(())),
        Lease,
    ]));
    let presence = Presence::<2>::new();
    let sockets = Cell::new(0);
    let serve = async || {
        sockets.set(sockets.get() + 1);
        let _serving = Serving(&sockets);
        pending::<()>().await;
    };
    let mut history = Vec::new();
    let mut radio = Script(&script);
    let mut machine = pin!(run(&mut radio, 1, |event| {
        if let Some(online) = event.presence() {
            presence.set(online);
        }
    }));
    let mut first = pin!(presence.serve_online(serve));
    let mut second = pin!(presence.serve_online(serve));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1500 {
        assert!(machine.as_mut().poll(&mut cx).is_pending());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert_eq!(presence.is_online(), sockets.get() == 2);
        if history.last() != Some(&sockets.get()) {
            history.push(sockets.get());
        }
        advance(Duration::from_millis(100));
    }
    assert_eq!(history, [0, 2, 0, 2], "a change of address ends nothing");
    assert!(script.borrow().is_empty(), "not played: {script:?}");
}

#[test]
fn retries_back_off() {
    let mut script = Vec::new();
    for _ in 0..8 {
        script.extend([Join(Err(Failure::WrongPassphrase)), Leave]);
    }
    let printed = play(&script);
    let tries: Vec<u64> = printed
        .iter()
        .filter(|(_, line)| line == "network joining")
        .map(|(at, _)| *at)
        .collect();
    let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] <= 1, "{waits:?}");
    assert!(waits[7] >= 30 && waits[7] <= 60, "{waits:?}");
}

#[test]
fn immediate_loss_backs_off() {
    let mut script = Vec::new();
    for _ in 0..6 {
        script.extend([Join(Ok(())), Lease, ThrownOut, Leave]);
    }
    let printed = play(&script);
    let online = printed.iter().filter(|(_, line)| line.starts_with("IP"));
    let online: Vec<u64> = online.map(|(at, _)| *at).collect();
    // The waits are at least half of 1, 2, 4, 8 and 16 s.
    assert!(online[5] - online[0] >= 15, "{online:?}");
}

#[test]
fn retry_delay_is_on_the_console() {
    let event = Event::Failed {
        failure: Failure::WrongPassphrase,
        retry_in: Duration::from_millis(1500),
    };
    assert_eq!(
        event.to_string(),
        "network failed reason=\"wrong passphrase\" retry_ms=1500"
    );
}
