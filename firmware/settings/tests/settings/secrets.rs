//! Secrets never appear in `Debug` output or in errors.

use std::error::Error;

use proptest::prelude::*;
use tcpctl_settings::{
    Changes, DecodeError, MAX_LEN, ManagementKey, Network, Passphrase, Security, Settings, Ssid,
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
fn debug_never_shows_a_management_key() {
    let mut settings = settings(Security::Open);
    settings.management_key = Some(ManagementKey::new([0xA5; 32]));
    let shown = format!("{settings:?}");
    assert!(shown.contains("ManagementKey(..)"), "{shown}");
    assert!(!shown.contains("165") && !shown.contains("a5"), "{shown}");
}

#[test]
fn error_of_a_damaged_block_has_no_passphrase() {
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
    /// A refused passphrase may be a secret with a typing error. The message depends only on the
    /// length and the position of the error.
    #[test]
    fn error_reveals_only_length_and_position(
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
    fn debug_is_equal_for_any_two_passphrases(one in any::wpa2(), other in any::wpa2()) {
        prop_assert_eq!(format!("{:?}", settings(one)), format!("{:?}", settings(other)));
    }
}
