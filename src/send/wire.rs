//! Moves bytes both ways at once, and says what happened.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::input::Feed;
use crate::connect::Stream;

/// How much is read from the network at a time.
const READ: usize = 128 * 1024;
/// The first pause between two looks at what is acknowledged, and the longest: a round trip on a
/// cable, and an unnoticed wait.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// What is read within this time was there; what comes later, a person or a program has yet to
/// say.
const BEING_READ: Duration = Duration::from_millis(50);

/// A connection, with what is still to be sent over it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    feed: Feed,
    outbound: Outbound,
    half_close: bool,
    sent: u64,
    moved: Instant,
    peer_closed: bool,
    received: Box<[u8]>,
}

/// The state of the write side.
#[derive(Debug)]
enum Outbound {
    /// Input is being sent.
    Open,
    /// All is written; the FIN is on its way.
    Closing,
    /// All is done.
    Ended,
    /// The peer takes nothing more.
    Broken,
}

/// What happened on the wire.
#[derive(Debug)]
pub(super) enum Step {
    /// So many bytes came; [`Wire::received`] has them.
    Received(usize),
    /// The peer closed.
    Closed,
    /// The connection broke.
    Broken,
    /// All input is handed to the network, and the FIN where one was asked for.
    InputEnded,
    /// The input could not be read.
    InputFailed(io::Error),
}

impl Wire {
    pub(super) fn new(stream: Stream, feed: Feed, half_close: bool) -> Self {
        Self {
            stream,
            feed,
            outbound: Outbound::Open,
            half_close,
            sent: 0,
            moved: Instant::now(),
            peer_closed: false,
            received: vec![0; READ].into(),
        }
    }

    /// Bytes handed to the network.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// When a byte moved last, in either direction.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Time went by that was not the peer's fault.
    pub(super) fn excuse(&mut self) {
        self.moved = Instant::now();
    }

    /// Whether there is input at hand that the network has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        !self.feed.pending().is_empty()
    }

    /// Whether there is input that will not be sent any more: at hand, or so soon that it is only
    /// being read.
    pub(super) async fn leaves_unsent(&mut self) -> bool {
        if !matches!(self.outbound, Outbound::Open) {
            return false;
        }
        let more = poll_fn(|cx| self.feed.poll_more(cx));
        matches!(tokio::time::timeout(BEING_READ, more).await, Ok(Ok(true)))
    }

    /// The first `count` bytes that came last.
    pub(super) fn received(&self, count: usize) -> &[u8] {
        &self.received[..count]
    }

    /// Writes what it can until something happens that the exchange must know. It may be dropped
    /// and called again: nothing is lost.
    pub(super) async fn step(&mut self) -> Step {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            // Sending comes first: a server that greets and closes at once is to get the message.
            let wrote = self.poll_write(cx);
            if let Poll::Ready(Some(step)) = wrote {
                return Poll::Ready(step);
            }
            if let Poll::Ready(step) = self.poll_read(cx) {
                return Poll::Ready(step);
            }
            if wrote.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Ready with nothing where it made progress and can be asked again.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        match self.outbound {
            Outbound::Open => match ready!(self.feed.poll_more(cx)) {
                Ok(true) => {
                    let written =
                        ready!(Pin::new(&mut self.stream).poll_write(cx, self.feed.pending()));
                    match written {
                        Ok(count) if count > 0 => {
                            self.feed.advance(count);
                            self.sent += count as u64;
                            self.moved = Instant::now();
                        }
                        Ok(_) | Err(_) => self.break_off(),
                    }
                    Poll::Ready(None)
                }
                Ok(false) if self.half_close => {
                    self.outbound = Outbound::Closing;
                    Poll::Ready(None)
                }
                Ok(false) => {
                    self.outbound = Outbound::Ended;
                    Poll::Ready(Some(Step::InputEnded))
                }
                Err(error) => Poll::Ready(Some(Step::InputFailed(error))),
            },
            Outbound::Closing => {
                if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_ok() {
                    self.outbound = Outbound::Ended;
                    Poll::Ready(Some(Step::InputEnded))
                } else {
                    self.break_off();
                    Poll::Ready(None)
                }
            }
            Outbound::Ended | Outbound::Broken => Poll::Pending,
        }
    }

    /// The peer takes nothing more. What it sent before is still to be read, so this is not the
    /// end yet.
    fn break_off(&mut self) {
        self.outbound = Outbound::Broken;
        self.feed.discard();
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.peer_closed {
            // There is nothing to read any more; but that its write side broke is still news.
            return match self.outbound {
                Outbound::Broken => Poll::Ready(Step::Broken),
                _ => Poll::Pending,
            };
        }
        let mut buffer = ReadBuf::new(&mut self.received);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        let count = buffer.filled().len();
        self.moved = Instant::now();
        Poll::Ready(match read {
            Ok(()) if count > 0 => Step::Received(count),
            // A failed write has taken the error from the socket: this is no orderly close.
            Ok(()) if matches!(self.outbound, Outbound::Broken) => Step::Broken,
            Ok(()) => {
                self.peer_closed = true;
                Step::Closed
            }
            Err(_) => Step::Broken,
        })
    }

    /// Waits, after the end of input, until the peer has acknowledged everything; what it sends
    /// meanwhile is let go, so that it does not wait for us.
    ///
    /// # Errors
    /// The connection broke, or nothing new was acknowledged for `patience`.
    pub(super) async fn acknowledged(&mut self, patience: Duration) -> Result<(), Unacknowledged> {
        let (mut pause, longest) = LOOKS;
        let mut least = usize::MAX;
        let mut progress = Instant::now();
        loop {
            // After the peer's close no read would tell of a reset.
            if self.stream.is_broken() {
                return Err(Unacknowledged::Broken);
            }
            let left = self.stream.unacknowledged();
            match left.map_err(|_| Unacknowledged::Broken)? {
                Some(0) => return Ok(()),
                // The system does not say: the peer's close is the best sign that there is.
                None if self.peer_closed => return Ok(()),
                Some(left) if left < least => {
                    least = left;
                    progress = Instant::now();
                }
                _ => {}
            }
            if progress.elapsed() >= patience {
                return Err(Unacknowledged::Silence);
            }
            tokio::select! {
                biased;
                step = poll_fn(|cx| self.poll_read(cx)) => {
                    if let Step::Broken = step {
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
    /// Time ran out.
    Silence,
}
