//! Out of the loader again, by the port's reset lines.

use espflash::connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation};
use serialport::UsbPortInfo;

use super::Wish;
use crate::serial::port;
use crate::serial::port::DEFAULT_BAUD;

/// The way out of the loader for a board that is not written to after all: it is reset when this is
/// dropped, and so runs what it ran before.
#[derive(Debug)]
pub(super) struct WayOut {
    /// The port once more, if it can reset the board.
    port: Option<Port>,
    /// Whether the board is left as it is.
    closed: bool,
    pub(super) has_reset_lines: bool,
    usb: UsbPortInfo,
}

impl WayOut {
    pub(super) fn new(port: &Port, wish: &Wish, has_reset_lines: bool) -> Self {
        let again = has_reset_lines.then(|| port.try_clone_native().ok());
        let port = again.flatten();
        Self {
            // Without it nothing can be reset, and the person is asked to.
            has_reset_lines: port.is_some(),
            port,
            closed: false,
            usb: wish.port.usb.clone(),
        }
    }

    /// The board is left as it is.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Resets the board.
    pub(super) fn take(&mut self) -> Result<(), espflash::Error> {
        self.closed = true;
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

impl Drop for WayOut {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.take();
        }
    }
}
