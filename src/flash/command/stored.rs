//! Reads the settings that a board has.

use tcpctl_settings::{BLOCK_SIZE, DecodeError, Settings};

use super::Flash;
use crate::esp::table::{SETTINGS, TABLE_LEN, TABLE_OFFSET, Table};
use crate::failure::Failure;
use crate::flash::loader::Device;
use crate::flash::settings;

/// The stored settings.
pub(super) struct Stored {
    pub(super) settings: Option<Settings>,
    /// `flash`, or why there are none.
    pub(super) text: String,
    /// Offset of the settings partition, if there is one.
    pub(super) offset: Option<u32>,
}

/// Descriptions of a blank sector and of one with settings.
const NONE: &str = "none";
const FOUND: &str = "flash";

/// Reads the board's settings.
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
        // An interrupted write of the table leaves the settings at their usual offset. Their CRC
        // tells whether they are there.
        let usual = Table::usual_settings();
        let found = usual.map(|offset| sector(device, offset)).transpose()?;
        let settings = found.and_then(Result::ok);
        return Ok(Stored {
            text: if settings.is_some() { FOUND } else { NONE }.to_owned(),
            settings,
            offset: None,
        });
    };
    let (settings, text) = match sector(device, place.offset)? {
        Ok(settings) => (Some(settings), FOUND.to_owned()),
        Err(DecodeError::Blank) => (None, NONE.to_owned()),
        Err(error) => (None, error.to_string()),
    };
    Ok(Stored {
        settings,
        text,
        offset: Some(place.offset),
    })
}

impl Flash<'_> {
    /// Prints a note if stored settings cannot be read.
    pub(super) fn kept(&self, stored: Stored) -> Stored {
        if stored.settings.is_none() && stored.text != NONE {
            self.output.note(&format!("note: {}", stored.text));
        }
        stored
    }
}
