//! All that a board is told before it starts.

use crate::{Channel, HostName, MaxStations, Network, ServerSettings};

/// The settings of one board.
///
/// The fields are open because there is nothing left to check: each type is valid on its own, and
/// the rules between fields live in [`Network`] (a station has an SSID) and in [`ServerSettings`]
/// (ports that exclude each other). A board with nothing in flash has no `Settings`:
/// [`decode`](Self::decode) says [`Blank`](crate::DecodeError::Blank), and the firmware decides
/// what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The network that the board opens or joins.
    pub network: Network,
    /// The access point's channel. A station keeps it for the day when it is an access point again;
    /// till then its router decides.
    pub channel: Channel,
    /// How many stations the access point takes; kept by a station like the channel.
    pub max_stations: MaxStations,
    /// The board's name; `None` for [`HostName::of_board`].
    pub host_name: Option<HostName>,
    /// The greeting server and the bench services.
    pub server: ServerSettings,
}

impl Settings {
    /// The settings of a board that was told its network and nothing else. Of the network nothing
    /// is assumed.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            channel: Channel::DEFAULT,
            max_stations: MaxStations::DEFAULT,
            host_name: None,
            server: ServerSettings::default(),
        }
    }
}
