//! Changes apply; settings of another network are discarded; everything else is kept.

use proptest::prelude::*;
use tcpctl_settings::{
    Changes, Channel, Commands, Field, Greeting, HostName, Invalid, Management, MaxStations, Mode,
    Network, NoStoredSettings, Passphrase, Reason, RequestTimeout, Security, Services, Settings,
    Ssid, Status, TcpPort, Workers,
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
        prop_assert_eq!(settings.with_changes(&Changes::default()), Ok(settings));
    }

    #[test]
    fn the_stored_mode_changes_nothing(settings in any::settings()) {
        let again = mode(settings.network.mode());
        prop_assert_eq!(settings.with_changes(&again), Ok(settings));
    }

    #[test]
    fn another_network_replaces_only_the_network(
        stored in any::settings(),
        network in any::network(),
    ) {
        let changes = Changes {
            mode: Some(network.mode()),
            ssid: network.ssid().cloned(),
            security: Some(network.security().clone()),
            ..Changes::default()
        };
        let changed = stored.with_changes(&changes).unwrap();
        // An access point without a given SSID keeps its stored one.
        if network.ssid().is_some() || stored.network.mode() != network.mode() {
            prop_assert_eq!(&changed.network, &network);
        }
        prop_assert_eq!(Settings { network: stored.network.clone(), ..changed }, stored);
    }

    #[test]
    fn another_mode_discards_ssid_and_passphrase(stored in any::settings()) {
        let (other, refused) = match stored.network.mode() {
            Mode::AccessPoint => (Mode::Station, Reason::NoSsid),
            Mode::Station => (Mode::AccessPoint, Reason::NoSecurity),
        };
        let result = stored.with_changes(&mode(other));
        prop_assert_eq!(result.map_err(|invalid| invalid.reason), Err(refused));
    }
}

#[test]
fn change_affects_one_setting() {
    let stored = access_point();
    let changes = Changes {
        greeting: Some(Greeting::new("hi").unwrap()),
        ..Changes::default()
    };
    let new = stored.with_changes(&changes).unwrap();
    assert_eq!(new.server.greeting().as_bytes(), b"hi");
    let server = stored.server.clone();
    assert_eq!(Settings { server, ..new }, stored);
}

#[test]
fn every_setting_can_be_changed() {
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
        commands: Some(Commands::On),
        management: Some(Management::Off),
    };
    let new = access_point().with_changes(&changes).unwrap();
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
    assert_eq!(server.commands, Commands::On);
    assert_eq!(server.management, Management::Off);
}

#[test]
fn ssid_and_passphrase_change_independently() {
    let renamed = station()
        .with_changes(&Changes {
            ssid: Some(ssid("attic")),
            ..Changes::default()
        })
        .unwrap();
    assert_eq!(renamed.network.security(), &wpa2("battery staple"));

    let rekeyed = station()
        .with_changes(&Changes {
            security: Some(Security::Open),
            ..Changes::default()
        })
        .unwrap();
    assert_eq!(rekeyed.network.ssid(), Some(&ssid("home")));
    assert_eq!(rekeyed.network.security(), &Security::Open);
}

#[test]
fn access_point_is_never_open_by_omission() {
    assert_refused(
        station().with_changes(&mode(Mode::AccessPoint)),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    assert_refused(
        mode(Mode::AccessPoint).to_settings(NoStoredSettings::Blank),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    let open = Changes {
        security: Some(Security::Open),
        ..mode(Mode::AccessPoint)
    };
    assert_eq!(
        open.to_settings(NoStoredSettings::Blank),
        Ok(Settings::new(Network::AccessPoint {
            ssid: None,
            security: Security::Open
        }))
    );
}

#[test]
fn station_needs_ssid_and_security() {
    assert_refused(
        mode(Mode::Station).to_settings(NoStoredSettings::Blank),
        Field::Ssid,
        Reason::NoSsid,
    );
    let named = Changes {
        ssid: Some(ssid("home")),
        ..mode(Mode::Station)
    };
    assert_refused(
        named.to_settings(NoStoredSettings::Blank),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    assert_refused(
        access_point().with_changes(&named),
        Field::Passphrase,
        Reason::NoSecurity,
    );
    let protected = Changes {
        security: Some(wpa2("battery staple")),
        ..named
    };
    assert_eq!(
        protected.to_settings(NoStoredSettings::Blank),
        Ok(station())
    );
}

#[test]
fn mode_is_required_where_none_is_stored() {
    let changes = Changes {
        security: Some(Security::Open),
        ..Changes::default()
    };
    for why in [
        NoStoredSettings::Blank,
        NoStoredSettings::Erased,
        NoStoredSettings::Unread,
    ] {
        assert_refused(changes.to_settings(why), Field::Mode, Reason::NoMode(why));
    }
}

#[test]
fn station_keeps_settings_of_the_access_point() {
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
        .with_changes(&to_station)
        .and_then(|station| station.with_changes(&to_access_point))
        .unwrap();
    assert_eq!(back.channel.get(), 6);
    assert_eq!(back.max_stations.get(), 2);
    assert_eq!(back.host_name, access_point().host_name);
    assert_eq!(back.network.ssid(), None);
}

#[test]
fn settings_without_effect_are_refused() {
    let channel = Changes {
        channel: Some(Channel::MAX),
        ..Changes::default()
    };
    let stations = Changes {
        max_stations: Some(MaxStations::MAX),
        ..Changes::default()
    };
    assert!(access_point().with_changes(&channel).is_ok());
    assert!(access_point().with_changes(&stations).is_ok());
    assert_refused(
        station().with_changes(&channel),
        Field::Channel,
        Reason::NotForStation,
    );
    assert_refused(
        station().with_changes(&stations),
        Field::MaxStations,
        Reason::NotForStation,
    );
}

#[test]
fn result_is_checked_as_a_whole() {
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
    let on_echo_port = station().with_changes(&echo_port).unwrap();
    assert_refused(
        on_echo_port.with_changes(&services),
        Field::TcpPort,
        refused,
    );
    let with_services = station().with_changes(&services).unwrap();
    assert_refused(
        with_services.with_changes(&echo_port),
        Field::TcpPort,
        refused,
    );
}
