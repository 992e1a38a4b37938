//! A flash in memory whose power can be cut at every step.

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

#[derive(Clone)]
pub(crate) struct TestFlash {
    cells: Vec<u8>,
    /// Labels of partitions that do not exist.
    pub(crate) missing: Vec<&'static str>,
    /// Sectors of the settings partition; older partition tables have one.
    pub(crate) settings_sectors: u32,
    /// Erases and programmed pages since the last start.
    pub(crate) steps: u32,
    /// Step at which the power is cut.
    pub(crate) cut_at: Option<u32>,
    /// Whether the interrupted step changes only its second half, instead of random bits.
    pub(crate) cuts_in_half: bool,
    is_off: bool,
    /// Sectors with worn cells: writes succeed and change nothing.
    pub(crate) worn: Vec<u32>,
    pub(crate) random: u64,
}

impl TestFlash {
    /// Erased flash.
    pub(crate) fn new() -> Self {
        Self {
            cells: vec![0xff; SIZE],
            missing: Vec::new(),
            settings_sectors: 2,
            steps: 0,
            cut_at: None,
            cuts_in_half: false,
            is_off: false,
            worn: Vec::new(),
            random: 1,
        }
    }

    /// Switches the power off and on again.
    pub(crate) fn restart(&mut self) {
        self.is_off = false;
        self.cut_at = None;
    }

    pub(crate) fn is_off(&self) -> bool {
        self.is_off
    }

    /// Writes without counting steps, as `tcpctl flash` does.
    pub(crate) fn put(&mut self, label: &str, bytes: &[u8]) {
        let start = self.partition(label).unwrap().unwrap().offset as usize;
        self.cells[start..start + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn get(&self, label: &str) -> &[u8] {
        let (_, place) = PARTITIONS.iter().find(|(it, _)| *it == label).unwrap();
        &self.cells[place.offset as usize..][..place.size as usize]
    }

    /// Wears out the sectors of a partition.
    pub(crate) fn wear_out(&mut self, label: &str) {
        let Partition { offset, size } = self.partition(label).unwrap().unwrap();
        self.worn
            .extend((offset..offset + size).step_by(SECTOR as usize));
    }

    /// A random number below `limit`.
    pub(crate) fn random(&mut self, limit: u32) -> u32 {
        // A linear congruential generator with Knuth's MMIX constants.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.random >> 33).unwrap() % limit
    }

    /// Counts a step. Returns whether the power stays on during it.
    fn step(&mut self) -> Result<bool, Unwritable> {
        if self.is_off {
            return Err(Unwritable);
        }
        let holds = self.cut_at != Some(self.steps);
        self.steps += 1;
        self.is_off = !holds;
        Ok(holds)
    }

    /// Changes cells to `target`, or some of their bits if the power is cut.
    fn change(&mut self, at: usize, target: &[u8], holds: bool) -> Result<(), Unwritable> {
        if self.is_worn(at) {
            return Ok(());
        }
        // Some cuts come early in the step, some late.
        let share = 1 + self.random(255);
        for (index, byte) in target.iter().enumerate() {
            let done = if holds {
                0xff
            } else if self.cuts_in_half {
                u8::from(index >= target.len() / 2) * 0xff
            } else {
                (0..8).fold(0, |done, bit| {
                    done | u8::from(self.random(256) < share) << bit
                })
            };
            let cell = &mut self.cells[at + index];
            *cell = (*cell & !done) | (byte & done);
        }
        if holds { Ok(()) } else { Err(Unwritable) }
    }

    /// Programs bytes of one page.
    fn program_page(&mut self, at: usize, bytes: &[u8]) -> Result<(), Unwritable> {
        let holds = self.step()?;
        let cells = &self.cells[at..][..bytes.len()];
        let target: Vec<_> = cells.iter().zip(bytes).map(|(a, b)| a & b).collect();
        assert!(
            target == bytes || self.is_worn(at),
            "programmed without an erase"
        );
        self.change(at, &target, holds)
    }

    fn is_worn(&self, at: usize) -> bool {
        let sector = at / SECTOR as usize * SECTOR as usize;
        self.worn.contains(&(u32::try_from(sector).unwrap()))
    }
}

impl Flash for TestFlash {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        if self.is_off {
            return Err(Unreadable);
        }
        let mut partitions = PARTITIONS.iter();
        let found = partitions.find(|(it, _)| *it == label && !self.missing.contains(it));
        Ok(found.map(|&(label, partition)| match label {
            "settings" => place(partition.offset, self.settings_sectors),
            _ => partition,
        }))
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        if self.is_off {
            return Err(Unreadable);
        }
        bytes.copy_from_slice(&self.cells[offset as usize..][..bytes.len()]);
        Ok(())
    }
}

impl WritableFlash for TestFlash {
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable> {
        assert!(offset.is_multiple_of(SECTOR));
        let holds = self.step()?;
        self.change(offset as usize, &[0xff; SECTOR as usize], holds)
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable> {
        assert!((offset as usize | bytes.len()).is_multiple_of(WORD));
        assert!(bytes.as_ptr().addr().is_multiple_of(WORD));
        let (mut at, mut rest) = (offset as usize, bytes);
        while !rest.is_empty() {
            let (page, further) = rest.split_at(rest.len().min(PAGE - at % PAGE));
            self.program_page(at, page)?;
            (at, rest) = (at + page.len(), further);
        }
        Ok(())
    }
}
