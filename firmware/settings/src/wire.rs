//! The bodies of a block, one type per format version, as postcard reads and writes them.
//!
//! These types mirror flash and are not an API. A released version is never edited, because
//! postcard identifies fields and variants by their order alone.

use serde::{Deserialize, Serialize};

use crate::server::MANAGEMENT_PORT;
use crate::settings::{Record, RecordKind};
use crate::{
    Backlog, Channel, Greeting, HostName, Invalid, ManagementKey, MaxStations, Network, Passphrase,
    RequestTimeout, Security, ServerParts, ServerSettings, Settings, Ssid, TcpPort, Workers,
};

/// Maximum bytes of a version 4 body: every text at its longest, every number at its widest.
pub(crate) const MAX_BODY_LEN: usize =
    NETWORK + 1 + 1 + HOST_NAME + 3 + GREETING + 1 + 1 + 3 + 1 + 1 + SEQUENCE + 1 + KEY + 1 + 1;
/// Bytes of a network: variant; presence, length and bytes of the SSID; variant, length and bytes
/// of the passphrase.
const NETWORK: usize = 1 + (1 + 1 + Ssid::MAX_LEN) + (1 + 1 + Passphrase::MAX_LEN);
/// Bytes of a host name: presence, length, content.
const HOST_NAME: usize = 1 + 1 + HostName::MAX_LEN;
/// Bytes of a greeting: length (two bytes from 128 on), content.
const GREETING: usize = 2 + Greeting::MAX_LEN;
/// Bytes of a `u32` as a varint.
const SEQUENCE: usize = 5;
/// Bytes of a key: presence, content.
const KEY: usize = 1 + ManagementKey::LEN;

/// The first format, and the start of every later one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Version1<'a> {
    #[serde(borrow)]
    network: WireNetwork<'a>,
    channel: u8,
    max_stations: u8,
    host_name: Option<&'a str>,
    port: u16,
    greeting: &'a [u8],
    workers: u8,
    backlog: u8,
}

/// Format 2: adds the request timeout and the services.
#[derive(Serialize, Deserialize)]
pub(crate) struct Version2<'a> {
    #[serde(borrow)]
    base: Version1<'a>,
    request_timeout_ms: u32,
    services: bool,
}

/// Format 3: adds the status.
#[derive(Serialize, Deserialize)]
pub(crate) struct Version3<'a> {
    #[serde(borrow)]
    base: Version2<'a>,
    status: bool,
}

/// Format 4, the current one: adds what two sectors and management need.
#[derive(Serialize, Deserialize)]
pub(crate) struct Version4<'a> {
    #[serde(borrow)]
    base: Version3<'a>,
    sequence: u32,
    trial: bool,
    management_key: Option<[u8; ManagementKey::LEN]>,
    commands: bool,
    management: bool,
}

#[derive(Serialize, Deserialize)]
enum WireNetwork<'a> {
    AccessPoint {
        #[serde(borrow)]
        ssid: Option<&'a [u8]>,
        security: WireSecurity<'a>,
    },
    Station {
        ssid: &'a [u8],
        #[serde(borrow)]
        security: WireSecurity<'a>,
    },
}

#[derive(Serialize, Deserialize)]
enum WireSecurity<'a> {
    Open,
    Wpa2(&'a str),
}

impl<'a> From<Version1<'a>> for Version2<'a> {
    fn from(base: Version1<'a>) -> Self {
        Self {
            base,
            request_timeout_ms: RequestTimeout::DEFAULT.as_millis(),
            services: false,
        }
    }
}

impl<'a> From<Version2<'a>> for Version3<'a> {
    fn from(base: Version2<'a>) -> Self {
        Self { base, status: true }
    }
}

impl<'a> From<Version3<'a>> for Version4<'a> {
    /// Management gets its default, unless the greeting server has its port.
    fn from(base: Version3<'a>) -> Self {
        let port = base.base.base.port;
        Self {
            base,
            sequence: 0,
            trial: false,
            management_key: None,
            commands: false,
            management: port != MANAGEMENT_PORT,
        }
    }
}

