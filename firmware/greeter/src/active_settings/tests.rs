extern crate std;
use core::cell::Cell;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use tcpctl_settings::{
    Backlog, DecodeError, Field, Invalid, MaxStations, Reason, ServerParts, ServerSettings, Workers,
};

use super::*;
use crate::boot_loop::{NO_RECORD, Start};
use crate::memory::Memory;

const SECRET: &str = "correct horse battery";
const AP_MAC: [u8; 6] = [2, 0, 0, 0x1a, 0x2b, 0x3d];
const STA_MAC: [u8; 6] = [2, 0, 0, 0x1a, 0x2b, 0x3c];
const C3: Limits = Limits {
    stations: 10,
    memory: Memory::of("esp32c3"),
};
const C2: Limits = Limits {
    stations: 4,
    memory: Memory::of("esp32c2"),
};

/// A radio whose driver follows a script and records its configurations.
#[derive(Default)]
struct Script {
    results: Vec<Result<(), DriverError>>,
    configured: Vec<(Mode, Vec<u8>, Security, u8, u8)>,
}

impl Script {
    fn with_results(results: &[Result<(), DriverError>]) -> Self {
        Self {
            results: results.to_vec(),
            configured: Vec::new(),
        }
    }
}

impl Radio for Script {
    fn mac_address(&self, mode: Mode) -> [u8; 6] {
        match mode {
            Mode::AccessPoint => AP_MAC,
            Mode::Station => STA_MAC,
        }
    }

    fn apply(&mut self, config: &RadioConfig<'_>) -> Result<(), DriverError> {
        self.configured.push((
            config.mode,
            config.ssid.as_bytes().to_vec(),
            config.security.clone(),
            config.channel,
            config.stations,
        ));
        self.results.remove(0)
    }
}

fn generator(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    }
}

fn wpa2() -> Security {
    Security::Wpa2(Passphrase::new(SECRET).unwrap())
}

fn station(ssid: &[u8], security: Security) -> Settings {
    Settings::new(Network::Station {
        ssid: Ssid::new(ssid).unwrap(),
        security,
    })
}

fn access_point(security: Security) -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: Some(Ssid::new("workshop").unwrap()),
        security,
    })
}

/// The console lines of a start.
fn lines(active: &ActiveSettings) -> Vec<String> {
    let mut lines = vec![
        active
            .banner("0.1.0", Reset::PowerOn, &TrialRun::new(None))
            .to_string(),
    ];
    active.describe(|line| lines.push(line.to_string()));
    lines
}

fn choose(stored: Result<Settings, Missing>, radio: &mut Script, limits: Limits) -> Vec<String> {
    lines(&ActiveSettings::apply(stored, radio, limits, generator(7)).unwrap())
}

/// Asserts that the board has opened its default network and printed its passphrase, but no part of
/// the stored one.
fn assert_reachable(radio: &Script, lines: &[String]) {
    let (mode, ssid, security, ..) = radio.configured.last().unwrap();
    assert_eq!((*mode, &ssid[..]), (Mode::AccessPoint, &b"tcpctl-2b3d"[..]));
    let Security::Wpa2(passphrase) = security else {
        panic!("the network is open");
    };
    let entrance = format!(
        "access point ssid=\"tcpctl-2b3d\" passphrase=\"{}\"",
        passphrase.reveal()
    );
    assert_eq!(lines.last(), Some(&entrance));
    assert!(
        lines[0].contains(" mac=02:00:00:1a:2b:3d mode=ap settings=default ")
            && lines[0].contains(" security=wpa2 ssid=\"tcpctl-2b3d\""),
        "{lines:?}"
    );
    for word in SECRET.split(' ') {
        assert!(!lines.iter().any(|line| line.contains(word)), "{lines:?}");
    }
}

