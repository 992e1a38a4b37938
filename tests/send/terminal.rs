//! What a person at a terminal sees, through a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::{Server, finish, read_some, tcpctl};

/// A person's end of a terminal.
struct Person {
    terminal: File,
    seen: String,
}

impl Person {
    /// Runs `tcpctl` on a terminal of its own: its standard output, and its standard input too.
    fn runs(arguments: &[&str]) -> (Self, Child) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave: OwnedFd =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let child = tcpctl(arguments.iter().copied())
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave))
            .spawn()
            .unwrap();
        let person = Self {
            terminal: File::from(master),
            seen: String::new(),
        };
        (person, child)
    }

    /// Reads until `text` is seen.
    fn sees(&mut self, text: &str) {
        let mut bytes = [0; 1024];
        while !self.seen.contains(text) {
            let count = self.terminal.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "{:?} but not {text:?}", self.seen);
            self.seen += std::str::from_utf8(&bytes[..count]).unwrap();
        }
    }

    /// Reads until the command is gone, and returns all that was seen, with the terminal's CR LF
    /// as LF.
    fn sees_the_end(mut self, child: Child) -> (i32, String) {
        let mut bytes = [0; 1024];
        // The read fails with EIO when the last one on the other side is gone.
        while let Ok(count @ 1..) = self.terminal.read(&mut bytes) {
            self.seen += std::str::from_utf8(&bytes[..count]).unwrap();
        }
        (finish(child).code, self.seen.replace("\r\n", "\n"))
    }
}

#[test]
fn a_reply_is_escaped_and_ends_its_line() {
    let server = Server::greeter(b"\x1b[31mred\x1b[0m\x07 \xff\0 \xc2\x9b2J\r\nend");
    let (person, child) = Person::runs(&["send", &server.target(), "hi"]);
    let (code, seen) = person.sees_the_end(child);
    assert_eq!(code, 0);
    assert_eq!(
        seen,
        "\\x1b[31mred\\x1b[0m\\x07 \\xff\\x00 \\u{9b}2J\nend\n"
    );
}

#[test]
fn a_character_split_between_two_packets_is_whole() {
    let (sender, go_on) = std::sync::mpsc::channel::<()>();
    let go_on = std::sync::Arc::new(std::sync::Mutex::new(go_on));
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"caf\xc3");
        go_on.lock().unwrap().recv().unwrap();
        let _ = connection.write_all(b"\xa9");
    });
    let (mut person, child) = Person::runs(&["send", &server.target(), "hi"]);
    person.sees("caf");
    sender.send(()).unwrap();
    assert_eq!(person.sees_the_end(child), (0, "café\n".to_owned()));
}

#[test]
fn raw_is_raw() {
    let server = Server::greeter(b"\x1b[31mred");
    let (person, child) = Person::runs(&["send", &server.target(), "hi", "--output", "raw"]);
    assert_eq!(person.sees_the_end(child), (0, "\x1b[31mred".to_owned()));
}

#[test]
fn json_does_nothing_to_the_terminal_either() {
    let server = Server::greeter(b"\x1b[2J\xc2\x9b2J\xe2\x80\xae");
    let (person, child) = Person::runs(&["send", &server.target(), "hi", "--json"]);
    let (_, seen) = person.sees_the_end(child);
    let object: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(object["reply"], "\u{1b}[2J\u{9b}2J\u{202e}");
    assert!(
        seen.trim_end().chars().all(|c| (' '..='~').contains(&c)),
        "{seen:?}"
    );
}

#[test]
fn without_a_message_the_tutorial_s_is_sent() {
    let server = Server::start(|mut connection| {
        let message = read_some(&mut connection);
        let _ = connection.write_all(&message);
    });
    let (person, child) = Person::runs(&["send", &server.target()]);
    assert_eq!(
        person.sees_the_end(child),
        (0, "Hello TCP world!\n".to_owned())
    );
}

#[test]
fn a_conversation_goes_line_by_line() {
    let server = Server::start(|mut connection| {
        for answer in [&b"+OK one\n"[..], b"+OK two\n"] {
            let line = read_some(&mut connection);
            assert!(line.ends_with(b"\r\n"), "{line:?}");
            let _ = connection.write_all(answer);
        }
        // Stays open until the client has gone.
        read_some(&mut connection);
    });
    let arguments = ["send", &server.target(), "-", "--crlf", "--idle", "50ms"];
    let (mut person, child) = Person::runs(&arguments);
    person.terminal.write_all(b"first\n").unwrap();
    person.sees("+OK one");
    person.terminal.write_all(b"second\n").unwrap();
    person.sees("+OK two");
    person.terminal.write_all(b"\x04").unwrap(); // Ctrl-D
    assert_eq!(person.sees_the_end(child).0, 0);
}
