use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::progress::{flow_progress, load_progress, ramp_view};
use super::*;
use crate::bench::compare::compare;
use crate::bench::ramp::RampProgress;
use crate::bench::report::{CheckedCondition, RampEnd, Step, Warning, WarningKind};
use crate::bench::throughput::ThroughputProgress;
use crate::bench::verdict::conclude;
use crate::bench::{example, summarize};
use tcpctl_engine::engine;
use tcpctl_engine::load::Extent;
use tcpctl_engine::measurement::{ErrorClass, Second};

const PIPE: Style = Style {
    color: Color::Off,
    charset: Charset::Unicode,
    width: 80,
    fold: None,
};

const fn terminal(width: usize) -> Style {
    Style {
        width,
        fold: Some(width),
        ..PIPE
    }
}

fn in_pipe(report: &Report) -> String {
    render(report, Detail::Full, PIPE)
}

fn compared() -> Report {
    let mut report = example::full();
    report.comparison = Some(compare(&example::report(), &report));
    report
}

fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<_> = text.split_whitespace().collect();
    words.sort_unstable();
    words
}

#[test]
fn summary_is_first_in_a_pipe_and_last_on_a_terminal() {
    let report = example::full();
    let first = &report.verdict[0].text;
    assert!(in_pipe(&report).starts_with(first.as_str()));
    let summary = render(&report, Detail::Brief, terminal(80));
    let full = render(&report, Detail::Full, terminal(80));
    assert!(full.starts_with("Limits\n"), "{full}");
    assert!(full.ends_with(&format!("\n\n{summary}")), "{full}");
    assert!(summary.contains("\n2 warnings: virtual, "), "{summary}");
    let data = render(&report, Detail::Data, terminal(80));
    assert!(!data.contains("warning"), "{data}");
}

/// A report with the parts whose bit is set in `parts`, and with long texts everywhere.
fn with_parts(parts: u32) -> Report {
    let has = |bit: u32| parts & (1 << bit) != 0;
    let mut report = example::full();
    report.runs = if has(0) { 2 } else { 1 };
    if !has(1) {
        report.limits = None;
    }
    if !has(2) {
        report.latency = None;
    }
    if has(3) {
        let cause = example::reconnect_race();
        report.ramp[2].cause = Some(cause);
        report.ramp_ended = Some(RampEnd::MostlyFailing);
    } else {
        report.ramp.clear();
        report.ramp_ended = None;
    }
    if !has(4) {
        report.throughput = None;
    }
    if has(5) {
        let text = "the clock of this computer is not synchronized, so times of day may be wrong";
        report.warnings = [
            WarningKind::OpenFiles,
            WarningKind::Clock,
            WarningKind::PartialOverlap,
            WarningKind::LimitsUnderLoad,
            WarningKind::DifferentTargets,
        ]
        .map(|kind| Warning::new(kind, text))
        .to_vec();
    } else {
        report.environment.is_virtual = false;
        report.warnings.clear();
    }
    if has(6) {
        report.comparison = Some(compare(&example::report(), &report));
    }
    if has(7) {
        let condition = |at| CheckedCondition {
            condition: format!("latency.complete_us.p99_9 > {at}00ms"),
            passed: at != 3,
            value: Some("8.00 ms".to_owned()),
        };
        report.conditions = (1..=5).map(condition).collect();
    }
    conclude(report)
}

#[test]
fn summary_has_at_most_six_lines_whatever_was_measured() {
    for parts in 0..1 << 8 {
        let report = with_parts(parts);
        for detail in [Detail::Full, Detail::Brief, Detail::Data] {
            for style in [PIPE, terminal(80), terminal(200)] {
                let text = render(&report, detail, style);
                // The details end, or begin, with an empty line.
                let summary = match (detail, style.fold) {
                    (Detail::Full, None) => text.split_once("\n\n").unwrap().0,
                    (Detail::Full, Some(_)) => text.rsplit_once("\n\n").unwrap().1,
                    _ => &text,
                };
                let lines = summary.lines().count();
                assert!((1..=6).contains(&lines), "{parts:b} {detail:?}:\n{summary}");
                let long = |line: &str| style.fold.is_some_and(|fold| line.width() > fold);
                assert!(!summary.lines().any(long), "{parts:b}:\n{summary}");
            }
        }
    }
}