#[test]
fn stored_settings_apply_without_showing_the_passphrase() {
    for settings in [station(b"home", wpa2()), access_point(wpa2())] {
        let mut radio = Script::with_results(&[Ok(())]);
        let printed = choose(Ok(settings.clone()), &mut radio, C3);
        let (mode, name, security, channel, stations) = &radio.configured[0];
        assert_eq!(*mode, settings.network.mode());
        assert_eq!(name, settings.network.ssid().unwrap().as_bytes());
        assert_eq!(security, settings.network.security());
        assert_eq!((*channel, *stations), (1, 4));
        assert_eq!(printed.len(), 1, "{printed:?}");
        assert!(printed[0].contains(" settings=flash "), "{printed:?}");
        assert!(printed[0].contains(" security=wpa2 "), "{printed:?}");
        assert!(!printed[0].contains("horse"), "{printed:?}");
    }
}

#[test]
fn banner_shows_ssid_and_open_security() {
    let mut radio = Script::with_results(&[Ok(()), Ok(())]);
    let printed = choose(Ok(access_point(Security::Open)), &mut radio, C3);
    assert_eq!(
        printed,
        [
            "tcpctl-firmware v=0.1.0 chip=esp32c3 mac=02:00:00:1a:2b:3d mode=ap settings=flash \
             reset=power-on security=open ssid=\"workshop\""
        ]
    );
    let printed = choose(
        Ok(station(b"caf\xe9 \"x\"\r\n\0", Security::Open)),
        &mut radio,
        C3,
    );
    assert!(printed[0].contains(" mode=ap "), "a zero byte: {printed:?}");
    let mut radio = Script::with_results(&[Ok(())]);
    let printed = choose(
        Ok(station(b"caf\xe9 \"x\"\r\n\x1b", Security::Open)),
        &mut radio,
        C3,
    );
    assert!(
        printed[0].ends_with(
            r#" mode=sta settings=flash reset=power-on security=open ssid="caf\xe9 \"x\"\r\n\x1b""#
        ),
        "{printed:?}"
    );
}

#[test]
fn rejected_settings_are_reported_and_defaults_apply() {
    for settings in [station(b"home", wpa2()), access_point(wpa2())] {
        for error in DriverError::ALL {
            let mut radio = Script::with_results(&[Err(error), Ok(())]);
            let printed = choose(Ok(settings.clone()), &mut radio, C3);
            assert_reachable(&radio, &printed);
            assert_eq!(printed[1], format!("settings rejected reason=\"{error}\""));
            assert_eq!(printed.len(), 3, "{printed:?}");
        }
    }
}

/// A board whose trial is rejected restarts with the previous settings instead.
#[test]
fn rejection_is_known_to_the_trial() {
    for (results, is_rejected) in [
        (&[Ok(())][..], false),
        (&[Err(DriverError::Passphrase), Ok(())], true),
    ] {
        let mut radio = Script::with_results(results);
        let stored = Ok(station(b"home", wpa2()));
        let active = ActiveSettings::apply(stored, &mut radio, C3, generator(7)).unwrap();
        assert_eq!(active.is_rejected(), is_rejected);
    }
    let mut radio = Script::with_results(&[Ok(())]);
    let missing = Err(Missing::NoPartition);
    let active = ActiveSettings::apply(missing, &mut radio, C3, generator(7)).unwrap();
    assert!(!active.is_rejected(), "there is nothing to reject");
}

#[test]
fn rejected_passphrase_is_reported_but_not_shown() {
    let mut radio = Script::with_results(&[Err(DriverError::Passphrase), Ok(())]);
    let printed = choose(Ok(station(b"home", wpa2())), &mut radio, C3);
    assert_reachable(&radio, &printed);
    assert_eq!(
        printed[1],
        "settings rejected reason=\"the radio rejects the passphrase\""
    );
}

#[test]
fn zero_byte_in_the_ssid_never_reaches_the_driver() {
    let mut radio = Script::with_results(&[Ok(())]);
    let printed = choose(Ok(station(b"ho\0me", wpa2())), &mut radio, C3);
    assert_reachable(&radio, &printed);
    assert_eq!(radio.configured.len(), 1, "only the defaults");
    assert_eq!(
        printed[1],
        "settings rejected reason=\"the radio cannot join an SSID with a zero byte\""
    );
}

