//! Two sectors of settings: a write never touches the settings in use, and a trial can be undone.
//!
//! New settings go to the sector that is not in use, with the next sequence number. The newest valid
//! sector wins, so a write that is cut short leaves the previous settings in force.
//!
//! A trial records its progress in words at the end of its sector. Each word is programmed once,
//! from all ones and without an erase, so each step is a single write:
//!
//! | offset | word | |
//! |---:|---|---|
//! | 4084 | confirm timeout | seconds, `u16`, and their complement; else the default |
//! | 4088 | started | all ones before the first start with these settings |
//! | 4092 | outcome | all ones: none yet; `CONF`: confirmed; else rolled back: `RB`, code, inverted code |
//!
//! An outcome that was cut short counts as rolled back.

use core::fmt;

use crate::block::{BLOCK_SIZE, DecodeError, MAX_LEN};
use crate::settings::{Record, RecordKind};

/// Offset of the marks of a trial in its sector.
pub const MARKS_OFFSET: usize = BLOCK_SIZE - 8;

/// Offset of the confirm timeout of a trial in its sector.
pub const CONFIRM_TIMEOUT_OFFSET: usize = MARKS_OFFSET - 4;

const _: () = assert!(MAX_LEN <= CONFIRM_TIMEOUT_OFFSET);

const UNWRITTEN: [u8; 4] = [0xFF; 4];
const STARTED: [u8; 4] = [0; 4];
const CONFIRMED: [u8; 4] = *b"CONF";
const ROLLED_BACK: [u8; 2] = *b"RB";

/// One of the two sectors of the settings partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sector {
    /// The first sector. Boards with one sector have only this one.
    A,
    /// The second sector.
    B,
}

impl Sector {
    /// Both sectors.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// Offset within the partition, in bytes.
    pub const fn offset(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => BLOCK_SIZE,
        }
    }

    /// The other sector.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Time that a board waits for the confirmation of a trial: 10 s to 1 hour, by default 90 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfirmTimeout(u16);

impl ConfirmTimeout {
    /// Shortest timeout: 10 s.
    pub const MIN: Self = Self(10);
    /// Longest timeout: 1 hour.
    pub const MAX: Self = Self(3600);
    /// Default timeout: 90 s.
    pub const DEFAULT: Self = Self(90);

    /// Checks a number of seconds; `None` if it is out of bounds.
    pub const fn from_secs(seconds: u16) -> Option<Self> {
        if seconds >= Self::MIN.0 && seconds <= Self::MAX.0 {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// The timeout in seconds.
    pub const fn as_secs(self) -> u16 {
        self.0
    }

    /// The word that stores this timeout, at [`CONFIRM_TIMEOUT_OFFSET`].
    pub const fn mark(self) -> Mark {
        let [low, high] = self.0.to_le_bytes();
        Mark {
            offset: CONFIRM_TIMEOUT_OFFSET,
            bytes: [low, high, !low, !high],
        }
    }

    fn read(word: [u8; 4]) -> Self {
        let [low, high, not_low, not_high] = word;
        let stored = (not_low == !low && not_high == !high).then_some([low, high]);
        stored
            .and_then(|bytes| Self::from_secs(u16::from_le_bytes(bytes)))
            .unwrap_or_default()
    }
}

impl Default for ConfirmTimeout {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a board returned to its previous settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackReason {
    /// No confirmation arrived in time.
    NotConfirmed,
    /// The access point refused the passphrase.
    WrongPassphrase,
    /// No access point with this SSID was found.
    NoSuchNetwork,
    /// No address by DHCP.
    NoLease,
    /// The radio driver refused the settings.
    Rejected,
    /// A panic, a watchdog reset or a power cut during the trial.
    Restarted,
    /// The client aborted the trial.
    Aborted,
    /// The network's security differs from the settings.
    OtherSecurity,
    /// The board could not join the network, for another reason.
    NotJoined,
    /// The outcome was not written completely.
    Unknown,
}

impl RollbackReason {
    const CODES: [(u8, Self); 9] = [
        (1, Self::NotConfirmed),
        (2, Self::WrongPassphrase),
        (3, Self::NoSuchNetwork),
        (4, Self::NoLease),
        (5, Self::Rejected),
        (6, Self::Restarted),
        (7, Self::Aborted),
        (8, Self::OtherSecurity),
        (9, Self::NotJoined),
    ];

    /// Code of this reason, in flash and in the management protocol.
    pub fn code(self) -> u8 {
        let mut codes = Self::CODES.iter();
        codes
            .find(|(_, reason)| *reason == self)
            .map_or(0, |(code, _)| *code)
    }

    /// The reason with this code.
    pub fn from_code(code: u8) -> Self {
        let mut codes = Self::CODES.into_iter();
        codes
            .find(|&(it, _)| it == code)
            .map_or(Self::Unknown, |(_, reason)| reason)
    }
}

impl fmt::Display for RollbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConfirmed => "not confirmed",
            Self::WrongPassphrase => "wrong passphrase",
            Self::NoSuchNetwork => "no such network",
            Self::NoLease => "no DHCP lease",
            Self::Rejected => "rejected by the radio",
            Self::Restarted => "restarted before it was confirmed",
            Self::Aborted => "aborted by the client",
            Self::OtherSecurity => "network security differs",
            Self::NotJoined => "could not join the network",
            Self::Unknown => "unknown",
        })
    }
}

