//! Writes settings to flash so that a power cut at any moment leaves the old or the new ones.
//!
//! New settings go to the sector that is not in use. Its old block is invalidated before the erase: an
//! interrupted erase could otherwise remove the mark of a trial that was rolled back, and start it again.

use tcpctl_settings::sectors::{
    ConfirmTimeout, RollbackReason, Sector, Selected, Trial, TrialState, select,
};
use tcpctl_settings::{MAX_LEN, RecordKind, Settings};

use crate::flash::{Aligned, PAGE, Unwritable, WritableFlash, program_checked};
use crate::stored::{self, Missing, Partition, Unreadable};

/// Why settings were not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// The partition has only one sector, whose settings are in use.
    NoSecondSector,
    /// A trial is open: its previous settings are in the other sector.
    TrialInProgress,
    /// The flash cannot be read or written.
    Flash,
}

impl From<Unreadable> for StoreError {
    fn from(_: Unreadable) -> Self {
        Self::Flash
    }
}

impl From<Unwritable> for StoreError {
    fn from(_: Unwritable) -> Self {
        Self::Flash
    }
}

impl From<Missing> for StoreError {
    fn from(_: Missing) -> Self {
        Self::Flash
    }
}

/// How to store settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Permanently.
    Permanent,
    /// On trial: start with them, and return to the previous ones unless they are confirmed in
    /// time.
    Trial(ConfirmTimeout),
}

/// The settings partition of a board.
#[derive(Debug)]
pub struct SettingsStore<F> {
    flash: F,
    partition: Partition,
    /// A trial that has ended but whose mark may be missing in flash, because it could not be
    /// written.
    ended: Option<Trial>,
}

impl<F: WritableFlash> SettingsStore<F> {
    /// Finds the partition.
    ///
    /// # Errors
    /// There is none, or the flash cannot be read.
    pub fn open(mut flash: F) -> Result<Self, Missing> {
        let partition = stored::find(&mut flash)?;
        Ok(Self {
            flash,
            partition,
            ended: None,
        })
    }

    /// Sets the newest trial as [`Self::begin`] returned it at the start of the board: if it had
    /// ended then, its state in flash is ignored.
    #[must_use]
    pub fn with_trial(self, newest: Option<Trial>) -> Self {
        let is_ended = |trial: &Trial| matches!(trial.state, TrialState::RolledBack(_));
        let ended = newest.filter(is_ended);
        Self { ended, ..self }
    }

    /// The settings in force. Needs a sector (4 kB) of stack.
    ///
    /// # Errors
    /// There are none, or the flash cannot be read.
    pub fn load(&mut self) -> Result<Selected, Missing> {
        let [a, b] = stored::contents(&mut self.flash, self.partition)?;
        let [a, b] = match self.ended {
            None => [a, b],
            Some(trial) => match trial.sector {
                Sector::A => [a.with_state(trial.state), b],
                Sector::B => [a, b.with_state(trial.state)],
            },
        };
        select(a, b).map_err(Missing::Unusable)
    }

    /// Writes settings to the sector that is not in use and returns their sequence number. Blocks, about
    /// 50 ms on a chip.
    ///
    /// # Errors
    /// The settings in force are unchanged.
    pub fn write(&mut self, settings: &Settings, kind: Kind) -> Result<u32, StoreError> {
        if !self.partition.has_two_sectors() {
            return Err(StoreError::NoSecondSector);
        }
        let selected = self.load()?;
        if selected.open_trial().is_some() {
            return Err(StoreError::TrialInProgress);
        }
        let sector = selected.sector.other();
        let sequence = selected.next_sequence;
        let record_kind = match kind {
            Kind::Permanent => RecordKind::Permanent,
            Kind::Trial(_) => RecordKind::Trial,
        };
        let mut buffer = [0; MAX_LEN];
        let block = settings
            .encode_record(sequence, record_kind, &mut buffer)
            .map_err(|_| StoreError::Flash)?;
        // An interrupted erase may remove the marks of an ended trial and leave its settings.
        self.program_word(sector, 0, [0; 4])?;
        self.flash.erase(self.offset(sector, 0))?;
        if let Kind::Trial(timeout) = kind {
            let mark = timeout.mark();
            self.program_word(sector, mark.offset, mark.bytes)?;
        }
        self.program_block(sector, block)?;
        self.ended = self.ended.filter(|trial| trial.sector != sector);
        Ok(sequence)
    }

    /// Records a step of a trial, by a single write of one word that is read back.
    ///
    /// # Errors
    /// The flash does not hold the word.
    pub fn mark(&mut self, trial: Trial, state: TrialState) -> Result<(), StoreError> {
        let Some(mark) = state.mark() else {
            return Ok(());
        };
        let offset = self.offset(trial.sector, mark.offset);
        Ok(program_checked(&mut self.flash, offset, &mark.bytes)?)
    }

    /// Ends the open trial, if there is one, before the management server runs.
    ///
    /// # Errors
    /// There are no settings, or the flash cannot be read or written.
    pub fn roll_back(&mut self, reason: RollbackReason) -> Result<(), Missing> {
        if let Some(trial) = self.load()?.open_trial() {
            self.mark(trial, TrialState::RolledBack(reason))
                .map_err(|_| Missing::Unreadable)?;
        }
        Ok(())
    }

    /// Starts or ends the newest trial, as a board does when it starts: a pending trial starts, and one
    /// that had started has failed. Returns the settings to start with.
    ///
    /// # Errors
    /// There are no settings, or the flash cannot be read.
    pub fn begin(&mut self) -> Result<Selected, Missing> {
        let selected = self.load()?;
        let Some(trial) = selected.open_trial() else {
            return Ok(selected);
        };
        let next = match trial.state {
            TrialState::Pending => TrialState::Started,
            _ => TrialState::RolledBack(RollbackReason::Restarted),
        };
        if self.mark(trial, next).is_err() {
            // A trial that cannot be marked could not be undone either, so do not start it.
            let state = TrialState::RolledBack(RollbackReason::Unknown);
            self.ended = Some(Trial { state, ..trial });
        }
        self.load()
    }

    /// Writes a block and reads it back.
    fn program_block(&mut self, sector: Sector, block: &[u8]) -> Result<(), StoreError> {
        for (index, page) in block.chunks(PAGE).enumerate() {
            let offset = self.offset(sector, index * PAGE);
            if let Err(error) = program_checked(&mut self.flash, offset, page) {
                // The board must not start with a damaged block.
                self.program_word(sector, 0, [0; 4])?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn program_word(&mut self, sector: Sector, at: usize, word: [u8; 4]) -> Result<(), Unwritable> {
        let offset = self.offset(sector, at);
        self.flash.program(offset, &Aligned(word).0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "below 8192")]
    fn offset(&self, sector: Sector, at: usize) -> u32 {
        self.partition.offset + (sector.offset() + at) as u32
    }
}

#[cfg(test)]
mod tests;
