//! Why a board is not on its network. The driver reports a reason code.
//!
//! Numbers up to 199 are reason codes (IEEE 802.11-2020, table 9-49), sent by the access point or set
//! by the driver. Numbers from 200 on are the driver's own (ESP-IDF, `wifi_err_reason_t`).

use core::fmt;

use tcpctl_settings::Security;

use crate::driver::DriverError;

/// Why the board is not on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No access point with this SSID answered.
    NoSuchNetwork,
    /// The access point is too far away.
    TooWeak,
    /// The handshake that proves the passphrase failed.
    WrongPassphrase,
    /// The security of the network differs from the settings.
    OtherSecurity,
    /// The access point accepts no more stations.
    Full,
    /// The access point dropped the authentication. Some access points respond to a wrong passphrase
    /// like this.
    NotAuthenticated,
    /// The access point refused or dropped the board, with this 802.11 reason code.
    Refused(u16),
    /// The driver gave up, with this reason code of the driver. A wrong passphrase sometimes yields
    /// 205.
    GaveUp(u16),
    /// The radio driver failed.
    Driver(DriverError),
    /// The access point did not answer in time.
    NoAnswer,
    /// Joined, but no DHCP server assigned an address in time.
    NoLease,
}

impl Failure {
    /// The failure for a reason code, under the security of the settings.
    pub fn from_reason(reason: u16, security: &Security) -> Self {
        match (reason, security) {
            (201, _) => Self::NoSuchNetwork,
            (212, _) => Self::TooWeak,
            // A wrong passphrase appears as a wrong MIC or a handshake timeout. 202 is a refusal in
            // the first step, in which WPA3 has its handshake.
            (14 | 15 | 202 | 204, Security::Wpa2(_)) => Self::WrongPassphrase,
            // Ciphers, key management, 802.1X, and two codes of the driver.
            (18..=24 | 29 | 210 | 211, _) => Self::OtherSecurity,
            (5, _) => Self::Full,
            (2 | 6 | 9, Security::Wpa2(_)) => Self::NotAuthenticated,
            // Timeouts of association, acknowledgments and beacons.
            (4 | 34 | 39 | 200, _) => Self::NoAnswer,
            (200.., _) => Self::GaveUp(reason),
            _ => Self::Refused(reason),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNetwork => f.write_str("no such network"),
            Self::TooWeak => f.write_str("signal too weak"),
            Self::WrongPassphrase => f.write_str("wrong passphrase"),
            Self::OtherSecurity => f.write_str("the network's security differs from the settings"),
            Self::Full => f.write_str("the access point is full"),
            Self::NotAuthenticated => {
                f.write_str("not authenticated (weak signal or wrong passphrase)")
            }
            Self::Refused(reason) => {
                write!(f, "refused by the access point, 802.11 reason {reason}")
            }
            Self::GaveUp(reason) => write!(f, "the radio driver gave up, reason {reason}"),
            Self::Driver(error) => error.fmt(f),
            Self::NoAnswer => f.write_str("no answer from the access point"),
            Self::NoLease => f.write_str("no DHCP lease"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use tcpctl_settings::Passphrase;

    use super::*;

    fn wpa2() -> Security {
        Security::Wpa2(Passphrase::new("correct horse").unwrap())
    }

    fn printed(reason: u16, security: &Security) -> std::string::String {
        Failure::from_reason(reason, security).to_string()
    }

    /// Reason codes with a message of their own.
    const WORDS: [(u16, &str); 24] = [
        (2, "not authenticated"),
        (4, "no answer"),
        (5, "is full"),
        (6, "not authenticated"),
        (9, "not authenticated"),
        (14, "wrong passphrase"),
        (15, "wrong passphrase"),
        (18, "security differs"),
        (19, "security differs"),
        (20, "security differs"),
        (21, "security differs"),
        (22, "security differs"),
        (23, "security differs"),
        (24, "security differs"),
        (29, "security differs"),
        (34, "no answer"),
        (39, "no answer"),
        (200, "no answer"),
        (201, "no such network"),
        (202, "wrong passphrase"),
        (204, "wrong passphrase"),
        (210, "security differs"),
        (211, "security differs"),
        (212, "signal too weak"),
    ];

    #[test]
    fn known_reason_codes_have_messages() {
        for (reason, words) in WORDS {
            let text = printed(reason, &wpa2());
            assert!(text.contains(words), "{reason}: {text}");
        }
    }

    #[test]
    fn other_reason_codes_are_shown_as_numbers() {
        let worded: Vec<u16> = WORDS.iter().map(|(reason, _)| *reason).collect();
        for reason in (0..=u16::MAX).filter(|reason| !worded.contains(reason)) {
            let failure = Failure::from_reason(reason, &wpa2());
            let expected = if reason < 200 {
                Failure::Refused(reason)
            } else {
                Failure::GaveUp(reason)
            };
            assert_eq!(failure, expected);
            assert!(
                failure
                    .to_string()
                    .ends_with(&std::format!(" reason {reason}"))
            );
        }
    }

    #[test]
    fn only_handshake_reasons_mean_wrong_passphrase() {
        let wrong: Vec<u16> = (0..=u16::MAX)
            .filter(|&reason| Failure::from_reason(reason, &wpa2()) == Failure::WrongPassphrase)
            .collect();
        assert_eq!(wrong, [14, 15, 202, 204]);
    }

    #[test]
    fn open_network_never_reports_a_passphrase() {
        for reason in 0..=u16::MAX {
            let open = printed(reason, &Security::Open);
            assert!(!open.contains("passphrase"), "{reason}: {open}");
            let secured = printed(reason, &wpa2());
            assert!(
                open == secured || secured.contains("passphrase"),
                "{reason}"
            );
        }
        assert_eq!(
            printed(15, &Security::Open),
            "refused by the access point, 802.11 reason 15"
        );
        assert_eq!(
            printed(204, &Security::Open),
            "the radio driver gave up, reason 204"
        );
    }
}
