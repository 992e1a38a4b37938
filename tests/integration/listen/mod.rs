//! `tcpctl listen`.

mod clients;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::terminal::Terminal;
use crate::common::{Ended, end_by, finish, noise, read_all, run, signal, tcpctl};

/// A running `tcpctl listen` on a free port.
struct Listen {
    child: Child,
    address: SocketAddr,
    stderr: BufReader<ChildStderr>,
}

impl Listen {
    fn start(options: &[&str]) -> Self {
        let arguments = [&["listen", "127.0.0.1:0"][..], options].concat();
        let mut child = tcpctl(arguments).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Self {
            child,
            address,
            stderr,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Sends `bytes` and a FIN. Returns the reply.
    fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connect();
        connection.write_all(bytes).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        read_all(&mut connection)
    }

    /// The next line on standard error without its time.
    fn note(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn finish(self) -> Ended {
        finish(self.child)
    }

    fn interrupt(self) -> Ended {
        signal(&self.child, Signal::INT);
        self.finish()
    }
}

#[test]
fn pipe_gets_the_received_bytes_alone() {
    let listen = Listen::start(&["--count", "2"]);
    assert_eq!(listen.exchange(b"\0one\xff\n"), b"");
    assert_eq!(listen.exchange(b"two"), b"");
    let ended = listen.finish();
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"\0one\xff\ntwo"[..]));
}

#[test]
fn reply_is_sent_after_the_first_bytes() {
    let listen = Listen::start(&["--once", "--reply", "OK\n"]);
    let mut connection = listen.connect();
    connection
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(connection.read(&mut [0]).is_err(), "nothing was sent yet");
    connection.set_read_timeout(None).unwrap();
    connection.write_all(b"hi").unwrap();
    assert_eq!(read_all(&mut connection), b"OK\n");
    drop(connection);
    assert_eq!(listen.finish().stdout, b"hi");
}

#[test]
fn reply_file_is_sent_unchanged() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content = noise(7, 3 << 20);
    std::fs::write(&file, &content).unwrap();
    let path = file.path().to_str().unwrap();
    let listen = Listen::start(&["--once", "--reply-file", path]);
    assert!(listen.exchange(b"hi") == content);
    assert_eq!(listen.finish().code, 0);
}

#[test]
fn echo_returns_what_arrives() {
    let mut listen = Listen::start(&["--once", "--echo"]);
    let mut stdout = listen.child.stdout.take().unwrap();
    let printing = std::thread::spawn(move || {
        let mut printed = Vec::new();
        stdout.read_to_end(&mut printed).unwrap();
        printed
    });
    let sent = noise(1, 8 << 20);
    let mut writer = listen.connect();
    let mut reader = writer.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(read_all(&mut reader) == sent);
    writing.join().unwrap();
    assert!(printing.join().unwrap() == sent);
    assert_eq!(listen.finish().code, 0);
}

#[test]
fn exec_answers_each_request() {
    let listen = Listen::start(&["--count", "2", "--exec", "tr a-z A-Z"]);
    assert_eq!(listen.exchange(b"status"), b"STATUS");
    // This request ends by silence.
    let mut connection = listen.connect();
    connection.write_all(b"readings\n").unwrap();
    assert_eq!(read_all(&mut connection), b"READINGS\n");
    drop(connection);
    assert_eq!(listen.finish().code, 0);
}

#[test]
fn exec_is_killed_when_the_client_resets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let command = format!("echo $$ > {path}; echo started; sleep 1000");
    let listen = Listen::start(&["--once", "--exec", &command]);
    let mut connection = listen.connect();
    connection.write_all(b"x").unwrap();
    let mut started = [0; 8];
    connection.read_exact(&mut started).unwrap();
    let pid = std::fs::read_to_string(&file).unwrap();
    crate::common::reset(connection);
    assert_eq!(listen.finish().code, 0);
    let start = Instant::now();
    while std::path::Path::new(&format!("/proc/{}", pid.trim())).exists() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
}

