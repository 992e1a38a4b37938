//! What is written to flash: bootloader, partition table and program, for one chip.
//!
//! A program comes as an ELF, as an app image or as a merged image of the whole flash. Everything
//! that can be known to be wrong with it is found here, before a board is touched: the library
//! writes an image for another chip without a word.

mod app;
mod part;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::image_format::{ImageFormat, Metadata};
use espflash::target::{Chip, XtalFrequency};
use sha2::{Digest, Sha256};

use self::app::{IMAGE_MAGIC, check, version};
pub use self::part::{Part, merge};
use super::chip;
use super::table::{AFTER_TABLE, OTADATA, SETTINGS, TABLE_LEN, TABLE_OFFSET, Table};
use crate::failure::{Failure, Kind};
use crate::sanitize;

/// The flash that is assumed where no board says otherwise: that of most.
pub const USUAL_FLASH: FlashSize = FlashSize::_4Mb;

/// The longest file that is read: an ELF with all its debug information is a tenth of that.
const LARGEST: u64 = 256 << 20;
/// What is wrong with a file that [`contents`] does not read.
pub const TOO_LARGE: &str = "it is larger than any firmware";

/// The bytes of a file that is to be a firmware; `None` where it is larger than any, or endless.
///
/// # Errors
/// It can't be read.
pub fn contents(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LARGEST).then_some(bytes))
}

const ELF_MAGIC: [u8; 4] = [0x7f, b'E', b'L', b'F'];

/// A program that was read and understood.
#[derive(Debug)]
pub struct Firmware {
    /// What it is called in messages: a file, or where it came from.
    pub name: String,
    /// The chip that it is for.
    pub chip: Chip,
    /// Its version, where it tells one.
    pub version: Option<String>,
    /// The SHA-256 of the file.
    pub sha256: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Elf(Vec<u8>),
    App(Vec<u8>),
    Merged(Vec<u8>),
}

/// The parts of the flash, each with its place.
#[derive(Debug)]
pub struct Image {
    /// The second-stage bootloader.
    pub bootloader: Part,
    /// The partition table.
    pub table: Part,
    /// The program.
    pub app: Part,
    /// What the table says.
    pub partitions: Table,
}

