//! Resets the board out of its loader with the port's reset lines.

use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use serialport::UsbPortInfo;

use crate::serial::port;
use crate::serial::port::DEFAULT_BAUD;

/// Resets the board when dropped, so that a board that was not written to runs its old firmware
/// again.
#[derive(Debug)]
pub(super) struct ResetGuard {
    /// A second handle of the port, if the port has reset lines.
    port: Option<Port>,
    /// Whether dropping does nothing.
    disarmed: bool,
    pub(super) has_reset_lines: bool,
    usb: UsbPortInfo,
}

impl ResetGuard {
    pub(super) fn new(port: &Port, usb: &UsbPortInfo, has_reset_lines: bool) -> Self {
        let again = has_reset_lines.then(|| port.try_clone_native().ok());
        let port = again.flatten();
        Self {
            // Without a handle, the user has to reset the board.
            has_reset_lines: port.is_some(),
            port,
            disarmed: false,
            usb: usb.clone(),
        }
    }

    /// Keeps the board as it is when this is dropped.
    pub(super) fn disarm(&mut self) {
        self.disarmed = true;
    }

    /// Resets the board.
    pub(super) fn reset(&mut self) -> Result<(), espflash::Error> {
        self.disarmed = true;
        let Some(mut port) = self.port.take() else {
            return Ok(());
        };
        port::release_boot(&mut port)?;
        Connection::new(
            port,
            self.usb.clone(),
            ResetAfterOperation::HardReset,
            ResetBeforeOperation::NoReset,
            DEFAULT_BAUD,
        )
        .reset()
    }
}

impl Drop for ResetGuard {
    fn drop(&mut self) {
        if !self.disarmed {
            let _ = self.reset();
        }
    }
}
