//! A board in its loader: the ROM's own, or the stub that is put into its memory because it is
//! faster and takes compressed data.
//!
//! Everything here blocks for as long as the board takes, at most some seconds a call, but for
//! [`Device::write`] and [`Device::erase`].

mod read_back;
mod way_out;

use std::path::Path;
use std::thread;
use std::time::Duration;

use espflash::command::Command;
use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::{FlashSize, Flasher};
use espflash::image_format::Segment;
use espflash::target::{Chip, ProgressCallbacks, XtalFrequency};
use md5::{Digest, Md5};
use serialport::SerialPort;

use self::read_back::{read_by_rom, read_by_stub};
use self::way_out::WayOut;
use super::chip;
use super::image::{Part, chain};
use super::port::{self, Chosen, FIRST_BAUD};
use crate::cli::{After, Before};
use crate::failure::{Failure, Kind};

/// How a board is spoken to.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where it is.
    pub port: Chosen,
    /// How it gets into its loader.
    pub before: Before,
    /// Bits per second while writing.
    pub baud: u32,
    /// The chip that it must have, and who says so.
    pub chip: Option<(Chip, String)>,
}

/// A board in its loader.
#[derive(Debug)]
pub struct Device {
    flasher: Flasher,
    port: Chosen,
    /// Until it is written to.
    way_out: WayOut,
    /// Whether the port can reset it.
    has_reset_lines: bool,
    /// Whether the ROM's loader has been told to start the program.
    left: bool,
    /// Whether the stub runs.
    pub stub: bool,
    /// Bits per second.
    pub baud: u32,
    /// The chip.
    pub chip: Chip,
    /// Its revision: major and minor.
    pub revision: Option<(u32, u32)>,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Its crystal.
    pub crystal: XtalFrequency,
    /// Its flash.
    pub flash: FlashSize,
    /// What was done another way than asked for, and why.
    pub notes: Vec<String>,
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
        let port = port::open(&wish.port, FIRST_BAUD)?;
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
                FIRST_BAUD,
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
        let mut baud = FIRST_BAUD;
        if wish.baud > FIRST_BAUD {
            match faster(&mut flasher, wish.baud) {
                Faster::Done => baud = wish.baud,
                Faster::Refused(why) => notes.push(format!(
                    "{} baud do not work here ({why}): {FIRST_BAUD} are used",
                    wish.baud
                )),
                Faster::Lost(why) if has_reset_lines => {
                    // Both have the port, which is then locked.
                    drop(flasher);
                    drop(way_out);
                    let slow = Wish {
                        baud: FIRST_BAUD,
                        ..wish.clone()
                    };
                    let mut device = Self::connect(&slow)?;
                    device.notes.push(format!(
                        "{} baud do not work here ({why}): {FIRST_BAUD} are used",
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
                        "nothing was written; {} with --baud {FIRST_BAUD}",
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

    /// Where it is.
    pub fn port(&self) -> &Chosen {
        &self.port
    }

    /// Whether a part is in flash already.
    ///
    /// # Errors
    /// The board no longer answers.
    pub fn has(&mut self, part: &Part) -> Result<bool, Failure> {
        if part.end() > u64::from(self.flash.size()) {
            return Ok(false);
        }
        let md5 = self
            .flasher
            .checksum_md5(part.offset, part.len())
            .map_err(|error| self.broken(&error))?;
        Ok(md5.to_be_bytes()[..] == Md5::digest(&part.data)[..])
    }

    /// Reads flash.
    ///
    /// # Errors
    /// The board no longer answers, or what it says is damaged.
    pub fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, Failure> {
        let read = if self.stub {
            read_by_stub(&mut self.flasher, offset, length)
        } else {
            read_by_rom(&mut self.flasher, offset, length)
        };
        read.map_err(|error| self.broken(&error))
    }

    /// Whether the whole flash can be erased.
    ///
    /// # Errors
    /// Only the chip's ROM answers, which can't.
    pub fn can_erase(&self) -> Result<(), Failure> {
        if self.stub {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Device,
            format!(
                "{}: --erase: the chip's own loader can't, and the stub does not start",
                self.port.name()
            ),
        )
        .hint("nothing was erased; leave --erase out: what is written is erased where it goes"))
    }

    /// Erases the whole flash.
    ///
    /// # Errors
    /// The board no longer answers.
    pub fn erase(&mut self) -> Result<(), Failure> {
        self.way_out.close();
        self.flasher
            .erase_flash()
            .map_err(|error| self.broken(&error))
    }

    /// Writes parts and verifies each by its check sum.
    ///
    /// # Errors
    /// The board no longer answers, or has not what was written. The flash is then between two
    /// states.
    pub fn write(
        &mut self,
        parts: &[Part],
        progress: &mut dyn ProgressCallbacks,
    ) -> Result<(), Failure> {
        let segments: Vec<_> = parts
            .iter()
            .map(|part| Segment::new(part.offset, &part.data))
            .collect();
        self.way_out.close();
        // In one call: each ends with what makes the ROM's loader start the program.
        self.left = !self.stub && !parts.is_empty();
        self.flasher
            .write_bins_to_flash(&segments, progress)
            .map_err(|error| match error {
                espflash::Error::VerifyFailed => Failure::new(
                    Kind::Device,
                    format!(
                        "{}: the flash does not have what was written to it",
                        self.port.name()
                    ),
                )
                .hint(format!(
                    "try a lower rate, --baud {FIRST_BAUD}; if that does not help, the flash is worn out"
                )),
                error => self.broken(&error),
            })
    }

    /// Resets the board, or leaves it in its loader, and says how, by esptool's names.
    ///
    /// # Errors
    /// The port has no reset lines, and the chip no watchdog that would do.
    pub fn reset(&mut self, after: After) -> Result<&'static str, Failure> {
        let chip = self.chip;
        self.way_out.close();
        if self.left && !(after == After::HardReset && self.has_reset_lines) {
            return Ok("soft-reset");
        }
        let connection = self.flasher.connection();
        match after {
            After::NoResetStub => Ok("no-reset-stub"),
            After::NoReset => {
                if self.stub {
                    // An empty write that ends with a restart of the loader (esptool, soft_reset).
                    let begin = Command::FlashBegin {
                        size: 0,
                        blocks: 0,
                        block_size: 0x400,
                        offset: 0,
                        supports_encryption: false,
                    };
                    let _ = connection.command(begin);
                    let _ = connection.write_command(Command::FlashEnd { reboot: true });
                }
                Ok("no-reset")
            }
            After::HardReset if self.has_reset_lines => {
                let reset = self.way_out.take();
                reset.map_err(|error| self.broken(&error))?;
                Ok("hard-reset")
            }
            After::HardReset | After::WatchdogReset => {
                let reset = chip.rtc_wdt_reset(connection);
                match reset {
                    Ok(()) => Ok("watchdog-reset"),
                    Err(espflash::Error::UnsupportedFeature { .. }) => Err(Failure::new(
                        Kind::Device,
                        format!(
                            "{}: it has no reset lines, and the {chip} can't reset itself",
                            self.port.name()
                        ),
                    )
                    .hint("press RESET; all is written and verified")),
                    // It may be gone before it has answered.
                    Err(_) if !self.has_reset_lines => Ok("watchdog-reset"),
                    Err(error) => Err(self.broken(&error)),
                }
            }
        }
    }

    /// The port, for the console of what runs now.
    ///
    /// # Errors
    /// The port is gone.
    pub fn into_console(self) -> Result<Port, Failure> {
        let name = self.port.name();
        let mut port = self.flasher.into_connection().into_serial();
        port.set_baud_rate(FIRST_BAUD)
            .map_err(|error| Failure::new(Kind::Device, format!("{name}: {error}")))?;
        Ok(port)
    }

    /// A board that no longer answers, or whose cable was pulled.
    fn broken(&self, error: &espflash::Error) -> Failure {
        let name = self.port.name();
        if !Path::new(&self.port.path).exists() && cfg!(unix) {
            return Failure::new(Kind::Device, format!("{name}: the board was unplugged"));
        }
        Failure::new(
            Kind::Device,
            format!(
                "{name}: the board no longer answers as it should: {}",
                chain(error)
            ),
        )
    }
}

fn connection(port: Port, wish: &Wish, before: ResetBeforeOperation) -> Connection {
    Connection::new(
        port,
        wish.port.usb.clone(),
        // The library resets after each write; here that is a step of its own.
        ResetAfterOperation::NoResetNoStub,
        before,
        FIRST_BAUD,
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
        new_baud: FIRST_BAUD,
        prior_baud: baud,
    };
    let _ = connection.write_command(back);
    thread::sleep(Duration::from_millis(50));
    let returned = connection
        .set_baud(FIRST_BAUD)
        .and_then(|()| connection.read_reg(READABLE));
    match returned {
        Ok(_) => Faster::Refused(chain(&error)),
        Err(_) => Faster::Lost(chain(&error)),
    }
}

/// Nobody who speaks the loaders' protocol.
fn no_answer(port: &Chosen, chip: Option<Chip>, error: &espflash::Error) -> Failure {
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
