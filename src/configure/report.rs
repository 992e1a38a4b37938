//! Events of `configure` (`tcpctl.configure/1`).

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

/// One event of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigureReport {
    schema: &'static str,
    /// The target, as the user wrote it.
    pub target: String,
    /// The event.
    #[serde(flatten)]
    pub event: ConfigureEvent,
}

impl ConfigureReport {
    /// An event of this target.
    pub fn new(target: &str, event: ConfigureEvent) -> Self {
        Self {
            schema: "tcpctl.configure/1",
            target: target.to_owned(),
            event,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ConfigureEvent {
    /// The settings in force.
    Settings {
        /// The board.
        #[serde(flatten)]
        board: BoardFacts,
        /// The settings, without the passphrase.
        settings: ShownValues,
        /// The newest trial, if the newest settings are or were one.
        trial: Option<TrialFacts>,
    },
    /// What will change.
    Plan {
        /// The board.
        #[serde(flatten)]
        board: BoardFacts,
        /// The settings that change.
        changes: Vec<Change>,
        /// Whether the board restarts and tries them.
        restart: bool,
        /// Time in which they must be confirmed, in seconds.
        confirm_timeout_s: u16,
        /// Whether nothing will be sent.
        dry_run: bool,
    },
    /// The board has stored the new settings.
    Sent,
    /// The board restarts with them, on trial.
    Restarting {
        /// Time in which they must be confirmed, in seconds.
        confirm_timeout_s: u16,
    },
    /// The board was reached under the new settings.
    Back {
        /// Its management channel.
        address: SocketAddr,
        /// Time since it was sent the settings.
        elapsed_us: u64,
    },
    /// The settings are permanent.
    Confirmed {
        /// The greeting, unless it was not asked for.
        #[serde(flatten)]
        check: Option<GreetingCheck>,
    },
    /// The board returned to its old settings.
    RolledBack {
        /// The board's reason.
        reason: String,
    },
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardFacts {
    /// MAC address.
    pub mac: String,
    /// The chip, or `virtual`.
    pub chip: String,
    /// The firmware's version.
    pub firmware: String,
}

/// A greeting under the new settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GreetingCheck {
    /// Where it came from.
    pub address: SocketAddr,
    /// The greeting.
    pub greeting: String,
    /// From the connection attempt to its last byte.
    pub total_us: u64,
}

/// A setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub setting: &'static str,
    /// The value in force.
    pub old: String,
    /// The new value.
    pub new: String,
}

/// The state of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialFacts {
    /// `pending`, `started`, `confirmed` or `rolled_back`.
    pub state: &'static str,
    /// Why it was rolled back.
    pub reason: Option<String>,
    /// Seconds left to confirm it.
    pub remaining_s: Option<u16>,
}

/// Settings by the names of their options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownValues(pub Vec<(&'static str, String)>);

impl Serialize for ShownValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
