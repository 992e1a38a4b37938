//! The two application slots, and the trial of a new application.
//!
//! The bundled bootloaders have no rollback; see [`crate::otadata`] for the steps. The outcome of a trial
//! that ended is one word behind the entry in its sector of otadata. It is programmed once, from all ones
//! and without an erase:
//!
//! | offset | word | |
//! |---:|---|---|
//! | 32 | outcome | all ones: none yet; else `E`, `T`, code, inverted code |

use core::fmt;

use tcpctl_management::UpdateRefusal;

use crate::flash::{SECTOR, Unwritable, WritableFlash, program_checked};
use crate::otadata::{ENTRY_LEN, Entry, Otadata, STATE_OFFSET, State};
use crate::reset::Reset;
use crate::stored::{Flash, Partition, Unreadable};

use super::image::{ImageCheck, START_LEN, Version};

/// Labels of the slots in `partitions.csv`.
pub const SLOT_LABELS: [&str; 2] = ["ota_0", "ota_1"];
/// Label of the partition that selects a slot.
pub(super) const OTADATA_LABEL: &str = "otadata";
#[expect(clippy::cast_possible_truncation, reason = "32")]
const OUTCOME_OFFSET: u32 = ENTRY_LEN as u32;
const UNWRITTEN: [u8; 4] = [0xff; 4];
const MAGIC: [u8; 2] = *b"ET";

/// Why a trial ended with the previous application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialEnd {
    /// No client confirmed the application, and it was not on its network for long enough.
    NotConfirmed,
    /// The application panicked.
    Panicked,
    /// The application hung, and a watchdog reset the chip.
    Watchdog,
    /// The power was cut, or the supply voltage dropped.
    PowerCut,
    /// The chip was reset.
    Reset,
    /// The bootloader did not start the application.
    NotStarted,
    /// The outcome was not written completely.
    Unknown,
}

impl TrialEnd {
    const CODES: [(u8, Self); 6] = [
        (1, Self::NotConfirmed),
        (2, Self::Panicked),
        (3, Self::Watchdog),
        (4, Self::PowerCut),
        (5, Self::Reset),
        (6, Self::NotStarted),
    ];

    /// Code of the reason, in flash and in messages.
    pub fn code(self) -> u8 {
        let mut codes = Self::CODES.iter();
        codes
            .find(|(_, end)| *end == self)
            .map_or(0, |(code, _)| *code)
    }

    /// The reason with this code.
    pub fn from_code(code: u8) -> Self {
        let mut codes = Self::CODES.iter();
        codes
            .find(|(it, _)| *it == code)
            .map_or(Self::Unknown, |(_, end)| *end)
    }

    /// Why a trial ended, from the reason of the reset that ended it.
    pub const fn from_reset(reset: Reset) -> Self {
        match reset {
            Reset::Panic => Self::Panicked,
            Reset::Watchdog | Reset::OtherWatchdog => Self::Watchdog,
            Reset::PowerOn | Reset::Brownout => Self::PowerCut,
            Reset::Software | Reset::DeepSleep | Reset::Usb | Reset::Other => Self::Reset,
        }
    }

    fn word(self) -> [u8; 4] {
        let code = self.code();
        let [m0, m1] = MAGIC;
        [m0, m1, code, !code]
    }

    fn from_word([m0, m1, code, check]: [u8; 4]) -> Self {
        if [m0, m1] == MAGIC && check == !code {
            Self::from_code(code)
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for TrialEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConfirmed => "not confirmed",
            Self::Panicked => "panic",
            Self::Watchdog => "watchdog",
            Self::PowerCut => "power cut",
            Self::Reset => "reset",
            Self::NotStarted => "not started",
            Self::Unknown => "unknown",
        })
    }
}

/// A trial that ended with the previous application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTrial {
    /// Sequence number of the trial.
    pub sequence: u32,
    /// Reason of the end.
    pub end: TrialEnd,
    /// Version of the application; `None` if its slot has been overwritten since.
    pub version: Option<Version>,
}

