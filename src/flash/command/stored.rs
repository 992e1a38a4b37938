//! The settings that a board has, and whether they are kept.

use tcpctl_settings::{BLOCK_SIZE, DecodeError, Settings};

use super::Flash;
use crate::esp::table::{SETTINGS, TABLE_LEN, TABLE_OFFSET, Table};
use crate::failure::Failure;
use crate::flash::loader::Device;
use crate::flash::settings;

/// What was found in the place of the settings.
pub(super) struct Stored {
    pub(super) settings: Option<Settings>,
    /// For people: `flash`, or why there are none.
    pub(super) words: String,
    /// Where they are, if the board has a place for them.
    pub(super) offset: Option<u32>,
}

/// How a blank sector is described, and one with settings.
const NONE: &str = "none";
const FOUND: &str = "flash";

/// Reads back what settings the board has.
pub(super) fn stored_settings(device: &mut Device) -> Result<Stored, Failure> {
    let table = device.read(TABLE_OFFSET, TABLE_LEN)?;
    let flash = u64::from(device.flash.size());
    let table = Table::parse(&table);
    let place = table
        .as_ref()
        .and_then(|table| table.find(SETTINGS))
        .filter(|place| place.can_hold_settings() && place.end() <= flash);
    let sector = |device: &mut Device, offset| {
        let sector = device.read(offset, u32::try_from(BLOCK_SIZE).unwrap_or(u32::MAX))?;
        settings::stored(&sector)
    };
    let Some(place) = place else {
        // A write that broke off in the table has left the settings where ours has them: their
        // check sum says whether it is they.
        let usual = Table::usual_settings();
        let found = usual.map(|offset| sector(device, offset)).transpose()?;
        let settings = found.and_then(Result::ok);
        return Ok(Stored {
            words: if settings.is_some() { FOUND } else { NONE }.to_owned(),
            settings,
            offset: None,
        });
    };
    let (settings, words) = match sector(device, place.offset)? {
        Ok(settings) => (Some(settings), FOUND.to_owned()),
        Err(DecodeError::Blank) => (None, NONE.to_owned()),
        Err(error) => (None, error.to_string()),
    };
    Ok(Stored {
        settings,
        words,
        offset: Some(place.offset),
    })
}

impl Flash<'_> {
    /// The stored settings that are to be kept; says where some are lost.
    pub(super) fn kept(&self, stored: Stored) -> Stored {
        if stored.settings.is_none() && stored.words != NONE {
            self.output.note(&format!("note: {}", stored.words));
        }
        stored
    }
}
