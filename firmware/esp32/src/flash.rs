//! The chip's flash, and its application slots.

use core::cell::RefCell;

use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;
use tcpctl_greeter::flash::{self, Unwritable, WritableFlash};
use tcpctl_greeter::stored::{Flash, Partition, Unreadable};
use tcpctl_greeter::update::{Firmware, SLOT_LABELS, Slots};

/// The flash.
pub(crate) struct ChipFlash(FlashStorage<'static>);

/// The flash, shared by its users. Borrow it for one operation at a time.
pub(crate) type SharedFlash = &'static RefCell<ChipFlash>;

/// The firmware of this chip, with its trial and its updates.
pub(crate) type ChipFirmware = Firmware<SharedFlash>;

impl ChipFlash {
    pub(crate) fn new(flash: FLASH<'static>) -> Self {
        Self(FlashStorage::new(flash))
    }

    /// Finds the application slots, and starts the trial of this application if it is on trial. Call it
    /// before anything that may fail.
    #[inline(never)]
    pub(crate) fn start_slots(&mut self) -> Slots {
        // Slots::at_start finds no second slot for an unknown one.
        let running = self.running_slot().unwrap_or(u32::MAX);
        Slots::at_start(self, running)
    }

    #[inline(never)]
    fn running_slot(&mut self) -> Option<u32> {
        let mut buffer = [0; PARTITION_TABLE_MAX_LEN];
        let table = read_partition_table(&mut self.0, &mut buffer).ok()?;
        let running = table.booted_partition().ok()??;
        SLOT_LABELS
            .iter()
            .zip(0..)
            .find(|(label, _)| **label == running.label_as_str())
            .map(|(_, slot)| slot)
    }
}

impl Flash for ChipFlash {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        let mut buffer = [0; PARTITION_TABLE_MAX_LEN];
        let table = read_partition_table(&mut self.0, &mut buffer).map_err(|_| Unreadable)?;
        let mut partitions = table.iter();
        let found = partitions.find(|partition| partition.label_as_str() == label);
        Ok(found.map(|partition| Partition {
            offset: partition.offset(),
            size: partition.len(),
        }))
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.0.read(offset, bytes).map_err(|_| Unreadable)
    }
}

impl WritableFlash for ChipFlash {
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable> {
        let end = offset.saturating_add(flash::SECTOR);
        self.0.erase(offset, end).map_err(|_| Unwritable)
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable> {
        self.0.write_nor(offset, bytes).map_err(|_| Unwritable)
    }
}
