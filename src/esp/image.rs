//! Firmware images: bootloader, partition table and application for one chip.
//!
//! A firmware is an ELF, an application image, or a merged image of the whole flash. Everything that
//! can be wrong with it is found here, before a board is touched.

mod app;
pub mod entry;
mod part;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::image_format::{ImageFormat, Metadata};
use espflash::target::{Chip, XtalFrequency};
use sha2::{Digest, Sha256};

use self::app::{Descriptor, IMAGE_MAGIC, check};
use self::entry::Program;
pub use self::part::{Part, merge};
use super::chip;
use super::table::{AFTER_TABLE, OTADATA, SETTINGS, TABLE_LEN, TABLE_OFFSET, Table};
use crate::failure::{Failure, Kind, reason};
use crate::sanitize;

/// Assumed flash size without a board.
pub const DEFAULT_FLASH: FlashSize = FlashSize::_4Mb;

/// Largest file to read: ten times an ELF with debug information.
const MAX_FILE: u64 = 256 << 20;
/// The error for files that [`contents`] does not read.
pub const TOO_LARGE: &str = "too large for firmware";

/// Reads a firmware file; `None` if it is too large or endless.
///
/// # Errors
/// The file cannot be read.
pub fn contents(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE).then_some(bytes))
}

const ELF_MAGIC: [u8; 4] = [0x7f, b'E', b'L', b'F'];

/// Project name in the descriptor of this project's firmware: its package name.
const PROJECT: &str = "tcpctl-firmware";
/// Hint for a file that is not this project's firmware.
const WHICH: &str = "give the firmware built in firmware/esp32, see firmware/README.md";

/// A valid firmware.
#[derive(Debug)]
pub struct Firmware {
    /// Name in messages: the file or origin.
    pub name: String,
    /// Chip that the firmware is for.
    pub chip: Chip,
    /// Firmware version.
    pub version: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Elf(Vec<u8>),
    App(Vec<u8>),
    Merged(Vec<u8>),
}

/// The parts of a flash image with their offsets.
#[derive(Debug)]
pub struct Image {
    /// The second-stage bootloader.
    pub bootloader: Part,
    /// The partition table.
    pub table: Part,
    /// The application.
    pub app: Part,
    /// The parsed partition table.
    pub partitions: Table,
}

