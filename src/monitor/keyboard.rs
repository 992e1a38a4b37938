//! Reads keys: most go to the board, a few control the monitor.

use std::io::{self, Read};
use std::thread;

use tokio::sync::mpsc;

use crate::sys::terminal::Keyboard;

/// Ends the monitor, as in miniterm and idf.py.
const CTRL_RIGHT_BRACKET: u8 = 0x1d;
/// Starts a command.
const CTRL_T: u8 = 0x14;
/// Resets the board after Ctrl-T.
const CTRL_R: u8 = 0x12;

/// The keys that control the monitor.
pub(super) const HELP: &str =
    "Ctrl-] ends, Ctrl-T Ctrl-R resets the board, all other keys go to it";

/// The action of typed keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyAction {
    /// Bytes for the board.
    Send(Vec<u8>),
    /// Reset the board.
    Reset,
    /// End the monitor.
    End,
    /// Ctrl-T was followed by another key.
    Unknown,
}

/// Reads keys on a separate thread. The terminal is restored when the guard is dropped.
///
/// # Errors
/// Standard input is not a terminal.
pub(super) fn listen() -> io::Result<(Keyboard, mpsc::UnboundedReceiver<KeyAction>)> {
    let keyboard = Keyboard::take()?;
    let (sender, receiver) = mpsc::unbounded_channel();
    // A read that waits for a key cannot be cancelled, so the thread ends with the process.
    thread::spawn(move || {
        let mut keys = Keys::default();
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut bytes) {
            for action in keys.push(&bytes[..count]) {
                if sender.send(action).is_err() {
                    return;
                }
            }
        }
    });
    Ok((keyboard, receiver))
}

/// Separates commands from keys for the board.
#[derive(Debug, Default)]
struct Keys {
    after_ctrl_t: bool,
}

impl Keys {
    fn push(&mut self, bytes: &[u8]) -> Vec<KeyAction> {
        let mut actions = Vec::new();
        for &byte in bytes {
            let after_ctrl_t = std::mem::take(&mut self.after_ctrl_t);
            let action = match byte {
                CTRL_R if after_ctrl_t => KeyAction::Reset,
                CTRL_T if !after_ctrl_t => {
                    self.after_ctrl_t = true;
                    continue;
                }
                CTRL_RIGHT_BRACKET => KeyAction::End,
                byte if byte != CTRL_T && after_ctrl_t => KeyAction::Unknown,
                byte => KeyAction::Send(vec![byte]),
            };
            match (actions.last_mut(), action) {
                (Some(KeyAction::Send(sent)), KeyAction::Send(byte)) => sent.extend(byte),
                (_, action) => actions.push(action),
            }
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_keys_are_not_sent_to_the_board() {
        let mut keys = Keys::default();
        assert_eq!(
            keys.push(b"ls\r\x03"),
            [KeyAction::Send(b"ls\r\x03".to_vec())]
        );
        assert_eq!(keys.push(b"\x12\x14"), [KeyAction::Send(b"\x12".to_vec())]);
        assert_eq!(keys.push(b"\x12"), [KeyAction::Reset]);
        assert_eq!(keys.push(b"\x14\x14"), [KeyAction::Send(b"\x14".to_vec())]);
        assert_eq!(
            keys.push(b"\x14x\x1d"),
            [KeyAction::Unknown, KeyAction::End]
        );
    }
}
