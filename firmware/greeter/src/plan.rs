//! A network as the radio's driver is told it: checked for what the driver gets wrong, within what
//! the chip can do.

use core::fmt;

use tcpctl_settings::{HostName, Mode, Network, Security, Settings, Ssid};

use crate::driver::DriverError;

/// What a chip has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Its name, `esp32c3`.
    pub chip: &'static str,
    /// Stations that its radio takes as an access point.
    pub stations: u8,
    /// Connections that its memory has room for, served and waiting ones together.
    pub slots: usize,
}

/// A network to open or to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<'s> {
    /// Which of the two.
    pub mode: Mode,
    /// Its name.
    pub ssid: Ssid,
    /// How it is protected.
    pub security: &'s Security,
    /// An access point's channel.
    pub channel: u8,
    /// How many stations an access point takes.
    pub stations: u8,
}

impl<'s> Plan<'s> {
    /// What `settings` ask for, on a board with the address `mac` and `limits`.
    ///
    /// # Errors
    /// A name that the driver would take for another.
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

/// A network's name: as the settings say, or the board's own, `tcpctl-XXXX`.
pub fn ssid(network: &Network, mac: [u8; 6]) -> Ssid {
    match network.ssid() {
        Some(ssid) => ssid.clone(),
        None => HostName::of_board(mac).into(),
    }
}

/// Why settings are no good for the radio. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// A station's SSID ends for the driver at its first zero byte: it would look for another
    /// network. An access point's has a length beside it.
    ZeroByte,
    /// The driver says so.
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
            Self::ZeroByte => {
                f.write_str("the radio can't join a network with a zero byte in its name")
            }
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
        chip: "esp32c2",
        stations: 4,
        slots: 16,
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
    fn a_network_without_a_name_has_the_board_s() {
        let settings = access_point(None);
        let plan = Plan::new(&settings, MAC, &LIMITS).unwrap();
        assert_eq!(plan.ssid.as_bytes(), b"tcpctl-2b3c");
        assert_eq!(plan.mode, Mode::AccessPoint);
    }

    #[test]
    fn any_bytes_are_a_name_to_the_byte() {
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
                let plan = Plan::new(&settings, MAC, &LIMITS).unwrap();
                assert_eq!(plan.ssid.as_bytes(), name);
            }
        }
        for byte in 1..=255 {
            assert!(Plan::new(&station(&[byte; 32]), MAC, &LIMITS).is_ok());
        }
    }

    #[test]
    fn a_station_s_name_has_no_zero_byte_wherever_it_is() {
        for place in 0..32 {
            let mut name = [b'x'; 32];
            name[place] = 0;
            let settings = station(&name);
            assert_eq!(
                Plan::new(&settings, MAC, &LIMITS),
                Err(Rejected::ZeroByte),
                "{place}"
            );
            // An access point's may.
            let settings = access_point(Some(&name));
            let plan = Plan::new(&settings, MAC, &LIMITS).unwrap();
            assert_eq!(plan.ssid.as_bytes(), name);
        }
    }

    #[test]
    fn a_passphrase_of_any_length_is_there_to_the_character() {
        for length in 8..=64 {
            let digits = "0aF9".repeat(16);
            let secret = &digits[..length];
            let settings = Settings::new(Network::Station {
                ssid: Ssid::new("home").unwrap(),
                security: Security::Wpa2(Passphrase::new(secret).unwrap()),
            });
            let plan = Plan::new(&settings, MAC, &LIMITS).unwrap();
            let Security::Wpa2(passphrase) = plan.security else {
                panic!("open");
            };
            assert_eq!(passphrase.reveal(), secret);
            // Nothing of it is shown by chance.
            assert!(!std::format!("{plan:?}").contains(secret));
        }
    }

    #[test]
    fn an_open_network_is_open_only_by_name() {
        let settings = access_point(None);
        assert_eq!(
            Plan::new(&settings, MAC, &LIMITS).unwrap().security,
            &Security::Open
        );
    }

    #[test]
    fn channel_and_stations_are_the_settings_within_the_chip_s_limits() {
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
            let plan = Plan::new(&settings, MAC, &limits).unwrap();
            assert_eq!((plan.channel, plan.stations), (11, got));
        }
    }
}