#[test]
fn summary_names_every_part_in_any_form() {
    let report = with_parts(u32::MAX);
    let words: [(&str, &str); 7] = [
        ("serves 4", "serves 4"),
        ("500 req/s", "500 req/s"),
        ("knee at 4 connections", "knee at 4 connections"),
        ("upload 1.05 MB/s", "upload 1.05 MB/s"),
        (
            "compared with 2023-11-14T22:13:20.250Z",
            "compared (different setup): ",
        ),
        (
            "✗ --fail-if 'latency.complete_us.p99_9 > 300ms'",
            "; ✗ --fail-if: 1 of 5 conditions hold",
        ),
        ("warnings: virtual board", "\n7 warnings; ✗"),
    ];
    let pipe = render(&report, Detail::Brief, PIPE);
    let narrow = render(&report, Detail::Brief, terminal(80));
    for (joined, short) in words {
        assert!(pipe.contains(joined), "{joined} is not in\n{pipe}");
        assert!(narrow.contains(short), "{short} is not in\n{narrow}");
    }
}

#[test]
fn details_contain_findings_that_a_short_summary_omits() {
    let report = with_parts(u32::MAX);
    let full = render(&report, Detail::Full, terminal(200));
    for warning in &report.warnings {
        let text = format!("\nwarning: {}\n", warning.text);
        assert!(warning.kind.is_footnote() || full.contains(&text), "{full}");
    }
    for part in [
        "\nConditions\n✓ --fail-if 'latency.complete_us.p99_9 > 100ms' (value: 8.00 ms)\n",
        "\n  8 connections: reconnect race, not the server's capacity (failed: 12/500",
    ] {
        assert!(full.contains(part), "{part} is not in\n{full}");
    }
}

