//! Echo (RFC 862), discard (RFC 863) and chargen (RFC 864), used as throughput endpoints.
//!
//! Each future serves one connection at a time, so run several for several streams. A vanished peer
//! is dropped after [`PEER_TIMEOUT`].

use embassy_net::Stack;
use embassy_net::tcp::{Error, TcpSocket};
use embassy_time::{Duration, Timer};

use crate::connection;

/// TCP port of [`echo`] (RFC 862).
pub const ECHO_PORT: u16 = 7;
/// TCP port of [`discard`] (RFC 863).
pub const DISCARD_PORT: u16 = 9;
/// TCP port of [`chargen`] (RFC 864).
pub const CHARGEN_PORT: u16 = 19;
/// Timeout for a peer that no longer replies.
pub const PEER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a peer to close its side. After it the peer is reset.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Echoes data until the peer closes its side (RFC 862). Never returns.
pub async fn echo(stack: Stack<'_>, receive: &mut [u8], send: &mut [u8]) {
    serve(stack, ECHO_PORT, receive, send, async |socket| {
        let (mut reader, mut writer) = socket.split();
        loop {
            // Both buffers belong to the socket, so data is copied between reading and writing.
            let mut piece = [0; 256];
            let length = reader
                .read_with(|data| {
                    let length = data.len().min(piece.len());
                    piece[..length].copy_from_slice(&data[..length]);
                    (length, length)
                })
                .await?;
            let mut rest = &piece[..length];
            while !rest.is_empty() {
                let written = writer.write(rest).await?;
                rest = &rest[written..];
            }
        }
    })
    .await;
}

/// Discards data until the peer closes its side (RFC 863). Never returns.
pub async fn discard(stack: Stack<'_>, receive: &mut [u8], send: &mut [u8]) {
    serve(stack, DISCARD_PORT, receive, send, async |socket| {
        loop {
            socket.read_with(|data| (data.len(), ())).await?;
        }
    })
    .await;
}

/// Sends the rotating lines of RFC 864 until the peer closes its side. Never returns.
pub async fn chargen(stack: Stack<'_>, receive: &mut [u8], send: &mut [u8]) {
    serve(stack, CHARGEN_PORT, receive, send, async |socket| {
        let mut position = 0;
        while socket.may_recv() {
            position = socket
                .write_with(|buffer| {
                    for (offset, byte) in buffer.iter_mut().enumerate() {
                        *byte = chargen_byte(position + offset);
                    }
                    (buffer.len(), (position + buffer.len()) % CHARGEN_PERIOD)
                })
                .await?;
            while socket.can_recv() {
                socket.read_with(|data| (data.len(), ())).await?;
            }
        }
        Ok(())
    })
    .await;
}

/// Accepts one connection after another and runs `service` on each until the peer ends it.
async fn serve(
    stack: Stack<'_>,
    port: u16,
    receive: &mut [u8],
    send: &mut [u8],
    service: impl AsyncFn(&mut TcpSocket<'_>) -> Result<(), Error>,
) {
    let mut socket = TcpSocket::new(stack, receive, send);
    connection::watch_peer(&mut socket, PEER_TIMEOUT);
    loop {
        if socket.accept(port).await.is_err() {
            connection::reset(&mut socket).await;
            Timer::after(CLOSE_TIMEOUT).await;
            continue;
        }
        // An error means that the peer has closed or reset.
        let _ = service(&mut socket).await;
        connection::close(&mut socket, PEER_TIMEOUT, CLOSE_TIMEOUT).await;
    }
}

/// Number of printable characters, space included.
const PRINTABLE: usize = 95;
/// Length of a line without CR LF.
const LINE: usize = 72;
/// Bytes after which the pattern repeats.
const CHARGEN_PERIOD: usize = PRINTABLE * (LINE + 2);

/// The byte of the chargen pattern at `position`: line n starts with the nth printable character
/// (RFC 864, "one popular pattern").
fn chargen_byte(position: usize) -> u8 {
    let line = position / (LINE + 2);
    match position % (LINE + 2) {
        LINE => b'\r',
        column if column > LINE => b'\n',
        column => {
            let character = (line + column) % PRINTABLE;
            // Cannot fail: the value is below 95.
            b' ' + u8::try_from(character).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;

    #[test]
    fn chargen_is_the_pattern_of_the_rfc() {
        let text: String = (0..3 * 74).map(|at| char::from(chargen_byte(at))).collect();
        let lines: std::vec::Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines[0],
            r##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##
        );
        assert_eq!(
            lines[1],
            r##"!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefgh"##
        );
        assert!(lines[2].starts_with("\"#$"));
        for at in 0..CHARGEN_PERIOD {
            assert_eq!(chargen_byte(at), chargen_byte(at + CHARGEN_PERIOD));
        }
    }
}
