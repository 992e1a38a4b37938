//! The ramp, against servers whose knee is known: in simulated time and on a virtual board.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tcpctl::bench::ramp::{self, KnownLimits, LoadRunner, Ramp, RampPlan, RampProgress};
use tcpctl::bench::report::{CauseKind, RampEnd, Step};
use tcpctl::sim::session;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl_engine::engine;
use tcpctl_engine::engine::Observer;
use tcpctl_engine::load::{Expectation, Extent, Load, Pace, ReplyRule, Reuse};
use tcpctl_engine::measurement::Measurement;
use tcpctl_engine::readiness::{ConnectFailure, ConnectionInfo, Network};

use super::scripted::{Act, Handshake, Scripted, Server, greet};
use super::support::is_within;

const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

/// A server with a number of slots. Each is in use for `service` and listens again `relisten` after
/// its client has seen the end; times are milliseconds. Without a free slot, a connection is
/// refused.
struct Board {
    service: u64,
    relisten: u64,
    /// When each slot listens again.
    free_at: Vec<u64>,
    /// Refuse one of every `n` SYNs, independent of the slots.
    refuse_every: Option<usize>,
    /// Refuse everything from this time on.
    dies_at: u64,
}

impl Board {
    fn new(places: usize, service: u64, relisten: u64) -> Self {
        Self {
            service,
            relisten,
            free_at: vec![0; places],
            refuse_every: None,
            dies_at: u64::MAX,
        }
    }
}

impl Server for Board {
    fn handshake(&mut self, connection: usize, now: u64) -> Handshake {
        let refused = Handshake::Fail(0, ConnectFailure::Refused);
        if now >= self.dies_at
            || self
                .refuse_every
                .is_some_and(|every| connection % every == 7)
        {
            return refused;
        }
        let Some(place) = self.free_at.iter_mut().find(|at| **at <= now) else {
            return refused;
        };
        *place = now + self.service + self.relisten;
        Handshake::Accept(0)
    }

    fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
        greet(self.service)
    }
}

fn scripted(server: Board) -> Scripted<Board> {
    let mut network = Scripted::new(server, &Load::new(TARGET).message);
    network.info = ConnectionInfo::default();
    network
}

