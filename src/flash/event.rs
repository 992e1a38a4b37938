//! What `flash` tells: one type for a person's lines and a program's (`tcpctl.flash/1`).

use std::net::SocketAddr;

use serde::Serialize;

use super::settings::Described;

/// One event of flashing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlashReport {
    schema: &'static str,
    /// What has happened.
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

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum FlashEvent {
    /// What will be done.
    Plan(Plan),
    /// What is stored on the board.
    Settings {
        /// `flash`, or why there are none.
        stored: String,
        /// The settings, without the passphrase.
        settings: Described,
    },
    /// The whole flash was erased.
    Erased {
        /// How long it took.
        elapsed_us: u64,
    },
    /// An image was written to a file.
    Saved {
        /// The file.
        file: String,
        /// Its bytes.
        bytes: u64,
        /// Its SHA-256.
        sha256: String,
    },
    /// So much of a part is on the board.
    Progress {
        /// The part.
        part: &'static str,
        /// The bytes of it that are written.
        done: u64,
        /// All of them.
        total: u64,
    },
    /// A part was written.
    Written {
        /// The part.
        part: &'static str,
        /// Where it begins.
        offset: u32,
        /// Its bytes.
        bytes: u32,
        /// How long it took.
        elapsed_us: u64,
    },
    /// A part was there already.
    Skipped {
        /// The part.
        part: &'static str,
        /// Where it begins.
        offset: u32,
        /// Its bytes.
        bytes: u32,
    },
    /// What is in flash is what was to be there, by check sum.
    Verified {
        /// The part.
        part: &'static str,
        /// The MD5 of its bytes.
        md5: String,
    },
    /// The board was reset, or stays in its loader.
    Reset {
        /// How, by esptool's names.
        how: &'static str,
    },
    /// The firmware has started.
    Booted {
        /// The words of its banner.
        #[serde(flatten)]
        banner: crate::board::console::Banner,
    },
    /// The board can be reached.
    Ready {
        /// Where.
        addr: SocketAddr,
    },
    /// It has answered.
    Answered {
        /// Who.
        addr: SocketAddr,
        /// What it said.
        greeting: String,
        /// From the connection's start to the last byte.
        total_us: u64,
    },
}

impl FlashEvent {
    /// Whether it is what the command was for, and not an account of how it went.
    pub fn is_asked_for(&self) -> bool {
        matches!(
            self,
            Self::Settings { .. } | Self::Plan(Plan { dry_run: true, .. })
        )
    }
}

/// What will be done to which board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The board, where there is one.
    #[serde(flatten)]
    pub board: Option<BoardFacts>,
    /// The chip that the firmware is for, or that the board has.
    pub chip: String,
    /// The firmware's name and version, where it is written.
    pub firmware: Option<FirmwareFacts>,
    /// Whether everything is erased first.
    pub erase: bool,
    /// The parts, in the order in which they are written.
    pub parts: Vec<Step>,
    /// The settings that it will have, without the passphrase.
    pub settings: Described,
    /// The passphrase that was made up here; only where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// What a board tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoardFacts {
    /// The port that it is on.
    pub port: String,
    /// The chip's revision, e.g. `0.4`.
    pub revision: Option<String>,
    /// Its MAC address.
    pub mac: Option<String>,
    /// The bytes of its flash.
    pub flash_bytes: u32,
    /// Which loader is spoken to: `stub` or `rom`.
    pub loader: &'static str,
    /// The bits per second that are written with.
    pub baud: u32,
}

/// What a firmware tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirmwareFacts {
    /// The file, or where it came from.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// The SHA-256 of the file.
    pub sha256: String,
}

/// One part, and what will become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The part.
    pub part: &'static str,
    /// Where it begins.
    pub offset: u32,
    /// Its bytes.
    pub bytes: u32,
    /// Whether it is there already.
    pub unchanged: bool,
}
