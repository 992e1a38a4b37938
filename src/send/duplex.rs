//! A connection and its message: moves bytes in both directions at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::input::MessageReader;
use crate::connect::Stream;

/// Bytes per read from the network.
const READ_BYTES: usize = 128 * 1024;
/// First and maximum pause between two checks of the acknowledged bytes.
const POLL_INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// A connection and the message that is sent over it.
#[derive(Debug)]
pub(super) struct Duplex {
    stream: Stream,
    input: MessageReader,
    outbound: Outbound,
    half_close: bool,
    sent: u64,
    last_progress: Instant,
    peer_closed: bool,
    received: Box<[u8]>,
}

/// The state of the write side.
#[derive(Debug)]
enum Outbound {
    /// Input is being sent.
    Open,
    /// Everything was written; the FIN follows.
    Closing,
    /// Everything was written, including the FIN if there is one.
    Ended,
    /// The peer accepts no more data.
    Broken,
}

/// An event of the connection.
#[derive(Debug)]
pub(super) enum Event {
    /// This many bytes arrived; [`Duplex::received`] returns them.
    Received(usize),
    /// The peer sent a FIN.
    Closed,
    /// The connection broke.
    Broken,
    /// All input was passed to the network, and the FIN if it was requested.
    InputEnded,
    /// The input is unreadable.
    InputFailed(io::Error),
}

impl Duplex {
    pub(super) fn new(stream: Stream, input: MessageReader, half_close: bool) -> Self {
        Self {
            stream,
            input,
            outbound: Outbound::Open,
            half_close,
            sent: 0,
            last_progress: Instant::now(),
            peer_closed: false,
            received: vec![0; READ_BYTES].into(),
        }
    }

    /// Bytes handed to the network.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// When a byte last moved in either direction.
    pub(super) fn last_progress(&self) -> Instant {
        self.last_progress
    }

    /// Restarts the idle timer, because waiting for input is not silence of the peer.
    pub(super) fn reset_idle_timer(&mut self) {
        self.last_progress = Instant::now();
    }

    /// Whether there is input that the network has not accepted yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.input.pending().is_empty()
    }

    /// The first `count` bytes of the last read.
    pub(super) fn received(&self, count: usize) -> &[u8] {
        &self.received[..count]
    }

    /// Writes until an event that the exchange must handle. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            // Sending comes first, so that a server that greets and closes at once gets the
            // message.
            let wrote = self.poll_write(cx);
            if let Poll::Ready(Some(event)) = wrote {
                return Poll::Ready(event);
            }
            if let Poll::Ready(event) = self.poll_read(cx) {
                return Poll::Ready(event);
            }
            if wrote.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Returns ready without an event after progress; poll it again then.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.outbound {
            Outbound::Open => match ready!(self.input.poll_more(cx)) {
                Ok(true) => {
                    let written =
                        ready!(Pin::new(&mut self.stream).poll_write(cx, self.input.pending()));
                    match written {
                        Ok(count) if count > 0 => {
                            self.input.advance(count);
                            self.sent += count as u64;
                            self.last_progress = Instant::now();
                        }
                        Ok(_) | Err(_) => self.stop_sending(),
                    }
                    Poll::Ready(None)
                }
                Ok(false) if self.half_close => {
                    self.outbound = Outbound::Closing;
                    Poll::Ready(None)
                }
                Ok(false) => {
                    self.outbound = Outbound::Ended;
                    Poll::Ready(Some(Event::InputEnded))
                }
                Err(error) => Poll::Ready(Some(Event::InputFailed(error))),
            },
            Outbound::Closing => {
                if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_ok() {
                    self.outbound = Outbound::Ended;
                    Poll::Ready(Some(Event::InputEnded))
                } else {
                    self.stop_sending();
                    Poll::Ready(None)
                }
            }
            Outbound::Ended | Outbound::Broken => Poll::Pending,
        }
    }

    /// The peer accepts no more data. Data that it sent before can still be read, so this is not
    /// the end.
    fn stop_sending(&mut self) {
        self.outbound = Outbound::Broken;
        self.input.discard();
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.peer_closed {
            // Nothing more can be read, but a broken write side must be reported.
            return match self.outbound {
                Outbound::Broken => Poll::Ready(Event::Broken),
                _ => Poll::Pending,
            };
        }
        let mut buffer = ReadBuf::new(&mut self.received);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        let count = buffer.filled().len();
        self.last_progress = Instant::now();
        Poll::Ready(match read {
            Ok(()) if count > 0 => Event::Received(count),
            // A failed write has cleared the error of the socket, so this is not an orderly close.
            Ok(()) if matches!(self.outbound, Outbound::Broken) => Event::Broken,
            Ok(()) => {
                self.peer_closed = true;
                Event::Closed
            }
            Err(_) => Event::Broken,
        })
    }

    /// Waits after the end of input until the peer has acknowledged everything. Discards received
    /// data meanwhile.
    ///
    /// # Errors
    /// The connection broke, or nothing new was acknowledged for `timeout`.
    pub(super) async fn acknowledged(&mut self, timeout: Duration) -> Result<(), Unacknowledged> {
        let (mut pause, longest) = POLL_INTERVALS;
        let mut least = usize::MAX;
        let mut progress = Instant::now();
        loop {
            // After the peer's FIN no read would report a reset.
            if self.stream.is_broken() {
                return Err(Unacknowledged::Broken);
            }
            let left = self.stream.unacknowledged();
            match left.map_err(|_| Unacknowledged::Broken)? {
                Some(0) => return Ok(()),
                // If the system does not report it, the peer's FIN is the best sign.
                None if self.peer_closed => return Ok(()),
                Some(left) if left < least => {
                    least = left;
                    progress = Instant::now();
                }
                _ => {}
            }
            if progress.elapsed() >= timeout {
                return Err(Unacknowledged::TimedOut);
            }
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.poll_read(cx)) => {
                    if let Event::Broken = event {
                        return Err(Unacknowledged::Broken);
                    }
                }
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
            }
        }
    }
}

/// Why not everything was acknowledged.
#[derive(Debug)]
pub(super) enum Unacknowledged {
    /// The connection broke.
    Broken,
    /// The timeout expired.
    TimedOut,
}
