//! Prints events of connections: JSON, text on a terminal, or only the bytes in a pipe.

use std::net::SocketAddr;

use super::report::{CloseReason, Data, ListenEvent, ListenReport};
use crate::board::console::LineSplitter;
use crate::output::{Output, human};
use crate::sanitize::{Sanitizer, Sgr};
use crate::timestamp;

/// Prints the events of all connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer<'a> {
    output: &'a Output,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    /// Lines with time and peer.
    Text,
    /// Received bytes only.
    Bytes,
}

/// Received bytes of a connection that are not printed yet.
#[derive(Debug, Default)]
pub(super) struct Unprinted {
    lines: LineSplitter,
    /// The start of an incomplete character.
    tail: Vec<u8>,
}

impl Unprinted {
    /// Whether there is an unfinished line.
    pub(super) fn has_line(&self) -> bool {
        !self.lines.rest().is_empty()
    }
}

impl<'a> Printer<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let form = match (output.is_json(), output.is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Text,
            (false, false) => Form::Bytes,
        };
        Self { output, form }
    }

    pub(super) fn ready(&self, addr: SocketAddr) -> anyhow::Result<()> {
        match self.form {
            Form::Json => self.event(ListenEvent::Ready { addr }),
            Form::Text | Form::Bytes => {
                self.output.note(&format!("listening on {addr}"));
                Ok(())
            }
        }
    }

    pub(super) fn accepted(&self, peer: SocketAddr) -> anyhow::Result<()> {
        match self.form {
            Form::Json => self.event(ListenEvent::Accepted { peer }),
            Form::Text | Form::Bytes => {
                self.note(peer, "connected");
                Ok(())
            }
        }
    }

    pub(super) fn received(
        &self,
        peer: SocketAddr,
        bytes: &[u8],
        unprinted: &mut Unprinted,
    ) -> anyhow::Result<()> {
        match self.form {
            Form::Bytes => self.output.write(bytes),
            Form::Text => {
                for line in unprinted.lines.push(bytes) {
                    self.line(peer, &line)?;
                }
                Ok(())
            }
            Form::Json => {
                let mut data = std::mem::take(&mut unprinted.tail);
                data.extend_from_slice(bytes);
                unprinted.tail = data.split_off(whole_characters(&data));
                self.data(peer, &data)
            }
        }
    }

    /// Prints bytes that wait for the rest of a line or character.
    pub(super) fn flush(&self, peer: SocketAddr, unprinted: &mut Unprinted) -> anyhow::Result<()> {
        if unprinted.has_line() {
            self.line(peer, &unprinted.lines.take())?;
        }
        let tail = std::mem::take(&mut unprinted.tail);
        self.data(peer, &tail)
    }

    pub(super) fn closed(
        &self,
        peer: SocketAddr,
        reason: CloseReason,
        received_bytes: u64,
        sent_bytes: u64,
    ) -> anyhow::Result<()> {
        if let Form::Json = self.form {
            return self.event(ListenEvent::Closed {
                peer,
                reason,
                received_bytes,
                sent_bytes,
            });
        }
        let how = match reason {
            CloseReason::Peer | CloseReason::Replied => "closed",
            CloseReason::Reset => "reset by the client",
            CloseReason::Ended => "closed at the end",
        };
        self.note(
            peer,
            &format!(
                "{how}, {} received, {} sent",
                human::bytes(received_bytes),
                human::bytes(sent_bytes)
            ),
        );
        Ok(())
    }

    /// Prints a note about a connection on standard error.
    pub(super) fn note(&self, peer: SocketAddr, text: &str) {
        let time = timestamp::local_time_of_day(std::time::SystemTime::now());
        self.output.note(&format!("{time} {peer} {text}"));
    }

    fn line(&self, peer: SocketAddr, line: &[u8]) -> anyhow::Result<()> {
        let time = timestamp::local_time_of_day(std::time::SystemTime::now());
        let mut text = format!("{time} {peer}: ");
        let mut sanitizer = Sanitizer::with_sgr(Sgr::Escape);
        sanitizer.push(line, &mut text);
        sanitizer.finish(&mut text);
        text.push('\n');
        self.output.write(text.as_bytes())
    }

    fn data(&self, peer: SocketAddr, data: &[u8]) -> anyhow::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.event(ListenEvent::Received {
            peer,
            len: data.len(),
            data: Data::new(data),
        })
    }

    fn event(&self, event: ListenEvent<'_>) -> anyhow::Result<()> {
        self.output.object(&ListenReport::now(event))
    }
}

/// The length without an incomplete character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn incomplete_characters_are_held_back() {
        assert_eq!(whole_characters("aä".as_bytes()), 3);
        assert_eq!(whole_characters(b"a\xc3"), 1);
        assert_eq!(whole_characters(b"a\xffb\xc3"), 4);
    }
}
