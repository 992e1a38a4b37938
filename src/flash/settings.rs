//! The requested settings, and how they combine with the stored ones.
//!
//! Stored settings are kept unless others are given. Another mode discards the stored SSID and
//! passphrase. A passphrase is never on the command line: it is typed, piped in or generated.

use serde::{Serialize, Serializer};
use tcpctl_settings::sectors::{
    RollbackReason, Sector, SectorContent, Selected, TrialState, select,
};
use tcpctl_settings::{
    BLOCK_SIZE, Changes, DecodeError, Field, HostName, Invalid, MAX_LEN, Management, Mode,
    NoStoredSettings, Passphrase, Reason, Record, RecordKind, Security, Settings, Ssid,
};

use super::key::BoardKey;
use crate::cli::FlashArgs;
use crate::esp::image::Part;
use crate::failure::{Failure, Kind, reason};
use crate::passphrase;
use crate::serial;

/// The requested settings.
#[derive(Debug, Clone)]
pub struct RequestedSettings {
    changes: Changes,
}

/// The settings to write.
#[derive(Debug, Clone)]
pub struct NewSettings {
    /// The settings.
    pub settings: Settings,
    /// The passphrase, if it was generated and must be shown.
    pub generated: Option<Passphrase>,
    /// The management key and its file; `None` if management is off.
    pub key: Option<BoardKey>,
}

impl RequestedSettings {
    /// Takes the options, and reads a passphrase that is piped in or typed.
    ///
    /// # Errors
    /// A passphrase is required and cannot be read, or is invalid.
    pub fn new(args: &FlashArgs) -> Result<Self, Failure> {
        let mut changes = args.settings.changes.clone();
        let station = changes.mode == Some(Mode::Station);
        changes.security = passphrase::security(args.security)?;
        if let (None, true, Some(ssid)) = (&changes.security, station, &changes.ssid) {
            changes.security = Some(Security::Wpa2(passphrase::typed(ssid)?));
        }
        Ok(Self { changes })
    }

    /// Whether management was requested.
    pub fn wants_management(&self) -> bool {
        self.changes.management == Some(Management::On)
    }

    /// Whether no setting was requested.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The settings to write, based on the stored ones. `ask` reads the passphrase of another
    /// network.
    ///
    /// # Errors
    /// A required setting is missing.
    pub fn over(
        &self,
        stored: Result<&Settings, NoStoredSettings>,
        ask: impl FnOnce(&Ssid) -> Result<Passphrase, Failure>,
    ) -> Result<NewSettings, Failure> {
        let mut changes = self.changes.clone();
        let mode = changes.mode.or(stored.ok().map(|s| s.network.mode()));
        let kept = stored
            .ok()
            .filter(|stored| Some(stored.network.mode()) == mode);
        let mut generated = None;
        if changes.security.is_none() {
            match (mode, kept) {
                // A renamed access point keeps its passphrase.
                (Some(Mode::AccessPoint), None) => {
                    let passphrase = generated_passphrase()?;
                    changes.security = Some(Security::Wpa2(passphrase.clone()));
                    generated = Some(passphrase);
                }
                // Another network has another passphrase.
                (Some(Mode::Station), kept) => {
                    let other =
                        |ssid: &Ssid| kept.and_then(|kept| kept.network.ssid()) != Some(ssid);
                    if let Some(ssid) = changes.ssid.as_ref().filter(|ssid| other(ssid)) {
                        changes.security = Some(Security::Wpa2(ask(ssid)?));
                    }
                }
                _ => {}
            }
        }
        let settings = match stored {
            Ok(stored) => stored.with_changes(&changes),
            Err(why) => changes.to_settings(why),
        };
        Ok(NewSettings {
            settings: settings.map_err(|invalid| invalid_setting(&invalid))?,
            generated,
            key: None,
        })
    }
}

/// Where settings are written in their partition, and their sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The sector.
    pub sector: Sector,
    /// The sequence number.
    pub sequence: u32,
}

impl Place {
    /// The place on a board without settings.
    pub const FIRST: Self = Self {
        sector: Sector::A,
        sequence: 1,
    };
}

