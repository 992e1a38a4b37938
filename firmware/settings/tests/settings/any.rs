//! Any settings that can be.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tcpctl_settings::{
    Backlog, Channel, Greeting, HostName, MaxStations, Network, Passphrase, RequestTimeout,
    Security, ServerParts, ServerSettings, Services, Settings, Ssid, Status, TcpPort, Workers,
};

fn ssid() -> impl Strategy<Value = Ssid> {
    vec(any::<u8>(), 1..=32).prop_map(|bytes| Ssid::new(bytes).unwrap())
}

/// With a passphrase.
pub(crate) fn wpa2() -> impl Strategy<Value = Security> {
    "[ -~]{8,63}|[0-9a-fA-F]{64}"
        .prop_map(|secret| Security::Wpa2(Passphrase::new(&secret).unwrap()))
}

pub(crate) fn security() -> impl Strategy<Value = Security> {
    prop_oneof![Just(Security::Open), wpa2()]
}

pub(crate) fn network() -> impl Strategy<Value = Network> {
    prop_oneof![
        (option::of(ssid()), security())
            .prop_map(|(ssid, security)| Network::AccessPoint { ssid, security }),
        (ssid(), security()).prop_map(|(ssid, security)| Network::Station { ssid, security }),
    ]
}

fn host_name() -> impl Strategy<Value = HostName> {
    "[0-9A-Za-z]([0-9A-Za-z-]{0,30}[0-9A-Za-z])?".prop_map(|name| HostName::new(&name).unwrap())
}

fn server() -> impl Strategy<Value = ServerSettings> {
    (
        1..=65535u32,
        vec(any::<u8>(), 1..=256),
        1..=32u32,
        0..=32u32,
        0..=600_000u32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_filter_map(
            "the port is a service's",
            |(port, greeting, workers, backlog, request_timeout, services, status)| {
                ServerSettings::new(ServerParts {
                    port: TcpPort::new(port).unwrap(),
                    greeting: Greeting::new(greeting).unwrap(),
                    workers: Workers::new(workers).unwrap(),
                    backlog: Backlog::new(backlog).unwrap(),
                    request_timeout: RequestTimeout::from_millis(request_timeout).unwrap(),
                    services: if services {
                        Services::On
                    } else {
                        Services::Off
                    },
                    status: if status { Status::On } else { Status::Off },
                })
                .ok()
            },
        )
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    (
        network(),
        1..=13u32,
        1..=10u32,
        option::of(host_name()),
        server(),
    )
        .prop_map(
            |(network, channel, max_stations, host_name, server)| Settings {
                network,
                channel: Channel::new(channel).unwrap(),
                max_stations: MaxStations::new(max_stations).unwrap(),
                host_name,
                server,
            },
        )
}