fn plan(most: usize, held: Option<usize>) -> RampPlan {
    let most = NonZeroUsize::new(most).expect("not zero");
    RampPlan {
        load: Load {
            expect: Expectation::Given(ReplyRule::Close),
            ..Load::new(TARGET)
        },
        steps: ramp::steps(most, None, KnownLimits { served: None, held }),
        held,
        budget: Duration::from_mins(1),
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn run_ramp(track: &mut impl LoadRunner, plan: &RampPlan) -> Ramp {
    ramp::run(plan, track, &mut |_| {}).expect("it runs")
}

fn knee(ramp: &Ramp) -> Option<u64> {
    let knees: Vec<_> = ramp.steps.iter().filter(|step| step.knee).collect();
    assert!(knees.len() <= 1, "{ramp:#?}");
    knees.first().map(|step| step.connections)
}

fn at(ramp: &Ramp, connections: u64) -> &Step {
    let step = ramp
        .steps
        .iter()
        .find(|step| step.connections == connections);
    step.unwrap_or_else(|| panic!("no step of {connections}: {ramp:#?}"))
}

#[test]
fn rate_grows_until_all_places_are_taken() {
    // Twenty slots: no step exceeds them.
    let mut network = scripted(Board::new(20, 20, 0));
    let found = run_ramp(&mut network, &plan(12, None));
    assert_eq!(found.ended, RampEnd::LastStep);
    assert_eq!(knee(&found), None, "{found:#?}");
    for step in &found.steps {
        let expected = step.connections as f64 * 50.0;
        assert!(is_within(3.0, step.served_per_s, expected), "{step:?}");
        assert!(
            is_within(1.0, step.p50_us.expect("samples"), 20_000.0),
            "{step:?}"
        );
        assert_eq!((step.failed, step.refused, step.cause), (0, 0, None));
    }
    assert_eq!(network.log.borrow().open, 0);
}

#[test]
fn too_many_connections_are_the_cause() {
    let mut network = scripted(Board::new(4, 20, 0));
    let found = run_ramp(&mut network, &plan(64, None));
    assert_eq!(knee(&found), Some(4), "{found:#?}");
    let six = at(&found, 6);
    assert!(six.refused > 0 && six.refused == six.failed, "{six:?}");
    let cause = six.cause.expect("the cause was searched");
    assert_eq!(cause.kind, CauseKind::TooManyAtOnce);
    // Two of six are refused in each burst.
    assert!((cause.bursts.share() - 1.0 / 3.0).abs() < 1e-9, "{cause:?}");
    let schedule = cause.schedule.expect("enough requests");
    assert_eq!(schedule.trial.troubled, 0, "{cause:?}");
    // The cause is known, so larger steps are not analyzed.
    assert!(
        found
            .steps
            .iter()
            .all(|step| step.connections == 6 || step.cause.is_none())
    );
    assert_eq!(found.ended, RampEnd::PastTheKnee);
    assert_eq!(network.log.borrow().open, 0);
}

#[test]
fn late_relisten_is_a_reconnect_race() {
    // Eight slots, and a client that reconnects within the millisecond.
    let mut network = scripted(Board::new(8, 20, 1));
    let found = run_ramp(&mut network, &plan(64, None));
    // Eight clients find a slot unless one reconnects too early.
    let eight = at(&found, 8);
    assert!(eight.refused > 0, "{found:#?}");
    let cause = eight.cause.expect("the cause was searched");
    assert_eq!(cause.kind, CauseKind::ReconnectRace, "{cause:?}");
    assert_eq!(cause.closed.troubled, eight.failed);
    assert_eq!(cause.bursts.troubled, 0, "{cause:?}");
    assert!(cause.bursts.requests >= 40, "{cause:?}");
    let schedule = cause.schedule.expect("enough requests");
    assert_eq!(schedule.trial.troubled, 0, "{cause:?}");
    assert!(is_within(
        0.1,
        schedule.rate_per_s,
        eight.served_per_s * 0.85
    ));
    // Six clients are refused once, when all of them reconnect together; four never are.
    assert_eq!(knee(&found), Some(4), "{found:#?}");
}

#[test]
fn limit_follows_the_reconnect_race() {
    let mut network = scripted(Board::new(8, 20, 1));
    let held = Some(8);
    let found = run_ramp(&mut network, &plan(64, held));
    let kind = |connections| at(&found, connections).cause.map(|cause| cause.kind);
    assert_eq!(kind(8), Some(CauseKind::ReconnectRace), "{found:#?}");
    assert_eq!(kind(9), Some(CauseKind::TooManyAtOnce), "{found:#?}");
}

/// A computer whose other processes make the client wait for this share of each load.
struct Busy<T> {
    runner: T,
    share: f64,
}

impl<T: LoadRunner> LoadRunner for Busy<T> {
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
        let mut measurement = self.runner.run(load, observer)?;
        let available =
            measurement.elapsed * u32::try_from(measurement.threads.max(1)).unwrap_or(1);
        measurement.run_delay = Some(available.mul_f64(self.share));
        Ok(measurement)
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.runner.pause(time)
    }
}

#[test]
fn busy_client_is_not_blamed_on_the_server() {
    let found = |share, relisten, held| {
        let mut runner = Busy {
            runner: scripted(Board::new(8, 20, relisten)),
            share,
        };
        run_ramp(&mut runner, &plan(64, held))
    };
    let kind = |ramp: &Ramp, connections| at(ramp, connections).cause.map(|cause| cause.kind);
    let quiet = found(0.09, 1, None);
    assert_eq!(
        kind(&quiet, 8),
        Some(CauseKind::ReconnectRace),
        "{quiet:#?}"
    );
    let busy = found(0.12, 1, None);
    assert_eq!(kind(&busy, 8), Some(CauseKind::ClientBusy), "{busy:#?}");
    let share = at(&busy, 8)
        .client_wait_share
        .expect("the computer reports it");
    assert!(is_within(1.0, share, 0.12), "{share}");
    // However busy the computer is, the ninth connection has no slot.
    let full = found(0.5, 0, Some(8));
    assert_eq!(kind(&full, 8), None, "{full:#?}");
    assert_eq!(kind(&full, 9), Some(CauseKind::TooManyAtOnce), "{full:#?}");
}

/// A computer that stops the client once in each load of one kind, for this many milliseconds.
struct Stopped<S> {
    network: Scripted<S>,
    in_schedules: bool,
    length: u64,
}

impl<S: Server> LoadRunner for Stopped<S> {
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
        let is_kind = match (load.pace, load.extent) {
            (Pace::Open { .. }, _) => self.in_schedules,
            (Pace::Closed { .. }, Extent::Requests(_)) => !self.in_schedules,
            (Pace::Closed { .. }, Extent::Duration(_)) => false,
        };
        let at = if self.in_schedules { 200 } else { 0 };
        let now = u64::try_from(self.network.now().as_millis()).expect("a short test");
        self.network.stop = is_kind.then_some((now + at, self.length));
        Ok(engine::run(&mut self.network, load, observer))
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.network.pause(time)
    }
}

