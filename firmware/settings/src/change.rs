//! Changing some settings of a board and keeping the others: read back, override, write again.

use crate::{
    Afresh, Backlog, Channel, Field, Greeting, HostName, Invalid, MaxStations, Mode, Network,
    Reason, RequestTimeout, Security, ServerParts, ServerSettings, Services, Settings, Ssid,
    Status, TcpPort, Workers,
};

/// What was asked for; `None` keeps what is stored, or takes the default where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The mode. Another one than the stored discards the stored SSID and passphrase.
    pub mode: Option<Mode>,
    /// The network's name.
    pub ssid: Option<Ssid>,
    /// How the network is protected.
    pub security: Option<Security>,
    /// The access point's channel; refused for a station.
    pub channel: Option<Channel>,
    /// How many stations the access point takes; refused for a station.
    pub max_stations: Option<MaxStations>,
    /// The board's name.
    pub host_name: Option<HostName>,
    /// Where the greeting server listens.
    pub port: Option<TcpPort>,
    /// What it answers.
    pub greeting: Option<Greeting>,
    /// Connections served at once.
    pub workers: Option<Workers>,
    /// Connections that wait.
    pub backlog: Option<Backlog>,
    /// How long a silent connection keeps its worker.
    pub request_timeout: Option<RequestTimeout>,
    /// The bench services.
    pub services: Option<Services>,
    /// What a request of `status` gets.
    pub status: Option<Status>,
}

impl Changes {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Settings on nothing that is stored, for the reason `afresh`: what was asked for, and
    /// defaults.
    ///
    /// # Errors
    /// Without a mode, without a [`Security`], for a station without an SSID or with an access
    /// point's settings, and where a service's port is taken.
    pub fn to_settings(&self, afresh: Afresh) -> Result<Settings, Invalid> {
        let network = self.network(Err(afresh))?;
        self.rest(Settings::new(network))
    }

    /// The network: what was asked for first, then what is stored for the same mode.
    fn network(&self, stored: Result<&Network, Afresh>) -> Result<Network, Invalid> {
        let mode = match (self.mode, stored) {
            (Some(mode), _) => mode,
            (None, Ok(stored)) => stored.mode(),
            (None, Err(afresh)) => {
                return Err(Invalid::new(Field::Mode, Reason::NoMode(afresh)));
            }
        };
        // Another mode is another network: its name and its key are not carried over.
        let kept = stored.ok().filter(|network| network.mode() == mode);
        let ssid = self.ssid.as_ref().or(kept.and_then(Network::ssid)).cloned();
        let security = self
            .security
            .as_ref()
            .or(kept.map(Network::security))
            .cloned()
            .ok_or(Invalid::new(Field::Passphrase, Reason::NoSecurity));
        match mode {
            Mode::AccessPoint => Ok(Network::AccessPoint {
                ssid,
                security: security?,
            }),
            Mode::Station => Ok(Network::Station {
                ssid: ssid.ok_or(Invalid::new(Field::Ssid, Reason::NoSsid))?,
                security: security?,
            }),
        }
    }

    /// Everything but the network, over `base`, whose network is the new one.
    fn rest(&self, base: Settings) -> Result<Settings, Invalid> {
        if base.network.mode() == Mode::Station {
            self.refuse_for_a_station()?;
        }
        let server = base.server.into_parts();
        Ok(Settings {
            network: base.network,
            channel: self.channel.unwrap_or(base.channel),
            max_stations: self.max_stations.unwrap_or(base.max_stations),
            host_name: self.host_name.clone().or(base.host_name),
            server: ServerSettings::new(ServerParts {
                port: self.port.unwrap_or(server.port),
                greeting: self.greeting.clone().unwrap_or(server.greeting),
                workers: self.workers.unwrap_or(server.workers),
                backlog: self.backlog.unwrap_or(server.backlog),
                request_timeout: self.request_timeout.unwrap_or(server.request_timeout),
                services: self.services.unwrap_or(server.services),
                status: self.status.unwrap_or(server.status),
            })?,
        })
    }

    /// What would have no effect is refused, and not stored in silence.
    fn refuse_for_a_station(&self) -> Result<(), Invalid> {
        let refuse = |field| Err(Invalid::new(field, Reason::NotForAStation));
        match (self.channel, self.max_stations) {
            (Some(_), _) => refuse(Field::Channel),
            (None, Some(_)) => refuse(Field::MaxStations),
            (None, None) => Ok(()),
        }
    }
}

impl Settings {
    /// These settings with some of them changed.
    ///
    /// Another mode discards the stored SSID and passphrase: they belong to another network. So it
    /// has to be said anew how the network is protected, and for a station which one it is. All
    /// else is kept unless given.
    ///
    /// # Errors
    /// As [`Changes::to_settings`], of the result as a whole: turning the services on is refused
    /// where the stored port is one of theirs.
    pub fn overridden_by(&self, changes: &Changes) -> Result<Self, Invalid> {
        let network = changes.network(Ok(&self.network))?;
        changes.rest(Self {
            network,
            ..self.clone()
        })
    }
}
