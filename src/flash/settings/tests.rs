use super::*;

fn asked(options: &[(&str, &str)], security: Option<Security>) -> RequestedSettings {
    let mut changes = Changes {
        security,
        ..Changes::default()
    };
    for (name, value) in options {
        let field = Field::find(name).unwrap();
        changes.set(field.parse(value).unwrap());
    }
    RequestedSettings { changes }
}

fn wpa2(text: &str) -> Security {
    Security::Wpa2(Passphrase::new(text).unwrap())
}

fn not_asked(ssid: &Ssid) -> Result<Passphrase, Failure> {
    panic!("asked for the passphrase of {ssid}");
}

#[test]
fn access_point_without_a_passphrase_gets_a_generated_one() {
    let asked = asked(&[("mode", "ap")], None);
    let wanted = asked.over(Err(NoStoredSettings::Blank), not_asked).unwrap();
    let generated = wanted.generated.unwrap();
    assert_eq!(
        *wanted.settings.network.security(),
        Security::Wpa2(generated.clone())
    );
    assert_eq!(generated.reveal().len(), 19);
    assert_ne!(
        asked
            .over(Err(NoStoredSettings::Blank), not_asked)
            .unwrap()
            .generated,
        Some(generated)
    );
}

#[test]
fn stored_settings_are_kept_unless_the_mode_changes() {
    let home = [("mode", "sta"), ("ssid", "home"), ("workers", "7")];
    let stored = asked(&home, Some(wpa2("secret of home")))
        .over(Err(NoStoredSettings::Blank), not_asked)
        .unwrap()
        .settings;

    let greeting = asked(&[("greeting", "hi")], None);
    let wanted = greeting.over(Ok(&stored), not_asked).unwrap();
    assert_eq!(wanted.settings.network, stored.network);
    assert_eq!(wanted.settings.server.greeting().as_bytes(), b"hi");
    assert!(wanted.generated.is_none());

    let wanted = asked(&[("mode", "ap")], None)
        .over(Ok(&stored), not_asked)
        .unwrap();
    assert_eq!(wanted.settings.network.ssid(), None);
    assert_eq!(wanted.settings.server.workers().get(), 7);
    assert!(wanted.generated.is_some());

    let renamed = asked(&[("ssid", "desk")], None);
    let again = renamed.over(Ok(&wanted.settings), not_asked).unwrap();
    assert_eq!(
        again.settings.network.security(),
        wanted.settings.network.security()
    );
}

#[test]
fn another_network_needs_another_passphrase() {
    let home = [("mode", "sta"), ("ssid", "home")];
    let stored = asked(&home, Some(wpa2("secret of home")))
        .over(Err(NoStoredSettings::Blank), not_asked)
        .unwrap()
        .settings;
    let moved = asked(&[("ssid", "office")], None).over(Ok(&stored), |ssid| {
        assert_eq!(ssid.to_string(), "office");
        Ok(Passphrase::new("secret of office").unwrap())
    });
    let network = moved.unwrap().settings.network;
    assert_eq!(*network.security(), wpa2("secret of office"));
    let same = asked(&[("ssid", "home")], None)
        .over(Ok(&stored), not_asked)
        .unwrap();
    assert_eq!(same.settings, stored);
}

#[test]
fn missing_setting_is_requested_by_its_option() {
    for (options, hint) in [
        (&[("workers", "2")][..], "--mode ap"),
        (&[("mode", "sta")], "--ssid NAME"),
    ] {
        let refused = asked(options, None)
            .over(Err(NoStoredSettings::Blank), not_asked)
            .unwrap_err();
        assert!(format!("{refused:?}").contains(hint), "{refused:?}");
    }
}

#[test]
fn a_description_has_no_passphrase() {
    let wanted = asked(&[("mode", "ap")], Some(wpa2("hunter2hunter2")))
        .over(Err(NoStoredSettings::Blank), not_asked)
        .unwrap();
    let text = format!("{:?} {wanted:?}", described(&wanted.settings, None));
    assert!(!text.contains("hunter2"), "{text}");
}
