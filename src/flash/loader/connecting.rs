//! From a port to a board in its loader: the way in, who answers, and at which rate.

use std::path::Path;
use std::thread;
use std::time::Duration;

use espflash::command::Command;
use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::Flasher;
use espflash::target::Chip;
use serialport::SerialPort;

use super::Device;
use super::way_out::WayOut;
use crate::cli::Before;
use crate::esp::chip;
use crate::esp::image::chain;
use crate::failure::{Failure, Kind};
use crate::serial::port;
use crate::serial::port::{DEFAULT_BAUD, SelectedPort};

/// How a board is spoken to.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where it is.
    pub port: SelectedPort,
    /// How it gets into its loader.
    pub before: Before,
    /// Bits per second while writing.
    pub baud: u32,
    /// The chip that it must have, and who says so.
    pub chip: Option<(Chip, String)>,
}

/// Bits of the security information (esptool, `get_security_info`).
const SECURE_BOOT: u32 = 1 << 0;
const SECURE_DOWNLOAD: u32 = 1 << 2;

/// There is something to read there on every chip.
const READABLE: u32 = 0x4000_1000;

impl Device {
    /// Brings a board into its loader and finds out what it is. Writes nothing to its flash.
    ///
    /// # Errors
    /// No board that answers, another chip than wished for, or one that is locked.
    pub fn connect(wish: &Wish) -> Result<Self, Failure> {
        let port = port::open(&wish.port, DEFAULT_BAUD)?;
        let mut notes = Vec::new();
        let mut port = port;
        // Reading a line changes none; a pseudo-terminal and some adapters have no lines at all.
        let has_reset_lines = port.read_data_set_ready().is_ok();
        let before = match wish.before {
            Before::DefaultReset | Before::UsbReset if !has_reset_lines => {
                notes.push(format!(
                    "{} has no reset lines: the board must be in its loader already",
                    wish.port.name()
                ));
                ResetBeforeOperation::NoReset
            }
            Before::DefaultReset => ResetBeforeOperation::DefaultReset,
            Before::UsbReset => ResetBeforeOperation::UsbReset,
            Before::NoReset => ResetBeforeOperation::NoReset,
            Before::NoResetNoSync => ResetBeforeOperation::NoResetNoSync,
        };
        let way_out = WayOut::new(&port, wish, has_reset_lines);
        let (connection, stub_runs) = if before == ResetBeforeOperation::NoResetNoSync {
            (connection(port, wish, before), true)
        } else {
            Self::look(connection(port, wish, before), wish)?
        };
        let (flasher, stub) = Self::start(connection, stub_runs, wish, &mut notes)?;
        Self::meet(flasher, stub, wish, way_out, notes)
    }

    /// Looks at the board before anything is loaded into it; says whether the stub runs already.
    fn look(mut connection: Connection, wish: &Wish) -> Result<(Connection, bool), Failure> {
        let name = wish.port.name();
        let device = |message: String| Failure::new(Kind::Device, message);
        let wished = wish.chip.as_ref().map(|(chip, _)| *chip);
        connection
            .begin()
            .map_err(|error| no_answer(&wish.port, wished, &error))?;
        let info = connection.security_info(false);
        // The stub's answer is two bytes shorter, and so reads as none.
        let stub_runs = info.is_err() && connection.security_info(true).is_ok();
        let info = info.or_else(|_| connection.security_info(true));
        let chip = connection.detect_chip(stub_runs).map_err(|error| {
            device(format!(
                "{name}: what answers there is no ESP32: {}",
                chain(&error)
            ))
            .hint(chip::boot_steps(wished))
        })?;
        if let Some((wished, says)) = &wish.chip
            && *wished != chip
        {
            return Err(device(format!(
                "{name}: the board has an {chip}, and {says} {wished}"
            ))
            .hint(format!(
                "give a firmware for the {chip}, or choose another board with --port"
            )));
        }
        let (flags, crypt_count) = match &info {
            Ok(info) => (info.flags, u32::from(info.flash_crypt_cnt)),
            // The ESP32 has no such command, and its eFuses tell (technical reference manual,
            // chapter 20): FLASH_CRYPT_CNT, and ABS_DONE_0 and 1.
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
            Some("secure boot is on: the board starts nothing that its owner has not signed")
        } else if flags & SECURE_DOWNLOAD != 0 {
            Some("secure download mode is on: the board can't be read back and verified")
        } else if crypt_count.count_ones() % 2 == 1 {
            Some(
                "flash encryption is on: the board would start nothing that is written in the clear",
            )
        } else {
            None
        };
        match locked {
            None => Ok((connection, stub_runs)),
            Some(what) => Err(device(format!("{name}: {what}"))
                .hint("nothing was written; use another board, these locks can't be undone")),
        }
    }