#[test]
fn late_starts_do_not_count_against_the_server() {
    let cause = |in_schedules, length| {
        let mut runner = Stopped {
            network: scripted(Board::new(8, 20, 1)),
            in_schedules,
            length,
        };
        let found = run_ramp(&mut runner, &plan(64, None));
        at(&found, 8).cause.expect("the cause was searched")
    };
    // A stop of 40 ms starts a dozen requests together, and they reconnect too soon.
    let stopped = cause(true, 40);
    assert_eq!(stopped.kind, CauseKind::ReconnectRace, "{stopped:?}");
    let trial = stopped.schedule.expect("enough requests").trial;
    // A request that is on time may meet the last of them.
    assert!(trial.late >= 10 && trial.troubled <= 1, "{stopped:?}");
    // Some requests are not started at all.
    let stopped = cause(true, 90);
    assert_eq!(stopped.kind, CauseKind::ReconnectRace, "{stopped:?}");
    // Most requests are not started.
    let stopped = cause(true, 700);
    assert_eq!(stopped.kind, CauseKind::ClientBusy, "{stopped:?}");
}

#[test]
fn interrupted_bursts_do_not_count() {
    let mut runner = Stopped {
        network: scripted(Board::new(8, 20, 1)),
        in_schedules: false,
        length: 200,
    };
    let found = run_ramp(&mut runner, &plan(64, None));
    let cause = at(&found, 8).cause.expect("the cause was searched");
    assert_eq!(cause.kind, CauseKind::ClientBusy, "{cause:?}");
    assert_eq!(
        (cause.bursts.requests, cause.bursts.late),
        (0, 80),
        "{cause:?}"
    );
}

#[test]
fn failing_schedule_of_a_busy_client_is_caused_by_the_client() {
    struct BusyInSchedules(Scripted<Board>);
    impl LoadRunner for BusyInSchedules {
        fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
            let mut measurement = engine::run(&mut self.0, load, observer);
            let is_schedule = measurement.target_rate.is_some();
            let share = if is_schedule { 0.12 } else { 0.0 };
            measurement.run_delay = Some(measurement.elapsed.mul_f64(share));
            Ok(measurement)
        }
        fn pause(&mut self, time: Duration) -> io::Result<()> {
            self.0.pause(time)
        }
    }
    let board = Board {
        refuse_every: Some(20),
        ..Board::new(20, 20, 0)
    };
    let found = run_ramp(&mut BusyInSchedules(scripted(board)), &plan(4, None));
    let cause = at(&found, 1).cause.expect("the cause was searched");
    assert_eq!(cause.kind, CauseKind::ClientBusy, "{cause:?}");
}

/// A server with a short queue: of two connections within a millisecond, the second is refused.
struct ShortQueue {
    last: u64,
}

impl Server for ShortQueue {
    fn handshake(&mut self, _: usize, now: u64) -> Handshake {
        if std::mem::replace(&mut self.last, now) == now {
            return Handshake::Fail(0, ConnectFailure::Refused);
        }
        Handshake::Accept(0)
    }

    fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
        greet(20)
    }
}

#[test]
fn burst_limit_is_not_a_concurrency_limit() {
    let kind = |held| {
        let mut network = Scripted::new(ShortQueue { last: 0 }, &Load::new(TARGET).message);
        network.info = ConnectionInfo::default();
        let found = run_ramp(&mut network, &plan(64, held));
        let causes: Vec<_> = found.steps.iter().filter_map(|step| step.cause).collect();
        causes.first().map(|cause| cause.kind)
    };
    assert_eq!(kind(Some(8)), Some(CauseKind::BurstTooLarge));
    // Without a known limit, the cause is unknown.
    assert_eq!(kind(None), Some(CauseKind::TooManyAtOnce));
}

