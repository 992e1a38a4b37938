//! The flash of a virtual board: in memory, or in a file that outlives the process.
//!
//! A file is an image of the first 64 KiB of a chip's flash, and grows when more is written. It is
//! written in place, one erase or program at a time, so a killed process leaves what a power cut would
//! leave on a chip. The MAC address, which a chip has in its eFuses, is between the partition table and
//! otadata.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use tcpctl_greeter::flash::{SECTOR, Unwritable, WritableFlash};
use tcpctl_greeter::stored::{Flash, Partition, Unreadable};
use tcpctl_settings::{MAX_LEN, Record, RecordKind, Settings};

use super::spec::MacAddress;
use crate::atomic_file::{self, Purpose};
use crate::esp::table::{AFTER_TABLE, SETTINGS, TABLE_OFFSET, Table};
use crate::failure::{Failure, Kind, reason};
use crate::keys;
use crate::sanitize;

/// Size of the flash, in bytes: the smallest that the partition table fits.
const SIZE: u32 = 2 << 20;
/// Length of a new image: up to the first application slot.
const NEW_IMAGE: usize = 0x10000;
/// Byte that erased flash reads as.
const BLANK: u8 = 0xff;
/// Marks an image as that of a virtual board. Its MAC address follows.
const MAGIC: [u8; 4] = *b"TCPV";

/// A NOR flash: programming only clears bits, erasing sets all bits of a sector.
#[derive(Debug)]
pub struct VirtualFlash {
    memory: Memory,
    table: Table,
    /// Bytes that can be changed until the power is cut, for tests.
    power: Option<usize>,
}

#[derive(Debug)]
enum Memory {
    /// Content in RAM, inverted, so that blank flash costs no memory.
    Ram(Vec<u8>),
    File(File),
}

/// A flash that was opened in a file.
#[derive(Debug)]
pub struct Opened {
    /// The flash.
    pub flash: VirtualFlash,
    /// MAC address in the file.
    pub mac: MacAddress,
    /// Whether the file was created just now.
    pub is_new: bool,
}

impl VirtualFlash {
    /// The flash of a board with these settings, in memory.
    ///
    /// # Errors
    /// The settings cannot be encoded, which tests rule out.
    pub fn in_memory(mac: MacAddress, settings: &Settings) -> io::Result<Self> {
        let mut flash = Self {
            memory: Memory::Ram(vec![0; SIZE as usize]),
            table: our_table()?,
            power: None,
        };
        flash.write(0, &image(mac, settings)?)?;
        Ok(flash)
    }

