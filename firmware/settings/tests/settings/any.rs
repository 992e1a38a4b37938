//! Strategies for arbitrary settings.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tcpctl_settings::{
    Backlog, Channel, Greeting, HostName, ManagementKey, MaxStations, Network, Passphrase, Record,
    RecordKind, RequestTimeout, Security, ServerParts, ServerSettings, Settings, Ssid, TcpPort,
    Workers,
};

fn ssid() -> impl Strategy<Value = Ssid> {
    vec(any::<u8>(), 1..=32).prop_map(|bytes| Ssid::new(bytes).unwrap())
}

/// Security with a passphrase.
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
        any::<[bool; 4]>(),
    )
        .prop_filter_map(
            "the port is used by another server",
            |(port, greeting, workers, backlog, request_timeout, switches)| {
                let [services, status, commands, management] = switches;
                ServerSettings::new(ServerParts {
                    port: TcpPort::new(port).unwrap(),
                    greeting: Greeting::new(greeting).unwrap(),
                    workers: Workers::new(workers).unwrap(),
                    backlog: Backlog::new(backlog).unwrap(),
                    request_timeout: RequestTimeout::from_millis(request_timeout).unwrap(),
                    services: services.into(),
                    status: status.into(),
                    commands: commands.into(),
                    management: management.into(),
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
        option::of(any::<[u8; 32]>()),
    )
        .prop_map(
            |(network, channel, max_stations, host_name, server, key)| Settings {
                network,
                channel: Channel::new(channel).unwrap(),
                max_stations: MaxStations::new(max_stations).unwrap(),
                host_name,
                server,
                management_key: key.map(ManagementKey::new),
            },
        )
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![Just(RecordKind::Permanent), Just(RecordKind::Trial)];
    (settings(), any::<u32>(), kind).prop_map(|(settings, sequence, kind)| Record {
        settings,
        sequence,
        kind,
    })
}
