//! Requests and responses, and their encoding in [postcard](https://postcard.jamesmunns.com/wire-format).
//!
//! On the wire variants and fields are identified by their order alone: append variants, and never change,
//! reorder or remove any. A request that a board cannot decode comes from a newer client, so it answers
//! [`Response::Unsupported`].
//!
//! Requests have a wire type of their own: a board names the invalid value of a request it refuses, and
//! an error of serde cannot carry that.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use tcpctl_settings::sectors::{ConfirmTimeout, RollbackReason, TrialState};
use tcpctl_settings::{Changes, Invalid, Reason};

use crate::frame::MAX_MESSAGE;
use crate::shown::ShownSettings;
use crate::wire::{Unreadable, WireValues, changes_from_wire, to_wire};

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The settings in force and the newest trial. The answer is [`Response::Shown`].
    Show,
    /// Change settings that need no restart, immediately and permanently; see
    /// [`Changes::needs_restart`]. The answer is [`Response::Done`].
    Apply {
        /// The changes.
        changes: Box<Changes>,
    },
    /// Store these changes as a trial and restart with them. The answer is [`Response::Restarting`].
    Trial {
        /// Settings to change.
        changes: Box<Changes>,
        /// Time from the restart to the confirmation.
        confirm_timeout: ConfirmTimeout,
    },
    /// Make the trial permanent. The answer is [`Response::Done`], also to a repeated request.
    Confirm {
        /// Sequence number of the trial.
        sequence: u32,
    },
    /// Return to the settings before the trial and restart. The answer is [`Response::Restarting`]
    /// with the sequence number of those settings.
    Abort {
        /// Sequence number of the trial.
        sequence: u32,
    },
    /// The firmware and its slots. The answer is [`Response::Firmware`].
    Firmware,
    /// Begin to send new firmware, or continue after a broken connection. The answer is
    /// [`Response::Ready`].
    BeginUpdate {
        /// Length of the image in bytes.
        size: u32,
        /// SHA-256 of the image.
        sha256: [u8; 32],
    },
    /// The next bytes of the image, at most [`MAX_UPDATE_DATA`]. All but the last have a length that is a
    /// multiple of four, and the first has at least [`MIN_FIRST_DATA`]. The answer is
    /// [`Response::Written`]. Several may be sent before the first is answered, within the window of
    /// [`Response::Ready`].
    UpdateData {
        /// Offset of the bytes in the image.
        offset: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Check the whole image in flash. The answer is [`Response::Done`].
    VerifyUpdate,
    /// Start the verified image on trial. The answer is [`Response::Restarting`] with the sequence number
    /// of the trial.
    StartUpdate,
    /// Make the running firmware permanent. The answer is [`Response::Done`], also to a repeated request.
    ConfirmUpdate {
        /// Sequence number of the trial.
        sequence: u32,
    },
}

/// Maximum bytes of an image in one request.
pub const MAX_UPDATE_DATA: usize = 1024;
/// Minimum bytes of an image in the first request: the board checks chip and project before it erases.
pub const MIN_FIRST_DATA: usize = 112;

/// A response of a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The settings in force and the newest trial.
    Shown(Box<Shown>),
    /// The request was carried out, and any changes are stored in flash.
    Done,
    /// The board restarts as soon as this is sent.
    Restarting {
        /// Sequence number of the settings that it starts with.
        sequence: u32,
    },
    /// The request was refused; nothing has changed.
    Refused(Refusal),
    /// This firmware does not know the request, or a setting in it.
    Unsupported,
    /// The firmware and its slots.
    Firmware(Box<FirmwareReport>),
    /// Send the image from this offset on.
    Ready {
        /// Bytes of the image that are in flash already.
        offset: u32,
        /// Maximum bytes to send before they are acknowledged.
        window: u32,
    },
    /// The bytes of the image up to this offset are in flash.
    Written {
        /// Offset after the last written byte.
        offset: u32,
    },
}