#[test]
fn missing_settings_are_reported_and_defaults_apply() {
    let taken = Invalid {
        field: Field::TcpPort,
        reason: Reason::PortTaken {
            port: 7,
            service: "echo",
        },
    };
    let first = Start::after(Reset::PowerOn, NO_RECORD, 1);
    let record = first.rejected_record(DriverError::Passphrase);
    let rejected = Start::after(Reset::Software, record, 1);
    for (missing, words) in [
        (Missing::Unreadable, "cannot be read"),
        (Missing::NoPartition, "no partition"),
        (
            Missing::Unusable(DecodeError::Blank),
            "no settings are stored",
        ),
        (Missing::Unusable(DecodeError::Torn), "incomplete"),
        (Missing::Unusable(DecodeError::Corrupted), "damaged"),
        (
            Missing::Unusable(DecodeError::Newer { version: 9 }),
            "format 9, newer than",
        ),
        (
            Missing::Unusable(DecodeError::Invalid(taken)),
            "tcp-port: port 7 is used by echo",
        ),
        (
            Missing::Ignored(rejected.ignore_reason().unwrap()),
            "rejects the passphrase",
        ),
    ] {
        let mut radio = Script::with_results(&[Ok(())]);
        let printed = choose(Err(missing), &mut radio, C3);
        assert_reachable(&radio, &printed);
        assert!(
            printed[1].starts_with("settings default reason=\""),
            "{printed:?}"
        );
        assert!(printed[1].contains(words), "{printed:?}");
        assert_eq!(printed.len(), 3, "{printed:?}");
    }
}

#[test]
fn default_passphrase_is_new_at_each_start() {
    let passphrase = |seed| {
        let mut radio = Script::with_results(&[Ok(())]);
        let stored = Err(Missing::Unusable(DecodeError::Blank));
        ActiveSettings::apply(stored, &mut radio, C3, generator(seed)).unwrap();
        match &radio.configured[0].2 {
            Security::Wpa2(passphrase) => passphrase.reveal().to_string(),
            Security::Open => panic!("the network is open"),
        }
    };
    let mut seen: Vec<String> = (0..100).map(passphrase).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().all(|it| it.len() == 16), "{seen:?}");
}

#[test]
fn random_numbers_are_taken_while_the_radio_is_on() {
    /// The driver switches the radio off at the first refusal.
    struct Noise<'c>(&'c Cell<bool>);

    impl Radio for Noise<'_> {
        fn mac_address(&self, _: Mode) -> [u8; 6] {
            AP_MAC
        }

        fn apply(&mut self, _: &RadioConfig<'_>) -> Result<(), DriverError> {
            if self.0.replace(false) {
                return Err(DriverError::Passphrase);
            }
            Ok(())
        }
    }

    let on = Cell::new(true);
    let mut numbers = generator(7);
    let random = || {
        assert!(on.get(), "no noise is left");
        numbers()
    };
    let stored = Ok(station(b"home", wpa2()));
    assert!(ActiveSettings::apply(stored, &mut Noise(&on), C3, random).is_ok());
}

#[test]
fn rejected_defaults_are_an_error() {
    let mut radio = Script::with_results(&[Err(DriverError::Ssid), Err(DriverError::Memory)]);
    let ended = ActiveSettings::apply(Ok(station(b"home", wpa2())), &mut radio, C3, generator(7));
    assert_eq!(ended.unwrap_err(), Rejected::Driver(DriverError::Memory));
}