#[test]
fn colors_follow_the_meaning() {
    const RED: &str = "\x1b[1;31m";
    const YELLOW: &str = "\x1b[33m";
    const GREEN: &str = "\x1b[32m";
    let color = Style {
        color: Color::On,
        ..terminal(200)
    };
    let colored = |text: &str, start: &str, code: &str| {
        let line = text.lines().find(|line| line.contains(start));
        let line = line.unwrap_or_else(|| panic!("{start} is not in\n{text}"));
        assert!(
            line.trim_start().contains(&format!("{code}{start}")),
            "{line:?}"
        );
        assert!(line.ends_with("\x1b[0m"), "{line:?}");
    };
    let run = |failed: u64| {
        let mut measurement = example::measurement();
        measurement.errors = [(ErrorClass::Refused, failed)].into();
        let environment = example::environment(false);
        let report = summarize::report("board", example::start(), environment, Some(&measurement));
        render(&conclude(report), Detail::Full, color)
    };
    colored(&run(0), "500 req/s", GREEN);
    colored(&run(1), "500 req/s", YELLOW);
    colored(&run(1_000), "500 req/s", RED);
    colored(&run(1_000), "1,000 refused", RED);

    let mut report = example::full();
    let condition = |passed| CheckedCondition {
        condition: format!("p99 > {}", if passed { 2 } else { 1 }),
        passed,
        value: None,
    };
    report.conditions = vec![condition(true), condition(false)];
    report.ramp.clear();
    report.ramp_ended = None;
    report.throughput = None;
    let full = render(&conclude(report), Detail::Full, color);
    colored(&full, "serves 4 clients at once", GREEN);
    colored(&full, "warning: virtual board", YELLOW);
    colored(&full, "✓ --fail-if 'p99 > 2'", GREEN);
    colored(&full, "✗ --fail-if 'p99 > 1'", RED);

    // One line for several takes the color of the worst.
    let short = render(
        &with_parts(u32::MAX),
        Detail::Brief,
        Style {
            color: Color::On,
            ..terminal(80)
        },
    );
    colored(
        &short,
        "7 warnings; ✗ --fail-if: 1 of 5 conditions hold",
        RED,
    );
    colored(&short, "knee at 4 connections", YELLOW);
    // Folded sentences are colored line by line.
    for line in short.lines() {
        assert_eq!(line.matches("\x1b[").count() % 2, 0, "{line:?}");
    }
    let plain = render(&with_parts(u32::MAX), Detail::Full, PIPE);
    assert!(!plain.contains('\x1b'), "{plain}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut report = compared();
    for width in [80, 70, 60, 50, 40] {
        if width < 60 {
            // Counts of failures are never omitted.
            report.ramp.clear();
        }
        let text = render(&report, Detail::Full, terminal(width));
        let long: Vec<_> = text
            .lines()
            .filter(|line| line.chars().count() > width)
            .collect();
        assert!(long.is_empty(), "{width}: {long:#?}");
        // These remain on any terminal.
        let cause = if report.ramp.is_empty() {
            ""
        } else {
            "reconnect race"
        };
        for part in ["difference", "not significant", cause, "  p99"] {
            assert!(text.contains(part), "{width}: {part} is not in\n{text}");
        }
    }
    let narrow = render(&report, Detail::Full, terminal(40));
    let row = "  accepted in total      8\n    observed: the 9th connection";
    assert!(narrow.contains(row), "{narrow}");
}

#[test]
fn sentences_are_folded_only_on_a_terminal() {
    let mut report = example::full();
    report.ramp.clear();
    report.ramp_ended = None;
    report.throughput = None;
    let report = conclude(report);
    let folded = render(&report, Detail::Full, terminal(120));
    let wide = Style { width: 120, ..PIPE };
    let plain = render(&report, Detail::Full, wide);
    assert!(words(&folded) == words(&plain), "{folded}\n{plain}");
    for line in &report.verdict {
        assert!(plain.lines().any(|it| it == line.text), "{plain}");
    }
}

#[test]
fn ramp_keeps_columns_with_a_count_and_all_in_a_pipe() {
    let report = example::full();
    let title = |text: &str| {
        let title = text.lines().find(|line| line.contains("connections  "));
        title.unwrap().to_owned()
    };
    let narrow = title(&render(&report, Detail::Full, terminal(60)));
    for kept in ["refused", "failed"] {
        assert!(narrow.contains(kept), "{narrow}");
    }
    assert!(!narrow.contains("retransmits"), "{narrow}");
    let plain = title(&in_pipe(&report));
    for kept in ["p50", "max", "SYN retransmits", "  retransmits"] {
        assert!(plain.contains(kept), "{plain}");
    }
}

#[test]
fn every_part_is_shown() {
    let text = in_pipe(&example::full());
    for part in [
        "\n500 req/s (target 1,000 req/s): p50",
        "\nknee at 4 connections: 500 req/s",
        "; 8 connections: reconnect race",
        "\nupload 1.05 MB/s",
        "\nwarnings: virtual board",
        "; target rate not reached",
        "\nLimits\n",
        "the 9th connection was refused in 3 of 3 tries",
        "\nRamp\n",
        "\nLatency\n",
        "p99.9",
        "schedule error",
        "RTT, minimum",
        "network 5.00 ms (2 RTT), server 2.80 ms",
        "80 refused",
        "20 timed out waiting for the reply",
        "0 SYN, 2 data",
        "Time to the complete reply",
        "█",
        "\nThroughput\n",
        "limited by the receiver's window",
        "not measured: nothing listens on port 7",
        "sim:esp32,workers=4 at 2023-11-14T22:13:20.250Z, label before, desk, linux 6.1.0, 2 CPUs",
        "\n$ tcpctl bench sim:esp32,workers=4\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn short_run_omits_p99_9() {
    let mut measurement = example::measurement();
    measurement.complete = example::spread(8_000_000, 500);
    let environment = example::environment(false);
    let report = summarize::report("board", example::start(), environment, Some(&measurement));
    let text = in_pipe(&conclude(report));
    assert!(text.contains("\np99.9 omitted: needs 1,000"), "{text}");
    let row = text.lines().find(|line| line.starts_with("  complete"));
    let cells = row.unwrap().split_whitespace();
    assert_eq!(cells.filter(|cell| *cell == "-").count(), 1, "{row:?}");
}

#[test]
fn conditions_show_their_outcome() {
    let mut report = example::report();
    let condition = |passed, value: Option<&str>| CheckedCondition {
        condition: "p99 > 10ms".to_owned(),
        passed,
        value: value.map(str::to_owned),
    };
    report.conditions = vec![condition(true, Some("8.00 ms")), condition(false, None)];
    let text = render(&report, Detail::Data, PIPE);
    assert!(text.contains("\n✓ --fail-if 'p99 > 10ms' (value: 8.00 ms)\n"));
    assert!(text.contains("\n✗ --fail-if 'p99 > 10ms' (value: unknown)\n"));
}

#[test]
fn comparison_shows_overall_values_and_significance() {
    let mut slower = example::measurement();
    slower.completed = 2_250;
    slower.completed_in_window = 2_250;
    slower.complete = example::spread(9_000_000, 2_250);
    slower.seconds = example::seconds(450, 9_000_000);
    let mut report = example::report();
    let environment = example::environment(false);
    let before = summarize::report("board", example::start(), environment, Some(&slower));
    report.comparison = Some(compare(&before, &report));
    let text = in_pipe(&report);
    for part in [
        "req/s", "450", "+50", "higher", "-1.00 ms", "lower", "95% CI",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.contains("\n  warning: different target: board before, "));
    report.comparison = Some(compare(&report, &report));
    assert!(in_pipe(&report).contains("\n  no significant difference\n"));
    let mut short = report.clone();
    short.latency.as_mut().unwrap().duration_us = 3e6;
    report.comparison = Some(compare(&short, &report));
    assert!(in_pipe(&report).contains("\n  too short to compare: needs 5 s, has 3 s\n"));
}

#[test]
fn untrusted_text_is_escaped() {
    let mut report = example::full();
    let evil = "evil\x1b[2J\x07\u{202e}\n";
    report.target = evil.to_owned();
    report.label = Some(evil.to_owned());
    report.command = Some(evil.to_owned());
    report.environment.os = evil.to_owned();
    report.warnings[0].text = evil.to_owned();
    report.verdict[0].text = evil.to_owned();
    let limits = report.limits.as_mut().unwrap();
    let held = limits.evidence.get_mut("held").unwrap();
    evil.clone_into(&mut held.detail);
    report.comparison = Some(compare(&example::report(), &report));
    let text = in_pipe(&report);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn ascii_charset_is_ascii() {
    let style = Style {
        charset: Charset::Ascii,
        ..PIPE
    };
    let text = render(&compared(), Detail::Full, style);
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn progress_fits_the_terminal() {
    let second = |completed| Second {
        completed,
        ..Second::default()
    };
    let now = engine::Progress {
        elapsed: Duration::from_millis(90_400),
        completed: 4_005,
        in_flight: 4,
        errors: [(ErrorClass::Refused, 3), (ErrorClass::ReplyTimeout, 0)].into(),
        p50: 8_000_000,
        p99: 16_000_000,
        seconds: (0..90).map(second).collect(),
    };
    let extent = Extent::Duration(Duration::from_mins(2));
    let view = load_progress(&now, extent, Charset::Ascii, 80);
    let lines: Vec<_> = view.lines().collect();
    assert_eq!(lines[0], format!("90/120 s  30 s left  {}", "#".repeat(30)));
    assert!(lines[1].starts_with("89 req/s  4 open connections  ") && lines[1].ends_with('#'));
    assert_eq!(
        lines[2..],
        ["p50 8.00 ms  p99 16.0 ms", "failed: 3 refused"]
    );
    for width in [20, 40, 80, 200] {
        let view = load_progress(&now, extent, Charset::Unicode, width);
        assert!(view.lines().count() <= 8, "{view}");
        for line in view.lines() {
            assert!(line.chars().count() <= width, "{line}");
        }
    }
    let extent = Extent::Requests(12_024.try_into().unwrap());
    let view = load_progress(&now, extent, Charset::Ascii, 80);
    assert!(
        view.starts_with("4,008/12,024 requests  181 s left  #"),
        "{view}"
    );
}

#[test]
fn throughput_progress_fits_the_terminal() {
    let seconds: Vec<u64> = (0..90).map(|second| second * 1_000_000).collect();
    let so_far = ThroughputProgress {
        what: "sim: upload to discard, port 9",
        streams: 4,
        elapsed: Some(Duration::from_millis(90_400)),
        bytes: 90_400_000,
        seconds: &seconds,
    };
    let line = flow_progress(&so_far, Charset::Ascii, 80);
    let start = "sim: upload to discard, port 9  4 streams  90s  1.00 MB/s  ";
    assert!(line.starts_with(start) && line.ends_with('#'), "{line}");
    for width in [20, 40, 80, 200] {
        let line = flow_progress(&so_far, Charset::Unicode, width);
        assert!(line.chars().count() <= width, "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn ramp_view_has_the_last_steps_and_the_current_one() {
    let completed: Vec<Step> = std::iter::repeat_with(|| example::full().ramp)
        .flatten()
        .take(20)
        .collect();
    let so_far = engine::Progress {
        elapsed: Duration::from_millis(400),
        completed: 100,
        in_flight: 6,
        errors: [(ErrorClass::Refused, 3)].into(),
        p50: 8_000_000,
        p99: 16_000_000,
        seconds: Vec::new(),
    };
    let step = RampProgress::Step {
        number: 5,
        steps: 9,
        connections: 6,
        left: Duration::from_millis(4_600),
        so_far: &so_far,
    };
    let view = ramp_view(step, &completed[..2], terminal(80));
    let lines: Vec<_> = view.lines().collect();
    assert!(lines[0].starts_with("  connections  req/s"), "{view}");
    let second = ramp_rows(&completed[..2]).pop().unwrap();
    assert!(lines[2].starts_with(&format!("  {} ", second[0])), "{view}");
    let end = [
        "step 5 of at most 9: 6 connections  at most 5 s left",
        "250 req/s  6 open connections  ▅█",
        "p50 8.00 ms  p99 16.0 ms",
        "failed: 3 refused",
    ];
    assert_eq!(lines[3..], end, "{view}");
    for width in [40, 60, 80, 120] {
        for progress in [
            step,
            RampProgress::Schedule,
            RampProgress::Completed(&completed[0]),
        ] {
            let view = ramp_view(progress, &completed, terminal(width));
            assert!(view.lines().count() <= 8, "{view}");
            for line in view.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn load_without_a_reply_shows_how_long_it_took() {
    let mut report = example::full();
    let latency = report.latency.as_mut().unwrap();
    latency.window_us = 0.0;
    latency.duration_us = 3_820_000.0;
    let load = super::latency::load(latency);
    assert!(load.contains(" requests in 3.82 s, "), "{load}");
    assert!(!load.contains("last replies"), "{load}");
}
