//! A pseudo-terminal as stdin, stdout and stderr of a command.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::finish;

pub(crate) struct Terminal {
    master: File,
    seen: String,
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// Opens a pseudo-terminal: the master end, and the slave end for a command.
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

impl Terminal {
    /// Starts a command on a terminal of 120 columns.
    pub(crate) fn start(command: Command) -> (Self, Child) {
        Self::start_in(120, command)
    }

    /// Starts a command on a terminal of this width.
    pub(crate) fn start_in(columns: u16, command: Command) -> (Self, Child) {
        Self::start_as("xterm-256color", columns, command)
    }

    /// Starts a command on a terminal of 80 columns that cannot move its cursor.
    pub(crate) fn start_dumb(command: Command) -> (Self, Child) {
        Self::start_as("dumb", 80, command)
    }

    fn start_as(term: &str, columns: u16, mut command: Command) -> (Self, Child) {
        let (master, slave) = pseudo_terminal(columns);
        let child = command
            .env("TERM", term)
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave))
            .spawn()
            .unwrap();
        let terminal = Self {
            master,
            seen: String::new(),
        };
        (terminal, child)
    }

    /// Reads until `text` has appeared.
    pub(crate) fn wait_for(&mut self, text: &str) -> &str {
        while !self.seen.contains(text) {
            assert!(self.read_more(), "{:?} but not {text:?}", self.seen);
        }
        &self.seen
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until echo is off, then types.
    #[cfg(target_os = "linux")]
    pub(crate) fn type_hidden(&mut self, text: &str) {
        self.wait_until_hidden();
        self.type_text(text);
    }

    /// Waits until echo is off.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait_until_hidden(&self) {
        use rustix::termios::{LocalModes, tcgetattr};
        let is_shown = || {
            let modes = tcgetattr(&self.master).unwrap().local_modes;
            modes.contains(LocalModes::ECHO)
        };
        let interval = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 2_000_000,
        };
        while is_shown() {
            // poll reports a hangup without a request: the command has ended.
            let mut polled = [PollFd::new(&self.master, PollFlags::empty())];
            let events = poll(&mut polled, Some(&interval)).unwrap();
            assert_eq!(events, 0, "ended before it hid its input: {:?}", self.seen);
        }
    }

    /// Reads to the end. Returns the exit code and everything that was read.
    pub(crate) fn finish(mut self, child: Child) -> (i32, String) {
        while self.read_more() {}
        (finish(child).code, self.seen)
    }

    /// Reads what is available; false at the end, or after a minute without data.
    fn read_more(&mut self) -> bool {
        let timeout = rustix::event::Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        let mut polled = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut polled, Some(&timeout)).unwrap_or(0) == 0 {
            return false;
        }
        let mut bytes = [0; 1024];
        // The read fails with EIO once every slave end is closed.
        let count = self.master.read(&mut bytes).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&bytes[..count]);
        count > 0
    }
}
