//! A board with no firmware yet, on a pseudo-terminal: the ESP32-C3's ROM loader, the stub that is
//! loaded into it, its flash, and what it prints once it boots. The classic ESP32, S2 and S3 are
//! there as far as their registers and places in flash differ.
//!
//! It is kept honest in two ways: `esptool` reads and writes it (`tests/integration/flash/esptool.rs`), and its
//! flash is NOR flash, in which writing without erasing leaves nonsense. It proves the protocol,
//! the images, what is skipped and what is refused. It does not prove reset timing, USB or that a
//! chip boots what was written, although it checks all that the ROM and the bootloader check.
//!
//! The protocol is Espressif's "Serial Protocol" page of the esptool documentation.

mod boot;
mod chip;
mod flash;
pub(crate) mod line;
pub(crate) mod modem;
mod protocol;
mod slip;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

pub(crate) use flash::Flash;
pub(crate) use modem::{Lines, Start, Wiring};

/// What kind of board it is, and what is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    /// The chip id that it tells: 5 is the C3, 0 the ESP32, 2 the S2, 9 the S3.
    pub(crate) chip_id: u32,
    /// log2 of the flash's size, as its JEDEC id tells it: 0x16 is 4 MiB.
    pub(crate) flash_size_log2: u8,
    /// Its MAC address.
    pub(crate) mac: [u8; 6],
    /// Secure boot, flash encryption and the like, as `GET_SECURITY_INFO` tells them.
    pub(crate) security_flags: u32,
    /// Odd in the number of its bits where flash encryption is on.
    pub(crate) crypt_count: u8,
    /// What is wrong with it.
    pub(crate) fault: Fault,
    /// What it does once it boots.
    pub(crate) boot: Boot,
    /// What resets it. Where anything does, it runs its program at first.
    pub(crate) wiring: Wiring,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            chip_id: 5,
            flash_size_log2: 0x16,
            mac: [0x84, 0xf7, 0x03, 0x1a, 0x0b, 0x3c],
            security_flags: 0,
            crypt_count: 0,
            fault: Fault::None,
            boot: Boot::Firmware,
            wiring: Wiring::None,
        }
    }
}

/// What is wrong with a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It never answers: no board, or one that runs its program.
    Silent,
    /// It answers everything with noise.
    Garbage,
    /// It loads no stub.
    RefusesStub,
    /// It takes the stub, which never says that it runs.
    StubDies,
    /// It refuses another baud rate.
    RefusesBaud,
    /// Above 115200 baud what it says arrives as noise.
    NoisyWhenFast,
    /// Above 115200 baud nothing that is said arrives, either way.
    DeafWhenFast,
    /// A bit at this address stays as it is not meant to be.
    BadCell(u32),
    /// It falls silent after so many blocks of data.
    DiesAfter(u32),
    /// Its cable is pulled after so many blocks of data.
    UnpluggedAfter(u32),
}

/// What a board does once it boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// What a board with our firmware does: `tcpctl sim` with the settings found in its flash.
    Firmware,
    /// It boots and finds no network.
    NoNetwork,
    /// It says where it can be reached, and that is not so from here.
    Unreachable,
    /// It says where it can be reached, and whoever is there closes without a word.
    Closes,
    /// It says that it has panicked.
    Panics,
    /// It says nothing.
    Quiet,
}

/// What the board's thread and the test share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kind: Kind,
    pub(crate) flash: Flash,
    /// Which commands came, in order.
    pub(crate) commands: Vec<u8>,
    /// Bytes that came over the wire, and bytes that went back.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// The time that these take on a wire of the baud rate of each, in nanoseconds.
    pub(crate) wire_ns: u64,
    /// Blocks of data that were written.
    pub(crate) blocks: u32,
    /// BOOT and RESET are pressed by hand.
    pub(crate) press: bool,
    /// Each change of the modem lines.
    pub(crate) lines: Vec<Lines>,
    /// Each start of the chip that they led to.
    pub(crate) starts: Vec<Start>,
}

/// The board. It ends with this value.
pub(crate) struct Board {
    pub(crate) path: PathBuf,
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Board {
    /// A sound board with an erased flash, waiting in its loader.
    pub(crate) fn new() -> Self {
        Self::of(Kind::default())
    }

    pub(crate) fn with(fault: Fault) -> Self {
        Self::of(Kind {
            fault,
            ..Kind::default()
        })
    }

    pub(crate) fn of(kind: Kind) -> Self {
        let flash = Flash::erased(1 << kind.flash_size_log2);
        Self::holding(kind, flash)
    }

    /// A board with something in its flash.
    pub(crate) fn holding(kind: Kind, flash: Flash) -> Self {
        let wiring = kind.wiring;
        let state = Arc::new(Mutex::new(State {
            kind,
            flash,
            commands: Vec::new(),
            received: 0,
            sent: 0,
            wire_ns: 0,
            blocks: 0,
            press: false,
            lines: Vec::new(),
            starts: Vec::new(),
        }));
        let line = line::Line::open();
        let path = line.path.clone();
        let socket = std::env::temp_dir().join(format!(
            "tcpctl-lines-{}-{}",
            std::process::id(),
            path.file_name().unwrap().to_str().unwrap()
        ));
        let modem = modem::Modem::open(wiring, &socket);
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let thread = thread::spawn({
            let state = Arc::clone(&state);
            let stop = Arc::clone(&stop);
            move || protocol::run(line, modem, &state, &stop)
        });
        Self {
            path,
            socket,
            state,
            stop,
            thread: Some(thread),
        }
    }

    /// Connects a command's modem lines to this board, which needs a C compiler.
    pub(crate) fn wire(&self, command: &mut std::process::Command) {
        modem::wire(command, &self.path, &self.socket);
    }

    pub(crate) fn port(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What is in its flash.
    pub(crate) fn read(&self, offset: u32, length: usize) -> Vec<u8> {
        let at = offset as usize;
        self.state().flash.bytes()[at..at + length].to_vec()
    }

    /// Holds BOOT and presses RESET: it is in its loader again, and forgets what came so far.
    pub(crate) fn press_boot_and_reset(&self) {
        let mut state = self.state();
        state.press = true;
        state.commands.clear();
        state.received = 0;
        state.sent = 0;
        state.wire_ns = 0;
        state.blocks = 0;
        state.flash.written.clear();
        state.flash.erased.clear();
        state.lines.clear();
        state.starts.clear();
    }

    /// It is sound from now on.
    pub(crate) fn heal(&self) {
        self.state().kind.fault = Fault::None;
        self.press_boot_and_reset();
    }

    /// Whether nothing was erased and nothing was written.
    pub(crate) fn is_untouched(&self) -> bool {
        let state = self.state();
        state.flash.erased.is_empty() && state.flash.written.is_empty()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}
