//! A flash in memory that loses power at a chosen write.

use std::vec;
use std::vec::Vec;

use tcpctl_settings::BLOCK_SIZE;

use crate::flash::{Unwritable, WritableFlash};
use crate::stored::{Flash, Partition, Unreadable};

/// Offset of the settings partition.
const OFFSET: u32 = 0xe000;

/// A flash that is the settings partition.
pub(crate) struct TestFlash {
    pub(crate) bytes: Vec<u8>,
    /// Whether writes succeed and change nothing.
    pub(crate) is_worn: bool,
    /// Writes until the power cut, which leaves that write incomplete.
    writes_left: Option<usize>,
    has_power: bool,
    /// Whether the write during the power cut changes its second half and nothing else.
    cuts_in_half: bool,
    seed: u32,
}

impl TestFlash {
    /// Erased, with this number of sectors.
    pub(crate) fn new(sectors: usize) -> Self {
        Self {
            bytes: vec![0xff; sectors * BLOCK_SIZE],
            is_worn: false,
            writes_left: None,
            has_power: true,
            cuts_in_half: false,
            seed: 1,
        }
    }

    /// The same content after power-on, and a power cut during the write after `writes`.
    pub(crate) fn restarted(&self, writes: Option<usize>, seed: u32) -> Self {
        Self {
            bytes: self.bytes.clone(),
            is_worn: self.is_worn,
            writes_left: writes,
            has_power: true,
            cuts_in_half: seed.is_multiple_of(4),
            seed: seed.wrapping_mul(2_654_435_761) | 1,
        }
    }

    /// Whether the power cut has happened.
    pub(crate) fn is_off(&self) -> bool {
        !self.has_power
    }

    fn random(&mut self) -> u8 {
        self.seed = self
            .seed
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.seed.to_le_bytes()[3]
    }

    /// Changes bytes by `new`, or some of their bits at the power cut.
    fn write(&mut self, at: usize, new: &[u8]) -> Result<(), Unwritable> {
        if !self.has_power {
            return Err(Unwritable);
        }
        if self.is_worn {
            return Ok(());
        }
        if self.writes_left == Some(0) {
            self.has_power = false;
        }
        self.writes_left = self.writes_left.map(|writes| writes.saturating_sub(1));
        let length = new.len();
        for (index, new) in new.iter().enumerate() {
            let is_second_half = index >= length / 2;
            let mask = match self.has_power {
                true => 0xff,
                // Bits take different times, and parts are changed one after the other.
                false if self.cuts_in_half => u8::from(is_second_half) * 0xff,
                false => self.random(),
            };
            let byte = &mut self.bytes[at + index];
            *byte = *byte & !mask | new & mask;
        }
        if self.has_power {
            Ok(())
        } else {
            Err(Unwritable)
        }
    }
}

fn index(offset: u32) -> usize {
    usize::try_from(offset - OFFSET).unwrap()
}

impl Flash for TestFlash {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        let size = u32::try_from(self.bytes.len()).unwrap();
        let offset = OFFSET;
        Ok((label == "settings").then_some(Partition { offset, size }))
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        if !self.has_power {
            return Err(Unreadable);
        }
        let at = index(offset);
        bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
        Ok(())
    }
}

impl WritableFlash for TestFlash {
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable> {
        assert!(offset.is_multiple_of(4096));
        self.write(index(offset), &[0xff; BLOCK_SIZE])
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        assert!(bytes.as_ptr().addr().is_multiple_of(4), "aligned");
        let at = index(offset);
        let old = self.bytes[at..at + bytes.len()].iter();
        // Programming only clears bits.
        let new: Vec<u8> = old.zip(bytes).map(|(old, new)| old & new).collect();
        self.write(at, &new)
    }
}
