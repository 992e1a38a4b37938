//! Replies by a host program, with the firmware's limits.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::PathBuf;

use super::board::{connect, exchange};
use crate::common::run;
use crate::processes::Board;

fn start(options: &[&str]) -> Board {
    let mut sim = Board::tcpctl();
    sim.args(["sim", "ideal", "--listen", "127.0.0.1:0"]);
    sim.args(options);
    Board::start(sim)
}

#[test]
fn reply_file_replaces_the_greeting() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sim-reply");
    let reply = vec![b'x'; 5_000];
    std::fs::write(&file, &reply).unwrap();
    let board = start(&["--reply-file", file.to_str().unwrap()]);
    assert_eq!(exchange(board.address, b"status\n").1, reply);
    let ended = run(["sim", "--reply-file", "/nowhere/reply"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("/nowhere/reply"), "{}", ended.stderr);
}

#[test]
fn echo_returns_bytes_until_fin() {
    let board = start(&["--echo"]);
    let mut stream = connect(board.address);
    for part in [b"one".to_vec(), vec![b'y'; 100_000]] {
        let mut sender = stream.try_clone().unwrap();
        let sent = part.clone();
        let thread = std::thread::spawn(move || sender.write_all(&sent).unwrap());
        let mut echoed = vec![0; part.len()];
        stream.read_exact(&mut echoed).unwrap();
        assert!(echoed == part);
        thread.join().unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    let line = board.wait_for("request ");
    assert!(line.contains(" reply=100003 "), "{line}");
}

#[cfg(unix)]
#[test]
fn exec_runs_once_per_request() {
    let board = start(&["--exec", "tr a-z A-Z"]);
    for request in ["hello", "again"] {
        let reply = exchange(board.address, request.as_bytes()).1;
        assert_eq!(reply, request.to_uppercase().as_bytes());
    }
    let board = start(&["--exec", "wc -c"]);
    let mut stream = connect(board.address);
    stream.write_all(&vec![b'z'; 40_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert_eq!(reply.trim(), "40000");
    // The line shows the first KiB and the length of the whole request.
    let line = board.wait_for("request ");
    assert!(line.contains(" len=40000 "), "{line}");
    assert_eq!(line.matches('z').count(), 1024, "{line}");
}

#[test]
fn target_can_echo() {
    let sent = ["send", "sim:ideal,echo=on", "hello", "--half-close"];
    assert_eq!(run(sent).stdout, b"hello");
}

#[cfg(unix)]
#[test]
fn exec_keeps_the_firmware_limits() {
    let board = start(&["--exec", "sleep 1000", "--workers", "1", "--backlog", "0"]);
    let mut first = connect(board.address);
    first.write_all(b"x").unwrap();
    // The only slot is in use, so the relay resets the next connection.
    let mut second = connect(board.address);
    let refused = second.read(&mut [0; 1]);
    let refused = refused.map_err(|error| error.kind());
    assert_eq!(refused, Err(std::io::ErrorKind::ConnectionReset));
    drop(first);
}

#[cfg(unix)]
#[test]
#[ignore = "long: .ci/run runs it"]
fn exec_ends_after_10_seconds_in_all() {
    let board = start(&["--exec", "while :; do echo x; sleep 1; done"]);
    let mut stream = connect(board.address);
    stream.shutdown(Shutdown::Write).unwrap();
    let start = std::time::Instant::now();
    // The end may be a FIN or a reset.
    while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {
        assert!(start.elapsed() < 3 * tcpctl::exec::MAX_DURATION);
    }
}

#[test]
fn mac_and_host_name_are_options() {
    let board = start(&["--mac", "02:00:00:aa:bb:cc", "--hostname", "desk"]);
    let status = String::from_utf8(exchange(board.address, b"status\n").1).unwrap();
    assert!(status.contains(r#""name":"desk""#), "{status}");
    let status = String::from_utf8(exchange(board.address, b"readings\n").1).unwrap();
    assert!(status.contains("020000fffeaabbcc"), "{status}");
    for (options, word) in [
        (["--mac", "01:00:00:00:00:01"], "unicast"),
        (["--mac", "02:00"], "unicast"),
        (["--hostname", "my_board"], "hyphen"),
    ] {
        let ended = run([&["sim"][..], &options].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[test]
fn quiet_board_prints_no_requests() {
    let board = start(&["-q", "--greeting", "hi"]);
    assert_eq!(exchange(board.address, b"secret word").1, b"hi");
    let ended = board.interrupt();
    let text = format!("{ended:?}");
    assert!(!text.contains("secret word"), "{text}");
    assert!(text.contains("summary accepted=1"), "{text}");
}