/// State of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// Written; the board has not started with these settings.
    Pending,
    /// The board has started with these settings.
    Started,
    /// The settings are permanent.
    Confirmed,
    /// The settings were rolled back.
    RolledBack(RollbackReason),
}

/// A step of a trial: one word to program, without an erase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset within the sector.
    pub offset: usize,
    /// The word.
    pub bytes: [u8; 4],
}

impl TrialState {
    /// The word that records this state; `None` for a state without a mark.
    pub fn mark(self) -> Option<Mark> {
        let outcome = |bytes| Mark {
            offset: MARKS_OFFSET + 4,
            bytes,
        };
        match self {
            Self::Pending => None,
            Self::Started => Some(Mark {
                offset: MARKS_OFFSET,
                bytes: STARTED,
            }),
            Self::Confirmed => Some(outcome(CONFIRMED)),
            Self::RolledBack(reason) => {
                let code = reason.code();
                let [r, b] = ROLLED_BACK;
                Some(outcome([r, b, code, !code]))
            }
        }
    }

    fn read(sector: &[u8]) -> Self {
        let word = |offset| word(sector, offset);
        match word(MARKS_OFFSET + 4) {
            UNWRITTEN if word(MARKS_OFFSET) == UNWRITTEN => Self::Pending,
            UNWRITTEN => Self::Started,
            CONFIRMED => Self::Confirmed,
            [r, b, code, check] if [r, b] == ROLLED_BACK && check == !code => {
                Self::RolledBack(RollbackReason::from_code(code))
            }
            _ => Self::RolledBack(RollbackReason::Unknown),
        }
    }
}

/// A word of a sector. All ones beyond its end.
fn word(sector: &[u8], offset: usize) -> [u8; 4] {
    let bytes = sector.get(offset..);
    bytes
        .and_then(<[u8]>::first_chunk)
        .copied()
        .unwrap_or(UNWRITTEN)
}

/// The content of one sector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorContent {
    record: Result<Record, DecodeError>,
    state: TrialState,
    confirm_timeout: ConfirmTimeout,
}

impl SectorContent {
    /// Reads a sector. It never panics, whatever the bytes.
    pub fn read(sector: &[u8]) -> Self {
        Self {
            record: Record::decode(sector),
            state: TrialState::read(sector),
            confirm_timeout: ConfirmTimeout::read(word(sector, CONFIRM_TIMEOUT_OFFSET)),
        }
    }

    /// The content with another state of the trial.
    #[must_use]
    pub fn with_state(self, state: TrialState) -> Self {
        Self { state, ..self }
    }

    /// The trial of this sector, if its settings are or were one.
    fn trial(&self, sector: Sector) -> Option<Trial> {
        let record = self.record.as_ref().ok()?;
        (record.kind == RecordKind::Trial).then_some(Trial {
            sector,
            sequence: record.sequence,
            state: self.state,
            confirm_timeout: self.confirm_timeout,
        })
    }
}