#[test]
fn failures_at_any_rate_have_their_own_cause() {
    let mut network = scripted(Board {
        refuse_every: Some(20),
        ..Board::new(20, 20, 0)
    });
    let found = run_ramp(&mut network, &plan(4, None));
    let cause = at(&found, 1).cause.expect("the cause was searched");
    assert_eq!(cause.kind, CauseKind::AnyPace, "{cause:?}");
    let schedule = cause.schedule.expect("enough requests");
    assert!(schedule.trial.troubled > 0, "{cause:?}");
}

#[test]
fn retransmitted_syns_count_as_failures() {
    let mut network = scripted(Board::new(20, 20, 0));
    network.info.syn_retransmissions = 1;
    network.info.retransmissions = 1;
    let found = run_ramp(&mut network, &plan(2, None));
    let one = at(&found, 1);
    assert_eq!(one.failed, 0);
    assert_eq!(one.syn_retransmissions, Some(one.requests));
    assert_eq!(one.retransmissions, Some(2 * one.requests));
    assert_eq!(one.cause.map(|cause| cause.kind), Some(CauseKind::AnyPace));
}

#[test]
fn kept_connections_have_no_race() {
    let mut network = scripted(Board::new(2, 20, 0));
    let mut plan = plan(4, None);
    plan.load.reuse = Reuse::KeepAlive;
    plan.load.expect = Expectation::Given(ReplyRule::Close);
    let found = run_ramp(&mut network, &plan);
    assert!(
        found.steps.iter().all(|step| step.cause.is_none()),
        "{found:#?}"
    );
    assert!(at(&found, 3).failed > 0, "{found:#?}");
}

#[test]
fn mostly_failing_step_ends_the_ramp() {
    struct Refuses;
    impl Server for Refuses {
        fn handshake(&mut self, _: usize, _: u64) -> Handshake {
            Handshake::Fail(0, ConnectFailure::Refused)
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            Vec::new()
        }
    }
    let mut network = Scripted::new(Refuses, &Load::new(TARGET).message);
    let found = run_ramp(&mut network, &plan(64, None));
    assert_eq!(found.ended, RampEnd::MostlyFailing);
    assert_eq!(found.steps.len(), 1);
    // Refused clients back off for 10 ms, 20, 40, ...
    let syns = network.log.borrow().syns.len();
    assert!(syns < 40, "{syns} SYNs at a server that refuses all");
}

#[test]
fn vanished_server_ends_the_ramp() {
    let mut network = scripted(Board {
        dies_at: 3_500,
        ..Board::new(20, 20, 0)
    });
    let mut plan = plan(64, None);
    // Steps are long enough for the engine to give up in one of them.
    plan.load.gone_after = Some(Duration::from_millis(300));
    let found = run_ramp(&mut network, &plan);
    assert_eq!(found.ended, RampEnd::TargetGone);
    assert_eq!(found.steps.len(), 3, "{found:#?}");
    assert!(found.steps.iter().all(|step| step.failed == 0));
    // The search for the cause sends few connections.
    let mut network = scripted(Board {
        dies_at: 4_100,
        ..Board::new(200, 20, 0)
    });
    let found = run_ramp(&mut network, &self::plan(64, None));
    assert_eq!(found.ended, RampEnd::TargetGone);
    assert_eq!(found.steps.len(), 3, "{found:#?}");
    let log = network.log.borrow();
    let late = log.syns.iter().filter(|(at, _)| *at > 4_100).count();
    assert!(late < 30, "{late} SYNs at a dead server");
}

