//! The network that the board opens or joins.

use core::fmt;
use core::str::FromStr;

use crate::macros::bounded_number;
use crate::{Field, Invalid, Reason, Security, Ssid};

/// Whether the board opens a network or joins one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The board is the access point; written `ap`.
    AccessPoint,
    /// The board joins a router's network; written `sta`.
    Station,
}

impl Mode {
    /// `ap` or `sta`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessPoint => "ap",
            Self::Station => "sta",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        match word {
            "ap" => Ok(Self::AccessPoint),
            "sta" => Ok(Self::Station),
            _ => Err(Invalid::new(Field::Mode, Reason::NotOneOf("ap", "sta"))),
        }
    }
}

/// The mode, with the SSID and passphrase that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// The board opens a network.
    AccessPoint {
        /// SSID; `None` for [`HostName::of_board`](crate::HostName::of_board).
        ssid: Option<Ssid>,
        /// Security of the network. There is no default.
        security: Security,
    },
    /// The board joins a network.
    Station {
        /// SSID.
        ssid: Ssid,
        /// Security of the network.
        security: Security,
    },
}

impl Network {
    /// Access point or station.
    pub const fn mode(&self) -> Mode {
        match self {
            Self::AccessPoint { .. } => Mode::AccessPoint,
            Self::Station { .. } => Mode::Station,
        }
    }

    /// The SSID; `None` for an access point that is named after its MAC address.
    pub const fn ssid(&self) -> Option<&Ssid> {
        match self {
            Self::AccessPoint { ssid, .. } => ssid.as_ref(),
            Self::Station { ssid, .. } => Some(ssid),
        }
    }

    /// How the network is protected.
    pub const fn security(&self) -> &Security {
        match self {
            Self::AccessPoint { security, .. } | Self::Station { security, .. } => security,
        }
    }
}

bounded_number! {
    /// Channel of the access point in the 2.4 GHz band: 1 to 13, by default 1.
    ///
    /// Some countries, such as the USA, do not use 12 and 13. 14 is refused: only Japan allows it,
    /// and only with 802.11b (IEEE 802.11-2020, annex E).
    Channel(u8), Field::Channel, 1..=13, default 1, refused 14 => Reason::Channel14
}

bounded_number! {
    /// Stations that the access point accepts: 1 to 10, by default 4.
    ///
    /// Every supported radio takes 10 (ESP-IDF, `ESP_WIFI_MAX_CONN_NUM`).
    MaxStations(u8), Field::MaxStations, 1..=10, default 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn displayed_mode_parses_to_the_same_mode() {
        for mode in [Mode::AccessPoint, Mode::Station] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        let refused = "AP".parse::<Mode>().unwrap_err();
        assert_eq!(refused.to_string(), "mode: must be ap or sta");
    }

    #[test]
    fn channels_are_1_to_13() {
        for number in 1..=13 {
            assert_eq!(u32::from(Channel::new(number).unwrap().get()), number);
        }
        for got in [0, 15, 36, 257] {
            let refused = Channel::new(got).unwrap_err();
            assert_eq!(refused.field, Field::Channel);
            assert_eq!(
                refused.reason,
                Reason::OutOfRange {
                    got,
                    min: 1,
                    max: 13
                }
            );
        }
    }

    #[test]
    fn channel_14_is_refused_with_a_reason() {
        let refused = "14".parse::<Channel>().unwrap_err();
        assert_eq!(refused.reason, Reason::Channel14);
        assert!(refused.to_string().contains("Japan"), "{refused}");
    }

    #[test]
    fn max_stations_is_1_to_10() {
        assert_eq!(MaxStations::default().get(), 4);
        assert!(MaxStations::new(1).is_ok());
        assert!(MaxStations::new(10).is_ok());
        assert_eq!(
            MaxStations::new(11).unwrap_err().to_string(),
            "max-stations: 11 is not in the range 1 to 10"
        );
        assert!(MaxStations::new(0).is_err());
    }
}
