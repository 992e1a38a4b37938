//! A model of ESP-IDF's bootloader without rollback, for virtual boards and tests: which slot it starts.
//! Observed on an emulated ESP32-C3 with the bundled bootloader (ESP-IDF 6.1).

use crate::flash::{PAGE, WritableFlash};
use crate::otadata::{Entry, SLOTS, State};
use crate::stored::{Flash, Partition, Unreadable};

use super::image::{ImageCheck, Version};
use super::trial::{OTADATA_LABEL, SLOT_LABELS, read_otadata, write_entry};

/// A slot with an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Slot number.
    pub slot: u32,
    /// Version of the application.
    pub version: Version,
}

/// The application that the bootloader starts: that of the selected slot, else that of the other
/// one. `None` if neither has an undamaged application for the chip. Such a board can only be
/// flashed over USB.
///
/// # Errors
/// The flash cannot be read.
pub fn start(flash: &mut impl WritableFlash, chip: u16) -> Result<Option<Started>, Unreadable> {
    let (Some(otadata), Some(ota_0), Some(ota_1)) = (
        flash.partition(OTADATA_LABEL)?,
        flash.partition(SLOT_LABELS[0])?,
        flash.partition(SLOT_LABELS[1])?,
    ) else {
        return Ok(None);
    };
    let entries = read_otadata(flash, otadata.offset)?;
    let selected = entries.selected().map(|(_, entry)| entry.slot());
    if entries.0 == [None, None] {
        let first = Entry {
            sequence: 1,
            state: State::Valid,
        };
        // The bootloader ignores a failed write as well.
        let _ = write_entry(flash, otadata.offset, first);
    }
    let first = selected.unwrap_or(0);
    for slot in [first, (first + 1) % SLOTS] {
        let place = if slot == 0 { ota_0 } else { ota_1 };
        if let Some(version) = application(flash, place, chip) {
            return Ok(Some(Started { slot, version }));
        }
    }
    Ok(None)
}

/// The version of the application in a slot, if it is undamaged.
fn application(flash: &mut impl Flash, slot: Partition, chip: u16) -> Option<Version> {
    let mut check = ImageCheck::new(chip);
    let mut piece = [0; PAGE];
    for offset in (0..slot.size).step_by(PAGE) {
        flash.read(slot.offset + offset, &mut piece).ok()?;
        check.feed(&piece).ok()?;
        if check.is_complete() {
            break;
        }
    }
    check.finish().ok()?;
    check.version()
}
