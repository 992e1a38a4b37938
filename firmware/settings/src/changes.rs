//! Changes some settings of a board and keeps the others.

use crate::{
    Changes, Field, Invalid, Mode, Network, NoStoredSettings, Reason, ServerParts, ServerSettings,
    Settings,
};

impl Settings {
    /// These settings with some of them changed.
    ///
    /// Another mode discards the stored SSID and passphrase, because they belong to another
    /// network.
    ///
    /// # Errors
    /// As [`Changes::to_settings`]. The result is checked as a whole: services are refused where
    /// the stored port is one of theirs.
    pub fn with_changes(&self, changes: &Changes) -> Result<Self, Invalid> {
        let network = changes.network(Ok(&self.network))?;
        changes.apply(Self {
            network,
            ..self.clone()
        })
    }
}

impl Changes {
    /// Whether no setting is requested.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the changes take effect at a restart: all except the greeting and the request
    /// timeout.
    pub fn needs_restart(&self) -> bool {
        let at_once = Self {
            greeting: self.greeting.clone(),
            request_timeout: self.request_timeout,
            ..Self::default()
        };
        *self != at_once
    }

    /// The requested settings, and defaults for all others.
    ///
    /// # Errors
    /// No mode, no [`Security`](crate::Security), a station without an SSID or with settings of an
    /// access point, or two servers on one port.
    pub fn to_settings(&self, why: NoStoredSettings) -> Result<Settings, Invalid> {
        let network = self.network(Err(why))?;
        self.apply(Settings::new(network))
    }

    /// The servers of `base` with the requested changes.
    ///
    /// # Errors
    /// Two servers on one port.
    pub fn server(&self, base: ServerSettings) -> Result<ServerSettings, Invalid> {
        let base = base.into_parts();
        ServerSettings::new(ServerParts {
            port: self.port.unwrap_or(base.port),
            greeting: self.greeting.clone().unwrap_or(base.greeting),
            workers: self.workers.unwrap_or(base.workers),
            backlog: self.backlog.unwrap_or(base.backlog),
            request_timeout: self.request_timeout.unwrap_or(base.request_timeout),
            services: self.services.unwrap_or(base.services),
            status: self.status.unwrap_or(base.status),
            commands: self.commands.unwrap_or(base.commands),
            management: self.management.unwrap_or(base.management),
        })
    }

    /// The network: requested values first, then stored values for the same mode.
    fn network(&self, stored: Result<&Network, NoStoredSettings>) -> Result<Network, Invalid> {
        let mode = match (self.mode, stored) {
            (Some(mode), _) => mode,
            (None, Ok(stored)) => stored.mode(),
            (None, Err(why)) => return Err(Invalid::new(Field::Mode, Reason::NoMode(why))),
        };
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

    /// Applies all changes except the network, which `base` already has.
    fn apply(&self, base: Settings) -> Result<Settings, Invalid> {
        if base.network.mode() == Mode::Station {
            self.check_for_station()?;
        }
        Ok(Settings {
            network: base.network,
            channel: self.channel.unwrap_or(base.channel),
            max_stations: self.max_stations.unwrap_or(base.max_stations),
            host_name: self.host_name.clone().or(base.host_name),
            server: self.server(base.server)?,
            management_key: base.management_key,
        })
    }

    /// Refuses settings that have no effect on a station.
    fn check_for_station(&self) -> Result<(), Invalid> {
        let refuse = |field| Err(Invalid::new(field, Reason::NotForStation));
        match (self.channel, self.max_stations) {
            (Some(_), _) => refuse(Field::Channel),
            (None, Some(_)) => refuse(Field::MaxStations),
            (None, None) => Ok(()),
        }
    }
}