    /// Opens the flash in a file, or creates it for a board with `mac` and the settings that `new`
    /// returns. Other processes cannot open it meanwhile.
    ///
    /// # Errors
    /// Another process has it open, it is not a virtual board's flash, or it cannot be read or written.
    pub fn open(
        path: &Path,
        mac: MacAddress,
        new: impl FnOnce() -> Result<Settings, Failure>,
    ) -> Result<Opened, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let failed = |kind, what: &str| Failure::new(kind, format!("--state {name}: {what}"));
        let io_failed = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull => {
                failed(Kind::Internal, &reason(&error)).hint("free some space")
            }
            _ => failed(Kind::Usage, &reason(&error)),
        };
        let open = || OpenOptions::new().read(true).write(true).open(path);
        let (file, is_new) = match open() {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = image(mac, &new()?).map_err(io_failed)?;
                // Creates the file atomically: an interrupted start leaves no partial file.
                atomic_file::create_new(path, &bytes, Purpose::Secret).map_err(io_failed)?;
                (open().map_err(io_failed)?, true)
            }
            Err(error) => return Err(io_failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(failed(Kind::Usage, "in use by another tcpctl sim")
                    .hint("stop it, or give another file"));
            }
            Err(TryLockError::Error(error)) => return Err(io_failed(error)),
        }
        let exposed_mode = keys::exposed_mode(&file.metadata().map_err(io_failed)?);
        let flash = Self {
            memory: Memory::File(file),
            table: our_table().map_err(io_failed)?,
            power: None,
        };
        let mut identity = [0; 10];
        flash
            .read_bytes(AFTER_TABLE, &mut identity)
            .map_err(io_failed)?;
        let mac = identity
            .strip_prefix(&MAGIC)
            .and_then(|mac| mac.try_into().ok())
            .ok_or_else(|| {
                failed(Kind::Usage, "not the state of a virtual board")
                    .hint("give a file that sim made, or one that does not exist")
            })?;
        // The file has the management key and the passphrase.
        if let Some(mode) = exposed_mode {
            let path = crate::shell::quote(&name);
            return Err(failed(
                Kind::Usage,
                &format!("others can read it (mode {mode:04o})"),
            )
            .hint(format!("chmod 600 {path}")));
        }
        Ok(Opened { flash, mac, is_new })
    }

    /// Cuts the power after this many more bytes are changed. From then on nothing can be read or
    /// written.
    pub fn cut_power_after(&mut self, bytes: usize) {
        self.power = Some(bytes);
    }

    /// Bytes that can be changed until the power is cut.
    pub fn power_left(&self) -> Option<usize> {
        self.power
    }

    /// Switches the power on again.
    pub fn restore_power(&mut self) {
        self.power = None;
    }

    fn read_bytes(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        check(offset, bytes.len())?;
        if self.power == Some(0) {
            return Err(io::Error::other("the power is cut"));
        }
        match &self.memory {
            Memory::Ram(memory) => {
                let memory = &memory[offset as usize..][..bytes.len()];
                for (byte, inverted) in bytes.iter_mut().zip(memory) {
                    *byte = !inverted;
                }
            }
            Memory::File(file) => {
                // Bytes beyond the end of the file were never written.
                bytes.fill(BLANK);
                read_at(file, offset, bytes)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        check(offset, bytes.len())?;
        let powered = self.power.map_or(bytes.len(), |left| left.min(bytes.len()));
        if let Some(left) = &mut self.power {
            *left -= powered;
        }
        match &mut self.memory {
            Memory::Ram(memory) => {
                for (inverted, byte) in memory[offset as usize..].iter_mut().zip(&bytes[..powered])
                {
                    *inverted = !byte;
                }
            }
            Memory::File(file) => {
                let length = file.metadata()?.len();
                if length < offset.into() {
                    // Fill the gap, because a hole in a file would read as zeros.
                    let gap = vec![BLANK; usize::try_from(u64::from(offset) - length).unwrap_or(0)];
                    write_at(file, u32::try_from(length).unwrap_or(SIZE), &gap)?;
                }
                write_at(file, offset, &bytes[..powered])?;
            }
        }
        if powered == bytes.len() {
            Ok(())
        } else {
            Err(io::Error::other("the power is cut"))
        }
    }
}

impl Flash for VirtualFlash {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        Ok(self.table.find(label).map(|found| Partition {
            offset: found.offset,
            size: found.size,
        }))
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.read_bytes(offset, bytes).map_err(|_| Unreadable)
    }
}

impl WritableFlash for VirtualFlash {
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable> {
        self.write(offset, &[BLANK; SECTOR as usize])
            .map_err(|_| Unwritable)
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable> {
        let mut now = vec![0; bytes.len()];
        self.read_bytes(offset, &mut now).map_err(|_| Unwritable)?;
        for (now, new) in now.iter_mut().zip(bytes) {
            *now &= new;
        }
        self.write(offset, &now).map_err(|_| Unwritable)
    }
}

/// The image of a board that was just flashed with these settings.
fn image(mac: MacAddress, settings: &Settings) -> io::Result<Vec<u8>> {
    let mut image = vec![BLANK; NEW_IMAGE];
    let mut put = |offset: u32, bytes: &[u8]| {
        image[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    };
    put(TABLE_OFFSET, &Table::ours().map_err(io::Error::other)?);
    put(AFTER_TABLE, &[&MAGIC[..], &mac].concat());
    let record = Record {
        settings: settings.clone(),
        sequence: 1,
        kind: RecordKind::Permanent,
    };
    let mut buffer = [0; MAX_LEN];
    let block = record.encode(&mut buffer).map_err(io::Error::other)?;
    let table = our_table()?;
    let place = table
        .find(SETTINGS)
        .ok_or_else(|| io::Error::other("no settings partition"))?;
    put(place.offset, block);
    Ok(image)
}

fn our_table() -> io::Result<Table> {
    let bytes = Table::ours().map_err(io::Error::other)?;
    Table::parse(&bytes).ok_or_else(|| io::Error::other("no partition table"))
}

fn check(offset: u32, length: usize) -> io::Result<()> {
    if offset as usize + length <= SIZE as usize {
        Ok(())
    } else {
        Err(io::Error::other("beyond the end of flash"))
    }
}

/// Reads up to the end of the file.
fn read_at(file: &File, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let at = u64::from(offset) + done as u64;
        #[cfg(unix)]
        let count = std::os::unix::fs::FileExt::read_at(file, &mut bytes[done..], at)?;
        #[cfg(windows)]
        let count = std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at)?;
        if count == 0 {
            break;
        }
        done += count;
    }
    Ok(())
}

