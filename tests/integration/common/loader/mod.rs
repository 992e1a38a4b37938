//! A board without firmware on a pseudo-terminal: the ESP32-C3's ROM loader, the stub loaded into
//! it, its flash, and its output after a reset. Classic ESP32, S2 and S3 differ in registers and
//! flash offsets.
//!
//! `esptool` reads and writes it (`flash/esptool.rs`), and its flash behaves as NOR flash, where
//! writing without erasing corrupts data. It proves the protocol, the images, what is skipped and
//! what is refused. It proves neither reset timing nor USB, nor that a chip boots the result,
//! although it makes the checks of the ROM and the bootloader.
//!
//! Protocol: "Serial Protocol" in Espressif's esptool documentation.

pub(crate) mod boot;
mod chip;
mod flash;
pub(crate) mod line;
pub(crate) mod modem;
mod protocol;
mod slip;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

pub(crate) use flash::Flash;
pub(crate) use modem::{Lines, Start, Wiring};

/// The kind of board, and its fault.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    /// Chip ID that the board reports: 5 is the C3, 0 the ESP32, 2 the S2, 9 the S3.
    pub(crate) chip_id: u32,
    /// log2 of the flash size, as in its JEDEC id: 0x16 is 4 MiB.
    pub(crate) flash_size_log2: u8,
    /// MAC address.
    pub(crate) mac: [u8; 6],
    /// Secure boot, flash encryption and others, as reported by `GET_SECURITY_INFO`.
    pub(crate) security_flags: u32,
    /// Value of `FLASH_CRYPT_CNT`. Flash encryption is on if the number of its set bits is odd.
    pub(crate) crypt_count: u8,
    /// Fault of the board.
    pub(crate) fault: Fault,
    /// Behavior after a reset.
    pub(crate) boot: Boot,
    /// Wiring of the reset lines. With any wiring, the board first runs its program.
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

/// The fault of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No fault.
    None,
    /// The board never replies, like one that runs its program.
    Silent,
    /// The board replies to everything with noise.
    Garbage,
    /// A byte of each reply with data or a register is lost on the line.
    LosesByte,
    /// A byte of each reply with a register is lost on the line.
    LosesRegisterByte,
    /// The board refuses to load a stub.
    RefusesStub,
    /// The board loads the stub, which never reports that it runs.
    StubDies,
    /// The board refuses to change its baud rate.
    RefusesBaud,
    /// Above 115200 baud its replies arrive as noise.
    NoisyWhenFast,
    /// Above 115200 baud nothing arrives in either direction.
    DeafWhenFast,
    /// A bit at this offset is stuck.
    BadCell(u32),
    /// The board stops replying after this many blocks of data.
    DiesAfter(u32),
    /// The board is unplugged after this many blocks of data.
    UnpluggedAfter(u32),
}

/// Behavior of a board after a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Run our firmware: `tcpctl sim` with the settings in the board's flash.
    Firmware,
    /// Hang before the banner.
    Hangs,
    /// Find no network.
    NoNetwork,
    /// Print an address that cannot be reached from this computer.
    Unreachable,
    /// Print the address, and close connections without a reply.
    Closes,
    /// Print the address, and never reply.
    Mute,
    /// Print a panic.
    Panics,
    /// Print nothing.
    Quiet,
}

/// State shared by the board's thread and the test.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kind: Kind,
    pub(crate) flash: Flash,
    /// The commands received, in order.
    pub(crate) commands: Vec<u8>,
    /// Bytes received and sent over the line.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Time that these bytes take on the line at their baud rates, in nanoseconds.
    pub(crate) wire_ns: u64,
    /// Blocks of data written.
    pub(crate) blocks: u32,
    /// Whether BOOT and RESET are pressed by hand.
    pub(crate) press: bool,
    /// Each change of the modem lines.
    pub(crate) lines: Vec<Lines>,
    /// Each start of the chip that these changes caused.
    pub(crate) starts: Vec<Start>,
}

/// A running board. It ends when it is dropped.
pub(crate) struct Board {
    pub(crate) path: PathBuf,
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Number of the next socket.
static NEXT_SOCKET: AtomicU32 = AtomicU32::new(0);

impl Board {
    /// A working board with an erased flash, in its loader.
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

    /// A board with content in its flash.
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
        // The name does not contain that of the pseudo-terminal, because another board may get its
        // number before this one has removed the socket.
        let number = NEXT_SOCKET.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpctl-lines-{}-{number}", std::process::id());
        let socket = std::env::temp_dir().join(name);
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

    /// Connects a command's modem lines to this board. Needs a C compiler.
    pub(crate) fn wire(&self, command: &mut std::process::Command) {
        modem::wire(command, &self.path, &self.socket);
    }

    pub(crate) fn port(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Reads the content of the board's flash.
    pub(crate) fn read(&self, offset: u32, length: usize) -> Vec<u8> {
        let at = offset as usize;
        self.state().flash.bytes()[at..at + length].to_vec()
    }

    /// Holds BOOT and presses RESET: back in the loader, with cleared records.
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

    /// Removes the fault.
    pub(crate) fn heal(&self) {
        self.state().kind.fault = Fault::None;
        self.press_boot_and_reset();
    }

    /// Whether nothing was erased or written.
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
