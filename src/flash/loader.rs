//! A board in its loader: the ROM's own, or the stub that is put into its memory because it is
//! faster and takes compressed data.
//!
//! Everything here blocks for as long as the board takes, at most some seconds a call, but for
//! [`Device::write`] and [`Device::erase`].

mod connecting;
mod read_back;
mod way_out;

use std::path::Path;

use espflash::command::Command;
use espflash::connection::Port;
use espflash::flasher::{FlashSize, Flasher};
use espflash::image_format::Segment;
use espflash::target::{Chip, ProgressCallbacks, XtalFrequency};
use md5::{Digest, Md5};
use serialport::SerialPort;

pub use self::connecting::Wish;
use self::read_back::{read_by_rom, read_by_stub};
use self::way_out::WayOut;
use crate::cli::After;
use crate::esp::image::{Part, chain};
use crate::failure::{Failure, Kind};
use crate::serial::port::{DEFAULT_BAUD, SelectedPort};

/// A board in its loader.
#[derive(Debug)]
pub struct Device {
    flasher: Flasher,
    port: SelectedPort,
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

impl Device {
    /// Where it is.
    pub fn port(&self) -> &SelectedPort {
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
                    "try a lower rate, --baud {DEFAULT_BAUD}; if that does not help, the flash is worn out"
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
        port.set_baud_rate(DEFAULT_BAUD)
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
