//! Events of `flash` (`tcpctl.flash/1`).

use std::net::SocketAddr;

use serde::Serialize;

use super::settings::Described;

/// One event of flashing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlashReport {
    schema: &'static str,
    /// The event.
    #[serde(flatten)]
    pub event: FlashEvent,
}

impl From<FlashEvent> for FlashReport {
    fn from(event: FlashEvent) -> Self {
        Self {
            schema: "tcpctl.flash/1",
            event,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum FlashEvent {
    /// What will be written.
    Plan(FlashPlan),
    /// The stored settings.
    Settings {
        /// `flash`, or the reason why there are none.
        stored: String,
        /// The settings, without the passphrase.
        settings: Described,
    },
    /// The whole flash was erased.
    Erased {
        /// Duration in microseconds.
        elapsed_us: u64,
    },
    /// An image was written to a file.
    Saved {
        /// The file.
        file: String,
        /// Length in bytes.
        bytes: u64,
        /// SHA-256 of the file.
        sha256: String,
    },
    /// Progress of a part.
    Progress {
        /// The part.
        part: &'static str,
        /// Bytes written.
        done: u64,
        /// Bytes in total.
        total: u64,
    },
    /// A part was written.
    Written {
        /// The part.
        part: &'static str,
        /// Offset in flash.
        offset: u32,
        /// Length in bytes.
        bytes: u32,
        /// Duration in microseconds.
        elapsed_us: u64,
    },
    /// A part was in flash already.
    Skipped {
        /// The part.
        part: &'static str,
        /// Offset in flash.
        offset: u32,
        /// Length in bytes.
        bytes: u32,
    },
    /// The checksum of a written part matches.
    Verified {
        /// The part.
        part: &'static str,
        /// MD5 of the part.
        md5: String,
    },
    /// The board was reset, or stays in its loader.
    Reset {
        /// Method, by esptool's name.
        how: &'static str,
    },
    /// The firmware started.
    Booted {
        /// Fields of the banner.
        #[serde(flatten)]
        banner: crate::board::console::Banner,
    },
    /// The board is reachable.
    Ready {
        /// Address of the server.
        addr: SocketAddr,
    },
    /// The board answered.
    Answered {
        /// Address of the server.
        addr: SocketAddr,
        /// The greeting.
        greeting: String,
        /// Time from the connection attempt to the last byte, in microseconds.
        total_us: u64,
    },
}

impl FlashEvent {
    /// Whether the event is a result of the command rather than progress.
    pub fn is_result(&self) -> bool {
        matches!(
            self,
            Self::Settings { .. } | Self::Plan(FlashPlan { dry_run: true, .. })
        )
    }
}

/// What will be written to which board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlashPlan {
    /// The board, if connected.
    #[serde(flatten)]
    pub board: Option<BoardFacts>,
    /// Chip of the firmware or board.
    pub chip: String,
    /// Firmware, if it is written.
    pub firmware: Option<FirmwareFacts>,
    /// Whether the whole flash is erased first.
    pub erase: bool,
    /// The parts in write order.
    pub parts: Vec<PlanStep>,
    /// The new settings, without the passphrase.
    pub settings: Described,
    /// The file of the management key; null if management is off or no board is connected.
    pub key_file: Option<KeyFileFacts>,
    /// The generated passphrase; only with `--show-passphrase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Whether this is a dry run.
    pub dry_run: bool,
}

/// Facts about a connected board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardFacts {
    /// The serial port.
    pub port: String,
    /// Chip revision, e.g. `0.4`.
    pub revision: Option<String>,
    /// MAC address.
    pub mac: Option<String>,
    /// Flash size in bytes.
    pub flash_bytes: u32,
    /// The loader: `stub` or `rom`.
    pub loader: &'static str,
    /// Baud rate.
    pub baud: u32,
}

/// Facts about a firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirmwareFacts {
    /// The file or origin.
    pub name: String,
    /// Version.
    pub version: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// Facts about the file of the management key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFileFacts {
    /// The file.
    pub path: String,
    /// Whether the file exists already.
    pub exists: bool,
}

/// One part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStep {
    /// The part.
    pub part: &'static str,
    /// Offset in flash.
    pub offset: u32,
    /// Length in bytes.
    pub bytes: u32,
    /// Whether flash already has the part.
    pub unchanged: bool,
}