#[test]
fn refused_schedule_ends_early() {
    // A server that serves a single connection in a closed loop, and refuses a schedule.
    struct RefusesSchedule;
    impl Server for RefusesSchedule {
        fn handshake(&mut self, connection: usize, now: u64) -> Handshake {
            if now > 2_000 && connection.is_multiple_of(2) {
                return Handshake::Fail(0, ConnectFailure::Refused);
            }
            Handshake::Accept(0)
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            greet(2)
        }
    }
    let mut network = Scripted::new(RefusesSchedule, &Load::new(TARGET).message);
    network.info = ConnectionInfo::default();
    let found = run_ramp(&mut network, &plan(64, None));
    let cause = found.steps.iter().find_map(|step| step.cause);
    let cause = cause.expect("the cause was searched");
    let schedule = cause.schedule.expect("enough to tell");
    assert_eq!(cause.kind, CauseKind::AnyPace, "{cause:?}");
    // The load ends within a tenth of a second after the twentieth failure.
    assert!((20..100).contains(&schedule.trial.troubled), "{cause:?}");
}

#[test]
fn lack_of_descriptors_ends_the_ramp() {
    struct Few;
    impl Server for Few {
        fn handshake(&mut self, connection: usize, _: u64) -> Handshake {
            match connection {
                0..200 => Handshake::Accept(0),
                _ => Handshake::FailHere(ConnectFailure::LocalFiles),
            }
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            greet(20)
        }
    }
    let mut network = Scripted::new(Few, &Load::new(TARGET).message);
    network.info = ConnectionInfo::default();
    let found = run_ramp(&mut network, &plan(64, None));
    assert_eq!(found.ended, RampEnd::LocalLimits);
    assert!(!found.steps.is_empty());
    assert!(
        found.steps.iter().all(|step| step.failed == 0),
        "{found:#?}"
    );
}

#[test]
fn budget_is_not_exceeded() {
    for budget in [500, 3_000, 5_500] {
        let mut network = scripted(Board::new(4, 20, 1));
        let budget = Duration::from_millis(budget);
        let plan = RampPlan {
            budget,
            ..plan(64, None)
        };
        assert!(ramp::estimate(&plan) <= budget);
        let found = run_ramp(&mut network, &plan);
        assert_eq!(found.ended, RampEnd::Budget, "{found:#?}");
        // Requests in flight end at the next tick.
        let took = network.now();
        assert!(
            took <= budget + Duration::from_millis(110),
            "{took:?} of {budget:?}"
        );
    }
}

/// Stops the ramp from the third load on.
struct StopInTheThird<T> {
    track: T,
    loads: usize,
    stop: Arc<AtomicBool>,
}

impl<T: LoadRunner> LoadRunner for StopInTheThird<T> {
    fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
        self.loads += 1;
        self.stop.store(self.loads == 3, Ordering::Relaxed);
        self.track.run(load, observer)
    }

    fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.track.pause(time)
    }
}

#[test]
fn stopped_ramp_keeps_its_steps() {
    let plan = plan(64, None);
    let mut track = StopInTheThird {
        track: scripted(Board::new(20, 20, 0)),
        loads: 0,
        stop: Arc::clone(&plan.stop),
    };
    let found = run_ramp(&mut track, &plan);
    assert_eq!(found.ended, RampEnd::Interrupted);
    assert_eq!(found.steps.len(), 2);
}

#[test]
fn steps_are_long_enough_for_a_slow_server() {
    let mut network = scripted(Board::new(20, 250, 0));
    let mut plan = plan(2, None);
    plan.budget = Duration::from_mins(1);
    let found = run_ramp(&mut network, &plan);
    // Ten requests of 250 ms take 2.5 s, and steps are whole seconds.
    assert_eq!(at(&found, 2).requests, 24, "{found:#?}");
    assert!(
        is_within(2.0, at(&found, 2).served_per_s, 8.0),
        "{found:#?}"
    );
}

#[test]
fn straggler_does_not_distort_the_rate() {
    // A SYN is lost late in the second step and retransmitted.
    struct OneLoss;
    impl Server for OneLoss {
        fn handshake(&mut self, connection: usize, _: u64) -> Handshake {
            Handshake::Accept(if connection == 250 { 1_500 } else { 0 })
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            greet(10)
        }
    }
    let plan = plan(2, None);
    let mut network = Scripted::new(OneLoss, &plan.load.message);
    network.info = ConnectionInfo::default();
    let found = run_ramp(&mut network, &plan);
    let two = at(&found, 2);
    // One connection completes 100/s all the time, the other for three quarters of it.
    assert!(is_within(1.0, two.served_per_s, 175.0), "{two:?}");
    assert!(two.max_us > Some(1_500_000.0), "{two:?}");
}

