//! A board in its loader: the ROM's, or the stub, which is faster and takes compressed data.
//!
//! All calls block for at most a few seconds, except [`Device::write`] and [`Device::erase`].

mod connect;
mod read_back;
mod reset_guard;

use std::path::Path;

use espflash::command::Command;
use espflash::connection::Port;
use espflash::flasher::{FlashSize, Flasher};
use espflash::image_format::Segment;
use espflash::target::{Chip, ProgressCallbacks, XtalFrequency};
use md5::{Digest, Md5};
use serialport::SerialPort;

pub use self::connect::ConnectOptions;
use self::read_back::{read_by_rom, read_by_stub};
use self::reset_guard::ResetGuard;
use crate::cli::After;
use crate::esp::image::{Part, chain};
use crate::failure::{Failure, Kind, reason};
use crate::serial::port::{DEFAULT_BAUD, SelectedPort};

/// A board in its loader.
#[derive(Debug)]
pub struct Device {
    flasher: Flasher,
    port: SelectedPort,
    /// Resets the board when dropped, until something is written.
    reset_guard: ResetGuard,
    /// Whether the port can reset the board.
    has_reset_lines: bool,
    /// Whether the ROM loader was instructed to start the application.
    has_started_app: bool,
    /// Whether the stub runs.
    pub stub: bool,
    /// Baud rate.
    pub baud: u32,
    /// The chip.
    pub chip: Chip,
    /// Chip revision: major and minor.
    pub revision: Option<(u32, u32)>,
    /// MAC address.
    pub mac: Option<String>,
    /// Crystal frequency.
    pub crystal: XtalFrequency,
    /// Flash size.
    pub flash: FlashSize,
    /// Deviations from the options, with reasons.
    pub notes: Vec<String>,
}

impl Device {
    /// The serial port.
    pub fn port(&self) -> &SelectedPort {
        &self.port
    }

    /// Whether flash holds a part already.
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
    /// The board no longer answers, or the data is damaged.
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
    /// Only the ROM loader runs, which cannot do it.
    pub fn can_erase(&self) -> Result<(), Failure> {
        if self.stub {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Device,
            format!(
                "{}: the ROM loader cannot erase the whole flash, and the stub does not start",
                self.port.name()
            ),
        )
        .hint("nothing was erased; omit --erase: each part is erased before it is written"))
    }

    /// Erases the whole flash.
    ///
    /// # Errors
    /// The board no longer answers.
    pub fn erase(&mut self) -> Result<(), Failure> {
        self.reset_guard.disarm();
        self.flasher
            .erase_flash()
            .map_err(|error| self.broken(&error))
    }

    /// Writes parts and verifies each by its checksum.
    ///
    /// # Errors
    /// The board no longer answers, or verification failed. Flash is then incomplete.
    pub fn write(
        &mut self,
        parts: &[Part],
        progress: &mut dyn ProgressCallbacks,
    ) -> Result<(), Failure> {
        let segments: Vec<_> = parts
            .iter()
            .map(|part| Segment::new(part.offset, &part.data))
            .collect();
        self.reset_guard.disarm();
        // One call for all parts, because each call makes the ROM loader start the application.
        self.has_started_app = !self.stub && !parts.is_empty();
        self.flasher
            .write_bins_to_flash(&segments, progress)
            .map_err(|error| match error {
                espflash::Error::VerifyFailed => Failure::new(
                    Kind::Device,
                    format!(
                        "{}: verification failed: flash does not hold the written data",
                        self.port.name()
                    ),
                )
                .hint(format!(
                    "try a lower rate, --baud {DEFAULT_BAUD}; if that does not help, the flash is worn out"
                )),
                error => self.broken(&error),
            })
    }

    /// Resets the board or leaves it in its loader. Returns esptool's name for the method.
    ///
    /// # Errors
    /// The board no longer answers, or the chip has no watchdog reset.
    pub fn reset(&mut self, after: After) -> Result<&'static str, Failure> {
        let chip = self.chip;
        self.reset_guard.disarm();
        if self.has_started_app && !(after == After::HardReset && self.has_reset_lines) {
            return Ok("soft-reset");
        }
        let connection = self.flasher.connection();
        match after {
            After::NoResetStub => Ok("no-reset-stub"),
            After::NoReset => {
                if self.stub {
                    // An empty write that restarts the loader (esptool, soft_reset).
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
                let reset = self.reset_guard.reset();
                reset.map_err(|error| self.broken(&error))?;
                Ok("hard-reset")
            }
            After::HardReset | After::WatchdogReset => {
                let reset = chip.rtc_wdt_reset(connection);
                match reset {
                    Ok(()) => Ok("watchdog-reset"),
                    Err(espflash::Error::UnsupportedFeature { .. }) => Err(Failure::new(
                        Kind::Device,
                        format!("{}: the {chip} has no watchdog reset", self.port.name()),
                    )
                    .hint("press RESET to start the board")),
                    // The board may reset before it replies.
                    Err(_) if !self.has_reset_lines => Ok("watchdog-reset"),
                    Err(error) => Err(self.broken(&error)),
                }
            }
        }
    }

    /// The port at the console's baud rate.
    ///
    /// # Errors
    /// The port disappeared.
    pub fn into_console(self) -> Result<Port, Failure> {
        let name = self.port.name();
        let mut port = self.flasher.into_connection().into_serial();
        port.set_baud_rate(DEFAULT_BAUD)
            .map_err(|error| Failure::new(Kind::Device, format!("{name}: {}", reason(&error))))?;
        Ok(port)
    }

    /// The failure of a board that no longer replies or was unplugged.
    fn broken(&self, error: &espflash::Error) -> Failure {
        let name = self.port.name();
        if !Path::new(&self.port.path).exists() && cfg!(unix) {
            return Failure::new(Kind::Device, format!("{name}: the board was unplugged"));
        }
        Failure::new(
            Kind::Device,
            format!(
                "{name}: communication with the board failed: {}",
                chain(error)
            ),
        )
    }
}
