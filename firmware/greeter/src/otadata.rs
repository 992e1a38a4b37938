//! The slot selection in flash, as read by ESP-IDF's bootloader, and trials based on it.
//!
//! `otadata` has two sectors with an entry each. Of the valid entries the one with the higher sequence
//! number selects the slot: `(sequence - 1) % 2`. The bundled bootloaders have no rollback, so the new
//! application does it by itself:
//!
//! 1. The old application writes an entry with [`State::Undefined`] for the new one.
//! 2. The new application programs it to [`State::Invalid`] first thing at its start: any reset now
//!    boots the old slot.
//! 3. Once it is confirmed it programs the entry to [`State::Valid`].
//!
//! Each step only clears bits, so neither needs an erase, and the checksum covers the sequence number
//! alone. An application that dies before step 2 boots again and again.
//!
//! | offset | bytes | |
//! |---:|---:|---|
//! | 0 | 4 | sequence number, from 1; all ones: no entry |
//! | 4 | 20 | label, unused |
//! | 24 | 4 | state |
//! | 28 | 4 | CRC-32 of the sequence number, register initially 0 |

/// Bytes of an entry, at the start of its sector.
pub const ENTRY_LEN: usize = 32;
/// Bytes between the entries.
pub const SECTOR: u32 = crate::flash::SECTOR;
/// Offset of the state in an entry.
pub const STATE_OFFSET: usize = 24;
/// Application slots.
pub const SLOTS: u32 = 2;

/// State of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started yet. Tools that do not use states write it as well.
    Undefined,
    /// Confirmed.
    Valid,
    /// On trial, or failed: the bootloader skips the entry.
    Invalid,
    /// A state that requires a bootloader with rollback.
    Other(u32),
}

impl State {
    /// The word in flash.
    pub const fn word(self) -> u32 {
        match self {
            Self::Undefined => u32::MAX,
            Self::Invalid => 3,
            Self::Valid => 2,
            Self::Other(word) => word,
        }
    }

    /// Whether the application was not marked as started, or a power cut left the mark incomplete:
    /// some bits of [`State::Invalid`] are still ones.
    const fn is_unmarked(self) -> bool {
        let invalid = Self::Invalid.word();
        let word = self.word();
        word & invalid == invalid && word != invalid
    }

    const fn from_word(word: u32) -> Self {
        match word {
            u32::MAX => Self::Undefined,
            2 => Self::Valid,
            3 => Self::Invalid,
            _ => Self::Other(word),
        }
    }
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Sequence number, from 1.
    pub sequence: u32,
    /// State.
    pub state: State,
}

impl Entry {
    /// Reads an entry; `None` where there is none, or its checksum is wrong.
    pub fn decode(bytes: &[u8; ENTRY_LEN]) -> Option<Self> {
        let word = |at: usize| {
            let word = bytes.get(at..)?.first_chunk()?;
            Some(u32::from_le_bytes(*word))
        };
        let sequence = word(0)?;
        (sequence != 0 && sequence != u32::MAX && word(28)? == checksum(sequence)).then_some(Self {
            sequence,
            state: State::from_word(word(STATE_OFFSET)?),
        })
    }

    /// Writes an entry.
    pub fn encode(self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0xff; ENTRY_LEN];
        for (at, word) in [
            (0, self.sequence),
            (STATE_OFFSET, self.state.word()),
            (28, checksum(self.sequence)),
        ] {
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The slot that this entry selects.
    pub const fn slot(self) -> u32 {
        (self.sequence - 1) % SLOTS
    }

    /// Whether the bootloader uses this entry.
    fn is_selectable(self) -> bool {
        const ABORTED: State = State::Other(4);
        self.state != State::Invalid && self.state != ABORTED
    }
}

/// The entries of both sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Otadata(pub [Option<Entry>; 2]);

impl Otadata {
    /// The sector that selects the slot, with its entry; `None` if the bootloader falls back to
    /// slot 0.
    pub fn selected(&self) -> Option<(usize, Entry)> {
        let entries = self.0.iter().enumerate();
        entries
            .filter_map(|(sector, entry)| Some((sector, (*entry)?)))
            .filter(|(_, entry)| entry.is_selectable())
            .max_by_key(|(_, entry)| entry.sequence)
    }

    /// The entry that the application in `running` must mark as started; `None` if it is not on trial.
    pub fn trial_of(&self, running: u32) -> Option<(usize, Entry)> {
        self.selected()
            .filter(|(_, entry)| entry.state.is_unmarked() && entry.slot() == running)
    }

    /// The sector to write, and the entry that starts the slot other than `running` on trial.
    ///
    /// The running slot's own entry stays: it is the way back. Where it has none yet (blank otadata),
    /// write that of [`Self::own_entry`] first. `None` where no sequence number is left: this firmware
    /// never gets there, but a tool may have written any number.
    pub fn select_other(&self, running: u32) -> Option<(usize, Entry)> {
        let keep = self.sector_of(running);
        let entry = Entry {
            sequence: self.next_sequence(|slot| slot != running)?,
            state: State::Undefined,
        };
        Some((keep.map_or(1, |keep| 1 - keep), entry))
    }

    /// The sector and the entry for the running slot, if it has no valid one.
    pub fn own_entry(&self, running: u32) -> Option<(usize, Entry)> {
        if self.sector_of(running).is_some() {
            return None;
        }
        let entry = Entry {
            sequence: self.next_sequence(|slot| slot == running)?,
            state: State::Valid,
        };
        Some((0, entry))
    }

