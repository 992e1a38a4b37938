//! Changing a board: what is given is taken, what belongs to another network is dropped, all else
//! is kept.

use proptest::prelude::*;
use tcpctl_settings::{
    Afresh, Changes, Channel, Field, Greeting, HostName, Invalid, MaxStations, Mode, Network,
    Passphrase, Reason, RequestTimeout, Security, Services, Settings, Ssid, Status, TcpPort,
    Workers,
};

use crate::any;

fn ssid(name: &str) -> Ssid {
    Ssid::new(name).unwrap()
}

fn wpa2(passphrase: &str) -> Security {
    Security::Wpa2(Passphrase::new(passphrase).unwrap())
}

fn access_point() -> Settings {
    Settings {
        channel: Channel::new(6).unwrap(),
        max_stations: MaxStations::new(2).unwrap(),
        host_name: Some(HostName::new("greeter").unwrap()),
        ..Settings::new(Network::AccessPoint {
            ssid: Some(ssid("desk")),
            security: wpa2("correct horse"),
        })
    }
}

fn station() -> Settings {
    Settings::new(Network::Station {
        ssid: ssid("home"),
        security: wpa2("battery staple"),
    })
}

fn mode(mode: Mode) -> Changes {
    Changes {
        mode: Some(mode),
        ..Changes::default()
    }
}

#[track_caller]
fn assert_refused(result: Result<Settings, Invalid>, field: Field, reason: Reason) {
    assert_eq!(result.unwrap_err(), Invalid { field, reason });
}

proptest! {
    #[test]
    fn no_changes_change_nothing(settings in any::settings()) {
        prop_assert!(Changes::default().is_empty());
        prop_assert_eq!(settings.overridden_by(&Changes::default()), Ok(settings));
    }

    #[test]
    fn saying_the_stored_mode_again_changes_nothing(settings in any::settings()) {
        let again = mode(settings.network.mode());
        prop_assert_eq!(settings.overridden_by(&again), Ok(settings));
    }

    #[test]
    fn another_network_replaces_the_stored_one_and_nothing_else(
        stored in any::settings(),
        network in any::network(),
    ) {
        let changes = Changes {
            mode: Some(network.mode()),
            ssid: network.ssid().cloned(),
            security: Some(network.security().clone()),
            ..Changes::default()
        };
        let changed = stored.overridden_by(&changes).unwrap();
        // An access point that is given no name keeps the one that it had as an access point.
        if network.ssid().is_some() || stored.network.mode() != network.mode() {
            prop_assert_eq!(&changed.network, &network);
        }
        prop_assert_eq!(Settings { network: stored.network.clone(), ..changed }, stored);
    }

    #[test]
    fn another_mode_discards_the_stored_name_and_key(stored in any::settings()) {
        let (other, refused) = match stored.network.mode() {
            Mode::AccessPoint => (Mode::Station, Reason::NoSsid),
            Mode::Station => (Mode::AccessPoint, Reason::NoSecurity),
        };
        let result = stored.overridden_by(&mode(other));
        prop_assert_eq!(result.map_err(|invalid| invalid.reason), Err(refused));
    }
}

#[test]
fn one_setting_is_overridden_alone() {
    let stored = access_point();
    let changes = Changes {
        greeting: Some(Greeting::new("hi").unwrap()),
        ..Changes::default()
    };
    let new = stored.overridden_by(&changes).unwrap();
    assert_eq!(new.server.greeting().as_bytes(), b"hi");
    let server = stored.server.clone();
    assert_eq!(Settings { server, ..new }, stored);
}

#[test]
fn every_setting_can_be_overridden() {
    let changes = Changes {
        mode: Some(Mode::AccessPoint),
        ssid: Some(ssid("lab")),
        security: Some(Security::Open),
        channel: Some(Channel::new(11).unwrap()),
        max_stations: Some(MaxStations::MAX),
        host_name: Some(HostName::new("lab-1").unwrap()),
        port: Some(TcpPort::new(4000).unwrap()),
        greeting: Some(Greeting::new("hi").unwrap()),
        workers: Some(Workers::MAX),
        backlog: Some("0".parse().unwrap()),
        request_timeout: Some(RequestTimeout::NONE),
        services: Some(Services::On),
        status: Some(Status::Off),
    };
    let new = access_point().overridden_by(&changes).unwrap();
    assert_eq!(new.network.ssid(), Some(&ssid("lab")));
    assert_eq!(new.network.security(), &Security::Open);
    assert_eq!(new.channel.get(), 11);
    assert_eq!(new.max_stations, MaxStations::MAX);
    assert_eq!(new.host_name.as_ref().unwrap().as_str(), "lab-1");
    let server = new.server.into_parts();
    assert_eq!(server.port.get(), 4000);
    assert_eq!(server.greeting.as_bytes(), b"hi");
    assert_eq!(server.workers, Workers::MAX);
    assert_eq!(server.backlog.get(), 0);
    assert_eq!(server.request_timeout.as_millis(), 0);
    assert_eq!(server.services, Services::On);
    assert_eq!(server.status, Status::Off);
}

