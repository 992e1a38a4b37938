//! The bodies of a block, version by version: what postcard reads and writes.
//!
//! These types mirror flash and promise nothing; settings come out of them only through the checks
//! of the types that they are made of. A released version is never edited: fields and variants are
//! told apart by their order alone.

use serde::{Deserialize, Serialize};

use crate::{
    Backlog, Channel, Greeting, HostName, Invalid, MaxStations, Network, Passphrase,
    RequestTimeout, Security, ServerParts, ServerSettings, Services, Settings, Ssid, Status,
    TcpPort, Workers,
};

/// The most bytes of a version 3 body: every string as long as it may be, every number as wide.
pub(crate) const MAX_BODY_LEN: usize =
    NETWORK + 1 + 1 + HOST_NAME + 3 + GREETING + 1 + 1 + 3 + 1 + 1;
/// Variant; presence, length and bytes of the SSID; variant, length and bytes of the passphrase.
const NETWORK: usize = 1 + (1 + 1 + Ssid::MAX_LEN) + (1 + 1 + Passphrase::MAX_LEN);
/// Presence, length, bytes.
const HOST_NAME: usize = 1 + 1 + HostName::MAX_LEN;
/// Length, which takes two bytes from 128 on, and bytes.
const GREETING: usize = 2 + Greeting::MAX_LEN;

/// The first format: without a request timeout, without services.
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

/// The second format: without a setting for the status.
#[derive(Serialize, Deserialize)]
pub(crate) struct Version2<'a> {
    #[serde(borrow)]
    network: WireNetwork<'a>,
    channel: u8,
    max_stations: u8,
    host_name: Option<&'a str>,
    port: u16,
    greeting: &'a [u8],
    workers: u8,
    backlog: u8,
    request_timeout_ms: u32,
    services: bool,
}

/// The current format.
#[derive(Serialize, Deserialize)]
pub(crate) struct Version3<'a> {
    #[serde(borrow)]
    network: WireNetwork<'a>,
    channel: u8,
    max_stations: u8,
    host_name: Option<&'a str>,
    port: u16,
    greeting: &'a [u8],
    workers: u8,
    backlog: u8,
    request_timeout_ms: u32,
    services: bool,
    status: bool,
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
    /// Fills in what version 1 did not know with the defaults of a board.
    fn from(old: Version1<'a>) -> Self {
        Self {
            network: old.network,
            channel: old.channel,
            max_stations: old.max_stations,
            host_name: old.host_name,
            port: old.port,
            greeting: old.greeting,
            workers: old.workers,
            backlog: old.backlog,
            request_timeout_ms: RequestTimeout::DEFAULT.as_millis(),
            services: false,
        }
    }
}

impl<'a> From<Version2<'a>> for Version3<'a> {
    /// Fills in what version 2 did not know with the defaults of a board.
    fn from(old: Version2<'a>) -> Self {
        Self {
            network: old.network,
            channel: old.channel,
            max_stations: old.max_stations,
            host_name: old.host_name,
            port: old.port,
            greeting: old.greeting,
            workers: old.workers,
            backlog: old.backlog,
            request_timeout_ms: old.request_timeout_ms,
            services: old.services,
            status: true,
        }
    }
}

impl<'a> From<&'a Settings> for Version3<'a> {
    fn from(settings: &'a Settings) -> Self {
        let server = &settings.server;
        Self {
            network: WireNetwork::from(&settings.network),
            channel: settings.channel.get(),
            max_stations: settings.max_stations.get(),
            host_name: settings.host_name.as_ref().map(HostName::as_str),
            port: server.port().get(),
            greeting: server.greeting().as_bytes(),
            workers: server.workers().get(),
            backlog: server.backlog().get(),
            request_timeout_ms: server.request_timeout().as_millis(),
            services: server.services() == Services::On,
            status: server.status() == Status::On,
        }
    }
}

impl TryFrom<Version3<'_>> for Settings {
    type Error = Invalid;

    fn try_from(body: Version3<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            network: body.network.try_into()?,
            channel: Channel::new(body.channel.into())?,
            max_stations: MaxStations::new(body.max_stations.into())?,
            host_name: body.host_name.map(HostName::new).transpose()?,
            server: ServerSettings::new(ServerParts {
                port: TcpPort::new(body.port.into())?,
                greeting: Greeting::new(body.greeting)?,
                workers: Workers::new(body.workers.into())?,
                backlog: Backlog::new(body.backlog.into())?,
                request_timeout: RequestTimeout::from_millis(body.request_timeout_ms)?,
                services: if body.services {
                    Services::On
                } else {
                    Services::Off
                },
                status: if body.status { Status::On } else { Status::Off },
            })?,
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
