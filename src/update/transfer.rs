//! Sends an image in requests, within the board's window.

use tcpctl_management::{ClientError, MAX_UPDATE_DATA, Request, Response};

use super::plan::Image;
use crate::management::{Channel, ChannelError};

/// Why a transfer ended early.
#[derive(Debug)]
pub(super) enum TransferError {
    /// The session broke. The transfer can continue in another one.
    Channel(ChannelError),
    /// The board sent an unexpected response.
    Answer(Response),
}

impl From<ChannelError> for TransferError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

/// Announces the image. Returns the bytes that the board already has, and its window.
pub(super) async fn begin(
    channel: &mut Channel,
    image: &Image,
) -> Result<(u32, u32), TransferError> {
    let request = Request::BeginUpdate {
        size: size(image),
        sha256: image.sha256,
    };
    match channel.request(&request).await? {
        Response::Ready { offset, window } if offset <= size(image) => Ok((offset, window)),
        other => Err(TransferError::Answer(other)),
    }
}

/// Sends the image from `offset` on. `progress` is called with the number of bytes in the board's
/// flash.
pub(super) async fn send(
    channel: &mut Channel,
    image: &Image,
    (mut offset, window): (u32, u32),
    mut progress: impl FnMut(u32),
) -> Result<(), TransferError> {
    let mut written = offset;
    while written < size(image) {
        let rest = image.bytes.get(offset as usize..).unwrap_or_default();
        let bytes = &rest[..rest.len().min(MAX_UPDATE_DATA)];
        let end = offset + u32::try_from(bytes.len()).unwrap_or(0);
        // One request is always allowed, whatever the window.
        let fits = end - written <= window || offset == written;
        if !bytes.is_empty() && fits {
            let bytes = bytes.to_vec();
            channel
                .send_request(&Request::UpdateData { offset, bytes })
                .await?;
            offset = end;
            continue;
        }
        match channel.response().await? {
            Response::Written { offset: now } if (written..=offset).contains(&now) => {
                written = now;
                progress(written);
            }
            Response::Written { .. } => {
                return Err(ChannelError::Protocol(ClientError::OutOfOrder).into());
            }
            other => return Err(TransferError::Answer(other)),
        }
    }
    Ok(())
}

/// Length of an image, which fits a slot.
pub(super) fn size(image: &Image) -> u32 {
    u32::try_from(image.bytes.len()).unwrap_or(u32::MAX)
}
