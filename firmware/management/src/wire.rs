//! Settings on the wire. Variants are identified by their order alone: append, and never change,
//! reorder or remove.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};
use tcpctl_settings::{
    Backlog, Changes, Channel, Greeting, HostName, Invalid, MaxStations, Mode, Passphrase,
    RequestTimeout, Security, Ssid, TcpPort, Workers,
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
pub(crate) fn changes_from_wire(values: &WireValues<'_>) -> Result<Box<Changes>, Unreadable> {
    let mut changes = Box::<Changes>::default();
    for value in values {
        if let WireValue::IsProtected = value {
            return Err(Unreadable::Unknown);
        }
        value.request(&mut changes)?;
    }
    Ok(changes)
}

impl WireValue<'_> {
    /// Checks the value and adds it to `changes`. [`WireValue::IsProtected`] adds nothing.
    pub(crate) fn request(&self, changes: &mut Changes) -> Result<(), Invalid> {
        match *self {
            Self::Mode(true) => changes.mode = Some(Mode::Station),
            Self::Mode(false) => changes.mode = Some(Mode::AccessPoint),
            Self::Ssid(name) => changes.ssid = Some(Ssid::new(name)?),
            Self::Channel(number) => changes.channel = Some(Channel::new(number.into())?),
            Self::MaxStations(number) => {
                changes.max_stations = Some(MaxStations::new(number.into())?);
            }
            Self::HostName(name) => changes.host_name = Some(HostName::new(name)?),
            Self::Greeting(bytes) => changes.greeting = Some(Greeting::new(bytes)?),
            Self::TcpPort(number) => changes.port = Some(TcpPort::new(number.into())?),
            Self::Workers(number) => changes.workers = Some(Workers::new(number.into())?),
            Self::Backlog(number) => changes.backlog = Some(Backlog::new(number.into())?),
            Self::RequestTimeout(millis) => {
                changes.request_timeout = Some(RequestTimeout::from_millis(millis)?);
            }
            Self::Services(on) => changes.services = Some(on.into()),
            Self::Status(on) => changes.status = Some(on.into()),
            Self::Commands(on) => changes.commands = Some(on.into()),
            Self::Management(on) => changes.management = Some(on.into()),
            Self::Open => changes.security = Some(Security::Open),
            Self::Passphrase(secret) => {
                changes.security = Some(Security::Wpa2(Passphrase::new(secret)?));
            }
            Self::IsProtected => {}
        }
        Ok(())
    }
}
