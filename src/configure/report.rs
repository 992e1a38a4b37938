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
        /// The newest trial, if the newest settings are or were on trial.
        trial: Option<TrialFacts>,
    },
    /// What will change.
    Plan {
        /// The board.
        #[serde(flatten)]
        board: BoardFacts,
        /// The settings that change.
        changes: Vec<Change>,
        /// Whether the board restarts with the settings on trial.
        restart: bool,
        /// Time in which they must be confirmed, in seconds.
        confirm_timeout_s: u16,
        /// Whether this is a dry run.
        dry_run: bool,
    },
    /// The board has stored the new settings.
    Sent,
    /// The board restarts with the new settings, on trial.
    Restarting {
        /// Time in which they must be confirmed, in seconds.
        confirm_timeout_s: u16,
    },
    /// The board was reached under the new settings.
    Back {
        /// Address of the management channel.
        address: SocketAddr,
        /// Time since the settings were sent.
        elapsed_us: u64,
    },
    /// The settings are permanent.
    Confirmed {
        /// The check for a greeting; `None` if it was skipped.
        #[serde(flatten)]
        check: Option<GreetingCheck>,
    },
    /// The board returned to its old settings.
    RolledBack {
        /// Reason that the board reported.
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
    /// Firmware version.
    pub firmware: String,
}

/// A greeting under the new settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GreetingCheck {
    /// Address of the server.
    pub address: SocketAddr,
    /// The greeting.
    pub greeting: String,
    /// Time from the connection attempt to the last byte of the greeting.
    pub total_us: u64,
}

/// A setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Name of the setting.
    pub setting: &'static str,
    /// Value in force.
    pub old: String,
    /// New value.
    pub new: String,
}

/// The state of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialFacts {
    /// `pending`, `started`, `confirmed` or `rolled_back`.
    pub state: &'static str,
    /// Reason of a rollback.
    pub reason: Option<String>,
    /// Seconds left to confirm the trial.
    pub remaining_s: Option<u16>,
}

/// Settings by option name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownValues(pub Vec<(&'static str, String)>);

impl Serialize for ShownValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
