//! What ends an exchange, and the exit code that it then has.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Server, closed_port, read_all, read_some, reset, run, run_with_input, tcpctl};

/// Answers with `half`, then resets.
fn resetting(half: &'static [u8]) -> Server {
    Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(half);
        // Some systems drop what is not yet read when a reset comes.
        if !half.is_empty() {
            connection
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            let _ = connection.read(&mut [0]);
        }
        reset(connection);
    })
}

#[test]
fn each_rule_and_its_exit_code() {
    let closes = Server::greeter(b"Hello World");
    let closes_silently = Server::greeter(b"");
    let stays = Server::staying(b"one\ntwo\nthree\n");
    let stays_silently = Server::staying(b"");
    let resets = resetting(b"half of");
    let resets_at_once = resetting(b"");
    let short = ["--reply-timeout", "200ms"];
    let cases: [(&Server, &[&str], i32, &str, &str); 24] = [
        // The default rule.
        (&closes, &[], 0, "Hello World", "server's close"),
        (&stays, &["--idle", "100ms"], 0, "one\ntwo\nthree\n", "idle"),
        (&closes_silently, &[], 1, "", "closed without a reply"),
        (&stays_silently, &short, 28, "", "no reply"),
        (&resets, &[], 56, "half of", "after 7 bytes"),
        (&resets_at_once, &[], 56, "", "before a reply"),
        // Until the close.
        (&closes, &["--until-close"], 0, "Hello World", "close"),
        (
            &stays,
            &["--until-close", short[0], short[1]],
            28,
            "one\ntwo\nthree\n",
            "fell silent",
        ),
        (&resets, &["--until-close"], 56, "half of", "reset"),
        (
            &closes_silently,
            &["--until-close"],
            1,
            "",
            "closed without a reply",
        ),
        // Lines.
        (&stays, &["--lines", "2"], 0, "one\ntwo\n", "line"),
        (
            &stays,
            &["--lines", "4", short[0], short[1]],
            1,
            "one\ntwo\nthree\n",
            "not 4 lines",
        ),
        (&closes, &["--lines", "1"], 0, "Hello World", "close"),
        (&closes, &["--lines", "2"], 1, "Hello World", "not 2 lines"),
        (&resets, &["--lines", "1"], 1, "half of", "not 1 lines"),
        (
            &stays_silently,
            &["--lines", "1", short[0], short[1]],
            1,
            "",
            "not 1 lines",
        ),
        // A match.
        (
            &stays,
            &["--expect", "^t.o$"],
            0,
            "one\ntwo\nthree\n",
            "match",
        ),
        (&closes, &["--expect", "World$"], 0, "Hello World", "match"),
        (&closes, &["--expect", "Moon"], 1, "Hello World", "'Moon'"),
        (
            &stays,
            &["--expect", "four", short[0], short[1]],
            1,
            "one\ntwo\nthree\n",
            "'four'",
        ),
        (&resets, &["--expect", "whole"], 1, "half of", "'whole'"),
        (
            &closes_silently,
            &["--expect", ""],
            1,
            "",
            "nothing matched",
        ),
        // No reply is wanted.
        (&closes, &["--no-reply"], 0, "", "acknowledgement"),
        (&stays_silently, &["--no-reply"], 0, "", "acknowledgement"),
    ];
    for (server, arguments, code, stdout, told) in cases {
        let target = server.target();
        let all = ["send", &target, "hi", "-v"].into_iter();
        let ended = run(all.chain(arguments.iter().copied()));
        let case = format!("{arguments:?}: {ended:?}");
        assert_eq!(ended.code, code, "{case}");
        assert_eq!(String::from_utf8_lossy(&ended.stdout), stdout, "{case}");
        assert!(ended.stderr.contains(told), "{case}");
    }
}

#[test]
fn a_refused_connection_is_7_and_names_the_target() {
    let (_bound, address) = closed_port();
    let target = address.to_string();
    let ended = run(["send", &target, "hi"]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains(&target), "{ended:?}");
    assert!(ended.stderr.contains("refused"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_connection_that_is_not_answered_is_7() {
    // A listener whose backlog is full lets further SYNs go unanswered on Linux.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(connection) = std::net::TcpStream::connect_timeout(&address, patience) {
        waiting.push(connection);
        assert!(waiting.len() < 100);
    }
    let target = address.to_string();
    let ended = run(["send", &target, "hi", "--connect-timeout", "200ms"]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains("200ms"), "{ended:?}");
}

#[test]
fn a_name_that_does_not_resolve_is_6() {
    let ended = run(["send", "nonexistent.invalid", "hi"]);
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.stderr.contains("'nonexistent.invalid'"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
fn a_name_is_connected_to_by_the_address_that_answers() {
    let server = Server::greeter(b"found");
    let target = format!("localhost:{}", server.address.port());
    let ended = run(["send", &target, "hi"]);
    assert_eq!(
        (ended.code, &ended.stdout[..]),
        (0, &b"found"[..]),
        "{ended:?}"
    );
}

#[test]
fn ipv6_is_spoken() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return; // This machine has no IPv6.
    };
    let server = Server::on(listener, |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"six");
    });
    let ended = run(["send", "-6", &server.target(), "hi"]);
    assert_eq!(
        (ended.code, &ended.stdout[..]),
        (0, &b"six"[..]),
        "{ended:?}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_source_address_is_used() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        let peer = connection.peer_addr().unwrap().ip().to_string();
        let _ = connection.write_all(peer.as_bytes());
    });
    let ended = run(["send", &server.target(), "hi", "--source", "127.0.0.9"]);
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "127.0.0.9",
        "{ended:?}"
    );
}

