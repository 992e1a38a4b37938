//! Replies with a host program instead of the greeting: `--reply-file`, `--echo`, `--exec`.
//!
//! The slots, the backlog and the refusals stay the firmware's.

use std::net::SocketAddrV4;

use embassy_net::tcp::{Error, TcpSocket};
use embassy_time::{Duration, Instant, with_deadline, with_timeout};
use futures_util::FutureExt;
use tcpctl_greeter::console::Console;
use tcpctl_greeter::server::Server;

use super::clock;
use crate::exec::{MAX_DURATION, MAX_REQUEST_BYTES, REQUEST_SILENCE, Run};

/// The reply of a virtual board.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reply {
    /// The firmware's greeting and commands.
    #[default]
    Greeting,
    /// These bytes, once per connection.
    Bytes(Vec<u8>),
    /// Each byte received, until the client closes.
    Echo,
    /// The output of a shell command that runs once per request.
    Exec(String),
}

/// Bytes per read.
const CHUNK: usize = 1024;

/// Sends back what arrives until the client's FIN. Returns the bytes sent.
pub(super) async fn echo<C: Console, const SLOTS: usize>(
    server: &Server<'_, C, SLOTS>,
    socket: &mut TcpSocket<'_>,
    peer: SocketAddrV4,
) -> Result<usize, Error> {
    let mut sent = 0;
    let mut buffer = [0; CHUNK];
    loop {
        let length = read(socket, &mut buffer).await?;
        if length == 0 {
            return Ok(sent);
        }
        server.report(peer, &buffer[..length]);
        server.send(socket, &buffer[..length]).await?;
        sent += length;
    }
}

/// Runs a command with the request on its standard input and sends its output. The command ends with
/// the connection. Returns the bytes sent.
pub(super) async fn exec<C: Console, const SLOTS: usize>(
    server: &Server<'_, C, SLOTS>,
    request_timeout: Duration,
    command: &str,
    socket: &mut TcpSocket<'_>,
    peer: SocketAddrV4,
) -> Result<usize, Error> {
    let mut request = Vec::new();
    let mut buffer = [0; CHUNK];
    let mut timeout = request_timeout;
    while request.len() < MAX_REQUEST_BYTES {
        match with_timeout(timeout, read(socket, &mut buffer)).await {
            Ok(Ok(0)) | Err(_) => break,
            Ok(length) => request.extend_from_slice(&buffer[..length?]),
        }
        timeout = clock::duration(REQUEST_SILENCE);
    }
    request.truncate(MAX_REQUEST_BYTES);
    server.report(peer, &request);
    let mut run = Run::start(command, request).map_err(|_| Error::ConnectionReset)?;
    let deadline = Instant::now() + clock::duration(MAX_DURATION);
    let mut sent = 0;
    loop {
        let next = {
            let gone = std::pin::pin!(Server::<C, SLOTS>::gone(socket).fuse());
            let next = std::pin::pin!(with_deadline(deadline, run.recv()));
            match futures_util::future::select(next, gone).await {
                futures_util::future::Either::Left((next, _)) => next,
                futures_util::future::Either::Right(_) => return Err(Error::ConnectionReset),
            }
        };
        let Ok(Some(chunk)) = next else {
            return Ok(sent);
        };
        server.send(socket, &chunk).await?;
        sent += chunk.len();
    }
}

/// Reads; 0 at the client's FIN.
async fn read(socket: &mut TcpSocket<'_>, buffer: &mut [u8]) -> Result<usize, Error> {
    match socket.read(buffer).await {
        // embassy-net reports a FIN as 0 or as an error in a state that can still send.
        Err(_) if socket.may_send() => Ok(0),
        other => other,
    }
}
