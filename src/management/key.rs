//! Sources of the management key.

use std::path::{Path, PathBuf};

use tcpctl_settings::ManagementKey;

use crate::connect::Endpoint;
use crate::failure::Failure;
use crate::keys::{self, KeyFile};

/// Source of a board's key.
#[derive(Debug)]
pub enum KeySource {
    /// The user's key file for the board.
    OfBoard,
    /// The key file at this path.
    File(PathBuf),
    /// The key, already read from standard input.
    Given(ManagementKey),
}

impl KeySource {
    /// The source for `--key-file`. Blocks while it reads standard input.
    ///
    /// # Errors
    /// Standard input holds no key.
    pub fn new(file: Option<&Path>) -> Result<Self, Failure> {
        Ok(match file {
            Some(path) if path == Path::new("-") => Self::Given(keys::from_stdin()?),
            Some(path) => Self::File(path.to_owned()),
            None => Self::OfBoard,
        })
    }

    /// The key of the board at `host` that claims this MAC address. A virtual board of this command
    /// has no file. Blocks.
    ///
    /// # Errors
    /// There is no file, or it is unusable.
    pub fn key(&self, host: &Endpoint, mac: [u8; 6]) -> Result<ManagementKey, Failure> {
        match (self, host) {
            (Self::Given(key), _) => Ok(key.clone()),
            (Self::File(path), _) => KeyFile::at(path).load(),
            (Self::OfBoard, Endpoint::Virtual(session)) => match session.management_key() {
                Some(key) => Ok(key.clone()),
                None => KeyFile::of_board(mac)?.load(),
            },
            (Self::OfBoard, _) => {
                let file = KeyFile::of_board(mac)?;
                if let Some(key) = file.find()? {
                    return Ok(key);
                }
                match KeyFile::of_board(station_mac(mac))?.find()? {
                    Some(key) => Ok(key),
                    None => file.load(),
                }
            }
        }
    }
}

/// The MAC address of the chip whose access point has this address: one less (ESP-IDF, "MAC
/// Address"). `flash` uses it to name the key file.
fn station_mac(mac: [u8; 6]) -> [u8; 6] {
    let mut mac = mac;
    mac[5] = mac[5].wrapping_sub(1);
    mac
}

/// Whether two MAC addresses can be those of one chip, as an access point and as a station.
pub fn is_same_board(a: [u8; 6], b: [u8; 6]) -> bool {
    a == b || station_mac(a) == b || a == station_mac(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_point_and_station_of_a_chip_are_one_board() {
        let station = [0x84, 0xf7, 3, 0x1a, 0, 0xff];
        let access_point = [0x84, 0xf7, 3, 0x1a, 0, 0];
        assert!(is_same_board(station, station));
        assert!(is_same_board(station, access_point) && is_same_board(access_point, station));
        assert!(!is_same_board(station, [0x84, 0xf7, 3, 0x1a, 0, 1]));
    }
}
