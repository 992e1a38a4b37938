//! Partition tables (ESP-IDF, "Partition Tables").
//!
//! Ours is `firmware/settings/partitions.csv`. A board's own is read back from it, so its bytes may
//! be anything.

use esp_idf_part::PartitionTable;
use tcpctl_settings::BLOCK_SIZE;

use crate::failure::reason;

/// Offset of the table.
pub const TABLE_OFFSET: u32 = 0x8000;
/// Maximum length of the table with its checksum.
pub const TABLE_LEN: u32 = 0xc00;

/// First offset after the table's sectors.
pub const AFTER_TABLE: u32 = 0x9000;

/// Label of the settings partition.
pub const SETTINGS: &str = "settings";
/// Label of the partition that selects the application slot.
pub const OTADATA: &str = "otadata";
/// Bytes of otadata that the bootloader reads: two sectors with an entry each.
pub const OTADATA_LEN: u32 = 0x2000;

const ENTRY_LEN: usize = 32;
const ENTRY_MAGIC: [u8; 2] = [0xaa, 0x50];

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Name of the partition.
    pub label: String,
    /// Whether it is an application slot.
    pub is_app: bool,
    /// Offset in flash.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

impl Partition {
    /// The offset after its last byte.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// Whether settings fit into the partition.
    pub fn can_hold_settings(&self) -> bool {
        self.can_hold(BLOCK_SIZE)
    }

    /// Whether otadata fits into the partition.
    pub fn can_hold_otadata(&self) -> bool {
        self.can_hold(OTADATA_LEN as usize)
    }

    /// Whether it is a data partition after the table, sector-aligned, with at least `length` bytes.
    fn can_hold(&self, length: usize) -> bool {
        !self.is_app
            && self.offset >= AFTER_TABLE
            && (self.offset as usize).is_multiple_of(BLOCK_SIZE)
            && self.size as usize >= length
    }

    /// Whether the two partitions do not overlap.
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
    /// The partition CSV is invalid, which a test rules out.
    pub fn ours() -> Result<Vec<u8>, String> {
        PartitionTable::try_from_str(tcpctl_settings::PARTITIONS)
            .and_then(|table| {
                table.validate()?;
                table.to_bin()
            })
            .map_err(|error| format!("firmware/settings/partitions.csv: {}", reason(&error)))
    }

    /// The settings partition of our own table.
    pub fn usual_settings() -> Option<Partition> {
        let table = Self::parse(&Self::ours().ok()?)?;
        table.find(SETTINGS).cloned()
    }

    /// Parses a table; `None` if there is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let partitions: Vec<_> = bytes.chunks_exact(ENTRY_LEN).map_while(entry).collect();
        (!partitions.is_empty()).then_some(Self { partitions })
    }

    /// The partition with this label.
    pub fn find(&self, label: &str) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.label == label)
    }

    /// The partition into which `flash` writes the program: the first app partition, which the
    /// bootloader starts while no slot is selected.
    pub fn app(&self) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.is_app)
    }

    /// All partitions.
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
    fn our_table_has_two_settings_sectors_two_slots_and_fits_2_mib() {
        let table = Table::parse(&Table::ours().unwrap()).unwrap();
        let settings = table.find(SETTINGS).unwrap();
        assert_eq!(settings.offset, 0xe000);
        assert_eq!(settings.size as usize, 2 * BLOCK_SIZE);
        assert!(settings.can_hold_settings());
        assert!(table.find(OTADATA).unwrap().can_hold_otadata());
        let slots: Vec<_> = table.partitions().iter().filter(|p| p.is_app).collect();
        assert_eq!(slots.len(), 2);
        assert_eq!(table.app(), Some(slots[0]));
        assert_eq!(slots[0].size, slots[1].size);
        // The cache maps pages of 64 kB; esp-idf-part checks neither this nor the end of flash.
        for number in slots.iter().flat_map(|slot| [slot.offset, slot.size]) {
            assert!(number.is_multiple_of(0x10000));
        }
        let mut free = AFTER_TABLE.into();
        for partition in table.partitions() {
            assert!(
                u64::from(partition.offset) >= free,
                "{partition:?} overlaps"
            );
            free = partition.end();
        }
        assert!(free <= 2 << 20);
    }

    #[test]
    fn erased_flash_has_no_table() {
        assert_eq!(Table::parse(&[0xff; TABLE_LEN as usize]), None);
        assert_eq!(Table::parse(&[]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, start in 0..64_usize) {
            let mut table = Table::ours().unwrap();
            let end = (start + bytes.len()).min(table.len());
            table[start..end].copy_from_slice(&bytes[..end - start]);
            if let Some(table) = Table::parse(&table) {
                let _ = (table.app(), table.find(SETTINGS), table.partitions().iter().map(Partition::end).max());
            }
        }
    }
}
