//! New firmware over the network: it is written to the inactive slot, checked, and started on
//! trial.
//!
//! [`Update`] takes the image in order and returns how much of it is in flash. Nothing selects the new
//! slot before [`Update::start`], so an earlier failure does not change the running firmware. A transfer
//! survives a broken connection, but not a restart.
//!
//! [`Slots`] are the two slots and the trial of the running application, see [`trial`]. [`Firmware`]
//! combines both for the management server. For virtual boards and tests, [`bootloader`] models the slot
//! selection, and [`sample`] builds images.

use embassy_futures::yield_now;
use sha2::{Digest, Sha256};
use tcpctl_management::UpdateRefusal;

use crate::flash::{PAGE, SECTOR, Unwritable, WORD, WritableFlash, program_checked};
use crate::stored::{Flash, Unreadable};

pub mod bootloader;
mod firmware;
pub mod image;
pub mod sample;
pub mod trial;

pub use firmware::{Firmware, SERVED_TIMEOUT, Status, TRIAL_TIMEOUT, WINDOW};
pub use image::{ImageError, Version};
pub use trial::{EndedTrial, SLOT_LABELS, Slots, TrialEnd};

use image::{ImageCheck, START_LEN};

/// Bytes to read at a time while the image is checked.
const PIECE: usize = 512;

/// The announcement of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Length in bytes.
    pub size: u32,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
}

impl From<ImageError> for UpdateRefusal {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::NotAnApplication => Self::NotAnApplication,
            ImageError::WrongChip => Self::WrongChip,
            ImageError::WrongProject => Self::WrongProject,
            ImageError::Truncated => Self::Truncated,
            ImageError::Damaged => Self::Damaged,
            ImageError::EntryPoint => Self::EntryPoint,
        }
    }
}

impl From<Unreadable> for UpdateRefusal {
    fn from(_: Unreadable) -> Self {
        Self::Flash
    }
}

impl From<Unwritable> for UpdateRefusal {
    fn from(_: Unwritable) -> Self {
        Self::Flash
    }
}

/// The update of a board, from one restart to the next.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Chip ID in image headers.
    chip: u16,
    transfer: Option<Transfer>,
}

#[derive(Debug, Clone, Copy)]
struct Transfer {
    announced: Announced,
    /// Bytes in flash, a multiple of [`WORD`] before the end.
    written: u32,
    is_verified: bool,
}

impl Update {
    /// An update for a board with this chip, see [`image::chip_id`].
    pub const fn new(chip: u16) -> Self {
        Self {
            chip,
            transfer: None,
        }
    }

    /// Begins a transfer, or continues one of the same image. Returns the offset of the first byte to send.
    ///
    /// # Errors
    /// The board cannot take the image. A transfer in progress is kept.
    pub fn begin(&mut self, slots: &Slots, announced: Announced) -> Result<u32, UpdateRefusal> {
        let other = slots.other()?;
        if slots.is_on_trial() {
            return Err(UpdateRefusal::OnTrial);
        }
        if announced.size > other.size {
            let capacity = other.size;
            return Err(UpdateRefusal::TooLarge { capacity });
        }
        match self.transfer {
            Some(transfer) if transfer.announced == announced => {}
            _ => {
                self.transfer = Some(Transfer {
                    announced,
                    written: 0,
                    is_verified: false,
                });
            }
        }
        Ok(self.transfer.map_or(0, |transfer| transfer.written))
    }

    /// Writes the bytes of the image at `offset`, where the last ones ended. Returns how many bytes of the
    /// image are in flash now.
    ///
    /// The first call needs enough bytes to check the chip and the project. All but the last need a whole
    /// number of words.
    ///
    /// # Errors
    /// [`UpdateRefusal::OutOfOrder`] keeps the transfer, any other error ends it.
    pub async fn write(
        &mut self,
        flash: &mut impl WritableFlash,
        slots: &Slots,
        offset: u32,
        bytes: &[u8],
    ) -> Result<u32, UpdateRefusal> {
        let other = slots.other()?;
        let mut transfer = self.transfer.ok_or(UpdateRefusal::OutOfOrder)?;
        let size = transfer.announced.size;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = offset.saturating_add(length);
        let is_last = end == size;
        let is_next = offset == transfer.written && length > 0 && end <= size;
        if !is_next || (!is_last && !bytes.len().is_multiple_of(WORD)) {
            return Err(UpdateRefusal::OutOfOrder);
        }
        // The transfer has ended unless this succeeds.
        self.transfer = None;
        if offset == 0 {
            self.check_start(bytes)?;
        }
        for bytes in Pages::new(offset, bytes) {
            let at = other.offset + transfer.written;
            if at.is_multiple_of(SECTOR) {
                flash.erase(at)?;
                yield_now().await;
            }
            program_checked(flash, at, bytes)?;
            // Cannot fail: the length is at most a page.
            transfer.written += u32::try_from(bytes.len()).unwrap_or(0);
        }
        yield_now().await;
        self.transfer = Some(transfer);
        Ok(transfer.written)
    }

