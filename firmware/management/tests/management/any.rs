//! Strategies for arbitrary messages.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tcpctl_settings::sectors::ConfirmTimeout;
use tcpctl_settings::{
    Backlog, Changes, Channel, Greeting, HostName, ManagementKey, MaxStations, Mode, Network,
    NoStoredSettings, Passphrase, RequestTimeout, Security, Settings, Ssid, TcpPort, Workers,
};

fn security() -> impl Strategy<Value = Security> {
    prop_oneof![
        Just(Security::Open),
        "[ -~]{8,63}|[0-9a-fA-F]{64}"
            .prop_map(|secret| Security::Wpa2(Passphrase::new(&secret).unwrap()))
    ]
}

fn radio() -> impl Strategy<Value = Changes> {
    (
        option::of(prop_oneof![Just(Mode::Station), Just(Mode::AccessPoint)]),
        option::of(vec(any::<u8>(), 1..=32)),
        option::of(security()),
        option::of(1..=13u32),
        option::of(1..=10u32),
        option::of("[0-9A-Za-z]([0-9A-Za-z-]{0,30}[0-9A-Za-z])?"),
    )
        .prop_map(
            |(mode, ssid, security, channel, max_stations, host_name)| Changes {
                mode,
                ssid: ssid.map(|ssid| Ssid::new(ssid).unwrap()),
                security,
                channel: channel.map(|number| Channel::new(number).unwrap()),
                max_stations: max_stations.map(|number| MaxStations::new(number).unwrap()),
                host_name: host_name.map(|name| HostName::new(&name).unwrap()),
                ..Changes::default()
            },
        )
}

pub(crate) fn changes() -> impl Strategy<Value = Changes> {
    (
        radio(),
        option::of(vec(any::<u8>(), 1..=256)),
        option::of(1..=65535u32),
        option::of(1..=32u32),
        option::of(0..=32u32),
        option::of(0..=600_000u32),
        any::<[Option<bool>; 4]>(),
    )
        .prop_map(
            |(radio, greeting, port, workers, backlog, timeout, switches)| {
                let [services, status, commands, management] = switches;
                Changes {
                    greeting: greeting.map(|bytes| Greeting::new(bytes).unwrap()),
                    port: port.map(|number| TcpPort::new(number).unwrap()),
                    workers: workers.map(|number| Workers::new(number).unwrap()),
                    backlog: backlog.map(|number| Backlog::new(number).unwrap()),
                    request_timeout: timeout
                        .map(|millis| RequestTimeout::from_millis(millis).unwrap()),
                    services: services.map(Into::into),
                    status: status.map(Into::into),
                    commands: commands.map(Into::into),
                    management: management.map(Into::into),
                    ..radio
                }
            },
        )
}

/// Settings with a key.
pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    (changes(), security(), any::<[u8; 32]>()).prop_filter_map(
        "settings that do not fit each other",
        |(changes, security, key)| {
            let base = Settings::new(Network::AccessPoint {
                ssid: None,
                security,
            });
            let settings = base
                .with_changes(&changes)
                .or_else(|_| changes.to_settings(NoStoredSettings::Unread));
            Some(Settings {
                management_key: Some(ManagementKey::new(key)),
                ..settings.ok()?
            })
        },
    )
}

pub(crate) fn confirm_timeout() -> impl Strategy<Value = ConfirmTimeout> {
    (10..=3600u16).prop_map(|seconds| ConfirmTimeout::from_secs(seconds).unwrap())
}
