//! Why a board is not on its network, in words: what the radio's driver tells is a number.
//!
//! Numbers up to 199 are the standard's reason codes (IEEE 802.11-2020, table 9-49), which an access
//! point sends or the driver uses in its place; those from 200 on are the driver's own (ESP-IDF,
//! `wifi_err_reason_t`).

use core::fmt;

use tcpctl_settings::Security;

use crate::driver::DriverError;

/// Why the board is not on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No access point of that name answered.
    NoSuchNetwork,
    /// There is one, too far away to be tried.
    TooWeak,
    /// The handshake that proves the passphrase failed.
    WrongPassphrase,
    /// The network is there, and protected in another way.
    OtherSecurity,
    /// The access point takes no more stations.
    Full,
    /// The access point does not know the board, or no longer: it did not answer in time, or did not
    /// like the answer. Some access points meet a wrong passphrase like this.
    NotAuthenticated,
    /// The access point refused or dropped the board for this reason of the standard.
    Refused(u16),
    /// The driver gave up for this reason of its own. After a wrong passphrase it tells 205 now and
    /// then.
    GaveUp(u16),
    /// The radio's driver would not try.
    Driver(DriverError),
    /// Nothing came of it in time.
    NoAnswer,
    /// Joined, and no DHCP server gave an address in time.
    NoLease,
}

impl Failure {
    /// What a reason means to a person whose settings say `security`.
    pub fn from_reason(reason: u16, security: &Security) -> Self {
        match (reason, security) {
            (201, _) => Self::NoSuchNetwork,
            (212, _) => Self::TooWeak,
            // How a wrong passphrase shows: one side finds the other's check sum wrong, or waits in
            // vain for a message that the other does not send then. 202 is a refusal at the first
            // step, where WPA3 has its handshake. Without a passphrase none is wrong.
            (14 | 15 | 202 | 204, Security::Wpa2(_)) => Self::WrongPassphrase,
            // Ciphers, key management and their description, 802.1X, and the driver's two.
            (18..=24 | 29 | 210 | 211, _) => Self::OtherSecurity,
            (5, _) => Self::Full,
            (2 | 6 | 9, Security::Wpa2(_)) => Self::NotAuthenticated,
            // Timeouts of the association, of frames without an answer, of beacons.
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
            Self::TooWeak => f.write_str("the network's signal is too weak"),
            Self::WrongPassphrase => f.write_str("wrong passphrase"),
            Self::OtherSecurity => {
                f.write_str("the network is protected in another way than the settings say")
            }
            Self::Full => f.write_str("the access point takes no more stations"),
            Self::NotAuthenticated => {
                f.write_str("not authenticated: a weak signal or a wrong passphrase")
            }
            Self::Refused(reason) => {
                write!(f, "refused by the access point, 802.11 reason {reason}")
            }
            Self::GaveUp(reason) => write!(f, "the radio's driver gave up, reason {reason}"),
            Self::Driver(error) => error.fmt(f),
            Self::NoAnswer => f.write_str("no answer from the access point"),
            Self::NoLease => f.write_str("no lease: nobody gave an address by DHCP"),
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

    fn said(reason: u16, security: &Security) -> std::string::String {
        Failure::from_reason(reason, security).to_string()
    }

    /// The reasons of the standard and of the driver that are said in words of their own.
    const WORDS: [(u16, &str); 24] = [
        (2, "not authenticated"),
        (4, "no answer"),
        (5, "takes no more stations"),
        (6, "not authenticated"),
        (9, "not authenticated"),
        (14, "wrong passphrase"),
        (15, "wrong passphrase"),
        (18, "protected in another way"),
        (19, "protected in another way"),
        (20, "protected in another way"),
        (21, "protected in another way"),
        (22, "protected in another way"),
        (23, "protected in another way"),
        (24, "protected in another way"),
        (29, "protected in another way"),
        (34, "no answer"),
        (39, "no answer"),
        (200, "no answer"),
        (201, "no such network"),
        (202, "wrong passphrase"),
        (204, "wrong passphrase"),
        (210, "protected in another way"),
        (211, "protected in another way"),
        (212, "signal is too weak"),
    ];

    #[test]
    fn what_a_person_can_mend_is_said_in_words() {
        for (reason, words) in WORDS {
            let text = said(reason, &wpa2());
            assert!(text.contains(words), "{reason}: {text}");
        }
    }

    #[test]
    fn any_other_reason_is_told_by_its_number_and_whose_it_is() {
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
    fn only_the_handshake_s_reasons_are_a_wrong_passphrase() {
        let wrong: Vec<u16> = (0..=u16::MAX)
            .filter(|&reason| Failure::from_reason(reason, &wpa2()) == Failure::WrongPassphrase)
            .collect();
        assert_eq!(wrong, [14, 15, 202, 204]);
    }

    #[test]
    fn an_open_network_has_no_passphrase_that_could_be_wrong() {
        for reason in 0..=u16::MAX {
            let open = said(reason, &Security::Open);
            assert!(!open.contains("passphrase"), "{reason}: {open}");
            let secured = said(reason, &wpa2());
            assert!(
                open == secured || secured.contains("passphrase"),
                "{reason}"
            );
        }
        assert_eq!(
            said(15, &Security::Open),
            "refused by the access point, 802.11 reason 15"
        );
        assert_eq!(
            said(204, &Security::Open),
            "the radio's driver gave up, reason 204"
        );
    }
}
