//! A person at a terminal: a pseudo-terminal that all three streams of a command are on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::finish;

pub(crate) struct Person {
    terminal: File,
    seen: String,
}

impl AsFd for Person {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

/// A pseudo-terminal: the end where a person sits, and a command's.
pub(crate) fn pseudo_terminal(columns: u16) -> (File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave: OwnedFd =
        rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 40,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).unwrap();
    (File::from(master), slave)
}

impl Person {
    /// Starts a command, on a terminal of 120 columns.
    pub(crate) fn runs(command: Command) -> (Self, Child) {
        Self::runs_in(120, command)
    }

    /// Starts a command on a terminal of so many columns.
    pub(crate) fn runs_in(columns: u16, mut command: Command) -> (Self, Child) {
        let (terminal, slave) = pseudo_terminal(columns);
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave))
            .spawn()
            .unwrap();
        let person = Self {
            terminal,
            seen: String::new(),
        };
        (person, child)
    }

    /// Reads until `text` is seen.
    pub(crate) fn sees(&mut self, text: &str) -> &str {
        while !self.seen.contains(text) {
            assert!(self.reads_on(), "{:?} but not {text:?}", self.seen);
        }
        &self.seen
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until what is typed is no longer shown, and types.
    pub(crate) fn types_hidden(&mut self, text: &str) {
        while tcgetattr(&self.terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
        {
            std::thread::yield_now();
        }
        self.types(text);
    }

    /// Reads to the end; the exit code, and all that was seen.
    pub(crate) fn sees_the_end(mut self, child: Child) -> (i32, String) {
        while self.reads_on() {}
        (finish(child).code, self.seen)
    }

    /// Reads what is there; false at the end, or where nothing comes for too long.
    fn reads_on(&mut self) -> bool {
        let patience = rustix::event::Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        let mut polled = [PollFd::new(&self.terminal, PollFlags::IN)];
        if poll(&mut polled, Some(&patience)).unwrap_or(0) == 0 {
            return false;
        }
        let mut bytes = [0; 1024];
        // The read fails with EIO when the last one on the other side is gone.
        let count = self.terminal.read(&mut bytes).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&bytes[..count]);
        count > 0
    }
}