#[test]
fn json_has_an_object_per_event() {
    let mut child = tcpctl(["listen", "127.0.0.1:0", "--json", "--once", "--reply", "OK"])
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    stdout.read_line(&mut text).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut connection = TcpStream::connect(ready["addr"].as_str().unwrap()).unwrap();
    let own = connection.local_addr().unwrap().to_string();
    connection.write_all("aä".as_bytes()).unwrap();
    assert_eq!(read_all(&mut connection), b"OK");
    connection.write_all(b"\xff").unwrap();
    drop(connection);
    stdout.read_to_string(&mut text).unwrap();
    let mut ended = finish(child);
    ended.stdout = text.into_bytes();
    let objects = ended.objects();
    let events: Vec<_> = objects
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        ["ready", "accepted", "received", "received", "closed"]
    );
    assert_eq!(objects[2]["data"], "aä");
    assert_eq!(objects[2]["len"], 3);
    assert_eq!(objects[3]["data_base64"], "/w==");
    assert_eq!(objects[4]["reason"], "replied");
    assert_eq!(
        (&objects[4]["received_bytes"], &objects[4]["sent_bytes"]),
        (&4.into(), &2.into())
    );
    assert!(objects[1..].iter().all(|it| it["peer"] == own.as_str()));
}

#[test]
fn terminal_shows_time_peer_and_escaped_lines() {
    let (mut terminal, child) = Terminal::start(tcpctl(["listen", "127.0.0.1:0"]));
    terminal.wait_for("\r\n");
    let seen = terminal.wait_for("listening on ").to_owned();
    let address = seen
        .split("listening on ")
        .nth(1)
        .unwrap()
        .trim()
        .to_owned();
    let mut connection = TcpStream::connect(address).unwrap();
    let own = connection.local_addr().unwrap();
    connection.write_all(b"one\x1b[2J\r\nprompt> ").unwrap();
    // The unfinished line is shown after a moment.
    terminal.wait_for("prompt> ");
    signal(&child, Signal::INT);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(
        seen.contains(&format!(" {own}: one\\x1b[2J\r\n")),
        "{seen:?}"
    );
    assert!(seen.contains(&format!(" {own}: prompt> \r\n")), "{seen:?}");
}

#[test]
fn endless_line_is_split_on_a_terminal() {
    const SENT: usize = 256 << 10;
    let (mut terminal, child) = Terminal::start(tcpctl(["listen", "127.0.0.1:0", "--once"]));
    terminal.wait_for("\r\n");
    let seen = terminal.wait_for("listening on ").to_owned();
    let address = seen.trim().strip_prefix("listening on ").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let writing = std::thread::spawn(move || connection.write_all(&vec![b'x'; SENT]).unwrap());
    let (code, seen) = terminal.finish(child);
    writing.join().unwrap();
    assert_eq!(code, 0, "{seen}");
    let lines: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split_once(": x"))
        .map(|(_, rest)| rest.len() + 1)
        .collect();
    assert_eq!(lines.iter().sum::<usize>(), SENT);
    assert!(lines.iter().all(|length| *length <= 8 << 10), "{lines:?}");
}

/// If the output is blocked, clients wait, and nothing that they sent is lost.
#[test]
fn unread_output_is_bounded() {
    const FLOOD: usize = 64 << 20;
    let mut listen = Listen::start(&["--once"]);
    let mut output = listen.child.stdout.take().unwrap();
    let mut connection = listen.connect();
    // Write until nothing was accepted for two seconds.
    connection
        .set_write_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let text = noise(3, 64 << 10);
    let mut written = 0;
    while let Ok(count) = connection.write(&text[written % text.len()..]) {
        written += count;
        assert!(
            written < FLOOD,
            "everything was read, and the output is blocked"
        );
    }
    drop(connection);
    let mut came = Vec::new();
    output.read_to_end(&mut came).unwrap();
    assert_eq!(came.len(), written);
    assert!(came.chunks(text.len()).all(|it| text.starts_with(it)));
    assert_eq!(listen.finish().code, 0);
}