fn write_at(file: &File, offset: u32, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let at = u64::from(offset) + done as u64;
        #[cfg(unix)]
        let count = std::os::unix::fs::FileExt::write_at(file, &bytes[done..], at)?;
        #[cfg(windows)]
        let count = std::os::windows::fs::FileExt::seek_write(file, &bytes[done..], at)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done += count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tcpctl_greeter::stored::load;
    use tcpctl_settings::{Network, Security, Ssid};

    use super::*;

    const MAC: MacAddress = [2, 0, 0, 0, 0, 7];

    fn settings() -> Settings {
        Settings::new(Network::Station {
            ssid: Ssid::new("home").unwrap(),
            security: Security::Open,
        })
    }

    fn open(path: &Path) -> Result<Opened, Failure> {
        VirtualFlash::open(path, MAC, || Ok(settings()))
    }

    #[test]
    fn programming_only_clears_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        for mut flash in [
            VirtualFlash::in_memory(MAC, &settings()).unwrap(),
            open(&path).unwrap().flash,
        ] {
            let at = 0x10_0000;
            flash.program(at, &[0xf0, 0x0f]).unwrap();
            flash.program(at, &[0x3c, 0xff]).unwrap();
            let mut bytes = [0; 3];
            flash.read_bytes(at, &mut bytes).unwrap();
            assert_eq!(bytes, [0x30, 0x0f, 0xff]);
            // Unwritten flash before it is blank, not zero.
            flash.read_bytes(at - 3, &mut bytes).unwrap();
            assert_eq!(bytes, [0xff; 3]);
            flash.erase(at).unwrap();
            flash.read_bytes(at, &mut bytes).unwrap();
            assert_eq!(bytes, [0xff; 3]);
            assert!(flash.erase(SIZE).is_err());
            assert!(flash.read_bytes(SIZE - 1, &mut bytes).is_err());
        }
    }

    #[test]
    fn board_is_found_again_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let first = open(&path).unwrap();
        assert!(first.is_new);
        let refused = open(&path).unwrap_err();
        assert!(refused.message.contains("in use"), "{refused}");
        drop(first);
        let other = [2, 0, 0, 0, 0, 8];
        let mut again = VirtualFlash::open(&path, other, || panic!("not new")).unwrap();
        assert_eq!((again.mac, again.is_new), (MAC, false));
        assert_eq!(load(&mut again.flash).unwrap().record.settings, settings());
    }

    #[test]
    fn other_files_are_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        for content in [&b"a letter"[..], &vec![0xff; NEW_IMAGE], b""] {
            std::fs::write(&path, content).unwrap();
            let refused = open(&path).unwrap_err();
            assert_eq!(refused.exit().code(), 2);
            assert!(refused.message.contains("not the state"), "{refused}");
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn power_cut_stops_in_the_middle_of_a_write() {
        let mut flash = VirtualFlash::in_memory(MAC, &settings()).unwrap();
        flash.cut_power_after(2);
        assert!(flash.program(0x10000, &[1, 2, 3]).is_err());
        assert!(flash.erase(0).is_err());
        flash.restore_power();
        let mut bytes = [0; 3];
        flash.read_bytes(0x10000, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 0xff]);
    }
}
