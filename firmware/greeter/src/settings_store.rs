//! Writes settings to flash so that a power cut at any moment leaves the old or the new ones.
//!
//! New settings go to the sector that is not in use. Its old block is invalidated before the erase: an
//! interrupted erase could otherwise remove the mark of a trial that was rolled back, and start it again.

use tcpctl_settings::sectors::{
    ConfirmTimeout, RollbackReason, Sector, Selected, Trial, TrialState, select,
};
use tcpctl_settings::{BLOCK_SIZE, MAX_LEN, Record, RecordKind, Settings};

use crate::flash::{Aligned, Unwritable, WORD, WritableFlash, program_checked};
use crate::stored::{self, Missing, Partition, Unreadable};

/// Length of a block as it is programmed: in whole words.
const BUFFER: usize = MAX_LEN.next_multiple_of(WORD);

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
        let record = Record {
            settings: settings.clone(),
            sequence: selected.next_sequence,
            kind: match kind {
                Kind::Permanent => RecordKind::Permanent,
                Kind::Trial(_) => RecordKind::Trial,
            },
        };
        // An interrupted erase may remove the marks of an ended trial and leave its settings.
        self.program_word(sector, 0, [0; 4])?;
        self.flash.erase(self.offset(sector, 0))?;
        if let Kind::Trial(timeout) = kind {
            let mark = timeout.mark();
            self.program_word(sector, mark.offset, mark.bytes)?;
        }
        self.program_block(sector, &record)?;
        self.verify(sector, &record)?;
        self.ended = self.ended.filter(|trial| trial.sector != sector);
        Ok(record.sequence)
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

    #[inline(never)]
    fn program_block(&mut self, sector: Sector, record: &Record) -> Result<(), StoreError> {
        let mut buffer = Aligned([0xFF; BUFFER]);
        let block = record
            .encode(&mut buffer.0)
            .map_err(|_| StoreError::Flash)?;
        let length = block.len();
        // The encoder may have used the bytes after the block.
        buffer.0[length..].fill(0xFF);
        let block = &buffer.0[..length.next_multiple_of(WORD)];
        Ok(self.program(sector, 0, block)?)
    }

    /// Reads the settings back.
    #[inline(never)]
    fn verify(&mut self, sector: Sector, record: &Record) -> Result<(), StoreError> {
        let mut bytes = [0; BLOCK_SIZE];
        let offset = self.offset(sector, 0);
        self.flash.read(offset, &mut bytes)?;
        if Record::decode(&bytes).as_ref() == Ok(record) {
            return Ok(());
        }
        // The board must not start with a damaged block.
        self.program_word(sector, 0, [0; 4])?;
        Err(StoreError::Flash)
    }

    fn program_word(&mut self, sector: Sector, at: usize, word: [u8; 4]) -> Result<(), Unwritable> {
        self.program(sector, at, &Aligned(word).0)
    }

    fn program(&mut self, sector: Sector, at: usize, bytes: &[u8]) -> Result<(), Unwritable> {
        let offset = self.offset(sector, at);
        self.flash.program(offset, bytes)
    }

    #[expect(clippy::cast_possible_truncation, reason = "below 8192")]
    fn offset(&self, sector: Sector, at: usize) -> u32 {
        self.partition.offset + (sector.offset() + at) as u32
    }
}

#[cfg(test)]
mod tests;
