//! NOR flash: erasing sets the bits of a sector; writing only clears bits.

use std::collections::BTreeSet;

pub(crate) const SECTOR: usize = 0x1000;

#[derive(Debug, Clone)]
pub(crate) struct Flash {
    bytes: Vec<u8>,
    /// Erased sectors, by offset.
    pub(crate) erased: BTreeSet<u32>,
    /// Written sectors, by offset.
    pub(crate) written: BTreeSet<u32>,
}

impl Flash {
    pub(crate) fn erased(size: usize) -> Self {
        Self::holding(vec![0xff; size])
    }

    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            erased: BTreeSet::new(),
            written: BTreeSet::new(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Erases the sectors in the range. Returns whether the range is inside the flash.
    pub(crate) fn erase(&mut self, offset: usize, length: usize) -> bool {
        let end = offset.saturating_add(length).next_multiple_of(SECTOR);
        if end > self.bytes.len() {
            return false;
        }
        for sector in (offset / SECTOR * SECTOR..end).step_by(SECTOR) {
            self.bytes[sector..sector + SECTOR].fill(0xff);
            self.erased.insert(u32::try_from(sector).unwrap());
        }
        true
    }

    /// Writes bytes. Returns whether they are inside the flash.
    pub(crate) fn write(&mut self, offset: usize, data: &[u8], bad_cell: Option<u32>) -> bool {
        let Some(place) = self.bytes.get_mut(offset..offset + data.len()) else {
            return false;
        };
        for (cell, byte) in place.iter_mut().zip(data) {
            *cell &= byte;
        }
        for at in (offset..offset + data.len()).step_by(1) {
            if bad_cell == u32::try_from(at).ok() {
                self.bytes[at] ^= 1;
            }
        }
        let last = offset + data.len().saturating_sub(1);
        for sector in offset / SECTOR..=last / SECTOR {
            self.written.insert(u32::try_from(sector * SECTOR).unwrap());
        }
        true
    }

    pub(crate) fn read(&self, offset: u32, length: u32) -> Option<&[u8]> {
        let start = offset as usize;
        self.bytes.get(start..start.checked_add(length as usize)?)
    }
}
