//! Settings on the wire. Variants are identified by their order alone: append, and never change,
//! reorder or remove.

use serde::{Deserialize, Serialize};
use tcpctl_settings::{
    Backlog, Changes, Channel, Greeting, HostName, Invalid, MaxStations, Mode, Passphrase,
    RequestTimeout, Security, Ssid, TcpPort, Value, Workers,
};

/// Why a message cannot be read as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The message comes from a newer client, or is malformed.
    Unknown,
    /// A value is not allowed.
    Invalid(Invalid),
    /// The confirm timeout is out of its bounds, in seconds.
    ConfirmTimeout(u16),
}

impl From<postcard::Error> for Unreadable {
    fn from(_: postcard::Error) -> Self {
        Self::Unknown
    }
}

impl From<Invalid> for Unreadable {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// Changes or settings on the wire, with room for later settings.
pub(crate) type WireValues<'a> = heapless::Vec<WireValue<'a>, 24>;

/// One setting.
#[derive(Serialize, Deserialize)]
pub(crate) enum WireValue<'a> {
    /// Whether the mode is station.
    Mode(bool),
    Ssid(&'a [u8]),
    Channel(u8),
    MaxStations(u8),
    HostName(&'a str),
    Greeting(&'a [u8]),
    TcpPort(u16),
    Workers(u8),
    Backlog(u8),
    /// The timeout in milliseconds.
    RequestTimeout(u32),
    Services(bool),
    Status(bool),
    Commands(bool),
    Management(bool),
    Open,
    Passphrase(&'a str),
    /// Whether there is a passphrase; only in responses.
    IsProtected,
}

/// The requested values; `None` if they do not fit a message.
pub(crate) fn to_wire(changes: &Changes) -> Option<WireValues<'_>> {
    let Changes {
        security,
        mode,
        ssid,
        channel,
        max_stations,
        host_name,
        greeting,
        port,
        workers,
        backlog,
        request_timeout,
        services,
        status,
        commands,
        management,
    } = changes;
    [
        mode.map(|mode| WireValue::Mode(mode == Mode::Station)),
        ssid.as_ref().map(|ssid| WireValue::Ssid(ssid.as_bytes())),
        security.as_ref().map(|security| match security {
            Security::Open => WireValue::Open,
            Security::Wpa2(passphrase) => WireValue::Passphrase(passphrase.reveal()),
        }),
        channel.map(|channel| WireValue::Channel(channel.get())),
        max_stations.map(|stations| WireValue::MaxStations(stations.get())),
        host_name
            .as_ref()
            .map(|name| WireValue::HostName(name.as_str())),
        greeting
            .as_ref()
            .map(|greeting| WireValue::Greeting(greeting.as_bytes())),
        port.map(|port| WireValue::TcpPort(port.get())),
        workers.map(|workers| WireValue::Workers(workers.get())),
        backlog.map(|backlog| WireValue::Backlog(backlog.get())),
        request_timeout.map(|timeout| WireValue::RequestTimeout(timeout.as_millis())),
        services.map(|it| WireValue::Services(it.is_on())),
        status.map(|it| WireValue::Status(it.is_on())),
        commands.map(|it| WireValue::Commands(it.is_on())),
        management.map(|it| WireValue::Management(it.is_on())),
    ]
    .into_iter()
    .flatten()
    .try_fold(WireValues::new(), |mut values, value| {
        values.push(value).ok().map(|()| values)
    })
}

/// Checks requested values.
pub(crate) fn changes_from_wire(values: WireValues<'_>) -> Result<Changes, Unreadable> {
    let mut changes = Changes::default();
    for value in values {
        match value {
            WireValue::Open => changes.security = Some(Security::Open),
            WireValue::Passphrase(secret) => {
                changes.security = Some(Security::Wpa2(Passphrase::new(secret)?));
            }
            WireValue::IsProtected => return Err(Unreadable::Unknown),
            other => {
                if let Some(value) = other.check()? {
                    changes.set(value);
                }
            }
        }
    }
    Ok(changes)
}

impl WireValue<'_> {
    /// The checked value; `None` for the security of the network.
    pub(crate) fn check(&self) -> Result<Option<Value>, Invalid> {
        Ok(Some(match *self {
            Self::Mode(true) => Value::Mode(Mode::Station),
            Self::Mode(false) => Value::Mode(Mode::AccessPoint),
            Self::Ssid(name) => Value::Ssid(Ssid::new(name)?),
            Self::Channel(number) => Value::Channel(Channel::new(number.into())?),
            Self::MaxStations(number) => Value::MaxStations(MaxStations::new(number.into())?),
            Self::HostName(name) => Value::HostName(HostName::new(name)?),
            Self::Greeting(bytes) => Value::Greeting(Greeting::new(bytes)?),
            Self::TcpPort(number) => Value::TcpPort(TcpPort::new(number.into())?),
            Self::Workers(number) => Value::Workers(Workers::new(number.into())?),
            Self::Backlog(number) => Value::Backlog(Backlog::new(number.into())?),
            Self::RequestTimeout(millis) => {
                Value::RequestTimeout(RequestTimeout::from_millis(millis)?)
            }
            Self::Services(on) => Value::Services(on.into()),
            Self::Status(on) => Value::Status(on.into()),
            Self::Commands(on) => Value::Commands(on.into()),
            Self::Management(on) => Value::Management(on.into()),
            Self::Open | Self::Passphrase(_) | Self::IsProtected => return Ok(None),
        }))
    }
}