impl<'a> Version4<'a> {
    pub(crate) fn new(settings: &'a Settings, sequence: u32, kind: RecordKind) -> Self {
        let server = &settings.server;
        Self {
            base: Version3 {
                base: Version2 {
                    base: Version1 {
                        network: WireNetwork::from(&settings.network),
                        channel: settings.channel.get(),
                        max_stations: settings.max_stations.get(),
                        host_name: settings.host_name.as_ref().map(HostName::as_str),
                        port: server.port().get(),
                        greeting: server.greeting().as_bytes(),
                        workers: server.workers().get(),
                        backlog: server.backlog().get(),
                    },
                    request_timeout_ms: server.request_timeout().as_millis(),
                    services: server.services().is_on(),
                },
                status: server.status().is_on(),
            },
            sequence,
            trial: kind == RecordKind::Trial,
            management_key: settings.management_key.as_ref().map(|key| *key.reveal()),
            commands: server.commands().is_on(),
            management: server.management().is_on(),
        }
    }
}

impl TryFrom<Version4<'_>> for Record {
    type Error = Invalid;

    fn try_from(body: Version4<'_>) -> Result<Self, Invalid> {
        let Version4 {
            base: Version3 { base: v2, status },
            ..
        } = body;
        let v1 = v2.base;
        let settings = Settings {
            network: v1.network.try_into()?,
            channel: Channel::new(v1.channel.into())?,
            max_stations: MaxStations::new(v1.max_stations.into())?,
            host_name: v1.host_name.map(HostName::new).transpose()?,
            server: ServerSettings::new(ServerParts {
                port: TcpPort::new(v1.port.into())?,
                greeting: Greeting::new(v1.greeting)?,
                workers: Workers::new(v1.workers.into())?,
                backlog: Backlog::new(v1.backlog.into())?,
                request_timeout: RequestTimeout::from_millis(v2.request_timeout_ms)?,
                services: v2.services.into(),
                status: status.into(),
                commands: body.commands.into(),
                management: body.management.into(),
            })?,
            management_key: body.management_key.map(ManagementKey::new),
        };
        Ok(Self {
            settings,
            sequence: body.sequence,
            kind: if body.trial {
                RecordKind::Trial
            } else {
                RecordKind::Permanent
            },
        })
    }
}

impl<'a> From<&'a Network> for WireNetwork<'a> {
    fn from(network: &'a Network) -> Self {
        match network {
            Network::AccessPoint { ssid, security } => Self::AccessPoint {
                ssid: ssid.as_ref().map(Ssid::as_bytes),
                security: security.into(),
            },
            Network::Station { ssid, security } => Self::Station {
                ssid: ssid.as_bytes(),
                security: security.into(),
            },
        }
    }
}

impl TryFrom<WireNetwork<'_>> for Network {
    type Error = Invalid;

    fn try_from(network: WireNetwork<'_>) -> Result<Self, Invalid> {
        Ok(match network {
            WireNetwork::AccessPoint { ssid, security } => Self::AccessPoint {
                ssid: ssid.map(Ssid::new).transpose()?,
                security: security.try_into()?,
            },
            WireNetwork::Station { ssid, security } => Self::Station {
                ssid: Ssid::new(ssid)?,
                security: security.try_into()?,
            },
        })
    }
}

impl<'a> From<&'a Security> for WireSecurity<'a> {
    fn from(security: &'a Security) -> Self {
        match security {
            Security::Open => Self::Open,
            Security::Wpa2(passphrase) => Self::Wpa2(passphrase.reveal()),
        }
    }
}

impl TryFrom<WireSecurity<'_>> for Security {
    type Error = Invalid;

    fn try_from(security: WireSecurity<'_>) -> Result<Self, Invalid> {
        Ok(match security {
            WireSecurity::Open => Self::Open,
            WireSecurity::Wpa2(secret) => Self::Wpa2(Passphrase::new(secret)?),
        })
    }
}