    /// Starts the stub, or else speaks to the ROM's loader; says which of them it is.
    fn start(
        connection: Connection,
        stub_runs: bool,
        wish: &Wish,
        notes: &mut Vec<String>,
    ) -> Result<(Flasher, bool), Failure> {
        let mut connection = connection;
        let wished = wish.chip.as_ref().map(|(chip, _)| *chip);
        if stub_runs {
            let chip = match wished {
                Some(chip) => chip,
                None => connection
                    .detect_chip(true)
                    .map_err(|error| no_answer(&wish.port, None, &error))?,
            };
            // The library takes a stub that runs for what it is only if it does not sync.
            let again = Connection::new(
                connection.into_serial(),
                wish.port.usb.clone(),
                ResetAfterOperation::NoResetNoStub,
                ResetBeforeOperation::NoResetNoSync,
                DEFAULT_BAUD,
            );
            let flasher = Flasher::connect(again, true, true, false, Some(chip), None)
                .and_then(|mut flasher| {
                    let size = flasher.flash_detect()?.unwrap_or_default();
                    flasher.set_flash_size(size);
                    Ok(flasher)
                })
                .map_err(|error| no_answer(&wish.port, wished, &error))?;
            return Ok((flasher, true));
        }
        match Flasher::try_connect(connection, true, true, false, wished, None) {
            Ok(flasher) => Ok((flasher, true)),
            Err(failed) => {
                let (error, connection) = *failed;
                let rom = Flasher::try_connect(connection, false, true, false, wished, None)
                    .map_err(|failed| {
                        let (again, _) = *failed;
                        if matches!(again, espflash::Error::FlashConnect) {
                            return Failure::new(
                                Kind::Device,
                                format!(
                                    "{}: the board's flash chip does not answer",
                                    wish.port.name()
                                ),
                            )
                            .hint("is anything wired to its flash pins?");
                        }
                        no_answer(&wish.port, wished, &error)
                    })?;
                notes.push(format!(
                    "the stub loader does not start ({}): the chip's own loader is used, which is slower",
                    chain(&error)
                ));
                Ok((rom, false))
            }
        }
    }

    /// Asks the board what it is, and goes over to the fast rate.
    fn meet(
        mut flasher: Flasher,
        stub: bool,
        wish: &Wish,
        way_out: WayOut,
        mut notes: Vec<String>,
    ) -> Result<Self, Failure> {
        let has_reset_lines = way_out.has_reset_lines;
        let info = flasher
            .device_info()
            .map_err(|error| no_answer(&wish.port, None, &error))?;
        let mut baud = DEFAULT_BAUD;
        if wish.baud > DEFAULT_BAUD {
            match faster(&mut flasher, wish.baud) {
                Faster::Done => baud = wish.baud,
                Faster::Refused(why) => notes.push(format!(
                    "{} baud do not work here ({why}): {DEFAULT_BAUD} are used",
                    wish.baud
                )),
                Faster::Lost(why) if has_reset_lines => {
                    // Both have the port, which is then locked.
                    drop(flasher);
                    drop(way_out);
                    let slow = Wish {
                        baud: DEFAULT_BAUD,
                        ..wish.clone()
                    };
                    let mut device = Self::connect(&slow)?;
                    device.notes.push(format!(
                        "{} baud do not work here ({why}): {DEFAULT_BAUD} are used",
                        wish.baud
                    ));
                    return Ok(device);
                }
                Faster::Lost(why) => {
                    return Err(Failure::new(
                        Kind::Device,
                        format!(
                            "{}: {} baud do not work here ({why})",
                            wish.port.name(),
                            wish.baud
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
            port: wish.port.clone(),
            way_out,
            has_reset_lines,
            left: false,
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

fn connection(port: Port, wish: &Wish, before: ResetBeforeOperation) -> Connection {
    Connection::new(
        port,
        wish.port.usb.clone(),
        // The library resets after each write; here that is a step of its own.
        ResetAfterOperation::NoResetNoStub,
        before,
        DEFAULT_BAUD,
    )
}

/// How going over to a faster rate went.
enum Faster {
    Done,
    /// The board is as it was.
    Refused(String),
    /// The board can't be heard.
    Lost(String),
}

fn faster(flasher: &mut Flasher, baud: u32) -> Faster {
    if let Err(error) = flasher.change_baud(baud) {
        return Faster::Refused(chain(&error));
    }
    let connection = flasher.connection();
    let Err(error) = connection.read_reg(READABLE) else {
        return Faster::Done;
    };
    // What we say may still be heard: ask it to come back.
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
        Ok(_) => Faster::Refused(chain(&error)),
        Err(_) => Faster::Lost(chain(&error)),
    }
}

/// Nobody who speaks the loaders' protocol.
fn no_answer(port: &SelectedPort, chip: Option<Chip>, error: &espflash::Error) -> Failure {
    let name = port.name();
    if !Path::new(&port.path).exists() && cfg!(unix) {
        return Failure::new(Kind::Device, format!("{name}: the board was unplugged"));
    }
    let other = port::holder(&port.path)
        .map(|holder| format!("; {holder} has the port open, too: end it"))
        .unwrap_or_default();
    let why = chain(error);
    let why = match why.as_str() {
        "Failed to connect to the device" => String::new(),
        why => format!(" ({why})"),
    };
    Failure::new(Kind::Device, format!("{name}: no loader answers{why}"))
        .hint(format!("{}{other}", chip::boot_steps(chip)))
}
