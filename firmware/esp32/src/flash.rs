//! The chip's flash, and the settings in it.

use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;
use tcpctl_greeter::stored::{self, Flash, Missing, Partition, Unreadable};
use tcpctl_settings::sectors::Selected;

struct ChipFlash(FlashStorage<'static>);

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

/// Reads the settings.
pub(crate) fn load_settings(flash: FLASH<'static>) -> Result<Selected, Missing> {
    stored::load(&mut ChipFlash(FlashStorage::new(flash)))
}