    /// The lowest sequence number above both that selects a slot accepted by `is_wanted`. All ones
    /// mean no entry.
    fn next_sequence(&self, is_wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let highest = self.0.iter().flatten().map(|entry| entry.sequence).max();
        let first = highest.unwrap_or(0).checked_add(1)?;
        let mut numbers = (first..u32::MAX).take(2);
        numbers.find(|sequence| is_wanted((sequence - 1) % SLOTS))
    }

    /// The newest sector that selects `slot`.
    fn sector_of(&self, slot: u32) -> Option<usize> {
        let entries = self.0.iter().enumerate();
        entries
            .filter_map(|(sector, entry)| Some((sector, (*entry)?)))
            .filter(|(_, entry)| entry.is_selectable() && entry.slot() == slot)
            .max_by_key(|(_, entry)| entry.sequence)
            .map(|(sector, _)| sector)
    }
}

/// `esp_rom_crc32_le(UINT32_MAX, &sequence, 4)`.
fn checksum(sequence: u32) -> u32 {
    let register = sequence.to_le_bytes().iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    !register
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "entries of a table may be missing"
    )]
    fn entry(sequence: u32, state: State) -> Option<Entry> {
        Some(Entry { sequence, state })
    }

    #[test]
    fn entries_match_espressif_tools() {
        let first = Entry {
            sequence: 1,
            state: State::Valid,
        };
        let bytes = first.encode();
        assert_eq!(bytes[28..], 0x4743_989a_u32.to_le_bytes());
        assert_eq!(Entry::decode(&bytes), Some(first));
        assert_eq!(Entry::decode(&[0xff; ENTRY_LEN]), None);
        assert_eq!(Entry::decode(&[0; ENTRY_LEN]), None);
        for at in [0, 1, 2, 3, 28, 29, 30, 31] {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Entry::decode(&damaged), None, "{at}");
        }
    }

    #[test]
    fn trial_steps_only_clear_bits() {
        let states = [State::Undefined, State::Invalid, State::Valid];
        for [before, after] in [[states[0], states[1]], [states[1], states[2]]] {
            assert_eq!(before.word() & after.word(), after.word());
        }
    }

    /// Any subset of the bits to clear may be cleared when the power is cut.
    #[test]
    fn incomplete_mark_is_still_a_trial() {
        for bit in 2..32 {
            let torn = State::from_word(State::Invalid.word() | 1 << bit);
            let otadata = Otadata([entry(1, State::Valid), entry(2, torn)]);
            assert_eq!(otadata.trial_of(1).map(|(sector, _)| sector), Some(1));
        }
        for state in [
            State::Valid,
            State::Invalid,
            State::Other(0),
            State::Other(1),
        ] {
            let otadata = Otadata([entry(1, State::Valid), entry(2, state)]);
            assert_eq!(otadata.trial_of(1), None, "{state:?}");
        }
    }

    #[test]
    fn higher_selectable_entry_wins() {
        for (entries, slot) in [
            ([None, None], None),
            ([entry(1, State::Valid), None], Some(0)),
            (
                [entry(1, State::Valid), entry(2, State::Undefined)],
                Some(1),
            ),
            ([entry(1, State::Valid), entry(2, State::Invalid)], Some(0)),
            ([entry(1, State::Valid), entry(2, State::Other(4))], Some(0)),
            ([entry(3, State::Valid), entry(2, State::Valid)], Some(0)),
            ([entry(1, State::Invalid), entry(2, State::Invalid)], None),
        ] {
            let selected = Otadata(entries).selected().map(|(_, entry)| entry.slot());
            assert_eq!(selected, slot, "{entries:?}");
        }
    }

    #[test]
    fn last_sequence_numbers_are_not_exceeded() {
        for (last, running, next) in [
            (u32::MAX - 2, 0, Some(u32::MAX - 1)),
            (u32::MAX - 2, 1, None),
            (u32::MAX - 1, 0, None),
            (u32::MAX - 1, 1, None),
        ] {
            let otadata = Otadata([entry(last, State::Valid), None]);
            let selected = otadata.select_other(running);
            assert_eq!(
                selected.map(|(_, it)| it.sequence),
                next,
                "{last} {running}"
            );
        }
        let otadata = Otadata([entry(u32::MAX - 1, State::Valid), None]);
        assert_eq!(otadata.own_entry(0), None);
    }

    /// Repeats updates, each confirmed or not: the previous application can always be restored.
    #[test]
    fn trial_selects_the_other_slot_and_keeps_the_way_back() {
        let mut otadata = Otadata([None, None]);
        let mut running = 0;
        for round in 0..50 {
            if let Some((sector, own)) = otadata.own_entry(running) {
                otadata.0[sector] = Some(own);
            }
            let (sector, new) = otadata.select_other(running).unwrap();
            otadata.0[sector] = Some(new);
            let started = otadata.selected().unwrap().1.slot();
            assert_eq!(started, 1 - running);
            let (sector, trial) = otadata.trial_of(started).unwrap();
            let mark = |state| Some(Entry { state, ..trial });
            otadata.0[sector] = mark(State::Invalid);
            assert_eq!(otadata.selected().unwrap().1.slot(), running);
            if round % 3 != 0 {
                otadata.0[sector] = mark(State::Valid);
                running = started;
            }
            assert_eq!(otadata.selected().unwrap().1.slot(), running);
            assert_eq!(otadata.trial_of(running), None);
        }
    }
}
