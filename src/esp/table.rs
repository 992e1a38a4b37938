//! The partition table: where on the flash things are.
//!
//! Ours is `firmware/settings/partitions.csv`. A board's own is read back from it, so its bytes may
//! be anything; format: ESP-IDF, "Partition Tables".

use esp_idf_part::PartitionTable;
use tcpctl_settings::BLOCK_SIZE;

/// Where the table itself is.
pub const TABLE_OFFSET: u32 = 0x8000;
/// How long it is at most, with the check sum.
pub const TABLE_LEN: u32 = 0xc00;

/// The first byte beyond the sectors that are erased for it.
pub const AFTER_TABLE: u32 = 0x9000;

/// The label of the partition that has the settings.
pub const SETTINGS: &str = "settings";

const ENTRY_LEN: usize = 32;
const ENTRY_MAGIC: [u8; 2] = [0xaa, 0x50];

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub label: String,
    /// Whether a program is in it.
    pub is_app: bool,
    /// Where it begins.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

impl Partition {
    /// The first byte beyond it.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// Whether a block of settings can be written there: whole sectors, beyond the table, without a
    /// program in them.
    pub fn can_hold_settings(&self) -> bool {
        !self.is_app
            && self.offset >= AFTER_TABLE
            && (self.offset as usize).is_multiple_of(BLOCK_SIZE)
            && self.size as usize >= BLOCK_SIZE
    }

    /// Whether the two have no byte in common.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        self.end() <= other.offset.into() || other.end() <= self.offset.into()
    }
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    partitions: Vec<Partition>,
}

impl Table {
    /// Our firmware's table, as it is in flash.
    ///
    /// # Errors
    /// What is wrong with the file that it is made from: none, once it is built and tested.
    pub fn ours() -> Result<Vec<u8>, String> {
        PartitionTable::try_from_str(tcpctl_settings::PARTITIONS)
            .and_then(|table| {
                table.validate()?;
                table.to_bin()
            })
            .map_err(|error| format!("firmware/settings/partitions.csv: {error}"))
    }

    /// Where our own table has the settings.
    pub fn usual_settings() -> Option<u32> {
        let table = Self::parse(&Self::ours().ok()?)?;
        table.find(SETTINGS).map(|place| place.offset)
    }

    /// Reads a table; `None` where there is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let partitions: Vec<_> = bytes.chunks_exact(ENTRY_LEN).map_while(entry).collect();
        (!partitions.is_empty()).then_some(Self { partitions })
    }

    /// The partition of this name.
    pub fn find(&self, label: &str) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.label == label)
    }

    /// Where the program is: the first app partition, as the bootloader chooses where there is no
    /// choice.
    pub fn app(&self) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.is_app)
    }

    /// All of them.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }
}

fn entry(bytes: &[u8]) -> Option<Partition> {
    let rest = bytes.strip_prefix(&ENTRY_MAGIC)?;
    let (&[kind, _subtype, o0, o1, o2, o3, s0, s1, s2, s3], rest) = rest.split_first_chunk()?;
    let label = rest.get(..16)?.split(|byte| *byte == 0).next()?;
    Some(Partition {
        label: String::from_utf8_lossy(label).into_owned(),
        is_app: kind == 0,
        offset: u32::from_le_bytes([o0, o1, o2, o3]),
        size: u32::from_le_bytes([s0, s1, s2, s3]),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn our_table_has_a_sector_for_settings_and_one_program_and_fits_2_mib() {
        let table = Table::parse(&Table::ours().unwrap()).unwrap();
        let settings = table.find(SETTINGS).unwrap();
        assert_eq!(settings.offset, 0xe000);
        assert_eq!(settings.size as usize, BLOCK_SIZE);
        assert!(!settings.is_app);
        let app = table.app().unwrap();
        assert!(app.offset >= settings.offset + settings.size);
        assert!(app.offset.is_multiple_of(0x10000));
        assert!(table.partitions().iter().all(|p| p.end() <= 2 << 20));
    }

    #[test]
    fn erased_flash_has_no_table() {
        assert_eq!(Table::parse(&[0xff; TABLE_LEN as usize]), None);
        assert_eq!(Table::parse(&[]), None);
    }

    proptest! {
        #[test]
        fn whatever_a_board_has_there_is_no_harm(bytes: Vec<u8>, start in 0..64_usize) {
            let mut table = Table::ours().unwrap();
            let end = (start + bytes.len()).min(table.len());
            table[start..end].copy_from_slice(&bytes[..end - start]);
            if let Some(table) = Table::parse(&table) {
                let _ = (table.app(), table.find(SETTINGS), table.partitions().iter().map(Partition::end).max());
            }
        }
    }
}
