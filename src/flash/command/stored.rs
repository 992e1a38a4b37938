//! Finds the settings stored on a board, and where to write the next ones.

use tcpctl_settings::sectors::{Sector, Selected};
use tcpctl_settings::{BLOCK_SIZE, DecodeError, Settings};

use super::Flash;
use crate::esp::image::Part;
use crate::esp::table::{Partition, SETTINGS, TABLE_LEN, TABLE_OFFSET, Table};
use crate::failure::{Failure, reason};
use crate::flash::loader::Device;
use crate::flash::settings::{self, Place};

/// The stored settings.
pub(super) struct Stored {
    /// The settings in force, or why there are none.
    selected: Result<Selected, DecodeError>,
    /// The sectors of the partition: one or two.
    sectors: Vec<u8>,
    /// The settings partition, if the board has one.
    pub(super) partition: Option<Partition>,
}

/// Reads the settings of a board.
pub(super) fn stored_settings(device: &mut Device) -> Result<Stored, Failure> {
    let table = device.read(TABLE_OFFSET, TABLE_LEN)?;
    let flash = u64::from(device.flash.size());
    let table = Table::parse(&table);
    let partition = table
        .as_ref()
        .and_then(|table| table.find(SETTINGS))
        .filter(|partition| partition.can_hold_settings() && partition.end() <= flash)
        .cloned();
    // After an interrupted write of the table, the settings are where our table has them. The CRC
    // shows whether they are there.
    let place = partition.clone().or_else(Table::usual_settings);
    let sectors = match &place {
        Some(place) => device.read(place.offset, length(place))?,
        None => Vec::new(),
    };
    let selected = match settings::stored(&sectors)? {
        Err(_) if partition.is_none() => Err(DecodeError::Blank),
        selected => selected,
    };
    Ok(Stored {
        selected,
        sectors,
        partition,
    })
}

/// Bytes of the sectors that hold settings: one or two.
fn length(partition: &Partition) -> u32 {
    let sector = u32::try_from(BLOCK_SIZE).unwrap_or(u32::MAX);
    if partition.size >= 2 * sector {
        2 * sector
    } else {
        sector
    }
}

impl Stored {
    pub(super) fn settings(&self) -> Option<&Settings> {
        let selected = self.selected.as_ref().ok();
        selected.map(|selected| &selected.record.settings)
    }

    /// `flash`, `none` for a blank board, or why the settings cannot be read.
    pub(super) fn source(&self) -> String {
        match &self.selected {
            Ok(_) => "flash".to_owned(),
            Err(DecodeError::Blank) => "none".to_owned(),
            Err(error) => reason(error),
        }
    }

    /// The part that writes `settings` to `partition`. It uses the sector that is not in use, so
    /// that an interrupted write keeps the old settings. Settings that are already stored stay
    /// where they are, unless a trial is in the other sector, because the board would start with
    /// it.
    pub(super) fn next_part(
        &self,
        settings: &Settings,
        partition: &Partition,
    ) -> Result<Part, Failure> {
        let Ok(selected) = &self.selected else {
            return settings::part(settings, partition.offset, Place::FIRST);
        };
        let current = Place {
            sector: selected.sector,
            sequence: selected.record.sequence,
        };
        let unchanged = settings::part(settings, partition.offset, current)?;
        let has_trial = selected
            .trial
            .is_some_and(|trial| trial.sector != current.sector);
        let is_stored = self
            .sectors
            .get(current.sector.offset()..)
            .is_some_and(|it| it.starts_with(&unchanged.data));
        if is_stored && !has_trial {
            return Ok(unchanged);
        }
        let has_two = length(partition) as usize > BLOCK_SIZE;
        let next = Place {
            sector: if has_two {
                selected.sector.other()
            } else {
                Sector::A
            },
            sequence: selected.next_sequence,
        };
        settings::part(settings, partition.offset, next)
    }
}

impl Flash<'_> {
    /// Prints a note if stored settings cannot be read.
    pub(super) fn note_unusable(&self, stored: &Stored) {
        match &stored.selected {
            Ok(_) | Err(DecodeError::Blank) => {}
            Err(error) => self.output.note(&format!("note: {}", reason(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tcpctl_settings::sectors::{ConfirmTimeout, Sector, TrialState};
    use tcpctl_settings::{MAX_LEN, Network, Record, RecordKind, Security, Ssid};

    use super::*;

    fn settings(name: &str) -> Settings {
        Settings::new(Network::Station {
            ssid: Ssid::new(name).unwrap(),
            security: Security::Open,
        })
    }

    /// A sector with settings with this SSID and, for a trial, its marks.
    fn sector(name: &str, sequence: u32, trial: Option<&[TrialState]>) -> Vec<u8> {
        let record = Record {
            settings: settings(name),
            sequence,
            kind: match trial {
                Some(_) => RecordKind::Trial,
                None => RecordKind::Permanent,
            },
        };
        let mut buffer = [0; MAX_LEN];
        let mut sector = record.encode(&mut buffer).unwrap().to_vec();
        sector.resize(BLOCK_SIZE, 0xff);
        let states = trial.unwrap_or_default().iter().filter_map(|it| it.mark());
        for mark in states.chain(trial.map(|_| ConfirmTimeout::DEFAULT.mark())) {
            sector[mark.offset..][..4].copy_from_slice(&mark.bytes);
        }
        sector
    }

    #[test]
    fn open_trial_is_not_made_permanent() {
        let place = Table::usual_settings().unwrap();
        let started: &[_] = &[TrialState::Started];
        let confirmed: &[_] = &[TrialState::Started, TrialState::Confirmed];
        for (marks, kept, next) in [
            (&[][..], "good", (Sector::B, 3)),
            (started, "good", (Sector::B, 3)),
            (confirmed, "trial", (Sector::A, 3)),
        ] {
            let good = sector("good", 1, None);
            let sectors = [good, sector("trial", 2, Some(marks))].concat();
            let stored = Stored {
                selected: settings::stored(&sectors).unwrap(),
                sectors,
                partition: Some(place.clone()),
            };
            assert_eq!(stored.settings(), Some(&self::settings(kept)), "{marks:?}");
            // The trial is overwritten; the settings in force are not.
            let part = stored.next_part(&self::settings(kept), &place).unwrap();
            let (sector, sequence) = next;
            assert_eq!(part.data, self::sector(kept, sequence, None), "{marks:?}");
            let offset = u32::try_from(sector.offset()).unwrap();
            assert_eq!(part.offset, place.offset + offset, "{marks:?}");
        }
    }
}
