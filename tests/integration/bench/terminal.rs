//! `tcpctl bench` on a pseudo-terminal: progress and report.

use std::io::Read;
use std::process::Stdio;

use rustix::process::Signal;

use crate::common::terminal::{Terminal, pseudo_terminal};
use crate::common::{Server, finish, run, signal, tcpctl};

#[test]
fn report_is_folded_between_words_on_a_terminal() {
    const LAST: &str = "recommended: at most 1 client";
    let bench = [
        "bench",
        "sim:ideal,workers=1,backlog=1",
        "--only",
        "limits",
        "--color",
        "never",
    ];
    let (terminal, child) = Terminal::start_in(80, tcpctl(bench));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    let at = seen.find("serves 1 client at once").expect("a verdict");
    let report: Vec<&str> = seen[at..].lines().map(str::trim_end).collect();
    for line in &report {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let verdict = report[..2].join(" ");
    let words: Vec<&str> = verdict.split_whitespace().collect();
    assert!(words.join(" ").ends_with(LAST), "{report:#?}");
    let ended = run(bench);
    let text = String::from_utf8(ended.stdout).expect("text");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.ends_with(LAST) && first.len() > 80, "{first}");
}

#[test]
fn progress_is_shown_until_ctrl_c_then_the_report() {
    let (mut terminal, slave) = pseudo_terminal(120);
    // Every third connection is closed without a reply.
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::start(move |mut connection| {
        crate::common::read_some(&mut connection);
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !number.is_multiple_of(3) {
            let _ = std::io::Write::write_all(&mut connection, b"Hello World");
        }
    });
    let bench = [
        "bench",
        &server.target(),
        "--only",
        "latency",
        "-d",
        "50s",
        "-c",
        "2",
    ];
    let mut command = tcpctl(bench);
    command.env("TERM", "xterm").stderr(Stdio::from(slave));
    let child = command.spawn().unwrap();
    // Close the command's copy of the terminal.
    drop(command);
    let (mut seen, mut bytes) = (String::new(), [0; 1024]);
    // After a failure everything is shown.
    let last_view = |seen: &str| {
        let at = seen.rfind("/50 s").unwrap_or(seen.len());
        seen[at..].to_owned()
    };
    while !last_view(&seen).contains(" closed") {
        let count = terminal.read(&mut bytes).unwrap_or(0);
        assert!(count > 0, "{seen:?}");
        seen += &String::from_utf8_lossy(&bytes[..count]);
    }
    let view = last_view(&seen);
    for part in [
        "/50 s",
        " s left  ",
        " req/s  ",
        " open connection",
        "p50 ",
        "  p99 ",
        " closed",
    ] {
        assert!(view.contains(part), "{part:?} is not in {view:?}");
    }
    signal(&child, Signal::INT);
    // The read fails with EIO once the command has ended.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        seen += &String::from_utf8_lossy(&bytes[..count]);
    }
    let (_, after) = seen.rsplit_once(" closed early").expect("a view");
    let after: Vec<&str> = after.split("\x1b[2K").collect();
    assert!(after.len() > 3, "the live view is removed: {seen:?}");
    let left = after.concat();
    let mut left = left.chars().filter(|c| c.is_alphabetic());
    assert!(
        left.all(|c| "AB".contains(c)),
        "only the cursor moves: {after:?}"
    );
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(text.contains(" req/s over 2 connections"), "{text}");
    assert!(text.contains("\nwarning: ended early, after"), "{text}");
}

#[test]
fn no_live_view_with_q_or_where_stderr_is_no_terminal() {
    let bench = ["bench", "sim:ideal", "-d", "300ms", "--brief"];
    let bench = |more: &[&str]| tcpctl(bench.into_iter().chain(more.iter().copied()));
    let (terminal, child) = Terminal::start_in(80, bench(&["-q", "--color", "never"]));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.starts_with("serves 4 clients at once"), "{seen:?}");
    assert!(!seen.contains('\x1b'), "{seen:?}");

    let (_terminal, slave) = pseudo_terminal(80);
    let mut command = bench(&[]);
    command.env("TERM", "xterm").stdout(Stdio::from(slave));
    let ended = finish(command.stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.ends_with("connections for 300ms\n"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains(['\x1b', '\r']), "{ended:?}");
}

#[test]
fn summary_is_the_last_on_a_terminal_even_with_every_part() {
    let bench = [
        "bench",
        "sim:ideal,services=on",
        "--only",
        "limits,latency,ramp,throughput",
        "--fail-if",
        "rate < 1",
        "--fail-if",
        "served < 4",
        "-d",
        "200ms",
        "--budget",
        "3s",
        "--color",
        "never",
    ];
    let (terminal, child) = Terminal::start_in(80, tcpctl(bench));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    let seen = seen.replace("\r\n", "\n");
    let (details, summary) = seen.rsplit_once("\n\n").expect("a summary");
    assert!(summary.starts_with("serves 4 "), "{summary}");
    assert!((3..=6).contains(&summary.lines().count()), "{summary}");
    for part in [" req/s", "knee ", "upload ", "--fail-if", "warning"] {
        assert!(summary.contains(part), "{part} is not in {summary}");
    }
    for part in ["Limits\n", "\nRamp\n", "\nLatency\n", "\nThroughput\n"] {
        assert!(details.contains(part), "{part} is not in {details}");
    }
}

#[test]
fn run_on_a_dumb_terminal_moves_no_cursor() {
    let bench = ["bench", "sim:ideal", "-d", "300ms"];
    let (terminal, child) = Terminal::start_dumb(tcpctl(bench));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains(" req/s over "), "{seen}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
    assert!(!seen.replace("\r\n", "\n").contains('\r'), "{seen:?}");
}
