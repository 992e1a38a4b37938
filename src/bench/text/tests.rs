use std::time::Duration;

use super::*;
use crate::bench::compare::compare;
use crate::bench::example;
use tcpctl_engine::measurement::ErrorClass;

fn plain(report: &Report) -> String {
    render(report, Color::Off, Charset::Unicode, 80, None)
}

/// The knee's cause makes the widest line.
#[test]
fn a_ramp_fits_a_terminal_of_80_columns_and_has_a_chart_of_each_kind() {
    let report = example::full();
    let text = plain(&report);
    let ramp = text.split("\nRamp\n").nth(1).unwrap();
    let ramp = ramp.split("\nLatency\n").next().unwrap();
    assert!(
        ramp.lines().all(|line| line.chars().count() <= 80),
        "{ramp}"
    );
    for part in ["p99", "refused", "knee", "reconnect race"] {
        assert!(ramp.contains(part), "{part}: {ramp}");
    }
    for chart in [
        "  replies/s",
        "  ms, 99% of the replies",
        "  refused or sent again",
    ] {
        assert!(
            ramp.lines().any(|line| line.ends_with(chart)),
            "{chart}: {ramp}"
        );
    }
    let wide = render(&report, Color::Off, Charset::Unicode, 120, None);
    assert!(
        wide.contains("sent again") && wide.contains("  max"),
        "{wide}"
    );
}

/// A terminal breaks lines in the middle of words; a pipe is for programs that look for a sentence.
#[test]
fn sentences_are_folded_on_a_terminal_and_nowhere_else() {
    let report = example::full();
    let folded = render(&report, Color::Off, Charset::Unicode, 80, Some(80));
    let long: Vec<_> = folded
        .lines()
        .filter(|line| line.chars().count() > 80)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let plain = plain(&report);
    assert_eq!(words(&folded), words(&plain));
    for line in report.verdict.lines() {
        assert!(plain.lines().any(|it| it == line), "{line}\n{plain}");
    }
}

/// What does not fit beside its name stands below it, and columns that say less are left out.
#[test]
fn a_narrow_terminal_breaks_no_line_of_a_report() {
    let mut report = example::full();
    report.comparison = Some(compare(&example::report(), &report));
    for width in [40, 50, 60, 70] {
        let text = render(&report, Color::Off, Charset::Unicode, width, Some(width));
        let long: Vec<_> = text
            .lines()
            .filter(|line| line.chars().count() > width)
            .collect();
        assert!(long.is_empty(), "{width}: {long:#?}");
        for part in [
            "difference",
            "could be chance",
            "reconnect race",
            "ms, 99% of the replies",
            "refused or sent again",
            "  p99",
        ] {
            assert!(text.contains(part), "{width}: {part} is not in\n{text}");
        }
    }
    let narrow = render(&report, Color::Off, Charset::Unicode, 40, Some(40));
    assert!(
        narrow.contains("  held in all            8\n    the 9th connection"),
        "{narrow}"
    );
}

#[test]
fn the_answer_comes_first_and_nothing_is_left_out() {
    let text = plain(&example::full());
    let mut lines = text.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("serves 4 at once, queues 4"),
        "{text}"
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("answers 500/s (1,000/s asked for)"),
        "{text}"
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("knee at 4 connections: 500/s"),
        "{text}"
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("at 8 it is the reconnect race"),
        "{text}"
    );
    assert!(
        lines.next().unwrap().starts_with("takes 1.05 MB/s"),
        "{text}"
    );
    for part in [
        "virtual board",
        "the rate was not reached",
        "Limits",
        "the 9th connection was refused in 3 of 3 tries",
        "Ramp",
        "  reconnect race\n",
        "knee",
        "Latency",
        "p99.9",
        "started late by",
        "network, least",
        "the network 5.00 ms (two round trips), the server 2.80 ms",
        "80 refused",
        "20 timed out waiting for the reply",
        "0 SYN, 2 data",
        "Time to the complete reply",
        "█",
        "Throughput",
        "limited by the receiver's window",
        "not measured: nothing listens on port 7",
        "sim:esp32,workers=4 at 2023-11-14T22:13:20.250Z",
        "tcpctl 0.1.0",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_short_run_shows_no_p99_9() {
    let mut measurement = example::measurement();
    measurement.complete = example::spread(8_000_000, 500);
    let environment = example::environment(false);
    let report = Report::new("board", example::start(), environment, Some(&measurement));
    let text = plain(&report.conclude());
    assert!(
        text.contains("no p99.9: 500 samples can't tell it"),
        "{text}"
    );
    let row = text
        .lines()
        .find(|line| line.starts_with("  complete"))
        .unwrap();
    assert_eq!(
        row.split_whitespace().filter(|cell| *cell == "-").count(),
        1,
        "{row}"
    );
}

#[test]
fn a_comparison_says_what_it_is_sure_of() {
    let mut slower = example::measurement();
    slower.seconds = example::seconds(450, 9_000_000);
    let mut report = example::report();
    let environment = example::environment(false);
    let before = Report::new("board", example::start(), environment, Some(&slower));
    report.comparison = Some(compare(&before, &report));
    let text = plain(&report);
    for part in [
        "replies/s",
        "+50",
        "higher",
        "-1.00 ms",
        "lower",
        "could be chance",
        "95% confidence",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    report.comparison = Some(compare(&report, &report));
    assert!(plain(&report).contains("nothing that could not be chance"));
}

#[test]
fn what_others_wrote_does_nothing_to_a_terminal() {
    let mut report = example::full();
    report.target = "evil\x1b[2J\u{202e}".to_owned();
    report.environment.os = "\x07".to_owned();
    let limits = report.limits.as_mut().unwrap();
    let held = limits.evidence.get_mut("held").unwrap();
    "\x1b]0;x\x07\n".clone_into(&mut held.detail);
    report.comparison = Some(compare(&report, &report));
    let text = plain(&report);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn ascii_is_ascii() {
    let text = render(&example::full(), Color::Off, Charset::Ascii, 80, None);
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn progress_fits_the_terminal() {
    let seconds: Vec<u64> = (0..90).collect();
    let errors = [(ErrorClass::Refused, 3), (ErrorClass::ReplyTimeout, 0)];
    let now = Progress {
        elapsed: Duration::from_millis(90_400),
        completed: 4_005,
        in_flight: 4,
        errors: &errors,
        p50: Some(8_000_000),
        p99: Some(16_000_000),
        seconds: &seconds,
    };
    let line = progress(&now, Charset::Ascii, 80);
    assert!(
        line.starts_with("90s  89/s  4 in flight  p50 8.00 ms  p99 16.0 ms  3 refused  "),
        "{line}"
    );
    assert!(line.ends_with('#'), "{line}");
    for width in [20, 40, 80, 200] {
        assert!(progress(&now, Charset::Unicode, width).chars().count() <= width);
    }
}
