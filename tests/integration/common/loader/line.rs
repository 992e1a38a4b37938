//! The serial line: a pseudo-terminal. It has a baud rate but no DTR and RTS.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr};

pub(crate) struct Line {
    pub(crate) path: PathBuf,
    master: Option<File>,
    /// Keeps the line open while no other process has it open.
    slave: OwnedFd,
}

impl Line {
    pub(crate) fn open() -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_str().unwrap());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        let mut raw = tcgetattr(&slave).unwrap();
        raw.make_raw();
        raw.set_speed(115_200).unwrap();
        tcsetattr(&slave, OptionalActions::Now, &raw).unwrap();
        Self {
            path,
            master: Some(master.into()),
            slave,
        }
    }

    /// The baud rate that the other end has set.
    pub(crate) fn baud(&self) -> u32 {
        tcgetattr(&self.slave).map_or(0, |settings| settings.output_speed())
    }

    /// Clears the exclusive mode (TIOCEXCL) that the other end sets and does not clear. Otherwise
    /// only root could open the port again while this end is open.
    fn clear_exclusive(&self) {
        let _ = ioctl_tiocnxcl(&self.slave);
    }

    /// Bytes received within a moment.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        self.clear_exclusive();
        let Some(master) = &mut self.master else {
            std::thread::park_timeout(Duration::from_millis(5));
            return Vec::new();
        };
        let mut polled = [PollFd::new(&*master, PollFlags::IN)];
        let moment = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        };
        if poll(&mut polled, Some(&moment)).unwrap_or(0) == 0 {
            return Vec::new();
        }
        let mut bytes = vec![0; 65_536];
        let count = master.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.clear_exclusive();
        if let Some(master) = &mut self.master {
            let _ = master.write_all(bytes);
        }
    }

    /// Writes as much as fits; `None` if the other end reads nothing for this many seconds.
    pub(crate) fn write_some(&mut self, bytes: &[u8], seconds: i64) -> Option<usize> {
        self.clear_exclusive();
        let master = self.master.as_mut()?;
        rustix::io::ioctl_fionbio(&*master, true).unwrap();
        let mut polled = [PollFd::new(&*master, PollFlags::OUT)];
        let patience = rustix::event::Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        if poll(&mut polled, Some(&patience)).unwrap() == 0 {
            return None;
        }
        master.write(bytes).ok()
    }

    /// Unplugs the cable.
    pub(crate) fn unplug(&mut self) {
        self.master = None;
    }
}
