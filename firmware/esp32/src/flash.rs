//! The chip's flash, and the trial of a new application.

use core::cell::RefCell;

use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;
use tcpctl_greeter::flash::{self, Unwritable, WritableFlash};
use tcpctl_greeter::otadata::{ENTRY_LEN, Entry, Otadata, SECTOR, STATE_OFFSET, State};
use tcpctl_greeter::stored::{Flash, Partition, Unreadable};

/// The flash.
pub(crate) struct ChipFlash(FlashStorage<'static>);

/// The flash, for all that use it. Borrow it for one operation at a time.
pub(crate) type SharedFlash = &'static RefCell<ChipFlash>;

/// This application's trial, which ends with a reset or with [`ChipFlash::confirm`].
#[derive(Clone, Copy)]
pub(crate) struct AppTrial {
    /// Offset of the state of its entry in otadata.
    state: u32,
}

impl ChipFlash {
    pub(crate) fn new(flash: FLASH<'static>) -> Self {
        Self(FlashStorage::new(flash))
    }

    /// Starts this application's trial, if it is on trial: from now on any reset boots the previous
    /// one. Call it before anything that may fail.
    #[inline(never)]
    pub(crate) fn begin_trial(&mut self) -> Option<AppTrial> {
        let mut buffer = [0; PARTITION_TABLE_MAX_LEN];
        let table = read_partition_table(&mut self.0, &mut buffer).ok()?;
        let running = match table.booted_partition().ok()??.label_as_str() {
            "ota_0" => 0,
            "ota_1" => 1,
            _ => return None,
        };
        let otadata = self.partition("otadata").ok()??;
        let mut entries = [None; 2];
        for (entry, offset) in entries.iter_mut().zip([0, SECTOR]) {
            let mut bytes = [0; ENTRY_LEN];
            self.read(otadata.offset + offset, &mut bytes).ok()?;
            *entry = Entry::decode(&bytes);
        }
        let (sector, _) = Otadata(entries).trial_of(running)?;
        let entry = otadata.offset + if sector == 0 { 0 } else { SECTOR };
        #[expect(clippy::cast_possible_truncation, reason = "24")]
        let trial = AppTrial {
            state: entry + STATE_OFFSET as u32,
        };
        self.program(trial, State::Invalid).ok()?;
        Some(trial)
    }

    /// Ends a trial: from now on this application is booted.
    pub(crate) fn confirm(&mut self, trial: AppTrial) {
        // An error leaves the trial to end with the next reset.
        let _ = self.program(trial, State::Valid);
    }

    /// Programs a state, which only clears bits, without an erase.
    fn program(&mut self, trial: AppTrial, state: State) -> Result<(), Unreadable> {
        let word = state.word().to_le_bytes();
        self.0.write_nor(trial.state, &word).map_err(|_| Unreadable)
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