#[test]
fn a_new_name_in_the_same_mode_keeps_the_key_and_the_other_way_round() {
    let renamed = station()
        .overridden_by(&Changes {
            ssid: Some(ssid("attic")),
            ..Changes::default()
        })
        .unwrap();
    assert_eq!(renamed.network.security(), &wpa2("battery staple"));

    let rekeyed = station()
        .overridden_by(&Changes {
            security: Some(Security::Open),
            ..Changes::default()
        })
        .unwrap();
    assert_eq!(rekeyed.network.ssid(), Some(&ssid("home")));
    assert_eq!(rekeyed.network.security(), &Security::Open);
}

#[test]
fn an_access_point_is_never_open_by_omission() {
    assert_refused(
        station().overridden_by(&mode(Mode::AccessPoint)),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    assert_refused(
        mode(Mode::AccessPoint).to_settings(Afresh::Blank),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    let open = Changes {
        security: Some(Security::Open),
        ..mode(Mode::AccessPoint)
    };
    assert_eq!(
        open.to_settings(Afresh::Blank),
        Ok(Settings::new(Network::AccessPoint {
            ssid: None,
            security: Security::Open
        }))
    );
}

#[test]
fn a_station_needs_a_name_and_a_word_on_its_protection() {
    assert_refused(
        mode(Mode::Station).to_settings(Afresh::Blank),
        Field::Ssid,
        Reason::NoSsid,
    );
    let named = Changes {
        ssid: Some(ssid("home")),
        ..mode(Mode::Station)
    };
    assert_refused(
        named.to_settings(Afresh::Blank),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    assert_refused(
        access_point().overridden_by(&named),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    let protected = Changes {
        security: Some(wpa2("battery staple")),
        ..named
    };
    assert_eq!(protected.to_settings(Afresh::Blank), Ok(station()));
}

#[test]
fn without_a_stored_mode_one_is_needed() {
    let changes = Changes {
        security: Some(Security::Open),
        ..Changes::default()
    };
    for (afresh, words) in [
        (
            Afresh::Blank,
            "mode: missing, and the board has none stored; choose ap ",
        ),
        (
            Afresh::Erased,
            "mode: missing, and erasing takes what the board has stored; choose ap ",
        ),
        (Afresh::Unseen, "mode: missing; choose ap "),
    ] {
        let refused = changes.to_settings(afresh).unwrap_err();
        assert_eq!(refused.reason, Reason::NoMode(afresh));
        let said = refused.to_string();
        assert!(said.starts_with(words), "{said}");
    }
}

#[test]
fn a_station_keeps_the_channel_for_the_day_when_it_is_an_access_point_again() {
    let to_station = Changes {
        ssid: Some(ssid("home")),
        security: Some(Security::Open),
        ..mode(Mode::Station)
    };
    let to_access_point = Changes {
        security: Some(Security::Open),
        ..mode(Mode::AccessPoint)
    };
    let back = access_point()
        .overridden_by(&to_station)
        .and_then(|station| station.overridden_by(&to_access_point))
        .unwrap();
    assert_eq!(back.channel.get(), 6);
    assert_eq!(back.max_stations.get(), 2);
    assert_eq!(back.host_name, access_point().host_name);
    assert_eq!(back.network.ssid(), None);
}

#[test]
fn a_setting_without_effect_is_refused() {
    let channel = Changes {
        channel: Some(Channel::MAX),
        ..Changes::default()
    };
    let stations = Changes {
        max_stations: Some(MaxStations::MAX),
        ..Changes::default()
    };
    assert!(access_point().overridden_by(&channel).is_ok());
    assert!(access_point().overridden_by(&stations).is_ok());
    assert_refused(
        station().overridden_by(&channel),
        Field::Channel,
        Reason::NotForAStation,
    );
    assert_refused(
        station().overridden_by(&stations),
        Field::MaxStations,
        Reason::NotForAStation,
    );
}

#[test]
fn the_result_is_checked_as_a_whole() {
    let echo_port = Changes {
        port: Some(TcpPort::new(7).unwrap()),
        ..Changes::default()
    };
    let services = Changes {
        services: Some(Services::On),
        ..Changes::default()
    };
    let refused = Reason::PortTaken {
        port: 7,
        service: "echo",
    };
    // Each alone is right; the second makes the first wrong.
    let on_echo_port = station().overridden_by(&echo_port).unwrap();
    assert_refused(
        on_echo_port.overridden_by(&services),
        Field::TcpPort,
        refused,
    );
    let with_services = station().overridden_by(&services).unwrap();
    assert_refused(
        with_services.overridden_by(&echo_port),
        Field::TcpPort,
        refused,
    );
}
