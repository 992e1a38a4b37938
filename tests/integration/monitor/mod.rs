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
fn firmware_lines_are_events() {
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
            .all(|o| o["schema"] == "tcpctl.monitor/1" && is_utc(&o["time"]))
    );
    assert_eq!(objects[1]["version"], "0.1.0");
    assert_eq!(objects[2]["message"], "out of memory");
    assert_eq!(objects[4]["counters"]["served"], 3);
    assert_eq!(objects[7]["addr"], "192.168.1.1:3000");
}

/// Whether it is an RFC 3339 time in UTC.
fn is_utc(time: &serde_json::Value) -> bool {
    let time = time.as_str().unwrap();
    time.ends_with('Z') && humantime::parse_rfc3339(time).is_ok()
}

#[test]
fn lines_have_times_and_no_control_characters() {
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
fn raw_output_is_byte_for_byte() {
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
fn unmet_until_is_a_failure() {
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
fn unplugged_board_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("port");
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
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the board was disconnected"),
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
fn panic_addresses_are_decoded() {
    use crate::common::firmware::{DATA_SYMBOL, ROM_SYMBOL, with_a_function};

    // Data, an address beyond the function, the ROM and its lines are not decoded.
    let mut line = Line::open();
    let elf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&elf, with_a_function("greeter::serve", 0x4201_0100)).unwrap();
    let (rom, data) = (ROM_SYMBOL + 4, DATA_SYMBOL + 4);
    let boot = format!(
        "load:0x42010104,len:4\r\nentry 0x42010104\r\n\
         Backtrace: 0x42010108 0x3fc80000 0x42010110 0x42ffffff {rom:#x} {data:#x}\r\nend\r\n"
    );
    line.write(boot.as_bytes());
    let elf_path = elf.path().to_str().unwrap();
    let path = port(&line);
    let wait = ["--until", "end", "--timeout", "20s", "--elf", elf_path];
    let ended = run([&["monitor", "--port", &path][..], &wait].concat());
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let decoded: Vec<_> = text.lines().filter(|it| it.starts_with("   ")).collect();
    assert_eq!(decoded, ["              0x42010108 greeter::serve"]);
    let ended = run(["monitor", "--port", &path, "--elf", "/etc/passwd"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

#[test]
fn signals_end_it_with_their_exit_code() {
    for arguments in [&[][..], &["--until", "never"], &["--timeout", "1h"]] {
        for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
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
            // An unfinished line is shown.
            assert!(
                rest.concat().ends_with("and has no end of line"),
                "{rest:?}"
            );
        }
    }
}

#[test]
fn baud_rate_is_set() {
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
fn failures_are_objects() {
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
fn closed_pipe_ends_quietly() {
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

/// If the output is blocked, the port is not read any further, and nothing that was read is lost.
#[test]
fn unread_output_is_bounded() {
    const FLOOD: usize = 32 << 20;
    let mut line = Line::open();
    let mut child = tcpctl(["monitor", "--raw", "--port", &port(&line)])
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let text = b"0123456789abcdefghijklmnopqrstuvwxyz\r\n".repeat(200);
    let mut written = 0;
    // Write until the line has accepted nothing for two seconds.
    while let Some(count) = line.write_some(&text[written % text.len()..], 2) {
        written += count;
        assert!(
            written < FLOOD,
            "everything was read although the output is blocked"
        );
    }
    assert!(written > 0);
    let mut came = vec![0; written];
    output.read_exact(&mut came).unwrap();
    assert!(came.chunks(text.len()).all(|it| text.starts_with(it)));
    signal(&child, Signal::INT);
    drop(output);
    assert_eq!(finish(child).code, 130);
}

#[test]
fn flood_does_not_delay_the_timeout() {
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
fn invalid_arguments_are_rejected() {
    for (arguments, words) in [
        (
            &["--until", "("][..],
            "--until '(' is not a valid regular expression",
        ),
        (&["--timeout", "5"], "5s or 5ms"),
        (&["--elf", "/nowhere"], "--elf /nowhere"),
        (&["--elf", "/dev/zero"], "too large"),
    ] {
        let line = Line::open();
        let ended = run([&["monitor", "--port", &port(&line)][..], arguments].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn schemas_are_printed_as_published() {
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

#[test]
fn unfinished_lines_are_shown_and_matched() {
    let mut line = Line::open();
    line.write(b"booting\n\r>>> ");
    let path = port(&line);
    let wait = ["--until", "^>>> $", "--timeout", "20s"];
    let arguments = [&["monitor", "--port", &path][..], &wait].concat();
    let ended = run(arguments.clone());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("Z booting\n"), "{text:?}");
    assert!(text.ends_with("Z >>> "), "{text:?}");

    line.write(b">>> ");
    let ended = run([&arguments[..], &["--json"]].concat());
    let objects = ended.objects();
    assert_eq!(objects[0]["text"], ">>> ", "{objects:?}");
    assert_eq!(objects[0]["partial"], true, "{objects:?}");
}

#[test]
fn colors_are_removed_in_a_pipe() {
    let mut line = Line::open();
    let colored = b"\x1b[0;32mI (31) boot: ok\x1b[0m\r\n";
    line.write(colored);
    let path = port(&line);
    let wait = ["--until", "^I \\(31", "--timeout", "20s"];
    let arguments = [&["monitor", "--port", &path][..], &wait].concat();
    let ended = run(arguments.clone());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.ends_with("Z I (31) boot: ok\n"), "{text:?}");
    line.write(colored);
    let ended = run([&arguments[..], &["--json"]].concat());
    assert_eq!(ended.objects()[0]["text"], "I (31) boot: ok");
}