#[test]
fn silent_clients_do_not_delay_the_end() {
    let ended = end_by(Signal::INT, || {
        let mut listen = Listen::start(&[]);
        let silent = listen.connect();
        assert!(listen.note().ends_with("connected"));
        (listen.child, silent)
    });
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn further_connections_wait() {
    let mut listen = Listen::start(&["--max-connections", "2", "--reply", "OK"]);
    let held = [listen.connect(), listen.connect()];
    let waiting = listen.connect();
    for _ in 0..2 {
        assert!(listen.note().ends_with("connected"));
    }
    let note = "limit of 2 connections reached, others wait (--max-connections)";
    assert_eq!(listen.note(), note);
    drop(held);
    let mut waiting = waiting;
    waiting.write_all(b"hi").unwrap();
    assert_eq!(read_all(&mut waiting), b"OK");
    assert_eq!(listen.interrupt().code, 0);
}

#[test]
fn connection_limit_is_noted_once() {
    let listen = Listen::start(&["--max-connections", "1", "--count", "3"]);
    for _ in 0..3 {
        listen.exchange(b"");
    }
    let mut listen = listen;
    let mut notes = String::new();
    listen.stderr.read_to_string(&mut notes).unwrap();
    let limit = "\nlimit of 1 connection reached, others wait (--max-connections)\n";
    assert_eq!(notes.matches(limit).count(), 1, "{notes}");
    assert_eq!(notes.matches("limit").count(), 1, "{notes}");
    assert_eq!(listen.finish().code, 0);
    // No further connection is accepted.
    let mut listen = Listen::start(&["--max-connections", "1", "--once"]);
    listen.exchange(b"");
    let mut notes = String::new();
    listen.stderr.read_to_string(&mut notes).unwrap();
    assert!(!notes.contains("limit"), "{notes}");
    assert_eq!(listen.finish().code, 0);
}

#[test]
fn flood_of_connections_is_served() {
    let listen = Listen::start(&["--max-connections", "8", "--reply", "OK", "--count", "300"]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let address = listen.address;
            std::thread::spawn(move || {
                for _ in 0..15 {
                    let mut connection = TcpStream::connect(address).unwrap();
                    connection.write_all(b"x").unwrap();
                    assert_eq!(read_all(&mut connection), b"OK");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let ended = listen.finish();
    assert_eq!((ended.code, ended.stdout.len()), (0, 300));
}

#[test]
fn timeout_without_connections_is_28() {
    for (options, code) in [(&[][..], 0), (&["--once"], 28), (&["--json", "--once"], 28)] {
        let all = [
            &["listen", "127.0.0.1:0", "--timeout", "100ms"][..],
            options,
        ]
        .concat();
        let ended = run(all);
        assert_eq!(ended.code, code, "{ended:?}");
    }
    let listen = Listen::start(&["--count", "2", "--timeout", "1s"]);
    listen.exchange(b"one");
    assert_eq!(listen.finish().code, 1);
}

#[test]
fn connection_cut_off_by_the_timeout_is_not_served() {
    for (sent, code) in [(&b""[..], 28), (b"half", 1)] {
        let listen = Listen::start(&["--once", "--timeout", "3s"]);
        let mut connection = listen.connect();
        connection.write_all(sent).unwrap();
        let ended = listen.finish();
        assert_eq!((ended.code, &ended.stdout[..]), (code, sent), "{ended:?}");
        drop(connection);
    }
}

#[test]
fn invalid_arguments_are_rejected() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, code, words) in [
        (&["board"][..], 2, "0.0.0.0:3000"),
        (&["--reply", "x", "--echo"], 2, "--echo"),
        (&["--once", "--count", "2"], 2, "--count"),
        (&["--reply-file", "/nowhere"], 2, "--reply-file /nowhere"),
        (&["192.0.2.1"], 70, "192.0.2.1:3000: not an address"),
    ] {
        let ended = run([&["listen"][..], arguments].concat());
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
    let ended = run(["listen", &taken]);
    assert_eq!(ended.code, 70, "{ended:?}");
    assert!(ended.stderr.contains("in use"), "{ended:?}");
}

#[test]
fn closed_stdout_ends_quietly() {
    let mut child = tcpctl(["listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"x").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