/// The sector of settings to write in the partition at `offset`.
///
/// # Errors
/// None: the buffer has room for any.
pub fn part(settings: &Settings, offset: u32, place: Place) -> Result<Part, Failure> {
    let record = Record {
        settings: settings.clone(),
        sequence: place.sequence,
        kind: RecordKind::Permanent,
    };
    let mut buffer = [0; MAX_LEN];
    let block = record
        .encode(&mut buffer)
        .map_err(|error| Failure::new(Kind::Internal, format!("settings: {}", reason(&error))))?;
    let offset = offset + u32::try_from(place.sector.offset()).unwrap_or_default();
    // Write the whole sector, because erased flash compresses well. espflash would pad a part that
    // does not compress to 16 KiB.
    let mut sector = block.to_vec();
    sector.resize(BLOCK_SIZE, 0xff);
    Ok(Part::new("settings", offset, sector))
}

/// The settings that a board keeps after a reset, from the sectors of its partition: one or two. An
/// unconfirmed trial ends with the reset, and its settings may be wrong.
///
/// # Errors
/// A newer version wrote one of them, which would be lost.
pub fn stored(sectors: &[u8]) -> Result<Result<Selected, DecodeError>, Failure> {
    let (a, b) = sectors.split_at(BLOCK_SIZE.min(sectors.len()));
    for sector in [a, b] {
        if let Err(error @ DecodeError::Newer { .. }) = Settings::decode(sector) {
            return Err(
                Failure::new(Kind::Device, format!("settings: {}", reason(&error)))
                    .hint("use a newer tcpctl, or discard the stored settings with --erase"),
            );
        }
    }
    let [a, b] = [a, b].map(SectorContent::read);
    let open = select(a.clone(), b.clone())
        .ok()
        .and_then(|selected| selected.open_trial());
    let ended = TrialState::RolledBack(RollbackReason::Restarted);
    Ok(match open.map(|trial| trial.sector) {
        None => select(a, b),
        Some(Sector::A) => select(a.with_state(ended), b),
        Some(Sector::B) => select(a, b.with_state(ended)),
    })
}

/// Settings as text, by option name and without the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described(pub Vec<(&'static str, String)>);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Describes settings, with the default names of the board with this MAC address.
pub fn described(settings: &Settings, mac: Option<&str>) -> Described {
    let own_name = || match mac.and_then(serial::mac_bytes) {
        Some(mac) => HostName::of_board(mac).to_string(),
        None => "tcpctl-XXXX, after its MAC".to_owned(),
    };
    let is_station = settings.network.mode() == Mode::Station;
    let mut lines = Vec::new();
    for &field in Field::OPTIONS {
        if is_station && matches!(field, Field::Channel | Field::MaxStations) {
            continue;
        }
        let value = settings.value(field).map(|value| value.to_string());
        lines.push((field.name(), value.unwrap_or_else(own_name)));
        if field == Field::Ssid {
            let security = match settings.network.security() {
                Security::Open => "open",
                Security::Wpa2(_) => "wpa2",
            };
            lines.push(("security", security.to_owned()));
        }
    }
    Described(lines)
}

/// The failure for an invalid setting, with the option that makes it valid.
pub fn invalid_setting(invalid: &Invalid) -> Failure {
    let failure = Failure::usage(invalid.to_string());
    match invalid {
        Invalid {
            field: Field::Mode,
            reason: Reason::NoMode(_),
        } => failure.hint("give --mode ap or --mode sta --ssid NAME"),
        Invalid {
            field: Field::Ssid,
            reason: Reason::NoSsid,
        } => failure.hint("give --ssid NAME"),
        Invalid {
            field: Field::Passphrase,
            reason: Reason::NoSecurity,
        } => failure.hint("give --password-stdin or --open"),
        _ => failure,
    }
}

/// Generates a passphrase for an access point: 16 of 31 characters (79 bits), without those that
/// are easily confused.
fn generated_passphrase() -> Result<Passphrase, Failure> {
    const ALPHABET: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";
    let failed = |error| {
        Failure::new(
            Kind::Internal,
            format!("the system has no random numbers: {}", reason(&error)),
        )
    };
    let mut text = String::new();
    while text.len() < 19 {
        if text.len() % 5 == 4 {
            text.push('-');
        }
        let mut byte = [0];
        getrandom::fill(&mut byte).map_err(failed)?;
        // 248 is the greatest multiple of 31 in a byte. Larger values would bias the choice.
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    Passphrase::new(&text).map_err(|invalid| invalid_setting(&invalid))
}

#[cfg(test)]
mod tests;
