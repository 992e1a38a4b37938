extern crate std;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::string::ToString;

use tcpctl_settings::sectors::{ConfirmTimeout, Sector};
use tcpctl_settings::{Network, Record, RecordKind, Security, Settings, Ssid};

use super::*;
use crate::station::Loss;
use crate::test_clock::advance;

/// A board that starts with a trial in this state.
fn run(state: TrialState) -> TrialRun {
    TrialRun::new(Some(&Selected {
        record: Record {
            settings: Settings::new(Network::Station {
                ssid: Ssid::new("new").unwrap(),
                security: Security::Open,
            }),
            sequence: 5,
            kind: RecordKind::Trial,
        },
        sector: Sector::B,
        has_other: true,
        trial: Some(Trial {
            sector: Sector::B,
            sequence: 5,
            state,
            confirm_timeout: ConfirmTimeout::from_secs(60).unwrap(),
        }),
        next_sequence: 6,
    }))
}

/// When the board rolls back, in seconds, and why. `events` happen at the given seconds.
fn play(run: &TrialRun, events: &[(u64, Event)]) -> Option<(u64, RollbackReason)> {
    let mut events = events.iter().peekable();
    let mut due = pin!(run.rollback_due());
    let mut cx = Context::from_waker(Waker::noop());
    for second in 0..200 {
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= second) {
            run.on_event(event);
        }
        if let Poll::Ready(reason) = due.as_mut().poll(&mut cx) {
            return Some((second, reason));
        }
        advance(Duration::from_secs(1));
    }
    None
}

fn failed(failure: Failure) -> Event {
    Event::Failed {
        failure,
        retry_in: Duration::from_secs(1),
    }
}

const ONLINE: Event = Event::Online(core::net::Ipv4Addr::new(10, 0, 0, 7));

#[test]
fn trial_ends_at_the_confirm_timeout() {
    let not_confirmed = Some((60, RollbackReason::NotConfirmed));
    assert_eq!(play(&run(TrialState::Started), &[]), not_confirmed);
    let online = [(3, ONLINE), (40, Event::Offline(Loss::Link))];
    assert_eq!(play(&run(TrialState::Started), &online), not_confirmed);
}

#[test]
fn two_lasting_failures_end_a_trial() {
    for (failure, reason) in [
        (Failure::WrongPassphrase, RollbackReason::WrongPassphrase),
        (Failure::NoSuchNetwork, RollbackReason::NoSuchNetwork),
        (Failure::NoLease, RollbackReason::NoLease),
        (Failure::OtherSecurity, RollbackReason::OtherSecurity),
    ] {
        let run = run(TrialState::Started);
        let events = [(5, failed(failure)), (12, failed(failure))];
        assert_eq!(play(&run, &events), Some((12, reason)));
    }
}

#[test]
fn single_failure_does_not_end_a_trial() {
    let run = run(TrialState::Started);
    let wrong = failed(Failure::WrongPassphrase);
    let events = [(5, wrong), (9, ONLINE), (20, wrong), (24, ONLINE)];
    assert_eq!(
        play(&run, &events),
        Some((60, RollbackReason::NotConfirmed))
    );
}

#[test]
fn passing_failures_end_a_trial_at_the_timeout_with_their_reason() {
    let run = run(TrialState::Started);
    let events: std::vec::Vec<_> = (1..50)
        .map(|second| (second, failed(Failure::NoAnswer)))
        .collect();
    assert_eq!(play(&run, &events), Some((60, RollbackReason::NotJoined)));
}

#[test]
fn refused_settings_end_a_trial_at_once() {
    let run = run(TrialState::Started);
    let events = [(2, Event::Rejected(DriverError::Passphrase))];
    assert_eq!(play(&run, &events), Some((2, RollbackReason::Rejected)));
}

#[test]
fn confirmed_trial_does_not_end() {
    let run = run(TrialState::Started);
    assert!(run.open().is_some());
    run.confirmed();
    assert!(run.open().is_none());
    run.roll_back(RollbackReason::Aborted);
    let events = [
        (5, failed(Failure::WrongPassphrase)),
        (9, failed(Failure::WrongPassphrase)),
    ];
    assert_eq!(play(&run, &events), None);
}

/// A confirmation during the wait for the timer is noticed.
#[test]
fn confirmation_during_the_wait_is_noticed() {
    let run = run(TrialState::Started);
    let mut due = pin!(run.rollback_due());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(due.as_mut().poll(&mut cx).is_pending());
    advance(Duration::from_secs(59));
    run.confirmed();
    advance(Duration::from_secs(59));
    assert!(due.as_mut().poll(&mut cx).is_pending());
}

#[test]
fn without_an_open_trial_nothing_ends() {
    let wrong = failed(Failure::WrongPassphrase);
    for run in [
        TrialRun::new(None),
        run(TrialState::Confirmed),
        run(TrialState::RolledBack(RollbackReason::NoLease)),
    ] {
        assert!(run.open().is_none());
        assert_eq!(play(&run, &[(1, wrong), (2, wrong)]), None);
    }
}

#[test]
fn console_line_has_state_reason_and_time_left() {
    let line = |run: &TrialRun| run.report().unwrap().to_string();
    let started = run(TrialState::Started);
    advance(Duration::from_millis(2500));
    assert_eq!(line(&started), "trial started sequence=5 confirm_s=58");
    started.confirmed();
    assert_eq!(line(&started), "trial confirmed sequence=5");
    let reason = RollbackReason::WrongPassphrase;
    assert_eq!(
        line(&run(TrialState::RolledBack(reason))),
        "trial rolled-back sequence=5 reason=\"wrong passphrase\""
    );
    assert_eq!(TrialRun::new(None).report(), None);
}