impl Firmware {
    /// Reads a file.
    ///
    /// # Errors
    /// A usage error: the file cannot be read or is not this project's firmware.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let which = "give an ELF, an application image or a merged image with --firmware FILE";
        let bytes = contents(path)
            .map_err(|error| {
                Failure::usage(format!("firmware {name}: {}", reason(&error))).hint(which)
            })?
            .ok_or_else(|| refused(&name, TOO_LARGE).hint(which))?;
        Self::parse(name, bytes)
    }

    /// Parses a firmware.
    ///
    /// # Errors
    /// A usage error: not this project's firmware, damaged, or for an unknown chip.
    pub fn parse(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let sha256 = Sha256::digest(&bytes);
        let mut firmware = Self::of(name, bytes)?;
        firmware.sha256 = hex(&sha256);
        // Finds parts that cannot fit any board.
        let image = firmware.image(DEFAULT_FLASH, firmware.chip.default_xtal_frequency())?;
        let Some(descriptor) = Descriptor::find(&image.app.data) else {
            return Err(refused(
                &firmware.name,
                "no application descriptor: a bootloader or RAM image is not an application",
            )
            .hint(WHICH));
        };
        if descriptor.project != PROJECT {
            let what = format!("application of another project, '{}'", descriptor.project);
            return Err(refused(&firmware.name, &what).hint(WHICH));
        }
        firmware.check_start(&image.app.data)?;
        firmware.version = descriptor.version;
        Ok(firmware)
    }

    /// Checks that the application starts, as far as its format allows.
    fn check_start(&self, app: &[u8]) -> Result<(), Failure> {
        let Form::Elf(elf) = &self.form else {
            return check(app)
                .and_then(|image| image.check_start().map_err(str::to_owned))
                .map_err(|problem| damaged(&self.name, &problem));
        };
        let program = Program::parse(elf);
        let program = program.ok_or_else(|| damaged(&self.name, "the ELF is damaged"))?;
        program.check().map_err(|problem| {
            refused(&self.name, problem).hint("build it with firmware/images, and keep its symbols")
        })
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
            let image = check(&bytes).map_err(|problem| damaged(&name, &problem))?;
            return Ok(Self {
                name,
                chip: image.chip,
                version: None,
                sha256: String::new(),
                form: Form::App(bytes),
            });
        }
        let what = if bytes.is_empty() {
            "the file is empty"
        } else {
            "not an ELF and not an ESP32 image"
        };
        Err(refused(&name, what)
            .hint("build one in firmware/esp32 (see firmware/README.md), or use a released one"))
    }

    fn elf(name: String, bytes: Vec<u8>) -> Result<Self, Failure> {
        let metadata = Metadata::from_bytes(Some(&bytes));
        let Some(chip_name) = metadata.chip_name() else {
            return Err(refused(
                &name,
                "the ELF does not name its chip: it was stripped or is another project's",
            )
            .hint("keep its symbols (strip = false), or give its application image"));
        };
        let chip = chip::parse(chip_name).ok_or_else(|| {
            let chip_name = sanitize::one_line(chip_name);
            refused(&name, &format!("unknown chip {chip_name}"))
        })?;
        // espflash does not detect a truncated file; this check does.
        if espflash::image_format::idf::check_idf_bootloader(&bytes).is_err() {
            return Err(refused(
                &name,
                "no application descriptor; the bootloader would not start it",
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
            return Err(damaged(&name, "the application is missing"));
        };
        let image = check(image).map_err(|problem| damaged(&name, &problem))?;
        let chip = image.chip;
        let start = chip.boot_address() as usize;
        let bootloader = bytes.get(start..).unwrap_or_default();
        if !check(bootloader).is_ok_and(|bootloader| bootloader.chip == chip) {
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

    /// The image for a flash size and crystal frequency.
    ///
    /// # Errors
    /// A part does not fit.
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

    /// Converts an ELF to bootloader, espflash's own partition table, and application image.
    fn convert(&self, elf: &[u8], data: &FlashData) -> Result<[Vec<u8>; 3], Failure> {
        let made = super::catch_panic(|| {
            let format = IdfBootloaderFormat::new(elf, data, None, None, Some(TABLE_OFFSET), None)?;
            let segments = ImageFormat::from(format).flash_segments();
            let parts: Vec<_> = segments.iter().map(|s| s.data().to_vec()).collect();
            Ok::<_, espflash::Error>(parts)
        });
        let problem = match made {
            Some(Ok(parts)) => match parts.try_into() {
                Ok(three) => return Ok(three),
                Err(_) => "the image does not have three parts".to_owned(),
            },
            Some(Err(error)) => chain(&error),
            None => "the ELF is damaged".to_owned(),
        };
        Err(refused(&self.name, &problem).hint("build it again, see firmware/README.md"))
    }

    /// Checks that the parts fit their partitions.
    fn place(&self, bootloader: Vec<u8>, table: Vec<u8>, app: Vec<u8>) -> Result<Image, Failure> {
        let partitions = Table::parse(&table)
            .ok_or_else(|| damaged(&self.name, "the partition table is unreadable"))?;
        let Some(place) = partitions.app() else {
            return Err(damaged(
                &self.name,
                "the partition table has no application slot",
            ));
        };
        let Some(settings) = partitions.find(SETTINGS) else {
            return Err(refused(
                &self.name,
                "no settings partition: not this project's firmware",
            )
            .hint("use esptool write-flash 0 FILE for other firmware"));
        };
        let app = Part::new("app", place.offset, app);
        if app.len() > place.size {
            return Err(refused(
                &self.name,
                &format!(
                    "the application has {} bytes, its partition {}",
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
        if !has_places || !otadata_fits || !settings.is_apart_from(place) || ends > MAX_FILE {
            return Err(damaged(
                &self.name,
                "the partition table has settings, otadata or application at invalid offsets",
            ));
        }
        let bootloader = Part::new("bootloader", self.chip.boot_address(), bootloader);
        if bootloader.end() > u64::from(TABLE_OFFSET) {
            return Err(damaged(&self.name, "the bootloader is too large"));
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
    /// The offset after the last byte.
    pub fn end(&self) -> u64 {
        let partitions = self.partitions.partitions().iter();
        partitions
            .map(super::table::Partition::end)
            .chain([self.app.end(), self.table.end()])
            .max()
            .unwrap_or_default()
    }

    /// The minimum chip revision: 100 times major plus minor.
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

/// An ELF without sections: espflash provides a bootloader only with an application.
const NO_PROGRAM: [u8; 52] = {
    let mut elf = [0; 52];
    let ident = [0x7f, b'E', b'L', b'F', 1, 1, 1];
    let mut at = 0;
    while at < ident.len() {
        elf[at] = ident[at];
        at += 1;
    }
    elf[16] = 2; // e_type: executable
    elf[18] = 243; // e_machine: RISC-V
    elf[20] = 1; // e_version
    elf[40] = 52; // e_ehsize
    elf
};

/// Removes erased flash at the end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0xff);
    &bytes[..end.map_or(0, |last| last + 1)]
}

/// Formats bytes in hexadecimal.
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

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = reason(&error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = reason(&error);
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        cause = error.source();
    }
    // espflash starts every message about a port like this.
    match text.strip_prefix("Error while connecting to device: ") {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}
