//! Closing, resetting and watching connections, shared by all servers.

use core::cell::Cell;
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embassy_futures::select::select;
use embassy_net::tcp::{State, TcpReader, TcpSocket};
use embassy_time::{Duration, Timer, with_timeout};

/// Time to send a reset. After it the slot listens again in any case.
const RESET_GRACE: Duration = Duration::from_millis(100);

/// Detects a vanished peer within `peer_timeout`.
///
/// smoltcp's timeout also runs on a healthy idle connection. Keep-alives at a third of it (RFC 9293
/// §3.8.4) make a live peer answer.
pub(crate) fn watch_peer(socket: &mut TcpSocket<'_>, peer_timeout: Duration) {
    socket.set_timeout(Some(peer_timeout));
    socket.set_keep_alive(Some(peer_timeout / 3));
}

/// Closes a connection so that its socket can listen again, without a reset for data in flight.
///
/// Sends a FIN, discards data until the peer closes, and waits for its acknowledgment. Sent data must
/// be acknowledged within `delivery`. A peer that has all data and does not close within
/// `close_timeout` is reset. The socket ends in TIME-WAIT or CLOSED, where it can listen.
pub(crate) async fn close(socket: &mut TcpSocket<'_>, delivery: Duration, close_timeout: Duration) {
    socket.close();
    let in_time = is_closed_in_time(socket, delivery, close_timeout).await;
    if !in_time || !matches!(socket.state(), State::Closed | State::TimeWait) {
        reset(socket).await;
    }
}

/// Waits until both sides have closed. Returns false at a timeout.
async fn is_closed_in_time(
    socket: &mut TcpSocket<'_>,
    delivery: Duration,
    close_timeout: Duration,
) -> bool {
    let (mut reader, mut writer) = socket.split();
    let peer_has_closed = Cell::new(false);
    let delivered = select(writer.flush(), async {
        discard(&mut reader).await;
        peer_has_closed.set(true);
        pending::<()>().await;
    });
    with_timeout(delivery, delivered).await.is_ok()
        && (peer_has_closed.get()
            || with_timeout(close_timeout, discard(&mut reader))
                .await
                .is_ok())
}

/// Discards data until the peer closes, resets or disappears.
async fn discard(reader: &mut TcpReader<'_>) {
    while reader.read_with(|data| (data.len(), ())).await.is_ok() {}
}

/// Resets a connection and waits until the reset is sent, for a bounded time.
pub(crate) async fn reset(socket: &mut TcpSocket<'_>) {
    socket.abort();
    let _ = with_timeout(RESET_GRACE, socket.flush()).await;
}

/// Waits until the connection is gone: reset by the peer, or timed out.
///
/// A FIN does not count: the peer may have half-closed and wait for its reply.
pub(crate) async fn gone(socket: &TcpSocket<'_>) {
    // Poll, because the stack wakes no task at a reset while data is unread.
    const POLL_INTERVAL: Duration = Duration::from_millis(100);
    let mut next_poll = Timer::after(POLL_INTERVAL);
    poll_fn(|cx| {
        if socket.state() == State::Closed {
            return Poll::Ready(());
        }
        let has_data = pin!(socket.wait_read_ready()).poll(cx).is_ready();
        if has_data && pin!(&mut next_poll).poll(cx).is_ready() {
            next_poll = Timer::after(POLL_INTERVAL);
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}
