//! Connects to a board in its loader: reset, chip detection, stub, baud rate.

use std::path::Path;
use std::thread;
use std::time::Duration;

use espflash::command::Command;
use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::Flasher;
use espflash::target::Chip;
use serialport::SerialPort;

use super::Device;
use super::reset_guard::ResetGuard;
use crate::cli::Before;
use crate::esp::chip;
use crate::esp::image::chain;
use crate::failure::{Failure, Kind};
use crate::serial::port;
use crate::serial::port::{DEFAULT_BAUD, SelectedPort};

/// How to connect to a board.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The serial port.
    pub port: SelectedPort,
    /// How to enter the loader.
    pub before: Before,
    /// Baud rate while writing.
    pub baud: u32,
    /// The expected chip, and the source of that expectation.
    pub chip: Option<(Chip, String)>,
}

/// Flags of the security information (esptool, `get_security_info`).
const SECURE_BOOT: u32 = 1 << 0;
const SECURE_DOWNLOAD: u32 = 1 << 2;

/// An address that is readable on every chip.
const READABLE: u32 = 0x4000_1000;

impl Device {
    /// Enters the loader and identifies the board. Writes nothing to flash.
    ///
    /// # Errors
    /// No board answers, it has another chip, or it is locked.
    pub fn connect(options: &ConnectOptions) -> Result<Self, Failure> {
        let mut port = port::open(&options.port, DEFAULT_BAUD)?;
        let mut notes = Vec::new();
        // Pseudo-terminals and some adapters have no control lines.
        let has_reset_lines = port.read_data_set_ready().is_ok();
        let before = match options.before {
            Before::DefaultReset | Before::UsbReset if !has_reset_lines => {
                notes.push(format!(
                    "{} has no reset lines: the board must be in its loader already",
                    options.port.name()
                ));
                ResetBeforeOperation::NoReset
            }
            Before::DefaultReset => ResetBeforeOperation::DefaultReset,
            Before::UsbReset => ResetBeforeOperation::UsbReset,
            Before::NoReset => ResetBeforeOperation::NoReset,
            Before::NoResetNoSync => ResetBeforeOperation::NoResetNoSync,
        };
        let reset_guard = ResetGuard::new(&port, &options.port.usb, has_reset_lines);
        let (connection, stub_runs) = if before == ResetBeforeOperation::NoResetNoSync {
            (connection(port, options, before), true)
        } else {
            Self::look(connection(port, options, before), options)?
        };
        let (flasher, stub) = Self::start(connection, stub_runs, options, &mut notes)?;
        Self::identify(flasher, stub, options, reset_guard, notes)
    }

    /// Identifies the board before anything is loaded. Returns whether the stub is already running.
    fn look(
        mut connection: Connection,
        options: &ConnectOptions,
    ) -> Result<(Connection, bool), Failure> {
        let name = options.port.name();
        let device = |message: String| Failure::new(Kind::Device, message);
        let expected = options.chip.as_ref().map(|(chip, _)| *chip);
        connection
            .begin()
            .map_err(|error| no_answer(&options.port, expected, &error))?;
        let info = connection.security_info(false);
        // The stub's response is two bytes shorter, which fails to parse.
        let stub_runs = info.is_err() && connection.security_info(true).is_ok();
        let info = info.or_else(|_| connection.security_info(true));
        let chip = connection.detect_chip(stub_runs).map_err(|error| {
            device(format!(
                "{name}: the device is not an ESP32: {}",
                chain(&error)
            ))
            .hint(chip::boot_steps(expected))
        })?;
        if let Some((expected, says)) = &options.chip
            && *expected != chip
        {
            return Err(Failure::usage(format!(
                "{name}: the board has an {chip}, but {says} {expected}"
            ))
            .hint(format!(
                "give a firmware for the {chip}, or choose another board with --port"
            )));
        }
        let (flags, crypt_count) = match &info {
            Ok(info) => (info.flags, u32::from(info.flash_crypt_cnt)),
            // The ESP32 has no such command, but its eFuses have FLASH_CRYPT_CNT and ABS_DONE_0/1
            // (technical reference manual, chapter 20).
            Err(_) if chip == Chip::Esp32 => {
                let word = |connection: &mut Connection, word| {
                    chip.read_efuse_raw(connection, 0, word).unwrap_or_default()
                };
                let crypt_count = word(&mut connection, 0) >> 20 & 0x7f;
                let abs_done = word(&mut connection, 6) >> 4 & 0b11;
                (u32::from(abs_done != 0), crypt_count)
            }
            Err(_) => (0, 0),
        };
        let locked = if flags & SECURE_BOOT != 0 {
            Some("secure boot is enabled: the board starts only signed firmware")
        } else if flags & SECURE_DOWNLOAD != 0 {
            Some("secure download mode is enabled: flash cannot be read back and verified")
        } else if crypt_count.count_ones() % 2 == 1 {
            Some("flash encryption is enabled: the board would not start unencrypted firmware")
        } else {
            None
        };
        match locked {
            None => Ok((connection, stub_runs)),
            Some(what) => Err(device(format!("{name}: {what}"))
                .hint("nothing was written; use another board, this cannot be undone")),
        }
    }