/// The first row of the facts' table: answers when it sees the FIN.
#[test]
fn a_server_that_answers_on_fin() {
    let server = Server::start(|mut connection| {
        read_all(&mut connection);
        let _ = connection.write_all(b"Hello World");
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--half-close"], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
    let open = ["send", &target, "--reply-timeout", "200ms"];
    let ended = run_with_input(open, b"hi\n");
    assert_eq!(ended.code, 28, "{ended:?}");
    assert!(ended.stderr.contains("--half-close"), "{ended:?}");
}

/// The second row: answers after a while and stays open.
#[test]
fn a_server_that_answers_late_and_stays_open() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        std::thread::sleep(Duration::from_millis(300));
        let _ = connection.write_all(b"Hello World");
        read_all(&mut connection);
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--idle", "100ms"], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
}

/// The third row: takes a FIN for a client that is gone.
#[test]
fn a_device_that_takes_a_fin_for_goodbye() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        connection
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let gone = matches!(connection.read(&mut [0]), Ok(0));
        if !gone {
            let _ = connection.write_all(b"Hello World");
        }
    });
    let target = server.target();
    let ended = run_with_input(["send", &target], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
    let ended = run_with_input(["send", &target, "--half-close"], b"hi\n");
    assert_eq!((ended.code, &ended.stdout[..]), (1, &b""[..]));
    assert!(ended.stderr.contains("without --half-close"), "{ended:?}");
}

#[test]
fn a_close_before_all_was_sent_is_no_success() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"too large");
        let _ = connection.shutdown(Shutdown::Write);
        // It reads no more and keeps the connection.
        std::thread::sleep(Duration::from_mins(1));
    });
    let ended = run_with_input(["send", &server.target()], &vec![b'x'; 64 << 20]);
    assert_eq!(ended.code, 56, "{ended:?}");
    assert_eq!(ended.stdout, b"too large");
    assert!(ended.stderr.contains("not all"), "{ended:?}");
}

#[test]
fn a_server_that_takes_nothing_is_given_up() {
    let server = Server::start(|connection| {
        std::thread::sleep(Duration::from_mins(1));
        drop(connection);
    });
    let target = server.target();
    let arguments = ["send", &target, "--reply-timeout", "300ms"];
    for rule in [&[][..], &["--no-reply"]] {
        let all = arguments.into_iter().chain(rule.iter().copied());
        let ended = run_with_input(all, &vec![b'x'; 64 << 20]);
        assert_eq!(ended.code, 28, "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn without_a_reply_wanted_a_reset_is_56() {
    let server = Server::start(|mut connection| {
        read_some(&mut connection);
        reset(connection);
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--no-reply"], &vec![b'x'; 64 << 20]);
    assert_eq!(ended.code, 56, "{ended:?}");
}

#[test]
fn a_server_that_has_said_goodbye_and_still_reads_gets_everything() {
    let (sender, received) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        connection.shutdown(Shutdown::Write).unwrap();
        let _ = sender.send(read_all(&mut connection).len());
    });
    let input = vec![b'x'; 8 << 20];
    let ended = run_with_input(["send", &server.target(), "--no-reply"], &input);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(received.recv().unwrap(), input.len());
}

#[test]
fn a_server_that_says_goodbye_and_then_breaks_off_is_56() {
    let server = Server::start(|mut connection| {
        connection.shutdown(Shutdown::Write).unwrap();
        read_some(&mut connection);
        reset(connection);
    });
    let target = server.target();
    let ended = run_with_input(["send", &target, "--no-reply"], &vec![b'x'; 64 << 20]);
    assert_eq!(ended.code, 56, "{ended:?}");
}

#[test]
fn a_closed_standard_output_is_a_quiet_end() {
    let server = Server::staying(b"Hello World");
    let mut child = tcpctl(["send", &server.target(), "hi"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = crate::common::finish(child);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn a_full_disk_is_told_in_one_line() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        return; // Only Linux has one.
    };
    let server = Server::greeter(b"Hello World");
    for json in [&[][..], &["--json"]] {
        let target = server.target();
        let all = ["send", &target, "hi"].into_iter();
        let child = tcpctl(all.chain(json.iter().copied()))
            .stdout(Stdio::from(full.try_clone().unwrap()))
            .spawn()
            .unwrap();
        let ended = crate::common::finish(child);
        assert_eq!(ended.code, 70, "{ended:?}");
        assert!(ended.stderr.contains("standard output"), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}