impl Firmware {
    /// Reads a file.
    ///
    /// # Errors
    /// It can't be read, or is no firmware of ours.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let which = "give an ELF, an app image or a merged image with --firmware FILE";
        let bytes = contents(path)
            .map_err(|error| Failure::usage(format!("firmware {name}: {error}")).hint(which))?
            .ok_or_else(|| refused(&name, TOO_LARGE).hint(which))?;
        Self::understand(name, bytes)
    }

    /// Finds out what these bytes are and for which chip.
    ///
    /// # Errors
    /// They are no firmware, damaged, or don't tell their chip.
    pub fn understand(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let sha256 = Sha256::digest(&bytes);
        let mut firmware = Self::of(name, bytes)?;
        firmware.sha256 = hex(&sha256);
        // Whether everything has its place is no question of the board.
        let image = firmware.image(USUAL_FLASH, firmware.chip.default_xtal_frequency())?;
        firmware.version = version(&image.app.data);
        Ok(firmware)
    }

    fn of(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        if bytes.starts_with(&ELF_MAGIC) {
            return Self::elf(name, bytes);
        }
        let has_table = bytes
            .get(TABLE_OFFSET as usize..)
            .is_some_and(|table| Table::parse(table).is_some());
        if has_table {
            return Self::merged(name, bytes);
        }
        if bytes.first() == Some(&IMAGE_MAGIC) {
            let chip = check(&bytes).map_err(|problem| damaged(&name, &problem))?;
            return Ok(Self {
                name,
                chip,
                version: None,
                sha256: String::new(),
                form: Form::App(bytes),
            });
        }
        let what = if bytes.is_empty() {
            "it is empty"
        } else {
            "it is neither an ELF nor an image of an ESP32"
        };
        Err(refused(&name, what)
            .hint("build it in firmware/esp32, see firmware/README.md, or take a released one"))
    }

    fn elf(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let metadata = Metadata::from_bytes(Some(&bytes));
        let Some(told) = metadata.chip_name() else {
            return Err(refused(
                &name,
                "it does not say which chip it is for: it was stripped, or is no firmware of ours",
            )
            .hint(
                "keep its symbols (strip = false), or give the app image that was made from it",
            ));
        };
        let chip = chip::parse(told).ok_or_else(|| {
            refused(
                &name,
                &format!(
                    "it is for {}, which is unknown here",
                    sanitize::one_line(told)
                ),
            )
        })?;
        // The library takes sections at their word; a cut-off file is found only here.
        if espflash::image_format::idf::check_idf_bootloader(&bytes).is_err() {
            return Err(refused(
                &name,
                "it has no app descriptor, without which the bootloader does not start it",
            )
            .hint("add esp_bootloader_esp_idf::esp_app_desc!() to the program"));
        }
        Ok(Self {
            name,
            chip,
            version: None,
            sha256: String::new(),
            form: Form::Elf(bytes),
        })
    }

    fn merged(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let table = bytes.get(TABLE_OFFSET as usize..).and_then(Table::parse);
        let app = table.as_ref().and_then(Table::app);
        let image = app.and_then(|app| bytes.get(app.offset as usize..));
        let Some(image) = image.filter(|image| !image.is_empty()) else {
            return Err(damaged(&name, "the program is missing"));
        };
        let chip = check(image).map_err(|problem| damaged(&name, &problem))?;
        let start = chip.boot_address() as usize;
        let bootloader = bytes.get(start..).unwrap_or_default();
        if check(bootloader) != Ok(chip) {
            return Err(damaged(&name, "the bootloader is missing or damaged"));
        }
        Ok(Self {
            name,
            chip,
            version: None,
            sha256: String::new(),
            form: Form::Merged(bytes),
        })
    }

    /// The image for a board with so much flash and such a crystal.
    ///
    /// # Errors
    /// The program has no place there.
    pub fn image(&self, flash: FlashSize, crystal: XtalFrequency) -> Result<Image, Failure> {
        let data = FlashData::new(
            FlashSettings::new(None, Some(flash), None),
            0,
            None,
            self.chip,
            crystal,
        );
        let ours = || Table::ours().map_err(|error| Failure::new(Kind::Internal, error));
        let (bootloader, table, app) = match &self.form {
            Form::Elf(elf) => {
                let [bootloader, _, app] = self.convert(elf, &data)?;
                (bootloader, ours()?, app)
            }
            Form::App(app) => {
                let [bootloader, ..] = self.convert(&NO_PROGRAM, &data)?;
                (bootloader, ours()?, app.clone())
            }
            Form::Merged(bytes) => {
                let table = bytes.get(TABLE_OFFSET as usize..).unwrap_or_default();
                let table = table.get(..TABLE_LEN as usize).unwrap_or(table);
                let start = self.chip.boot_address() as usize;
                let bootloader = bytes.get(start..TABLE_OFFSET as usize).unwrap_or_default();
                let app = Table::parse(table).and_then(|table| Some(table.app()?.offset));
                let app = bytes
                    .get(app.unwrap_or_default() as usize..)
                    .unwrap_or_default();
                (
                    trimmed(bootloader).to_vec(),
                    table.to_vec(),
                    trimmed(app).to_vec(),
                )
            }
        };
        self.place(bootloader, table, app)
    }

    /// Bootloader, the library's own partition table, and app image of an ELF.
    fn convert(&self, elf: &[u8], data: &FlashData) -> Result<[Vec<u8>; 3], Failure> {
        let made = quietly(|| {
            let format = IdfBootloaderFormat::new(elf, data, None, None, Some(TABLE_OFFSET), None)?;
            let segments = ImageFormat::from(format).flash_segments();
            let parts: Vec<_> = segments.iter().map(|s| s.data().to_vec()).collect();
            Ok::<_, espflash::Error>(parts)
        });
        let problem = match made {
            Some(Ok(parts)) => match parts.try_into() {
                Ok(three) => return Ok(three),
                Err(_) => "it does not become an image of three parts".to_owned(),
            },
            Some(Err(error)) => chain(&error),
            None => "the ELF is damaged".to_owned(),
        };
        Err(refused(&self.name, &problem).hint("build it again, see firmware/README.md"))
    }

    /// Puts the parts into their places, and sees that they fit.
    fn place(&self, bootloader: Vec<u8>, table: Vec<u8>, app: Vec<u8>) -> Result<Image, Failure> {
        let partitions = Table::parse(&table)
            .ok_or_else(|| damaged(&self.name, "the partition table is unreadable"))?;
        let Some(place) = partitions.app() else {
            return Err(damaged(
                &self.name,
                "its partition table has no place for a program",
            ));
        };
        let Some(settings) = partitions.find(SETTINGS) else {
            return Err(refused(
                &self.name,
                "its partition table has no place for settings: it is no firmware of ours",
            )
            .hint("write it with esptool write-flash 0 FILE; tcpctl flash could not set it up"));
        };
        let app = Part::new("app", place.offset, app);
        if app.len() > place.size {
            return Err(refused(
                &self.name,
                &format!(
                    "the program has {} bytes, and its partition {}",
                    app.len(),
                    place.size
                ),
            )
            .hint("build it with --release, or give it a larger partition in partitions.csv"));
        }
        let ends = settings.end().max(place.end());
        let has_places = place.offset >= AFTER_TABLE && settings.can_hold_settings();
        let otadata_fits = partitions.find(OTADATA).is_none_or(|otadata| {
            let others = [place, settings];
            otadata.can_hold_otadata() && others.iter().all(|it| otadata.is_apart_from(it))
        });
        if !has_places || !otadata_fits || !settings.is_apart_from(place) || ends > LARGEST {
            return Err(damaged(
                &self.name,
                "its partition table has settings, otadata or program in invalid places",
            ));
        }
        let bootloader = Part::new("bootloader", self.chip.boot_address(), bootloader);
        if bootloader.end() > u64::from(TABLE_OFFSET) {
            return Err(damaged(
                &self.name,
                "the bootloader is larger than its place",
            ));
        }
        Ok(Image {
            bootloader,
            table: Part::new("partition table", TABLE_OFFSET, table),
            app,
            partitions,
        })
    }
}

