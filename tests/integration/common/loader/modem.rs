//! DTR and RTS, which a pseudo-terminal lacks, and their effect through a board's wiring.
//!
//! `modem.c` is preloaded into the program under test and reports each change over a socket. It
//! proves the sequence chosen, and that the wiring's logic follows it into the loader and out
//! again; not the timing of capacitors, nor the behavior of USB drivers.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How DTR and RTS are connected to the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wiring {
    /// Not connected: the port has no such lines.
    None,
    /// Two transistors behind a bridge: RTS alone holds the chip in reset, DTR alone pulls BOOT
    /// low, both together do neither (circuit of Espressif's development boards).
    Bridge,
    /// The chip's own USB (C3 technical reference manual, "USB Serial/JTAG Controller"): DTR alone
    /// requests the loader, neither clears the request, RTS alone resets.
    UsbJtag,
}

/// The lines; true is asserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lines {
    pub(crate) dtr: bool,
    pub(crate) rts: bool,
}

/// The start of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The chip waits in its loader.
    Loader,
    /// The chip starts the program in flash.
    Program,
}

/// The board's end of the lines.
#[derive(Debug)]
pub(crate) struct Modem {
    wiring: Wiring,
    listener: Option<UnixListener>,
    program: Option<UnixStream>,
    lines: Lines,
    asked_for_loader: bool,
}

impl Modem {
    pub(crate) fn open(wiring: Wiring, socket: &Path) -> Self {
        let listener = (wiring != Wiring::None).then(|| {
            let _ = std::fs::remove_file(socket);
            let listener = UnixListener::bind(socket).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        Self {
            wiring,
            listener,
            program: None,
            lines: Lines::default(),
            asked_for_loader: false,
        }
    }

    /// Reads the lines. Passes each change, with its effect on the chip, to `seen` before the
    /// program continues.
    pub(crate) fn poll(&mut self, mut seen: impl FnMut(Lines, Option<Start>)) {
        let Some(listener) = &self.listener else {
            return;
        };
        if let Ok((program, _)) = listener.accept() {
            program.set_nonblocking(true).unwrap();
            self.program = Some(program);
        }
        let Some(mut program) = self.program.take() else {
            return;
        };
        let mut byte = [0];
        loop {
            match program.read(&mut byte) {
                Ok(1) => {
                    let lines = Lines {
                        dtr: byte[0] & 1 != 0,
                        rts: byte[0] & 2 != 0,
                    };
                    let start = self.change(lines);
                    seen(lines, start);
                    let _ = program.write_all(&byte);
                }
                Ok(_) => {
                    // The program has exited, so the kernel releases both lines at once.
                    let start = self.change(Lines::default());
                    seen(Lines::default(), start);
                    return;
                }
                Err(_) => break,
            }
        }
        self.program = Some(program);
    }

    fn change(&mut self, now: Lines) -> Option<Start> {
        let in_reset = |lines: Lines| lines.rts && !lines.dtr;
        let before = std::mem::replace(&mut self.lines, now);
        let starts_as = |loader: bool| {
            if loader {
                Start::Loader
            } else {
                Start::Program
            }
        };
        match self.wiring {
            Wiring::None => None,
            Wiring::Bridge => {
                let released = in_reset(before) && !in_reset(now);
                released.then(|| starts_as(now.dtr && !now.rts))
            }
            Wiring::UsbJtag => {
                match (now.rts, now.dtr) {
                    (false, asked) => self.asked_for_loader = asked,
                    (true, false) if !in_reset(before) => {
                        return Some(starts_as(self.asked_for_loader));
                    }
                    (true, _) => {}
                }
                None
            }
        }
    }
}

/// The library of `modem.c`, built once.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/common/loader/modem.c");
        let library = folder.join(format!("modem-{}.so", std::process::id()));
        let built = Command::new("cc")
            .args([
                "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o",
            ])
            .args([&library, &source])
            .status()
            .unwrap();
        assert!(built.success());
        // Several test processes share one file.
        let shared = folder.join("modem.so");
        std::fs::rename(&library, &shared).unwrap();
        shared
    })
}

/// Gives a command the modem lines of the board behind `port`.
pub(crate) fn wire(command: &mut Command, port: &Path, socket: &Path) {
    command
        .env("LD_PRELOAD", library())
        .env("TCPCTL_TEST_PORT", port)
        .env("TCPCTL_TEST_LINES", socket);
}