    /// Checks the image in flash: the announced SHA-256, and the image as the bootloader does.
    ///
    /// # Errors
    /// [`UpdateRefusal::OutOfOrder`] keeps the transfer, any other error ends it.
    pub async fn verify(
        &mut self,
        flash: &mut impl Flash,
        slots: &Slots,
    ) -> Result<Version, UpdateRefusal> {
        let other = slots.other()?;
        let Some(transfer) = self.transfer.filter(|it| it.written == it.announced.size) else {
            return Err(UpdateRefusal::OutOfOrder);
        };
        self.transfer = None;
        let mut check = ImageCheck::new(self.chip);
        let mut hash = Sha256::new();
        read_pieces(flash, other.offset, transfer.announced.size, |piece| {
            hash.update(piece);
            check.feed(piece)
        })
        .await?;
        if hash.finalize()[..] != transfer.announced.sha256 {
            return Err(UpdateRefusal::WrongHash);
        }
        check.finish()?;
        self.transfer = Some(Transfer {
            is_verified: true,
            ..transfer
        });
        Ok(check.version().unwrap_or_default())
    }

    /// Selects the new application for the next start, on trial. Returns the sequence number of the
    /// trial. The board must restart.
    ///
    /// # Errors
    /// [`UpdateRefusal::OutOfOrder`] without a verified image. After [`UpdateRefusal::Flash`] the running
    /// firmware stays selected.
    pub fn start(
        &mut self,
        flash: &mut impl WritableFlash,
        slots: &Slots,
    ) -> Result<u32, UpdateRefusal> {
        self.transfer
            .take_if(|transfer| transfer.is_verified)
            .ok_or(UpdateRefusal::OutOfOrder)?;
        slots.select_other(flash)
    }

    /// Refuses images of another chip or project before anything is erased.
    fn check_start(&self, bytes: &[u8]) -> Result<(), UpdateRefusal> {
        let mut check = ImageCheck::new(self.chip);
        check.feed(bytes)?;
        match check.is_identified() {
            true => Ok(()),
            false if bytes.len() < START_LEN => Err(ImageError::Truncated.into()),
            false => Err(ImageError::NotAnApplication.into()),
        }
    }
}

/// Passes the bytes from `offset` on to `take`, and yields after each sector.
async fn read_pieces<E>(
    flash: &mut impl Flash,
    offset: u32,
    size: u32,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), UpdateRefusal>
where
    UpdateRefusal: From<E>,
{
    let mut piece = [0; PIECE];
    let mut done = 0;
    while done < size {
        let length = usize::try_from(size - done).map_or(PIECE, |left| left.min(PIECE));
        let piece = &mut piece[..length];
        flash.read(offset + done, piece)?;
        take(piece)?;
        // Cannot fail: the length is at most PIECE.
        done += u32::try_from(length).unwrap_or(0);
        if done.is_multiple_of(SECTOR) {
            yield_now().await;
        }
    }
    Ok(())
}

/// Bytes, split at page boundaries.
struct Pages<'a> {
    /// Bytes up to the next page boundary.
    first: usize,
    rest: &'a [u8],
}

impl<'a> Pages<'a> {
    /// `offset` is the offset of the first byte in its slot, which starts with a page.
    fn new(offset: u32, bytes: &'a [u8]) -> Self {
        let in_page = usize::try_from(offset).map_or(0, |offset| offset % PAGE);
        Self {
            first: PAGE - in_page,
            rest: bytes,
        }
    }
}

impl<'a> Iterator for Pages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (page, rest) = self.rest.split_at(self.first.min(self.rest.len()));
        self.first = PAGE;
        self.rest = rest;
        Some(page)
    }
}

#[cfg(test)]
mod tests;