    /// Starts the stub, or uses the ROM loader. Returns whether the stub runs.
    fn start(
        mut connection: Connection,
        stub_runs: bool,
        options: &ConnectOptions,
        notes: &mut Vec<String>,
    ) -> Result<(Flasher, bool), Failure> {
        let expected = options.chip.as_ref().map(|(chip, _)| *chip);
        if stub_runs {
            let chip = match expected {
                Some(chip) => chip,
                None => connection
                    .detect_chip(true)
                    .map_err(|error| no_answer(&options.port, None, &error))?,
            };
            // espflash recognizes a running stub only without a sync.
            let port = connection.into_serial();
            let again = self::connection(port, options, ResetBeforeOperation::NoResetNoSync);
            let flasher = Flasher::connect(again, true, true, false, Some(chip), None)
                .and_then(|mut flasher| {
                    let size = flasher.flash_detect()?.unwrap_or_default();
                    flasher.set_flash_size(size);
                    Ok(flasher)
                })
                .map_err(|error| no_answer(&options.port, expected, &error))?;
            return Ok((flasher, true));
        }
        match Flasher::try_connect(connection, true, true, false, expected, None) {
            Ok(flasher) => Ok((flasher, true)),
            Err(failed) => {
                let (error, connection) = *failed;
                let rom = Flasher::try_connect(connection, false, true, false, expected, None)
                    .map_err(|failed| {
                        let (again, _) = *failed;
                        if matches!(again, espflash::Error::FlashConnect) {
                            return Failure::new(
                                Kind::Device,
                                format!("{}: the flash chip does not answer", options.port.name()),
                            )
                            .hint("check that nothing is wired to the flash pins");
                        }
                        no_answer(&options.port, expected, &error)
                    })?;
                notes.push(format!(
                    "the stub does not start ({}); using the slower ROM loader",
                    chain(&error)
                ));
                Ok((rom, false))
            }
        }
    }

    /// Reads the device information and raises the baud rate.
    fn identify(
        mut flasher: Flasher,
        stub: bool,
        options: &ConnectOptions,
        reset_guard: ResetGuard,
        mut notes: Vec<String>,
    ) -> Result<Self, Failure> {
        let has_reset_lines = reset_guard.has_reset_lines;
        let info = flasher
            .device_info()
            .map_err(|error| no_answer(&options.port, None, &error))?;
        let mut baud = DEFAULT_BAUD;
        if options.baud > DEFAULT_BAUD {
            match raise_baud(&mut flasher, options.baud) {
                BaudChange::Done => baud = options.baud,
                BaudChange::Refused(why) => notes.push(format!(
                    "{} baud does not work ({why}); using {DEFAULT_BAUD}",
                    options.baud
                )),
                BaudChange::Lost(why) if has_reset_lines => {
                    // Both own the port, which is locked.
                    drop(flasher);
                    drop(reset_guard);
                    let slow = ConnectOptions {
                        baud: DEFAULT_BAUD,
                        ..options.clone()
                    };
                    let mut device = Self::connect(&slow)?;
                    device.notes.push(format!(
                        "{} baud does not work ({why}); using {DEFAULT_BAUD}",
                        options.baud
                    ));
                    return Ok(device);
                }
                BaudChange::Lost(why) => {
                    return Err(Failure::new(
                        Kind::Device,
                        format!(
                            "{}: {} baud does not work ({why})",
                            options.port.name(),
                            options.baud
                        ),
                    )
                    .hint(format!(
                        "nothing was written; {} with --baud {DEFAULT_BAUD}",
                        chip::boot_steps(Some(info.chip))
                    )));
                }
            }
        }
        Ok(Self {
            flasher,
            port: options.port.clone(),
            reset_guard,
            has_reset_lines,
            has_started_app: false,
            stub,
            baud,
            chip: info.chip,
            revision: info.revision,
            mac: info.mac_address,
            crystal: info.crystal_frequency,
            flash: info.flash_size,
            notes,
        })
    }
}

fn connection(port: Port, options: &ConnectOptions, before: ResetBeforeOperation) -> Connection {
    Connection::new(
        port,
        options.port.usb.clone(),
        // The reset is a separate step.
        ResetAfterOperation::NoResetNoStub,
        before,
        DEFAULT_BAUD,
    )
}

/// The result of changing the baud rate.
enum BaudChange {
    Done,
    /// The old rate is still in use.
    Refused(String),
    /// The board no longer answers.
    Lost(String),
}

fn raise_baud(flasher: &mut Flasher, baud: u32) -> BaudChange {
    if let Err(error) = flasher.change_baud(baud) {
        return BaudChange::Refused(chain(&error));
    }
    let connection = flasher.connection();
    let Err(error) = connection.read_reg(READABLE) else {
        return BaudChange::Done;
    };
    // The board may still receive, so ask it to return to the old rate.
    let back = Command::ChangeBaudrate {
        new_baud: DEFAULT_BAUD,
        prior_baud: baud,
    };
    let _ = connection.write_command(back);
    thread::sleep(Duration::from_millis(50));
    let returned = connection
        .set_baud(DEFAULT_BAUD)
        .and_then(|()| connection.read_reg(READABLE));
    match returned {
        Ok(_) => BaudChange::Refused(chain(&error)),
        Err(_) => BaudChange::Lost(chain(&error)),
    }
}

/// The failure if no loader replies.
fn no_answer(port: &SelectedPort, chip: Option<Chip>, error: &espflash::Error) -> Failure {
    let name = port.name();
    if !Path::new(&port.path).exists() && cfg!(unix) {
        return Failure::new(Kind::Device, format!("{name}: the board was unplugged"));
    }
    let other = port::holder(&port.path)
        .map(|holder| format!(". {holder} also has the port open: close it"))
        .unwrap_or_default();
    let why = chain(error);
    let why = match why.as_str() {
        "Failed to connect to the device" => String::new(),
        why => format!(" ({why})"),
    };
    Failure::new(Kind::Device, format!("{name}: no loader answers{why}"))
        .hint(format!("{}{other}", chip::boot_steps(chip)))
}