impl Image {
    /// The first byte that the flash need not have.
    pub fn end(&self) -> u64 {
        let partitions = self.partitions.partitions().iter();
        partitions
            .map(super::table::Partition::end)
            .chain([self.app.end(), self.table.end()])
            .max()
            .unwrap_or_default()
    }

    /// The oldest revision of the chip that the program runs on: 100 times the major number and
    /// the minor one.
    pub fn minimum_revision(&self) -> u16 {
        match self.app.data.get(15..17) {
            Some(&[low, high]) => u16::from_le_bytes([low, high]),
            _ => 0,
        }
    }
}

/// Whether a file is an ELF.
pub fn is_elf(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == ELF_MAGIC
}

/// The library hands out a bootloader only with a program: this one has no sections.
const NO_PROGRAM: [u8; 52] = {
    let mut elf = [0; 52];
    let ident = [0x7f, b'E', b'L', b'F', 1, 1, 1];
    let mut at = 0;
    while at < ident.len() {
        elf[at] = ident[at];
        at += 1;
    }
    elf[16] = 2; // an executable
    elf[18] = 243; // for RISC-V
    elf[20] = 1; // of version 1
    elf[40] = 52; // with a header of this length
    elf
};

/// Calls the library, which panics on some damaged files; `None` where it did.
fn quietly<T>(call: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    std::panic::set_hook(hook);
    result.ok()
}

/// Without the erased flash at its end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0xff);
    &bytes[..end.map_or(0, |last| last + 1)]
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn refused(name: &str, what: &str) -> Failure {
    Failure::new(Kind::Usage, format!("firmware {name}: {what}"))
}

fn damaged(name: &str, what: &str) -> Failure {
    refused(name, what).hint("build or download it again")
}

/// An error of the library's with what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    // What every message about a port begins with says nothing.
    let text = text
        .strip_prefix("Error while connecting to device: ")
        .unwrap_or(&text);
    sanitize::one_line(text)
}