#[test]
fn first_step_with_long_waits_is_repeated() {
    // Every fortieth SYN is lost.
    struct Losses;
    impl Server for Losses {
        fn handshake(&mut self, connection: usize, _: u64) -> Handshake {
            Handshake::Accept(if connection % 40 == 39 { 1_000 } else { 0 })
        }
        fn request(&mut self, _: usize, _: usize, _: u64) -> Vec<(u64, Act)> {
            greet(20)
        }
    }
    let plan = plan(1, None);
    let mut network = Scripted::new(Losses, &plan.load.message);
    network.info = ConnectionInfo::default();
    let found = run_ramp(&mut network, &plan);
    // 40 requests take 1.8 s, so five seconds have several losses.
    assert!(
        is_within(15.0, at(&found, 1).served_per_s, 40.0 / 1.8),
        "{found:#?}"
    );
    assert!(at(&found, 1).requests > 100, "{found:#?}");
}

#[test]
fn progress_is_reported() {
    let mut network = scripted(Board::new(4, 20, 0));
    let (mut completed, mut lefts) = (Vec::new(), Vec::new());
    let (mut has_bursts, mut has_schedule) = (false, false);
    let found = ramp::run(&plan(6, None), &mut network, &mut |doing| match doing {
        RampProgress::Step {
            number,
            steps,
            connections,
            left,
            so_far,
        } => {
            // A step is reported as complete before the next begins.
            assert_eq!(number, completed.len() + 1);
            assert_eq!(steps, 5);
            lefts.push(left);
            assert!(so_far.in_flight <= connections);
            assert!(so_far.elapsed.is_zero() || so_far.completed > 0);
        }
        RampProgress::Completed(step) => completed.push(*step),
        RampProgress::Bursts { connections } => has_bursts = connections == 6,
        RampProgress::Schedule => has_schedule = true,
    })
    .expect("it runs");
    assert!(has_bursts && has_schedule);
    assert!(
        lefts.is_sorted_by(|earlier, later| earlier >= later),
        "{lefts:?}"
    );
    // The knee is known only at the end.
    let mut steps = found.steps;
    for step in &mut steps {
        step.knee = false;
    }
    assert_eq!(completed, steps);
    assert!(completed.last().is_some_and(|step| step.cause.is_some()));
}

#[test]
fn a_virtual_board_has_the_knee_that_it_was_made_with() {
    let changes = [("workers", "2"), ("backlog", "2"), ("service-time", "20ms")];
    let spec = Spec::with(Profile::Ideal, changes).expect("a valid spec");
    let (_board, mut network) = session::simulated(&spec).expect("a board");
    let mut plan = plan(256, Some(4));
    plan.load.target = session::address(&spec);
    let found = run_ramp(&mut network, &plan);
    assert!(at(&found, 5).refused > 0, "{found:#?}");
    assert_eq!(knee(&found), Some(2), "{found:#?}");
    // Two connections of 20 ms each.
    assert!(
        is_within(3.0, at(&found, 2).served_per_s, 100.0),
        "{found:#?}"
    );
}

/// The ramp's schedule requests an open loop.
#[test]
fn trials_have_the_intended_load() {
    struct Recording<T> {
        track: T,
        loads: Vec<Load>,
    }
    impl<T: LoadRunner> LoadRunner for Recording<T> {
        fn run(&mut self, load: &Load, observer: &mut impl Observer) -> io::Result<Measurement> {
            self.loads.push(load.clone());
            self.track.run(load, observer)
        }
        fn pause(&mut self, time: Duration) -> io::Result<()> {
            self.track.pause(time)
        }
    }
    let mut recording = Recording {
        track: scripted(Board::new(1, 20, 0)),
        loads: Vec::new(),
    };
    run_ramp(&mut recording, &plan(2, None));
    let max_in_flight = recording.loads.iter().filter_map(|load| match load.pace {
        Pace::Open { max_in_flight, .. } => Some(max_in_flight.get()),
        Pace::Closed { .. } => None,
    });
    assert_eq!(max_in_flight.collect::<Vec<_>>(), [2]);
    // The engine runs each of these loads alone as well.
    let mut alone = scripted(Board::new(1, 20, 0));
    let last = recording.loads.last().expect("loads");
    assert_eq!(engine::run(&mut alone, last, &mut ()).errors.len(), 0);
}
