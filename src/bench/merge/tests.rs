use proptest::prelude::*;

use super::*;
use crate::bench::example;
use crate::bench::report::Errors;
use tcpctl_engine::measurement::{ErrorClass, Measurement};

fn run(samples: &[u64], start: u64, seconds: u64) -> Report {
    let measurement = Measurement {
        completed: samples.len() as u64,
        completed_in_window: samples.len() as u64,
        window: Duration::from_secs(seconds),
        complete: samples.iter().copied().collect(),
        elapsed: Duration::from_secs(seconds),
        started_at: example::start() + Duration::from_secs(start),
        ..example::measurement()
    };
    let started_at = measurement.started_at;
    let environment = example::environment(false);
    let report = summarize::report("board", started_at, environment, Some(&measurement));
    // As it is read from a file.
    serde_json::from_value(serde_json::to_value(conclude(report)).unwrap()).unwrap()
}

fn forced(runs: Vec<Report>) -> Report {
    merge(runs, Unrelated::Warn).unwrap()
}

fn kinds(report: &Report) -> Vec<WarningKind> {
    report.warnings.iter().map(|warning| warning.kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn merged_distribution_is_that_of_all_samples(
        one in proptest::collection::vec(1_u64..10_000_000_000, 1..60),
        other in proptest::collection::vec(1_u64..10_000_000_000, 1..60),
    ) {
        let merged = merge(vec![run(&one, 0, 5), run(&other, 1, 5)], Unrelated::Refuse).unwrap();
        let both = run(&[one.as_slice(), &other].concat(), 0, 5);
        let (merged, both) = (merged.latency.unwrap(), both.latency.unwrap());
        prop_assert_eq!(merged.complete_us, both.complete_us);
        prop_assert_eq!(merged.completed, both.completed);
    }
}

#[test]
fn order_does_not_matter() {
    let runs = [
        run(&[1_000; 10], 0, 5),
        run(&[2_000; 20], 2, 5),
        run(&[5; 30], 6, 5),
    ];
    let merged = |runs: Vec<Report>| merge(runs, Unrelated::Refuse);
    let reversed = runs.iter().rev().cloned().collect();
    assert_eq!(merged(runs.to_vec()), merged(reversed));
    assert_eq!(merged(vec![runs[0].clone()]).unwrap(), runs[0]);
    assert_eq!(merged(Vec::new()).unwrap_err().exit().code(), 2);
}

#[test]
fn identical_runs_are_refused_even_with_force() {
    let run = run(&[1_000; 10], 0, 5);
    for unrelated in [Unrelated::Refuse, Unrelated::Warn] {
        let failure = merge(vec![run.clone(), run.clone()], unrelated).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
    }
}

#[test]
fn run_inside_a_merged_run_is_refused() {
    let [one, two, three] = [0, 1, 2].map(|at| run(&[1_000; 10], at, 5));
    // As it is read from a file.
    let saved = |report: Report| -> Report {
        serde_json::from_value(serde_json::to_value(report).unwrap()).unwrap()
    };
    let inside = saved(forced(vec![one.clone(), two.clone()]));
    assert_eq!(inside.merged.len(), 2);
    for again in [&one, &two, &inside] {
        for runs in [
            [inside.clone(), again.clone()],
            [again.clone(), inside.clone()],
        ] {
            let failure = merge(runs.to_vec(), Unrelated::Warn).unwrap_err();
            assert_eq!(failure.exit().code(), 2);
        }
    }
    let all = saved(forced(vec![inside, three.clone()]));
    assert_eq!((all.runs, all.merged.len()), (3, 3));
    for again in [one, two, three] {
        assert!(merge(vec![all.clone(), again], Unrelated::Warn).is_err());
    }
}

#[test]
fn unrelated_runs_need_force_and_get_a_warning() {
    let one = run(&[1_000; 10], 0, 5);
    let later = run(&[1_000; 10], 100, 5);
    let mut other = run(&[1_000; 10], 1, 5);
    other.target = "other".to_owned();
    for (runs, kind) in [
        (vec![one.clone(), later], WarningKind::NoOverlap),
        (vec![one, other], WarningKind::DifferentTargets),
    ] {
        let failure = merge(runs.clone(), Unrelated::Refuse).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        assert!(failure.hint.unwrap().contains("--force"));
        assert!(kinds(&forced(runs)).contains(&kind));
    }
}

#[test]
fn rate_counts_only_time_with_load() {
    let rate = |start| {
        let merged = forced(vec![run(&[1_000; 100], 0, 5), run(&[1_001; 100], start, 5)]);
        merged.latency.unwrap().rate_per_s.round()
    };
    assert!((rate(0) - 40.0).abs() < 0.1, "at the same time");
    assert!((rate(100) - 20.0).abs() < 0.1, "one after the other");
}

#[test]
fn connections_and_target_rate_add_up_where_runs_overlap() {
    let asked = |start| {
        let mut runs = [run(&[1_000; 100], 0, 5), run(&[1_001; 100], start, 5)];
        for run in &mut runs {
            run.latency.as_mut().unwrap().target_rate_per_s = Some(20.0);
        }
        let latency = forced(runs.to_vec()).latency.unwrap();
        (latency.target_rate_per_s, latency.connections)
    };
    assert_eq!(asked(0), (Some(40.0), 8), "at the same time");
    assert_eq!(asked(100), (Some(20.0), 4), "one after the other");
    // A closed loop has no target rate.
    let mixed = forced(vec![run(&[1], 0, 5), run(&[1], 9, 5)]);
    assert_eq!(mixed.latency.unwrap().target_rate_per_s, None);
}

#[test]
fn runs_are_aligned_by_the_start_of_their_load() {
    // The limits took 7 s before the load of the run that started first.
    let mut slow = run(&[1_000; 100], 8, 5);
    slow.started_at = Timestamp(example::start());
    let quick = run(&[1_000; 100], 3, 5);
    let merged = forced(vec![slow, quick]);
    assert_eq!(merged.started_at.0, example::start());
    let load = example::start() + Duration::from_secs(3);
    assert_eq!(merged.load_started_at(), load);
    let latency = merged.latency.unwrap();
    assert!((latency.duration_us - 10e6).abs() < 1.0);
    assert_eq!((latency.connections, latency.seconds.len()), (4, 10));
}

#[test]
fn counts_and_seconds_are_added() {
    let mut later = run(&[1_000; 10], 3, 5);
    let errors = std::collections::BTreeMap::from([(ErrorClass::Refused, 7)]);
    later.latency.as_mut().unwrap().errors = Errors::from(&errors);
    let merged = forced(vec![run(&[1_000; 10], 0, 5), later]);
    assert_eq!(merged.runs, 2);
    // Both ran on the same computer.
    assert_eq!(merged.environment.cpus, 2);
    let latency = merged.latency.unwrap();
    assert_eq!(latency.errors.of(ErrorClass::Refused), 7);
    assert_eq!(latency.connections, 8);
    assert_eq!(latency.seconds.len(), 8);
    assert_eq!(latency.seconds[0].completed, 501);
    // The fourth second of one and the first of the other.
    assert_eq!(latency.seconds[3].completed, 499 + 501);
    assert_eq!(latency.seconds[3].p50_us, None);
    assert!(latency.seconds[0].p50_us.is_some() && latency.seconds[7].p50_us.is_some());
}

#[test]
fn parts_that_cannot_be_merged_are_left_out_with_a_warning() {
    let runs = [0, 1, 2].map(|at| {
        let mut run = example::full();
        run.started_at = Timestamp(example::start() + Duration::from_secs(at));
        run
    });
    let merged = forced(runs.to_vec());
    assert_eq!(merged.limits, None);
    assert!(merged.ramp.is_empty());
    let not_merged = |warning: &&Warning| warning.kind == WarningKind::NotMerged;
    let warnings: Vec<_> = merged.warnings.iter().filter(not_merged).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].text.ends_with(": limits, throughput, ramp"));
    // A part that one run has is kept.
    let merged = forced(vec![example::full(), example::report()]);
    assert!(merged.limits.is_some() && merged.throughput.is_some());
}

