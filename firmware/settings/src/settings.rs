//! All settings of a board, and their record in flash.

use crate::{Channel, HostName, ManagementKey, MaxStations, Network, ServerSettings};

/// The settings of one board.
///
/// Each field is valid on its own. Rules between fields live in [`Network`] (a station has an
/// SSID) and in [`ServerSettings`] (two servers never share a port).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The network that the board opens or joins.
    pub network: Network,
    /// Channel of the access point. A station keeps it for when it becomes an access point again.
    pub channel: Channel,
    /// Stations that the access point accepts. A station keeps the number, as it keeps the channel.
    pub max_stations: MaxStations,
    /// Host name; `None` for [`HostName::of_board`].
    pub host_name: Option<HostName>,
    /// The servers of the board.
    pub server: ServerSettings,
    /// Key of the management channel; without one, management is off.
    pub management_key: Option<ManagementKey>,
}

impl Settings {
    /// Default settings on this network.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            channel: Channel::DEFAULT,
            max_stations: MaxStations::DEFAULT,
            host_name: None,
            server: ServerSettings::default(),
            management_key: None,
        }
    }
}

/// Whether settings are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The settings are permanent.
    Permanent,
    /// The settings are replaced by the previous ones unless they are confirmed.
    Trial,
}

/// The content of a block: settings, and their place in the sequence of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The settings.
    pub settings: Settings,
    /// Increases by 1 with each write. The higher one of two sectors is newer.
    pub sequence: u32,
    /// Permanent or on trial.
    pub kind: RecordKind,
}
