//! Changes some settings of a board and keeps the others.

use crate::{
    Changes, Field, Invalid, Mode, Network, NoStoredSettings, Reason, ServerSettings, Settings,
};

impl Settings {
    /// These settings with some of them changed.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn with_changes(&self, changes: &Changes) -> Result<Self, Invalid> {
        let mut settings = self.clone();
        settings.change(changes)?;
        Ok(settings)
    }

    /// Changes some of these settings.
    ///
    /// Another mode discards the stored SSID and passphrase, because they belong to another
    /// network.
    ///
    /// # Errors
    /// As [`Changes::to_settings`], and services are refused where the stored port is one of theirs.
    /// Then some of the settings may be changed.
    // Inlined, this function moves the settings in pieces, which adds 1 kB to a chip's image.
    #[inline(never)]
    pub fn change(&mut self, changes: &Changes) -> Result<(), Invalid> {
        let mode = changes.mode.unwrap_or(self.network.mode());
        match &mut self.network {
            Network::AccessPoint { ssid, security } if mode == Mode::AccessPoint => {
                if changes.ssid.is_some() {
                    ssid.clone_from(&changes.ssid);
                }
                replace(security, changes.security.as_ref());
            }
            Network::Station { ssid, security } if mode == Mode::Station => {
                replace(ssid, changes.ssid.as_ref());
                replace(security, changes.security.as_ref());
            }
            network => *network = changes.network(mode)?,
        }
        self.change_all_but_the_network(changes)
    }

    fn change_all_but_the_network(&mut self, changes: &Changes) -> Result<(), Invalid> {
        if self.network.mode() == Mode::Station {
            changes.check_for_station()?;
        }
        replace(&mut self.channel, changes.channel.as_ref());
        replace(&mut self.max_stations, changes.max_stations.as_ref());
        if changes.host_name.is_some() {
            self.host_name.clone_from(&changes.host_name);
        }
        changes.change_server(&mut self.server)
    }
}

impl Changes {
    /// Whether no setting is requested.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The requested settings, and defaults for all others.
    ///
    /// # Errors
    /// No mode, no [`Security`](crate::Security), a station without an SSID or with settings of an
    /// access point, or two servers on one port.
    pub fn to_settings(&self, why: NoStoredSettings) -> Result<Settings, Invalid> {
        let missing = Invalid::new(Field::Mode, Reason::NoMode(why));
        let mut settings = Settings::new(self.network(self.mode.ok_or(missing)?)?);
        settings.change_all_but_the_network(self)?;
        Ok(settings)
    }

    /// The servers of `base` with the requested changes.
    ///
    /// # Errors
    /// Two servers on one port.
    pub fn server(&self, mut base: ServerSettings) -> Result<ServerSettings, Invalid> {
        self.change_server(&mut base)?;
        Ok(base)
    }

    fn change_server(&self, server: &mut ServerSettings) -> Result<(), Invalid> {
        let parts = server.set_ports(
            self.port.unwrap_or(server.port()),
            self.services.unwrap_or(server.services()),
            self.management.unwrap_or(server.management()),
        )?;
        replace(&mut parts.greeting, self.greeting.as_ref());
        replace(&mut parts.workers, self.workers.as_ref());
        replace(&mut parts.backlog, self.backlog.as_ref());
        replace(&mut parts.request_timeout, self.request_timeout.as_ref());
        replace(&mut parts.status, self.status.as_ref());
        replace(&mut parts.commands, self.commands.as_ref());
        Ok(())
    }

    /// The requested network.
    fn network(&self, mode: Mode) -> Result<Network, Invalid> {
        let ssid = self.ssid.as_ref();
        let no_ssid = Invalid::new(Field::Ssid, Reason::NoSsid);
        let security = self.security.as_ref();
        let no_security = Invalid::new(Field::Passphrase, Reason::NoSecurity);
        Ok(match mode {
            Mode::AccessPoint => Network::AccessPoint {
                ssid: ssid.cloned(),
                security: security.ok_or(no_security)?.clone(),
            },
            Mode::Station => Network::Station {
                ssid: ssid.ok_or(no_ssid)?.clone(),
                security: security.ok_or(no_security)?.clone(),
            },
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

/// Replaces a value if another is requested.
fn replace<T: Clone>(value: &mut T, requested: Option<&T>) {
    if let Some(requested) = requested {
        value.clone_from(requested);
    }
}
