//! What a person sees of a watch, through a pseudo-terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::common::{finish, signal, tcpctl};

const fn size(columns: u16) -> Winsize {
    Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[test]
fn a_watch_is_a_table_that_is_drawn_over_itself_when_the_terminal_changes() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, size(80)).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave: OwnedFd =
        rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let arguments = [
        "--color",
        "never",
        "discover",
        "--watch",
        "--no-mdns",
        "--no-serial",
    ];
    let mut command = tcpctl(arguments.into_iter().chain(["--interface", "lo"]));
    command.env("TERM", "xterm").stdout(Stdio::from(slave));
    let child = command.spawn().unwrap();
    // It has the terminal's other end: when the child is gone, so is that.
    drop(command);

    let mut terminal = File::from(master);
    let mut output = String::new();
    let mut sees = |text: &str, terminal: &mut File| {
        let mut bytes = [0; 1024];
        while !output.contains(text) {
            let count = terminal.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "{output:?} but not {text:?}");
            output += std::str::from_utf8(&bytes[..count]).unwrap();
        }
    };
    sees("STATUS\r\n0 boards; Ctrl-C ends\r\n", &mut terminal);
    // The headings take two rows now: three rows up, and a line that fits.
    tcsetwinsize(&terminal, size(40)).unwrap();
    sees("\x1b[3A\r\x1b[J", &mut terminal);
    sees(
        "\x1b[JNAME  ADDRESS  FOUND  WHERE  STATUS\r\n0 boards",
        &mut terminal,
    );
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 0, "{ended:?}");
}
