//! Short exchanges with a board: its greeting, and a command that answers with one line.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::failure::reason;

/// The message of the tutorial's client. Every tutorial board replies to it with its greeting.
pub const MESSAGE: &[u8] = b"Hello TCP world!\r\n";
/// Limit for a whole greeting.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(8);
/// Limit for each read of a greeting.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Greeting bytes to keep.
const GREETING_LIMIT: usize = 4096;
/// Reason for a board that accepted the connection and sent nothing.
const SILENT: &str = "no reply";

/// Sends [`MESSAGE`] and reads the greeting, until the server closes or is silent, or the deadline.
///
/// # Errors
/// Why no byte arrived.
pub async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    deadline: Instant,
) -> Result<Vec<u8>, String> {
    let mut greeting = Vec::new();
    let ended = timeout_at(deadline, read_greeting(stream, &mut greeting)).await;
    if greeting.is_empty() {
        return Err(ended.unwrap_or_else(|_| SILENT.to_owned()));
    }
    Ok(greeting)
}

/// Reads into `greeting` and returns how the exchange ended.
async fn read_greeting<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    greeting: &mut Vec<u8>,
) -> String {
    if let Err(error) = stream.write_all(MESSAGE).await {
        return reason(&error);
    }
    while greeting.len() < GREETING_LIMIT {
        let mut buffer = [0; 1024];
        match timeout(READ_TIMEOUT, stream.read(&mut buffer)).await {
            Ok(Ok(0)) => return "closed without a byte".to_owned(),
            Ok(Ok(count)) => greeting.extend_from_slice(&buffer[..count]),
            Ok(Err(error)) => return reason(&error),
            Err(_) => return SILENT.to_owned(),
        }
    }
    "the reply is longer than a greeting".to_owned()
}

/// Sends a request and reads one line including its end, or the bytes before the server closes. A
/// line of more than `limit` bytes is cut.
///
/// # Errors
/// The connection breaks.
pub async fn line<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &[u8],
    limit: usize,
) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    let mut line = Vec::new();
    let mut piece = [0; 4096];
    while line.len() < limit && !line.ends_with(b"\n") {
        match stream.read(&mut piece).await? {
            0 => break,
            count => line.extend_from_slice(&piece[..count]),
        }
    }
    Ok(line)
}