/// The response to [`Request::Firmware`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareReport {
    /// Version of the running firmware. Untrusted text.
    pub version: String,
    /// The chip whose images it accepts, such as `esp32c3`; `None` for a board that accepts none. Untrusted
    /// text.
    pub chip: Option<String>,
    /// Running slot, 0 or 1.
    pub slot: u8,
    /// Bytes of the other slot; `None` if there is none.
    pub capacity: Option<u32>,
    /// Sequence number of the trial, while the running firmware is on trial.
    pub trial: Option<u32>,
    /// The newest trial, if it ended with a return to this firmware.
    pub ended: Option<EndedTrial>,
}

/// A trial of firmware that the board rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTrial {
    /// Sequence number of the trial.
    pub sequence: u32,
    /// Version of the firmware, if its slot still has it. Untrusted text.
    pub version: Option<String>,
    /// Code of the reason in flash.
    pub reason: u8,
}

/// The response to [`Request::Show`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Version of the firmware. Untrusted text.
    pub firmware: String,
    /// The chip, or `virtual`. Untrusted text.
    pub chip: String,
    /// The settings in force, without secrets.
    pub settings: ShownSettings,
    /// Sequence number of the settings.
    pub sequence: u32,
    /// The newest trial, if the newest settings are or were one.
    pub trial: Option<TrialReport>,
}

/// The newest trial of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    /// Sequence number of the settings.
    pub sequence: u32,
    /// State of the trial, with the reason of a rollback.
    #[serde(with = "WireTrialState")]
    pub state: TrialState,
    /// Seconds left to confirm, while the trial is neither confirmed nor rolled back.
    pub remaining_s: Option<u16>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A setting is invalid, or does not fit the others.
    Invalid {
        /// Name of the setting. Untrusted text.
        field: String,
        /// The reason. Untrusted text.
        reason: String,
    },
    /// [`Request::Apply`] with settings that need a restart.
    NeedsRestart,
    /// A trial is neither confirmed nor rolled back.
    TrialInProgress,
    /// No such trial is in progress. [`Request::Show`] returns the outcome of the newest one.
    NoSuchTrial,
    /// The board has an older partition table, with one sector of settings.
    NoSecondSector,
    /// The flash could not be written. The settings in force are unchanged.
    Flash,
    /// An update is refused. The running firmware is unchanged.
    Update(UpdateRefusal),
}

/// Why an update was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateRefusal {
    /// The board has an older partition table, with one application.
    NoSecondSlot,
    /// The board is virtual and has no chip.
    NoChip,
    /// The image does not fit the slot.
    TooLarge {
        /// Bytes of the slot.
        capacity: u32,
    },
    /// The running firmware is on trial.
    OnTrial,
    /// The settings in force are on trial.
    SettingsOnTrial,
    /// The data does not continue the transfer.
    OutOfOrder,
    /// The image is not an application image.
    NotAnApplication,
    /// The image is for another chip.
    WrongChip,
    /// The image belongs to another project.
    WrongProject,
    /// The image ends too early.
    Truncated,
    /// The image's own checksum is wrong.
    Damaged,
    /// The entry point is outside of the image.
    EntryPoint,
    /// The SHA-256 of the flash is not the announced one.
    WrongHash,
    /// The flash could not be written or read.
    Flash,
}

impl Refusal {
    /// The refusal of an invalid setting.
    pub fn invalid(invalid: &Invalid) -> Self {
        Self::Invalid {
            field: invalid.field.to_string(),
            reason: invalid.reason.to_string(),
        }
    }

