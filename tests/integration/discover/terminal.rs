//! A watch on a pseudo-terminal.

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
fn a_watch_redraws_its_table_when_the_terminal_is_resized() {
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
    // It holds the other end of the terminal.
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
    tcsetwinsize(&terminal, size(40)).unwrap();
    let fits = "\x1b[H\x1b[JNAME  ADDRESS  CHIP  MODE  WHERE  STATUS\r\n0 boards";
    sees(fits, &mut terminal);
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 0, "{ended:?}");
}
