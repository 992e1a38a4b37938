//! Writing to flash.
//!
//! NOR flash: an erase sets all bits of a sector, programming only clears bits. A power cut leaves any
//! mixture of both in the sector or page that was being written.

use core::cell::RefCell;

use crate::stored::{Flash, Partition, Unreadable};

/// Smallest erasable unit, in bytes.
pub const SECTOR: u32 = 4096;
/// Unit of programming, in bytes. A piece that is aligned to it is programmed in one step.
pub const PAGE: usize = 256;
/// Offsets and lengths of programmed bytes are multiples of this.
pub const WORD: usize = 4;

/// A flash that can be written. Both operations block the chip, for a few milliseconds per page and
/// about 45 ms per sector: await something between them.
pub trait WritableFlash: Flash {
    /// Sets all bits of the sector at `offset`, a multiple of [`SECTOR`].
    ///
    /// # Errors
    /// [`Unwritable`]; the content of the sector is undefined.
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable>;

    /// Clears the bits that are 0 in `bytes`. On a chip the address of `bytes` is also a multiple of [`WORD`].
    ///
    /// # Errors
    /// [`Unwritable`]; the content of these bytes is undefined.
    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable>;
}

/// The flash refused a write, or did not hold the written bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwritable;

impl From<Unreadable> for Unwritable {
    fn from(_: Unreadable) -> Self {
        Self
    }
}

/// Bytes at an address aligned to a word, as flash drivers require.
#[repr(align(4))]
pub(crate) struct Aligned<const N: usize>(pub(crate) [u8; N]);

/// Programs up to a page, padded to whole words, and reads it back, because worn flash keeps its
/// bits.
///
/// # Errors
/// The flash does not hold the bytes. If it does, an error of the write has no effect.
pub(crate) fn program_checked(
    flash: &mut impl WritableFlash,
    offset: u32,
    bytes: &[u8],
) -> Result<(), Unwritable> {
    let length = bytes.len().next_multiple_of(WORD);
    let mut page = Aligned([0xff; PAGE]);
    page.0[..bytes.len()].copy_from_slice(bytes);
    // Ignore the result: only what the next start reads matters.
    let _ = flash.program(offset, &page.0[..length]);
    let mut back = Aligned([0; PAGE]);
    flash.read(offset, &mut back.0[..length])?;
    if back.0[..length] == page.0[..length] {
        Ok(())
    } else {
        Err(Unwritable)
    }
}

/// A flash shared by several users on one thread. Each borrows it for one operation.
impl<F: Flash> Flash for &RefCell<F> {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        self.borrow_mut().partition(label)
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.borrow_mut().read(offset, bytes)
    }
}

impl<F: WritableFlash> WritableFlash for &RefCell<F> {
    fn erase(&mut self, offset: u32) -> Result<(), Unwritable> {
        self.borrow_mut().erase(offset)
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Unwritable> {
        self.borrow_mut().program(offset, bytes)
    }
}
