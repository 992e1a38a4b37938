//! Events of `update` (`tcpctl.update/1`).

use std::net::SocketAddr;

use serde::Serialize;

/// One event of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdateReport {
    schema: &'static str,
    /// The board as the user wrote it.
    pub target: String,
    /// The event.
    #[serde(flatten)]
    pub event: UpdateEvent,
}

impl UpdateReport {
    /// The report of an event.
    pub fn new(target: &str, event: UpdateEvent) -> Self {
        Self {
            schema: "tcpctl.update/1",
            target: target.to_owned(),
            event,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum UpdateEvent {
    /// What will be installed.
    Plan(InstallPlan),
    /// Progress of the transfer.
    Progress {
        /// Bytes in the board's flash.
        done: u32,
        /// Bytes in total.
        total: u32,
    },
    /// The image is in flash.
    Written {
        /// Length in bytes.
        bytes: u32,
        /// Bytes that were there already, from an earlier attempt.
        resumed_bytes: u32,
        /// Duration of the transfer.
        elapsed_us: u64,
    },
    /// The board has checked the image.
    Verified {
        /// SHA-256 of the image.
        sha256: String,
    },
    /// The board restarts with the new firmware, on trial.
    Restarting {
        /// Sequence number of the trial.
        sequence: u32,
    },
    /// The board is back.
    Back {
        /// Address of the management channel.
        address: SocketAddr,
        /// Version of the running firmware.
        version: String,
        /// Time since the restart.
        elapsed_us: u64,
    },
    /// The new firmware is permanent.
    Confirmed {
        /// Firmware version.
        version: String,
    },
    /// The board returned to the old firmware.
    RolledBack {
        /// Version of the running firmware.
        version: String,
        /// Reason that the board reported.
        reason: String,
    },
    /// The update of this board was not started, because another board failed.
    Skipped,
}

/// What will be installed on which board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstallPlan {
    /// Address of the management channel.
    pub address: SocketAddr,
    /// MAC address of the board.
    pub mac: String,
    /// The chip.
    pub chip: String,
    /// Version of the running firmware.
    pub running: String,
    /// The new firmware.
    pub firmware: FirmwareFacts,
    /// How the versions compare.
    pub change: Change,
    /// The slot to write, 0 or 1.
    pub slot: u8,
    /// Bytes of that slot.
    pub capacity_bytes: u32,
    /// Length of the image in bytes.
    pub bytes: u32,
    /// Whether this is a dry run.
    pub dry_run: bool,
}

/// Facts about a firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirmwareFacts {
    /// The file or origin.
    pub name: String,
    /// Version.
    pub version: Option<String>,
    /// SHA-256 of the image.
    pub sha256: String,
}

/// How two versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The new version is newer.
    Upgrade,
    /// The same version, maybe another build.
    Same,
    /// The new version is older.
    Downgrade,
    /// One of the versions is not a version number.
    Unknown,
}
