//! Configuration of the radio: checked for values that the driver misinterprets, within the limits
//! of the chip.

use core::fmt;

use tcpctl_settings::{HostName, Mode, Network, Security, Settings, Ssid};

use crate::driver::DriverError;
use crate::memory::Memory;

/// Limits of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum stations of the radio as an access point.
    pub stations: u8,
    /// Memory of the chip.
    pub memory: Memory,
}

/// The network to open or to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RadioConfig<'s> {
    /// Access point or station.
    pub mode: Mode,
    /// SSID.
    pub ssid: Ssid,
    /// Security of the network.
    pub security: &'s Security,
    /// Channel of an access point.
    pub channel: u8,
    /// Stations that an access point accepts.
    pub stations: u8,
}

impl<'s> RadioConfig<'s> {
    /// The configuration for `settings` on a board with this MAC address and these limits.
    ///
    /// # Errors
    /// A station with an SSID that the driver would truncate.
    pub fn new(settings: &'s Settings, mac: [u8; 6], limits: &Limits) -> Result<Self, Rejected> {
        let network = &settings.network;
        let mode = network.mode();
        let ssid = ssid(network, mac);
        if mode == Mode::Station && ssid.as_bytes().contains(&0) {
            return Err(Rejected::ZeroByte);
        }
        Ok(Self {
            mode,
            ssid,
            security: network.security(),
            channel: settings.channel.get(),
            stations: settings.max_stations.get().min(limits.stations),
        })
    }
}

/// The SSID: that of the settings, or `tcpctl-XXXX`.
pub fn ssid(network: &Network, mac: [u8; 6]) -> Ssid {
    match network.ssid() {
        Some(ssid) => ssid.clone(),
        None => HostName::of_board(mac).into(),
    }
}

/// Why the radio rejects settings. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The SSID has a zero byte. The driver would cut a station's SSID there and look for another
    /// network. For an access point it takes a length.
    ZeroByte,
    /// The driver rejects the settings.
    Driver(DriverError),
}

impl From<DriverError> for Rejected {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroByte => f.write_str("the radio cannot join an SSID with a zero byte"),
            Self::Driver(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use tcpctl_settings::{Channel, MaxStations, Passphrase};

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0x1a, 0x2b, 0x3c];
    const LIMITS: Limits = Limits {
        stations: 4,
        memory: Memory::of("esp32c2"),
    };

    fn access_point(ssid: Option<&[u8]>) -> Settings {
        Settings::new(Network::AccessPoint {
            ssid: ssid.map(|ssid| Ssid::new(ssid).unwrap()),
            security: Security::Open,
        })
    }

    fn station(ssid: &[u8]) -> Settings {
        Settings::new(Network::Station {
            ssid: Ssid::new(ssid).unwrap(),
            security: Security::Open,
        })
    }

    #[test]
    fn default_ssid_comes_from_the_mac() {
        let settings = access_point(None);
        let config = RadioConfig::new(&settings, MAC, &LIMITS).unwrap();
        assert_eq!(config.ssid.as_bytes(), b"tcpctl-2b3c");
        assert_eq!(config.mode, Mode::AccessPoint);
    }

    #[test]
    fn any_ssid_is_passed_unchanged() {
        let names: [&[u8]; 6] = [
            b"a",
            b"\xff\xfe\xc3",
            "Caf\u{e9} \u{1f4f6}".as_bytes(),
            b"\"\r\nready addr=1.1.1.1:1\x1b[2J",
            &[0xff; 32],
            b" trailing ",
        ];
        for name in names {
            for settings in [access_point(Some(name)), station(name)] {
                let config = RadioConfig::new(&settings, MAC, &LIMITS).unwrap();
                assert_eq!(config.ssid.as_bytes(), name);
            }
        }
        for byte in 1..=255 {
            assert!(RadioConfig::new(&station(&[byte; 32]), MAC, &LIMITS).is_ok());
        }
    }

    #[test]
    fn zero_byte_in_the_ssid_of_a_station_is_rejected() {
        for place in 0..32 {
            let mut name = [b'x'; 32];
            name[place] = 0;
            let settings = station(&name);
            assert_eq!(
                RadioConfig::new(&settings, MAC, &LIMITS),
                Err(Rejected::ZeroByte),
                "{place}"
            );
            let settings = access_point(Some(&name));
            let config = RadioConfig::new(&settings, MAC, &LIMITS).unwrap();
            assert_eq!(config.ssid.as_bytes(), name);
        }
    }

    #[test]
    fn any_passphrase_is_passed_unchanged() {
        for length in 8..=64 {
            let digits = "0aF9".repeat(16);
            let secret = &digits[..length];
            let settings = Settings::new(Network::Station {
                ssid: Ssid::new("home").unwrap(),
                security: Security::Wpa2(Passphrase::new(secret).unwrap()),
            });
            let config = RadioConfig::new(&settings, MAC, &LIMITS).unwrap();
            let Security::Wpa2(passphrase) = config.security else {
                panic!("open");
            };
            assert_eq!(passphrase.reveal(), secret);
            assert!(!std::format!("{config:?}").contains(secret));
        }
    }

    #[test]
    fn open_security_is_passed_unchanged() {
        let settings = access_point(None);
        assert_eq!(
            RadioConfig::new(&settings, MAC, &LIMITS).unwrap().security,
            &Security::Open
        );
    }

    #[test]
    fn channel_and_stations_stay_within_the_limits() {
        for (wanted, limit, got) in [(4, 10, 4), (10, 10, 10), (10, 4, 4), (1, 4, 1)] {
            let settings = Settings {
                channel: Channel::new(11).unwrap(),
                max_stations: MaxStations::new(wanted).unwrap(),
                ..access_point(None)
            };
            let limits = Limits {
                stations: limit,
                ..LIMITS
            };
            let config = RadioConfig::new(&settings, MAC, &limits).unwrap();
            assert_eq!((config.channel, config.stations), (11, got));
        }
    }
}