#[test]
fn each_machine_has_its_share_and_times() {
    let named = |samples: &[u64], start, label: &str| {
        let mut run = run(samples, start, 5);
        run.label = Some(label.to_owned());
        run
    };
    let runs = vec![named(&[1_000; 30], 0, "a"), named(&[2_000; 10], 2, "b")];
    let merged = forced(runs);
    let machines = merged.machines.clone().unwrap();
    assert!((machines.overlap_us - 3e6).abs() < 1.0);
    let shares: Vec<_> = machines
        .runs
        .iter()
        .map(|it| (it.name.as_deref().unwrap(), it.completed, it.share))
        .collect();
    assert_eq!(shares, [("a", 30, 0.75), ("b", 10, 0.25)]);
    let texts = |kind| -> Vec<_> {
        let warnings = merged.warnings.iter().filter(|it| it.kind == kind);
        warnings.map(|it| it.text.as_str()).collect()
    };
    assert_eq!(
        texts(WarningKind::StartedLate),
        ["b started 2.00 s after the first; --start-at starts computers together"]
    );
    assert_eq!(
        texts(WarningKind::PartialOverlap),
        ["all runs sent load together for 3.00 s of 7.00 s only"]
    );
    // A merged run that is merged again still has all of them.
    let again = forced(vec![merged, named(&[3_000; 40], 0, "c")]);
    let again = again.machines.unwrap();
    let names: Vec<_> = again.runs.iter().map(|it| it.name.as_deref()).collect();
    assert_eq!(names, [Some("a"), Some("c"), Some("b")]);
    assert!((again.runs[1].share - 0.5).abs() < 1e-9);
}

#[test]
fn runs_that_start_together_have_no_timing_warning() {
    let merged = forced(vec![run(&[1_000; 30], 0, 5), run(&[2_000; 10], 0, 5)]);
    assert!((merged.machines.unwrap().overlap_us - 5e6).abs() < 1.0);
    for kind in [WarningKind::StartedLate, WarningKind::PartialOverlap] {
        assert!(!merged.warnings.iter().any(|warning| warning.kind == kind));
    }
}

#[test]
fn busy_machine_is_named() {
    let mut busy = run(&[1_000; 30], 0, 5);
    busy.label = Some("pi".to_owned());
    busy.warnings = vec![Warning::new(WarningKind::ClientSaturated, "limited")];
    let merged = forced(vec![busy, run(&[2_000; 10], 0, 5)]);
    let warning = Warning::new(WarningKind::MachineBusy, "pi: limited");
    assert!(merged.warnings.contains(&warning), "{:?}", merged.warnings);
}

#[test]
fn limits_measured_under_load_are_the_remaining_ones() {
    let mut finder = example::full();
    finder.label = Some("finder".to_owned());
    finder.latency = None;
    finder.histograms = None;
    finder.started_at = Timestamp(example::start() + Duration::from_secs(1));
    let under_load = |start| {
        let merged = forced(vec![finder.clone(), run(&[1_000; 10], start, 5)]);
        let kind = WarningKind::LimitsUnderLoad;
        let warning = merged.warnings.into_iter().find(|it| it.kind == kind);
        warning.map(|warning| warning.text)
    };
    assert_eq!(
        under_load(0).unwrap(),
        "finder measured the limits while other runs kept 4 connections: the limits are those \
         that remained"
    );
    assert_eq!(under_load(3), None);
}
