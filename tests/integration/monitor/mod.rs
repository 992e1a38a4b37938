//! `tcpctl monitor` on a pseudo-terminal.

mod decoding;
mod keyboard;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::common::loader::line::Line;
use crate::common::{finish, run, signal, tcpctl};
use rustix::process::Signal;

const BOOT: &[u8] = b"ESP-ROM:esp32c3\r\n\
    tcpctl-firmware v=0.1.0 chip=esp32c3 mac=84:f7:03:1a:0b:3c mode=ap settings=flash reset=panic\r\n\
    panic \"out of memory\"\r\n\
    station leased mac=02:00:00:1a:2b:3c addr=192.168.1.2\r\n\
    counters {\"served\":3}\r\n\
    request peer=192.168.1.2:49152 len=2 \"hi\"\r\n\
    \x1b[2Jevil\x07\r\n\
    ready addr=192.168.1.1:3000\r\n";

fn port(line: &Line) -> String {
    line.path.to_str().unwrap().to_owned()
}

#[test]
fn each_line_of_the_contract_is_an_event() {
    let mut line = Line::open();
    line.write(BOOT);
    let ended = run([
        "monitor",
        "--port",
        &port(&line),
        "--json",
        "--until",
        "^ready ",
        "--timeout",
        "20s",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let objects = ended.objects();
    let events: Vec<_> = objects
        .iter()
        .map(|o| o["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "line", "banner", "panic", "station", "counters", "request", "line", "ready"
        ]
    );
    assert!(
        objects
            .iter()
            .all(|o| o["schema"] == "tcpctl.monitor/1" && o["time"].is_string())
    );
    assert_eq!(objects[1]["version"], "0.1.0");
    assert_eq!(objects[2]["message"], "out of memory");
    assert_eq!(objects[4]["counters"]["served"], 3);
    assert_eq!(objects[7]["addr"], "192.168.1.1:3000");
}

#[test]
fn a_person_sees_the_time_and_no_control_characters() {
    let mut line = Line::open();
    line.write(BOOT);
    let ended = run([
        "monitor",
        "--port",
        &port(&line),
        "--until",
        "ready",
        "--timeout",
        "20s",
    ]);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(text.contains(r"Z \x1b[2Jevil\x07"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
}

#[test]
fn raw_is_byte_for_byte() {
    let mut line = Line::open();
    line.write(BOOT);
    let ended = run([
        "monitor",
        "--port",
        &port(&line),
        "--raw",
        "--until",
        "^ready",
        "--timeout",
        "20s",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stdout, BOOT);
}

#[test]
fn a_line_that_does_not_come_is_no_success() {
    let mut line = Line::open();
    let wait = ["--until", "ready", "--timeout", "300ms"];
    let path = port(&line);
    let command = [&["monitor", "--port", &path][..], &wait].concat();
    let silent = run(command.clone());
    assert_eq!(silent.code, 28, "{}", silent.stderr);
    assert!(silent.stderr.contains("--baud"), "{}", silent.stderr);
    line.write(b"something else\r\n");
    let other = run(command);
    assert_eq!(other.code, 1, "{}", other.stderr);
    line.write(b"more\r\n");
    let over = run(["monitor", "--port", &port(&line), "--timeout", "300ms"]);
    assert_eq!(over.code, 0, "{}", over.stderr);
    assert!(String::from_utf8_lossy(&over.stdout).ends_with(" more\n"));
}

#[test]
fn a_board_that_was_unplugged_is_waited_for() {
    let link = std::env::temp_dir().join(format!("tcpctl-monitor-{}", std::process::id()));
    let _ = std::fs::remove_file(&link);
    let mut first = Line::open();
    std::os::unix::fs::symlink(&first.path, &link).unwrap();
    let mut child = tcpctl(["monitor", "--port", link.to_str().unwrap()])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    first.write(b"before\r\n");
    assert!(lines.next().unwrap().unwrap().ends_with(" before"));
    let mut second = Line::open();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&second.path, &link).unwrap();
    first.unplug();
    drop(first);
    second.write(b"after\r\n");
    assert!(lines.next().unwrap().unwrap().ends_with(" after"));
    signal(&child, Signal::INT);
    let ended = finish(child);
    std::fs::remove_file(&link).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the board is gone"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("the board is back"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_panic_s_addresses_become_functions_and_lines() {
    // An address in memory and one beyond the function are not explained.
    let mut line = Line::open();
    let elf = std::env::temp_dir().join(format!("tcpctl-monitor-{}.elf", std::process::id()));
    std::fs::write(
        &elf,
        crate::common::firmware::with_a_function("greeter::serve", 0x4201_0100),
    )
    .unwrap();
    line.write(b"Backtrace: 0x42010104 0x3fc80000 0x42ffffff\r\nend\r\n");
    let elf_path = elf.to_str().unwrap();
    let path = port(&line);
    let wait = ["--until", "end", "--timeout", "20s", "--elf", elf_path];
    let ended = run([&["monitor", "--port", &path][..], &wait].concat());
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(text.matches("greeter::serve").count(), 1, "{text}");
    assert!(text.contains("0x42010104 greeter::serve"), "{text}");
    std::fs::remove_file(&elf).unwrap();
    let ended = run(["monitor", "--port", &path, "--elf", "/etc/passwd"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

#[test]
fn a_signal_ends_it_with_the_code_of_what_was_asked_for() {
    for (arguments, signals) in [
        (&[][..], [(Signal::INT, 0), (Signal::TERM, 0)]),
        (
            &["--until", "never"],
            [(Signal::INT, 130), (Signal::TERM, 143)],
        ),
        (
            &["--timeout", "1h"],
            [(Signal::INT, 130), (Signal::TERM, 143)],
        ),
    ] {
        for (sent, code) in signals {
            let mut line = Line::open();
            let path = port(&line);
            let command = [&["monitor", "--port", &path][..], arguments].concat();
            let mut child = tcpctl(command).spawn().unwrap();
            line.write(b"it runs\r\nand has no end of line");
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.next().unwrap().unwrap().ends_with("it runs"));
            signal(&child, sent);
            let rest: Vec<_> = lines.map_while(Result::ok).collect();
            assert_eq!(finish(child).code, code, "{arguments:?} {sent:?}");
            // What came is shown, whole line or not.
            assert!(
                rest.concat().ends_with("and has no end of line"),
                "{rest:?}"
            );
        }
    }
}

#[test]
fn the_rate_is_the_one_that_was_asked_for() {
    for (arguments, rate) in [(&[][..], 115_200), (&["--baud", "74880"], 74_880)] {
        let mut line = Line::open();
        line.write(b"ready\r\n");
        let path = port(&line);
        let wait = [
            "monitor",
            "--port",
            &path,
            "--until",
            "ready",
            "--timeout",
            "20s",
        ];
        let ended = run([&wait[..], arguments].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(line.baud(), rate);
    }
}

#[test]
fn a_failure_is_told_to_programs_too() {
    let line = Line::open();
    let path = port(&line);
    let wait = ["--until", "x", "--timeout", "100ms", "--json"];
    let ended = run([&["monitor", "--port", &path][..], &wait].concat());
    assert_eq!(ended.code, 28);
    assert_eq!(ended.objects()[0]["kind"], "timeout");
    let ended = run(["monitor", "--port", "/dev/null", "--json"]);
    assert_eq!(ended.code, 70);
    assert_eq!(ended.objects()[0]["kind"], "device");
    let ended = run(["monitor", "--raw", "--json"]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.objects()[0]["command"], "monitor");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut line = Line::open();
    let mut child = tcpctl(["monitor", "--port", &port(&line)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    line.write(b"one\r\ntwo\r\n");
    let ended = finish(child);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
}

/// A board that floods a terminal which was stopped: the port is read no further, and nothing that
/// was read is lost.
#[test]
fn what_nobody_reads_does_not_pile_up() {
    const FLOOD: usize = 32 << 20;
    let mut line = Line::open();
    let mut child = tcpctl(["monitor", "--raw", "--port", &port(&line)])
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let text = b"0123456789abcdefghijklmnopqrstuvwxyz\r\n".repeat(200);
    let mut written = 0;
    // Until the line has taken nothing for two seconds.
    while let Some(count) = line.write_some(&text[written % text.len()..], 2) {
        written += count;
        assert!(written < FLOOD, "all of it was taken, and nobody reads it");
    }
    assert!(written > 0);
    let mut came = vec![0; written];
    output.read_exact(&mut came).unwrap();
    assert!(came.chunks(text.len()).all(|it| text.starts_with(it)));
    signal(&child, Signal::INT);
    drop(output);
    assert_eq!(finish(child).code, 0);
}

#[test]
fn a_board_that_prints_without_a_pause_does_not_put_off_the_end() {
    let mut line = Line::open();
    let path = port(&line);
    let wait = ["--until", "never", "--timeout", "300ms"];
    let mut child = tcpctl([&["monitor", "--port", &path][..], &wait].concat())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = b"and on\r\n".repeat(500);
    while child.try_wait().unwrap().is_none() {
        let _ = line.write_some(&text, 1);
    }
    assert_eq!(finish(child).code, 1);
}

#[test]
fn what_can_t_be_is_refused() {
    for (arguments, words) in [
        (
            &["--until", "("][..],
            "--until '(' is no regular expression",
        ),
        (&["--timeout", "5"], "5s or 5ms"),
        (&["--elf", "/nowhere"], "--elf /nowhere"),
        (&["--elf", "/dev/zero"], "larger than any firmware"),
    ] {
        let line = Line::open();
        let ended = run([&["monitor", "--port", &port(&line)][..], arguments].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn each_schema_is_printed_as_it_is_published() {
    for name in [
        "bench", "discover", "error", "flash", "monitor", "send", "sim", "status",
    ] {
        let ended = run(["schema", name]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let printed: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(
            &printed,
            crate::common::schema::document(&format!("tcpctl.{name}/1"))
        );
    }
}