/// The newest trial of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Sector of the settings.
    pub sector: Sector,
    /// Sequence number of the settings.
    pub sequence: u32,
    /// State of the trial.
    pub state: TrialState,
    /// Time to confirm the trial.
    pub confirm_timeout: ConfirmTimeout,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The settings, with their sequence number.
    pub record: Record,
    /// The sector that holds them. New settings go to the other one.
    pub sector: Sector,
    /// Whether the other sector holds settings to return to.
    pub has_other: bool,
    /// The newest trial, if the newest settings are or were one.
    pub trial: Option<Trial>,
    /// The sequence number for the next write.
    pub next_sequence: u32,
}

/// Selects the settings in force from both sectors.
///
/// A trial that is pending or started is in force. A board that finds one started when it boots has
/// restarted without a confirmation: it records [`TrialState::RolledBack`] and selects again.
/// A trial without previous settings stays in force, whatever its state.
///
/// # Errors
/// Neither sector holds settings. The error of sector A, unless that is blank.
pub fn select(a: SectorContent, b: SectorContent) -> Result<Selected, DecodeError> {
    let sequence = |content: &SectorContent| match &content.record {
        Ok(record) => Ok(record.sequence),
        Err(error) => Err(*error),
    };
    let newest = match (sequence(&a), sequence(&b)) {
        (Err(DecodeError::Blank), Err(error)) | (Err(error), Err(_)) => return Err(error),
        (Err(_), Ok(_)) => Sector::B,
        (Ok(a), Ok(b)) if b > a => Sector::B,
        (Ok(_), _) => Sector::A,
    };
    let (newer, older) = match newest {
        Sector::A => (a, b),
        Sector::B => (b, a),
    };
    let trial = newer.trial(newest);
    let next_sequence = sequence(&newer).map_or(1, |sequence| sequence.saturating_add(1));
    let is_rolled_back = matches!(
        trial,
        Some(Trial {
            state: TrialState::RolledBack(_),
            ..
        })
    );
    let has_other = newer.record.is_ok() && older.record.is_ok();
    let (record, sector) = match (newer.record, older.record) {
        (_, Ok(record)) if is_rolled_back => (record, newest.other()),
        (record, _) => (record?, newest),
    };
    Ok(Selected {
        record,
        sector,
        has_other,
        trial,
        next_sequence,
    })
}

