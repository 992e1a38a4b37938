//! One accepted connection.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::plan::Answer;
use super::printer::{Printer, Unprinted};
use super::report::CloseReason;
use crate::exec::{self, Run};
use crate::failure::reason;

/// Bytes per read.
const READ_BYTES: usize = 16 * 1024;
/// Silence after which an unfinished line is printed.
const LINE_SILENCE: Duration = Duration::from_millis(100);
/// How long to wait for the client to close after the reply. Closing with unread data would reset
/// the connection, and the client could lose the reply (RFC 1122 §4.2.2.13).
const LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until it ends, or until `stop` changes. Returns why it ended, and the bytes received.
///
/// # Errors
/// Standard output cannot be written.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    answer: &Answer,
    printer: Printer<'_>,
    mut stop: watch::Receiver<()>,
) -> anyhow::Result<(CloseReason, u64)> {
    let mut connection = Connection {
        stream,
        peer,
        printer,
        unprinted: Unprinted::default(),
        buffer: vec![0; READ_BYTES].into(),
        received: 0,
        sent: 0,
    };
    let reason = tokio::select! {
        biased;
        _ = stop.changed() => CloseReason::Ended,
        reason = connection.answer(answer) => reason?,
    };
    let Connection {
        mut unprinted,
        received,
        sent,
        ..
    } = connection;
    printer.flush(peer, &mut unprinted)?;
    printer.closed(peer, reason, received, sent)?;
    Ok((reason, received))
}

struct Connection<'a> {
    stream: TcpStream,
    peer: SocketAddr,
    printer: Printer<'a>,
    unprinted: Unprinted,
    buffer: Box<[u8]>,
    received: u64,
    sent: u64,
}

impl Connection<'_> {
    async fn answer(&mut self, answer: &Answer) -> anyhow::Result<CloseReason> {
        match answer {
            Answer::None => {
                while let Some(count) = self.read().await? {
                    if count == 0 {
                        return Ok(CloseReason::Peer);
                    }
                }
            }
            Answer::Echo => {
                while let Some(count) = self.read().await? {
                    if count == 0 {
                        return Ok(CloseReason::Peer);
                    }
                    let written = self.stream.write_all(&self.buffer[..count]).await;
                    if written.is_err() {
                        break;
                    }
                    self.sent += count as u64;
                }
            }
            Answer::Reply(reply) => match self.read().await? {
                Some(0) => return Ok(CloseReason::Peer),
                Some(_) => {
                    let reply = reply.clone();
                    if self.write(&reply).await.is_ok() {
                        return self.close().await;
                    }
                }
                None => {}
            },
            Answer::Exec(command) => {
                let Some(request) = self.request().await? else {
                    return Ok(CloseReason::Reset);
                };
                if request.is_empty() {
                    return Ok(CloseReason::Peer);
                }
                let run = match Run::start(command, request) {
                    Ok(run) => run,
                    Err(error) => {
                        self.printer
                            .note(self.peer, &format!("cannot run sh: {}", reason(&error)));
                        return self.close().await;
                    }
                };
                return self.relay(run).await;
            }
        }
        Ok(CloseReason::Reset)
    }

    /// Sends the output of a command until its end, its time limit, or a reset by the client.
    async fn relay(&mut self, mut run: Run) -> anyhow::Result<CloseReason> {
        let mut is_open = true;
        loop {
            let chunk = tokio::select! {
                chunk = run.next() => chunk,
                read = self.read(), if is_open => match read? {
                    None => return Ok(CloseReason::Reset),
                    // A client may close its write side and still wait for the reply.
                    Some(0) => {
                        is_open = false;
                        continue;
                    }
                    Some(_) => continue,
                },
            };
            let Some(chunk) = chunk else { break };
            match tokio::time::timeout_at(run.deadline().into(), self.write(&chunk)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(CloseReason::Reset),
                Err(_) => break,
            }
        }
        let is_late = run.deadline() <= Instant::now();
        drop(run);
        if is_late {
            let limit = exec::MAX_DURATION;
            self.printer.note(
                self.peer,
                &format!("the command was killed at its time limit of {limit:?}"),
            );
        }
        self.close().await
    }

    /// Reads and prints bytes; 0 at a FIN, `None` if the connection is broken. Cancel-safe.
    async fn read(&mut self) -> anyhow::Result<Option<usize>> {
        let read = loop {
            if !self.unprinted.has_line() {
                break self.stream.read(&mut self.buffer).await;
            }
            match tokio::time::timeout(LINE_SILENCE, self.stream.read(&mut self.buffer)).await {
                Ok(read) => break read,
                Err(_) => self.printer.flush(self.peer, &mut self.unprinted)?,
            }
        };
        let Ok(count) = read else {
            return Ok(None);
        };
        self.received += count as u64;
        self.printer
            .received(self.peer, &self.buffer[..count], &mut self.unprinted)?;
        Ok(Some(count))
    }

    /// Reads a request: until a FIN, silence, or the size limit; `None` if the connection is broken.
    async fn request(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut request = Vec::new();
        loop {
            let read = if request.is_empty() {
                self.read().await?
            } else {
                match tokio::time::timeout(exec::REQUEST_SILENCE, self.read()).await {
                    Ok(read) => read?,
                    Err(_) => return Ok(Some(request)),
                }
            };
            match read {
                None => return Ok(None),
                Some(0) => return Ok(Some(request)),
                Some(count) => {
                    let room = exec::MAX_REQUEST_BYTES - request.len();
                    request.extend_from_slice(&self.buffer[..count.min(room)]);
                    if request.len() == exec::MAX_REQUEST_BYTES {
                        return Ok(Some(request));
                    }
                }
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    /// Sends a FIN and waits a moment for the client's FIN.
    async fn close(&mut self) -> anyhow::Result<CloseReason> {
        let _ = self.stream.shutdown().await;
        let drain = async {
            while let Some(1..) = self.read().await? {}
            anyhow::Ok(())
        };
        if let Ok(drained) = tokio::time::timeout(LINGER, drain).await {
            drained?;
        }
        Ok(CloseReason::Replied)
    }
}