/// Displays as a console line.
impl fmt::Display for EndedTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("update returned")?;
        if let Some(version) = &self.version {
            write!(f, " version={}", version.as_bytes().escape_ascii())?;
        }
        write!(f, " reason=\"{}\"", self.end)
    }
}

/// The application slots of a board, as found at its start.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    running: u32,
    /// The inactive slot and otadata.
    places: Option<(Partition, Partition)>,
    trial: Option<Trial>,
}

/// The trial of the running application.
#[derive(Debug, Clone, Copy)]
struct Trial {
    sequence: u32,
    /// Offset of the state in the trial's entry.
    state: u32,
}

impl Slots {
    /// Finds the slots and marks the running application if it is on trial: from now on any reset
    /// starts the previous one. Call it before anything that may fail.
    ///
    /// `running` is the slot that the bootloader started. A flash that cannot be read has no slots.
    pub fn at_start(flash: &mut impl WritableFlash, running: u32) -> Self {
        let places = find(flash, running).ok().flatten();
        let mut slots = Self {
            running,
            places,
            trial: None,
        };
        slots.trial = slots.mark(flash).ok().flatten();
        slots
    }

    /// The running slot.
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// The inactive slot.
    ///
    /// # Errors
    /// [`UpdateRefusal::NoSecondSlot`]
    pub fn other(&self) -> Result<Partition, UpdateRefusal> {
        let (other, _) = self.places.ok_or(UpdateRefusal::NoSecondSlot)?;
        Ok(other)
    }

    /// Whether the running application is on trial.
    pub const fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// The sequence number of the running application's trial.
    pub fn trial(&self) -> Option<u32> {
        self.trial.map(|trial| trial.sequence)
    }

    /// Confirms the trial: from now on this application is started. Does nothing without a trial.
    ///
    /// # Errors
    /// The trial continues.
    pub fn confirm(&mut self, flash: &mut impl WritableFlash) -> Result<(), Unwritable> {
        if let Some(trial) = self.trial {
            program_state(flash, trial.state, State::Valid)?;
            self.trial = None;
        }
        Ok(())
    }

    /// Whether the trial with this number is confirmed. It stays true, so that a client whose
    /// connection broke can ask again.
    pub fn is_confirmed(&self, flash: &mut impl Flash, sequence: u32) -> bool {
        let selected = self.otadata(flash).ok().and_then(|it| it.selected());
        self.trial.is_none()
            && selected.is_some_and(|(_, entry)| {
                entry.sequence == sequence && entry.slot() == self.running
            })
    }

    /// Records why the running application's trial ends. The next restart starts the previous
    /// application.
    ///
    /// # Errors
    /// The reason is not recorded.
    pub fn give_up(&self, flash: &mut impl WritableFlash, end: TrialEnd) -> Result<(), Unwritable> {
        match self.trial {
            Some(trial) => {
                let outcome = trial.state - STATE + OUTCOME_OFFSET;
                program_checked(flash, outcome, &end.word())
            }
            None => Ok(()),
        }
    }

    /// The newest trial, if it was a trial of the other slot. `reset` is the reason of this start:
    /// if it ended the trial, it is recorded.
    pub fn ended_trial(&self, flash: &mut impl WritableFlash, reset: Reset) -> Option<EndedTrial> {
        let (other, otadata) = self.places?;
        let entries = self.otadata(flash).ok()?.0;
        let (sector, entry) = newest(&entries)?;
        let is_other = entry.slot() != self.running && entry.state != State::Valid;
        if self.trial.is_some() || !is_other {
            return None;
        }
        let start = otadata.offset + sector_offset(sector);
        let mut word = UNWRITTEN;
        flash.read(start + OUTCOME_OFFSET, &mut word).ok()?;
        if word == UNWRITTEN {
            let end = if entry.state == State::Invalid {
                TrialEnd::from_reset(reset)
            } else {
                // The bootloader found no application in the selected slot.
                TrialEnd::NotStarted
            };
            // If the write fails, the next start tries again.
            let _ = program_checked(flash, start + OUTCOME_OFFSET, &end.word());
            let _ = program_state(flash, start + STATE, State::Invalid);
            word = end.word();
        }
        Some(EndedTrial {
            sequence: entry.sequence,
            end: TrialEnd::from_word(word),
            version: version(flash, other),
        })
    }

