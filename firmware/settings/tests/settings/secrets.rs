//! A passphrase is shown to no one who did not ask for it by name.

use std::error::Error;

use proptest::prelude::*;
use tcpctl_settings::{
    Changes, DecodeError, MAX_LEN, Network, Passphrase, Security, Settings, Ssid,
};

use crate::any;

const SECRET: &str = "correct horse battery";

fn settings(security: Security) -> Settings {
    Settings::new(Network::Station {
        ssid: Ssid::new("home").unwrap(),
        security,
    })
}

#[test]
fn debug_never_shows_a_passphrase() {
    let passphrase = Passphrase::new(SECRET).unwrap();
    let security = Security::Wpa2(passphrase.clone());
    let settings = settings(security.clone());
    let changes = Changes {
        security: Some(security.clone()),
        ..Changes::default()
    };
    for shown in [
        format!("{passphrase:?}"),
        format!("{security:?}"),
        format!("{settings:?}"),
        format!("{settings:#?}"),
        format!("{changes:?}"),
    ] {
        assert!(shown.contains("Passphrase(..)"), "{shown}");
        for word in SECRET.split(' ') {
            assert!(!shown.contains(word), "{shown}");
        }
        let length = SECRET.len().to_string();
        assert!(!shown.contains(&length), "{shown}");
    }
    assert_eq!(passphrase.reveal(), SECRET);
}

#[test]
fn a_damaged_block_gives_no_passphrase_away() {
    let mut buffer = [0; MAX_LEN];
    let settings = settings(Security::Wpa2(Passphrase::new(SECRET).unwrap()));
    let length = settings.encode(&mut buffer).unwrap().len();
    buffer[length - 1] ^= 1;
    let refused = Settings::decode(&buffer[..length]).unwrap_err();
    assert_eq!(refused, DecodeError::Corrupted);
    for shown in [format!("{refused}"), format!("{refused:?}")] {
        assert!(!shown.contains("correct"), "{shown}");
    }
}

proptest! {
    /// What is refused may be a secret all the same, with a typing error. The message depends on
    /// how long it is and where it is wrong, so another secret gives the same message.
    #[test]
    fn a_refusal_tells_a_length_or_a_place_and_nothing_else(
        secret in "[a-zA-Z]{0,7}|[g-zG-Z]{64}|[a-z]{65,90}|[a-z]{4}[äöü\t\n]{4}",
    ) {
        let other = secret.chars().map(|c| match c {
            'z' => 'y',
            c if c.is_ascii_alphabetic() => 'z',
            'ä' => 'ö',
            _ => 'ä',
        }).collect::<String>();
        let refused = Passphrase::new(&secret).unwrap_err();
        let same = Passphrase::new(&other).unwrap_err();
        prop_assert_eq!(refused.to_string(), same.to_string());
        prop_assert_eq!(format!("{refused:?}"), format!("{same:?}"));
        let wrapped = DecodeError::Invalid(refused);
        prop_assert_eq!(wrapped.source().unwrap().to_string(), refused.to_string());
    }

    #[test]
    fn debug_is_the_same_for_any_two_passphrases(one in any::wpa2(), other in any::wpa2()) {
        prop_assert_eq!(format!("{:?}", settings(one)), format!("{:?}", settings(other)));
    }
}
