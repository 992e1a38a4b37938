//! Saved, merged and compared runs.

use std::sync::mpsc;

use super::{Folder, report, warnings};
use crate::common::{Server, closed_port, run, run_with_input};

#[test]
fn saved_runs_are_merged_and_compared() {
    let folder = Folder::new();
    let (one, two, page) = (
        folder.file("one.json"),
        folder.file("two.json"),
        folder.file("page.html"),
    );
    for (file, count) in [(&one, "30"), (&two, "50")] {
        let ended = run([
            "bench",
            "sim:ideal",
            "--only",
            "latency",
            "-n",
            count,
            "-q",
            "--save",
            file,
            "--json",
        ]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    // The runs were not at the same time.
    let refused = run(["merge", &one, &two]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    let twice = run(["merge", &one, &one, "--force"]);
    assert_eq!(twice.code, 2, "{twice:?}");
    let both = folder.file("both.json");
    let saved = run(["merge", &one, &two, "--force", "-q", "--save", &both]);
    assert_eq!(saved.code, 0, "{saved:?}");
    let inside = run(["merge", &both, &two, "--force"]);
    assert_eq!(inside.code, 2, "{inside:?}");
    assert!(inside.stderr.contains("merged run"), "{inside:?}");
    let lines = [&one, &two].map(|file| std::fs::read(file).expect("it was saved"));
    let piped = run_with_input(["merge", "-", "--force", "--json"], &lines.concat());
    assert_eq!(report(&piped)["runs"], 2, "{piped:?}");
    let merged = run(["merge", &one, &two, "--force", "--json", "--html", &page]);
    assert_eq!(
        warnings(&report(&merged)),
        ["virtual", "few_samples", "not_supported", "no_overlap"]
    );
    assert_eq!(merged.code, 0, "{merged:?}");
    assert_eq!(report(&merged)["latency"]["complete_us"]["samples"], 80);
    let page = std::fs::read_to_string(page).expect("the page was written");
    assert!(page.starts_with("<!"), "{page:.100}");
    assert!(page.contains("tcpctl.bench/1"), "the whole report is in it");
    let board = ["bench", "sim:ideal", "--only", "latency", "-n", "30", "-q"];
    let compared = run(board.into_iter().chain(["--json", "--compare", &one]));
    // A difference alone is not a failure. Less than 5 s are too short for a confidence interval.
    assert_eq!(compared.code, 0, "{compared:?}");
    let comparison = &report(&compared)["comparison"];
    assert_eq!(
        comparison["baseline"]["target"], "sim:ideal",
        "{compared:?}"
    );
    assert_eq!(
        comparison["rate_per_s"]["finding"], "too_few",
        "{compared:?}"
    );
    assert_eq!(comparison["too_short"]["needs_s"], 5, "{compared:?}");
    assert_eq!(comparison["changes"], serde_json::json!([]), "{compared:?}");
    let text = run(board.into_iter().chain(["--compare", &one])).stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("\ncompared with 20"), "{text}");
    assert!(text.contains(": too short, needs 5 s, has "), "{text}");
    let details = board[..6].iter().copied().chain(["--compare", &one]);
    let text = String::from_utf8(run(details).stdout).expect("text");
    assert!(text.contains("Compared with sim:ideal"), "{text}");
    assert!(text.contains("too short to compare: needs 5 s"), "{text}");
}

/// The log is read with the library's own reader.
#[test]
fn log_has_an_interval_for_each_second_and_tag() {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    let folder = Folder::new();
    let log = folder.file("run.hlog");
    let bench = [
        "bench",
        "sim:ideal",
        "--only",
        "latency",
        "-r",
        "50/s",
        "-d",
        "2s",
        "--json",
    ];
    let ended = run(bench.into_iter().chain(["--hdr-log", &log]));
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = report(&ended);
    let log = std::fs::read(log).expect("it was written");
    let text = String::from_utf8_lossy(&log);
    assert!(
        text.contains("\n#[Histogram log format version 1.3]\n"),
        "{text:.300}"
    );
    // The library does not read the legend.
    let log = text
        .replace(text.lines().nth(4).expect("a legend"), "#")
        .into_bytes();
    let mut lines = std::collections::BTreeMap::<String, Vec<(u64, u64)>>::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(line) = entry.expect("a log") else {
            continue;
        };
        let packed =
            base64::Engine::decode(&base64::prelude::BASE64_STANDARD, line.encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut packed.expect("base64").as_slice())
            .expect("a V2 histogram");
        let tag = line.tag().map_or("complete", |tag| tag.as_str()).to_owned();
        let from = line.start_timestamp().as_secs();
        assert!(line.duration().as_secs_f64() <= 1.0);
        lines.entry(tag).or_default().push((from, histogram.len()));
    }
    let tags: Vec<_> = lines.keys().map(String::as_str).collect();
    assert_eq!(
        tags,
        ["complete", "connect", "first_byte", "schedule_error"]
    );
    for (tag, seconds) in &lines {
        let starts: Vec<u64> = seconds.iter().map(|(from, _)| *from).collect();
        assert_eq!(starts[..2], [0, 1], "{tag}");
        let samples: u64 = seconds.iter().map(|(_, samples)| *samples).sum();
        let counted = &report["latency"][format!("{tag}_us")]["samples"];
        assert_eq!(counted.as_u64(), Some(samples), "{tag}: {report}");
        assert!(seconds[0].1 >= 40, "{tag}: {seconds:?}");
    }
}

#[test]
fn failed_run_keeps_the_existing_file() {
    let folder = Folder::new();
    let file = folder.file("saved.json");
    std::fs::write(&file, "precious").expect("a temporary file");
    let (_guard, closed) = closed_port();
    let ended = run(["bench", &closed.to_string(), "--save", &file]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert_eq!(
        std::fs::read_to_string(&file).expect("still there"),
        "precious"
    );
}

/// The report is printed, and the other files are written.
#[test]
#[cfg(target_os = "linux")]
fn full_disk_fails_only_its_own_file() {
    let folder = Folder::new();
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    for full in ["--save", "--html", "--hdr-log"] {
        let (save, page, log) = (
            folder.file("run.json"),
            folder.file("run.html"),
            folder.file("run.hlog"),
        );
        let place = |option: &'static str, file| if option == full { "/dev/full" } else { file };
        let bench = [
            "bench",
            &target,
            "--only",
            "latency",
            "-n",
            "5",
            "--save",
            place("--save", &save),
            "--html",
            place("--html", &page),
            "--hdr-log",
            place("--hdr-log", &log),
        ];
        let ended = run(bench);
        assert_eq!(ended.code, 70, "{full}: {ended:?}");
        assert!(ended.stderr.contains("cannot write /dev/full"), "{ended:?}");
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(text.contains("0 of 5 failed"), "{full}: {text}");
        for (option, file) in [("--save", save), ("--html", page), ("--hdr-log", log)] {
            let written = std::fs::remove_file(&file).is_ok();
            assert_eq!(written, option != full, "{option}");
        }
    }
}

#[test]
fn baseline_with_another_schema_is_refused() {
    let folder = Folder::new();
    let file = folder.file("other.json");
    std::fs::write(&file, r#"{"schema":"tcpctl.bench/2"}"#).expect("a temporary file");
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |_| {
        let _ = sender.send(());
    });
    let ended = run(["bench", &server.target(), "--compare", &file]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("schema tcpctl.bench/2, not tcpctl.bench/1"),
        "{ended:?}"
    );
    assert_eq!(asked.try_recv().ok(), None, "nothing was sent");
}

#[test]
fn runs_without_the_needed_part_are_refused() {
    let folder = Folder::new();
    let (one, two, log) = (
        folder.file("one.json"),
        folder.file("two.json"),
        folder.file("log.hlog"),
    );
    for file in [&one, &two] {
        let ended = run([
            "bench",
            "sim:ideal",
            "--only",
            "limits",
            "-q",
            "--save",
            file,
        ]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let compared = run(["bench", "sim:ideal", "--only", "latency", "--compare", &one]);
    assert_eq!(compared.code, 2, "{compared:?}");
    assert!(compared.stderr.contains("no part"), "{compared:?}");
    let merged = run(["merge", &one, &two, "--force", "--hdr-log", &log]);
    assert_eq!(merged.code, 2, "{merged:?}");
    assert!(merged.stderr.contains("--hdr-log"), "{merged:?}");
}
