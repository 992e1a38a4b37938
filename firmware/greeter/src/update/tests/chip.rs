//! A flash whose power can be cut at every step.

use std::vec;
use std::vec::Vec;

use crate::flash::{PAGE, SECTOR, Unwritable, WORD, WritableFlash};
use crate::stored::{Flash, Partition, Unreadable};

/// The partitions: otadata, settings and two slots of 64 kB.
const PARTITIONS: [(&str, Partition); 4] = [
    ("otadata", place(0x1000, 2)),
    ("settings", place(0x3000, 2)),
    ("ota_0", place(0x10000, 16)),
    ("ota_1", place(0x20000, 16)),
];
const SIZE: usize = 0x30000;

const fn place(offset: u32, sectors: u32) -> Partition {
    Partition {
        offset,
        size: sectors * SECTOR,
    }
}

pub(super) struct Chip {
    cells: Vec<u8>,
    /// Labels of partitions that do not exist.
    pub(super) missing: Vec<&'static str>,
    /// Erases and programmed pages since the start.
    pub(super) steps: u32,
    /// Step at which the power is cut.
    pub(super) cut_at: Option<u32>,
    is_off: bool,
    /// Sectors whose cells keep their content.
    pub(super) worn: Vec<u32>,
    pub(super) random: u64,
}

impl Chip {
    /// Erased flash.
    pub(super) fn new() -> Self {
        Self {
            cells: vec![0xff; SIZE],
            missing: Vec::new(),
            steps: 0,
            cut_at: None,
            is_off: false,
            worn: Vec::new(),
            random: 1,
        }
    }

    /// Switches the power off and on again.
    pub(super) fn restart(&mut self) {
        self.is_off = false;
        self.cut_at = None;
    }

    pub(super) fn is_off(&self) -> bool {
        self.is_off
    }

    /// Writes without a step, as `tcpctl flash` does.
    pub(super) fn put(&mut self, label: &str, bytes: &[u8]) {
        let start = self.partition(label).unwrap().unwrap().offset as usize;
        self.cells[start..start + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn get(&self, label: &str) -> &[u8] {
        let (_, place) = PARTITIONS.iter().find(|(it, _)| *it == label).unwrap();
        &self.cells[place.offset as usize..][..place.size as usize]
    }

    /// A random number below `limit`.
    pub(super) fn random(&mut self, limit: u32) -> u32 {
        // Knuth's MMIX.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.random >> 33).unwrap() % limit
    }

    /// Counts a step. Whether the power holds through it.
    fn step(&mut self) -> Result<bool, Unwritable> {
        if self.is_off {
            return Err(Unwritable);
        }
        let holds = self.cut_at != Some(self.steps);
        self.steps += 1;
        self.is_off = !holds;
        Ok(holds)
    }

    /// Changes cells to `target`; if the power is cut, any of their bits.
    fn change(&mut self, offset: u32, target: &[u8], holds: bool) -> Result<(), Unwritable> {
        if self.worn.contains(&(offset / SECTOR * SECTOR)) {
            return Ok(());
        }
        // Some cuts are early, some late.
        let share = 1 + self.random(255);
        for (index, target) in target.iter().enumerate() {
            let done = if holds {
                0xff
            } else {
                (0..8).fold(0, |done, bit| {
                    done | u8::from(self.random(256) < share) << bit
                })
            };
            let cell = &mut self.cells[offset as usize + index];
            *cell = (*cell & !done) | (target & done);
        }
        if holds { Ok(()) } else { Err(Unwritable) }
    }
}

impl Flash for Chip {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        if self.is_off {
            return Err(Unreadable);
        }
        let mut partitions = PARTITIONS.iter();
        let found = partitions.find(|(it, _)| *it == label && !self.missing.contains(it));
        Ok(found.map(|(_, partition)| *partition))
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        if self.is_off {
            return Err(Unreadable);
        }
        bytes.copy_from_slice(&self.cells[offset as usize..][..bytes.len()]);
        Ok(())
    }
}

impl WritableFlash for Chip {
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable> {
        assert!(offset.is_multiple_of(SECTOR));
        let holds = self.step()?;
        self.change(offset, &[0xff; SECTOR as usize], holds)
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable> {
        let start = offset as usize;
        assert!(start.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD));
        assert_eq!(start / PAGE, (start + bytes.len() - 1) / PAGE, "two pages");
        assert!(bytes.as_ptr().addr().is_multiple_of(WORD));
        let holds = self.step()?;
        let cells = &self.cells[start..][..bytes.len()];
        let target: Vec<_> = cells.iter().zip(bytes).map(|(a, b)| a & b).collect();
        let is_worn = self.worn.contains(&(offset / SECTOR * SECTOR));
        assert!(target == bytes || is_worn, "programmed without an erase");
        self.change(offset, &target, holds)
    }
}