    /// Writes the entry that starts the other slot on trial.
    pub(super) fn select_other(
        &self,
        flash: &mut impl WritableFlash,
    ) -> Result<u32, UpdateRefusal> {
        let (_, otadata) = self.places.ok_or(UpdateRefusal::NoSecondSlot)?;
        let mut entries = self.otadata(flash)?;
        if let Some((sector, own)) = entries.own_entry(self.running) {
            write_entry(flash, otadata.offset + sector_offset(sector), own)?;
            entries = self.otadata(flash)?;
        }
        let (sector, entry) = entries
            .select_other(self.running)
            .ok_or(UpdateRefusal::Flash)?;
        write_entry(flash, otadata.offset + sector_offset(sector), entry)?;
        Ok(entry.sequence)
    }

    fn mark(&self, flash: &mut impl WritableFlash) -> Result<Option<Trial>, Unwritable> {
        let Some((_, otadata)) = self.places else {
            return Ok(None);
        };
        let Some((sector, entry)) = self.otadata(flash)?.trial_of(self.running) else {
            return Ok(None);
        };
        let state = otadata.offset + sector_offset(sector) + STATE;
        program_state(flash, state, State::Invalid)?;
        let sequence = entry.sequence;
        Ok(Some(Trial { sequence, state }))
    }

    fn otadata(&self, flash: &mut impl Flash) -> Result<Otadata, Unreadable> {
        match self.places {
            Some((_, otadata)) => read_otadata(flash, otadata.offset),
            None => Ok(Otadata([None, None])),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "24")]
const STATE: u32 = STATE_OFFSET as u32;

const fn sector_offset(sector: usize) -> u32 {
    if sector == 0 { 0 } else { SECTOR }
}

/// The inactive slot and otadata.
fn find(
    flash: &mut impl Flash,
    running: u32,
) -> Result<Option<(Partition, Partition)>, Unreadable> {
    let other = match running {
        0 => SLOT_LABELS[1],
        1 => SLOT_LABELS[0],
        _ => return Ok(None),
    };
    let Some(other) = flash.partition(other)? else {
        return Ok(None);
    };
    let otadata = flash.partition(OTADATA_LABEL)?;
    Ok(otadata
        .filter(|otadata| otadata.size >= 2 * SECTOR)
        .map(|otadata| (other, otadata)))
}

/// Reads both entries.
pub(super) fn read_otadata(flash: &mut impl Flash, offset: u32) -> Result<Otadata, Unreadable> {
    let mut entries = [None; 2];
    for (sector, entry) in entries.iter_mut().enumerate() {
        let mut bytes = [0; ENTRY_LEN];
        flash.read(offset + sector_offset(sector), &mut bytes)?;
        *entry = Entry::decode(&bytes);
    }
    Ok(Otadata(entries))
}

pub(super) fn write_entry(
    flash: &mut impl WritableFlash,
    offset: u32,
    entry: Entry,
) -> Result<(), Unwritable> {
    flash.erase(offset)?;
    program_checked(flash, offset, &entry.encode())
}

/// Programs a state, which only clears bits.
fn program_state(
    flash: &mut impl WritableFlash,
    offset: u32,
    state: State,
) -> Result<(), Unwritable> {
    program_checked(flash, offset, &state.word().to_le_bytes())
}

fn newest(entries: &[Option<Entry>; 2]) -> Option<(usize, Entry)> {
    let entries = entries.iter().enumerate();
    entries
        .filter_map(|(sector, entry)| Some((sector, (*entry)?)))
        .max_by_key(|(_, entry)| entry.sequence)
}

/// The version of the application in a slot.
fn version(flash: &mut impl Flash, slot: Partition) -> Option<Version> {
    let mut start = [0; START_LEN];
    flash.read(slot.offset, &mut start).ok()?;
    let chip = u16::from_le_bytes([start[12], start[13]]);
    let mut check = ImageCheck::new(chip);
    check.feed(&start).ok()?;
    check.version()
}