    /// The refusal of a confirm timeout out of its bounds, in seconds.
    pub fn invalid_confirm_timeout(seconds: u16) -> Self {
        let reason = Reason::OutOfRange {
            got: seconds.into(),
            min: ConfirmTimeout::MIN.as_secs().into(),
            max: ConfirmTimeout::MAX.as_secs().into(),
        };
        Self::Invalid {
            field: "confirm-timeout".into(),
            reason: reason.to_string(),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum WireRequest<'a> {
    Show,
    Apply {
        #[serde(borrow)]
        changes: WireValues<'a>,
    },
    Trial {
        #[serde(borrow)]
        changes: WireValues<'a>,
        confirm_timeout_s: u16,
    },
    Confirm {
        sequence: u32,
    },
    Abort {
        sequence: u32,
    },
    Firmware,
    BeginUpdate {
        size: u32,
        sha256: [u8; 32],
    },
    UpdateData {
        offset: u32,
        bytes: &'a [u8],
    },
    VerifyUpdate,
    StartUpdate,
    ConfirmUpdate {
        sequence: u32,
    },
}

/// [`TrialState`] on the wire.
#[derive(Serialize, Deserialize)]
#[serde(remote = "TrialState")]
enum WireTrialState {
    Pending,
    Started,
    Confirmed,
    RolledBack(#[serde(with = "reason_code")] RollbackReason),
}

/// A [`RollbackReason`] as its code in flash.
mod reason_code {
    use serde::{Deserialize, Deserializer, Serializer};
    use tcpctl_settings::sectors::RollbackReason;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(
        reason: &RollbackReason,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(reason.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RollbackReason, D::Error> {
        u8::deserialize(deserializer).map(RollbackReason::from_code)
    }
}

impl Request {
    /// The message before encryption; `None` if it is longer than [`MAX_MESSAGE`].
    pub fn encode(&self) -> Option<Vec<u8>> {
        encode(&match self {
            Self::Show => WireRequest::Show,
            Self::Apply { changes } => WireRequest::Apply {
                changes: to_wire(changes)?,
            },
            Self::Trial {
                changes,
                confirm_timeout,
            } => WireRequest::Trial {
                changes: to_wire(changes)?,
                confirm_timeout_s: confirm_timeout.as_secs(),
            },
            &Self::Confirm { sequence } => WireRequest::Confirm { sequence },
            &Self::Abort { sequence } => WireRequest::Abort { sequence },
            Self::Firmware => WireRequest::Firmware,
            &Self::BeginUpdate { size, sha256 } => WireRequest::BeginUpdate { size, sha256 },
            Self::UpdateData { offset, bytes } => WireRequest::UpdateData {
                offset: *offset,
                bytes,
            },
            Self::VerifyUpdate => WireRequest::VerifyUpdate,
            Self::StartUpdate => WireRequest::StartUpdate,
            &Self::ConfirmUpdate { sequence } => WireRequest::ConfirmUpdate { sequence },
        })
    }

    /// Reads a message after decryption.
    ///
    /// # Errors
    /// This version does not support the request, or it has an invalid value.
    // Inlined into the board's session, this function adds 0.6 kB to a chip's image.
    #[inline(never)]
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Ok(match decode(bytes)? {
            WireRequest::Show => Self::Show,
            WireRequest::Apply { changes } => Self::Apply {
                changes: changes_from_wire(&changes)?,
            },
            WireRequest::Trial {
                changes,
                confirm_timeout_s,
            } => Self::Trial {
                changes: changes_from_wire(&changes)?,
                confirm_timeout: ConfirmTimeout::from_secs(confirm_timeout_s)
                    .ok_or(Unreadable::ConfirmTimeout(confirm_timeout_s))?,
            },
            WireRequest::Confirm { sequence } => Self::Confirm { sequence },
            WireRequest::Abort { sequence } => Self::Abort { sequence },
            WireRequest::Firmware => Self::Firmware,
            WireRequest::BeginUpdate { size, sha256 } => Self::BeginUpdate { size, sha256 },
            WireRequest::UpdateData { offset, bytes } => Self::UpdateData {
                offset,
                bytes: bytes.to_vec(),
            },
            WireRequest::VerifyUpdate => Self::VerifyUpdate,
            WireRequest::StartUpdate => Self::StartUpdate,
            WireRequest::ConfirmUpdate { sequence } => Self::ConfirmUpdate { sequence },
        })
    }
}

impl Response {
    /// The message before encryption; `None` if it is longer than [`MAX_MESSAGE`].
    pub fn encode(&self) -> Option<Vec<u8>> {
        encode(self)
    }

    /// Reads a message after decryption; `None` if it is not a valid response.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes).ok()
    }
}

fn encode(message: &impl Serialize) -> Option<Vec<u8>> {
    // A fixed buffer results in smaller code than one that grows.
    let mut bytes = vec![0; MAX_MESSAGE];
    let length = postcard::to_slice(message, &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (message, []) => Ok(message),
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}