impl Selected {
    /// The trial that is in force and can be undone.
    pub fn open_trial(&self) -> Option<Trial> {
        let is_open =
            |trial: &Trial| matches!(trial.state, TrialState::Pending | TrialState::Started);
        self.trial
            .filter(|trial| self.has_other && trial.sector == self.sector && is_open(trial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_LEN, Network, Security, Settings, Ssid};
    use std::vec;
    use std::vec::Vec;

    fn record(name: &str, sequence: u32, kind: RecordKind) -> Record {
        Record {
            settings: Settings::new(Network::Station {
                ssid: Ssid::new(name).unwrap(),
                security: Security::Open,
            }),
            sequence,
            kind,
        }
    }

    /// A sector with a record and the marks of these states.
    fn sector(record: &Record, states: &[TrialState]) -> Vec<u8> {
        let mut sector = vec![0xFF; BLOCK_SIZE];
        let mut buffer = [0; MAX_LEN];
        let block = record.encode(&mut buffer).unwrap();
        sector[..block.len()].copy_from_slice(block);
        for mark in states.iter().filter_map(|state| state.mark()) {
            program(&mut sector, mark);
        }
        sector
    }

    /// Programs a word as NOR flash does: bits are only cleared.
    fn program(sector: &mut [u8], mark: Mark) {
        for (byte, new) in sector[mark.offset..].iter_mut().zip(mark.bytes) {
            *byte &= new;
        }
    }

    fn chosen(a: &[u8], b: &[u8]) -> Result<Selected, DecodeError> {
        select(SectorContent::read(a), SectorContent::read(b))
    }

    const BLANK: [u8; BLOCK_SIZE] = [0xFF; BLOCK_SIZE];
    const NOT_CONFIRMED: TrialState = TrialState::RolledBack(RollbackReason::NotConfirmed);

    #[test]
    fn newest_sector_wins() {
        let old = sector(&record("old", 7, RecordKind::Permanent), &[]);
        let new = sector(&record("new", 8, RecordKind::Permanent), &[]);
        for (a, b, newest) in [(&old, &new, Sector::B), (&new, &old, Sector::A)] {
            let selected = chosen(a, b).unwrap();
            assert_eq!(selected.sector, newest);
            assert_eq!(selected.record.sequence, 8);
            assert_eq!((selected.trial, selected.next_sequence), (None, 9));
        }
    }

    #[test]
    fn torn_write_keeps_previous_settings() {
        let old = sector(&record("old", 7, RecordKind::Permanent), &[]);
        let record = record("new", 8, RecordKind::Permanent);
        let mut buffer = [0; MAX_LEN];
        let block = record.encode(&mut buffer).unwrap();
        for end in 0..block.len() {
            let mut torn = BLANK;
            torn[..end].copy_from_slice(&block[..end]);
            assert_eq!(chosen(&old, &torn).unwrap().sector, Sector::A, "{end}");
            assert_eq!(chosen(&torn, &old).unwrap().sector, Sector::B, "{end}");
        }
    }

    #[test]
    fn trial_is_in_force_until_it_is_rolled_back() {
        let old = sector(&record("old", 1, RecordKind::Permanent), &[]);
        let started = TrialState::Started;
        for (states, in_force, state) in [
            (&[][..], Sector::B, TrialState::Pending),
            (&[started], Sector::B, started),
            (
                &[started, TrialState::Confirmed],
                Sector::B,
                TrialState::Confirmed,
            ),
            (&[started, NOT_CONFIRMED], Sector::A, NOT_CONFIRMED),
            (&[NOT_CONFIRMED], Sector::A, NOT_CONFIRMED),
        ] {
            let new = sector(&record("new", 2, RecordKind::Trial), states);
            let selected = chosen(&old, &new).unwrap();
            assert_eq!(selected.sector, in_force, "{state:?}");
            let trial = selected.trial.unwrap();
            assert_eq!((trial.sector, trial.state), (Sector::B, state));
            assert_eq!(selected.next_sequence, 3);
        }
    }

    #[test]
    fn every_rollback_reason_is_stored() {
        let old = sector(&record("old", 1, RecordKind::Permanent), &[]);
        for (_, reason) in RollbackReason::CODES {
            let state = TrialState::RolledBack(reason);
            let new = sector(&record("new", 2, RecordKind::Trial), &[state]);
            assert_eq!(chosen(&old, &new).unwrap().trial.unwrap().state, state);
        }
    }

    /// A power cut while a word is programmed leaves any subset of its bits cleared.
    #[test]
    fn torn_outcome_counts_as_rolled_back() {
        let old = sector(&record("old", 1, RecordKind::Permanent), &[]);
        let whole = TrialState::Confirmed.mark().unwrap();
        let word = u32::from_le_bytes(whole.bytes);
        for bit in (0..32).filter(|bit| word >> bit & 1 == 0) {
            let mut new = sector(&record("new", 2, RecordKind::Trial), &[TrialState::Started]);
            let bytes = (word | 1 << bit).to_le_bytes();
            program(&mut new, Mark { bytes, ..whole });
            let selected = chosen(&old, &new).unwrap();
            assert_eq!(selected.sector, Sector::A, "{bit}");
            let state = TrialState::RolledBack(RollbackReason::Unknown);
            assert_eq!(selected.trial.unwrap().state, state);
        }
    }

    #[test]
    fn trial_without_previous_settings_stays_in_force() {
        let only = sector(&record("only", 1, RecordKind::Trial), &[NOT_CONFIRMED]);
        assert_eq!(chosen(&only, &BLANK).unwrap().sector, Sector::A);
        assert_eq!(chosen(&BLANK, &only).unwrap().sector, Sector::B);
    }

    #[test]
    fn without_settings_the_error_names_the_damage() {
        assert_eq!(chosen(&BLANK, &BLANK), Err(DecodeError::Blank));
        let mut damaged = sector(&record("old", 1, RecordKind::Permanent), &[]);
        damaged[20] ^= 1;
        assert_eq!(chosen(&damaged, &BLANK), Err(DecodeError::Corrupted));
        assert_eq!(chosen(&BLANK, &damaged), Err(DecodeError::Corrupted));
    }
}