#[test]
fn settings_beyond_the_chip_limits_are_reduced() {
    let server = ServerSettings::new(ServerParts {
        workers: Workers::new(12).unwrap(),
        backlog: Backlog::new(8).unwrap(),
        ..ServerParts::default()
    });
    let settings = Settings {
        max_stations: MaxStations::new(10).unwrap(),
        server: server.unwrap(),
        ..access_point(wpa2())
    };
    let mut radio = Script::with_results(&[Ok(()), Ok(())]);
    let active = ActiveSettings::apply(Ok(settings.clone()), &mut radio, C2, generator(7)).unwrap();
    let printed = lines(&active);
    assert_eq!(
        printed[1..],
        [
            "settings reduced max-stations=4 reason=\"limit of the esp32c2 radio\"",
            "settings reduced workers=8 backlog=0 reason=\"esp32c2 has memory for 8 connections\"",
        ]
    );
    assert_eq!(radio.configured[0].4, 4);
    assert_eq!((active.server().workers, active.server().backlog), (8, 0));
    assert!(active.reduced().max_stations && active.reduced().slots);
    assert!(printed[0].contains(" settings=flash "), "{printed:?}");
    let printed = choose(Ok(settings), &mut radio, C3);
    assert_eq!(printed.len(), 1, "{printed:?}");
    assert_eq!(radio.configured[1].4, 10);
}

/// A start of `limits` with 16+16 connections and the services on.
fn with_everything_on(limits: Limits) -> (ActiveSettings, Vec<String>) {
    let server = ServerSettings::new(ServerParts {
        workers: Workers::new(16).unwrap(),
        backlog: Backlog::new(16).unwrap(),
        services: Services::On,
        ..ServerParts::default()
    });
    let settings = Settings {
        server: server.unwrap(),
        ..access_point(wpa2())
    };
    let mut radio = Script::with_results(&[Ok(())]);
    let active = ActiveSettings::apply(Ok(settings), &mut radio, limits, generator(7)).unwrap();
    let printed = lines(&active)[1..].to_vec();
    (active, printed)
}

#[test]
fn services_reduce_connections_and_themselves() {
    let slots = |workers: usize, backlog: usize, chip: &str| {
        format!(
            "settings reduced workers={workers} backlog={backlog} \
             reason=\"{chip} has memory for {} connections\"",
            workers + backlog
        )
    };
    let services =
        |chip: &str| format!("services reduced connections=1 reason=\"memory of the {chip}\"");
    for (chip, expected) in [
        ("esp32", vec![slots(16, 0, "esp32")]),
        ("esp32c2", vec![slots(6, 0, "esp32c2"), services("esp32c2")]),
        ("esp32c3", vec![slots(16, 10, "esp32c3")]),
        ("esp32c6", vec![]),
        (
            "esp32c61",
            vec![slots(15, 0, "esp32c61"), services("esp32c61")],
        ),
    ] {
        let limits = Limits {
            stations: 10,
            memory: Memory::of(chip),
        };
        let (active, printed) = with_everything_on(limits);
        assert_eq!(printed, expected);
        let reduced = Reduced {
            max_stations: false,
            slots: printed
                .iter()
                .any(|line| line.starts_with("settings reduced")),
            services: printed
                .iter()
                .any(|line| line.starts_with("services reduced")),
        };
        assert_eq!(active.reduced(), reduced, "{chip}");
        assert_eq!(active.server().slots(), active.capacity().slots, "{chip}");
    }
}

#[test]
fn station_ignores_max_stations() {
    let settings = Settings {
        max_stations: MaxStations::new(10).unwrap(),
        ..station(b"home", wpa2())
    };
    let mut radio = Script::with_results(&[Ok(())]);
    let printed = choose(Ok(settings), &mut radio, C2);
    assert_eq!(printed.len(), 1, "{printed:?}");
}

#[test]
fn host_name_defaults_to_the_mac() {
    let mut radio = Script::with_results(&[Ok(()), Ok(())]);
    let settings = station(b"home", wpa2());
    let name = |settings, radio: &mut Script| {
        let active = ActiveSettings::apply(Ok(settings), radio, C3, generator(7)).unwrap();
        active.host_name().to_string()
    };
    assert_eq!(name(settings.clone(), &mut radio), "tcpctl-2b3c");
    let named = Settings {
        host_name: Some("desk-2".parse().unwrap()),
        ..settings
    };
    assert_eq!(name(named, &mut radio), "desk-2");
}
