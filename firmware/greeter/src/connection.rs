//! What every server here does with a connection, whatever it serves.

use core::cell::Cell;
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embassy_futures::select::select;
use embassy_net::tcp::{State, TcpReader, TcpSocket};
use embassy_time::{Duration, Timer, with_timeout};

/// How long the stack may take to hand a reset to the link before the slot listens again anyway.
const RESET_GRACE: Duration = Duration::from_millis(100);

/// Lets `socket` notice a peer that has vanished within `peer_timeout`, and only such a one.
///
/// smoltcp's timeout runs whenever the peer is silent, also on a healthy connection that merely
/// waits; keep-alives at a third of it (RFC 9293, section 3.8.4) make a live peer answer.
pub(crate) fn watch_peer(socket: &mut TcpSocket<'_>, peer_timeout: Duration) {
    socket.set_timeout(Some(peer_timeout));
    socket.set_keep_alive(Some(peer_timeout / 3));
}

/// Ends a connection so that its socket can listen again at once, and that nothing which the
/// peer still sends is answered with a stray reset.
///
/// Closes, discards what comes until the peer closes too, and waits for the peer's
/// acknowledgment. What was written has `delivery` to be acknowledged (a lost segment is repeated
/// after a second, then two); a peer that has all of it and has not closed after `patience` is
/// reset. Returns with the socket in TIME-WAIT or CLOSED: from both it can listen.
pub(crate) async fn close(socket: &mut TcpSocket<'_>, delivery: Duration, patience: Duration) {
    socket.close();
    let in_time = taken_leave(socket, delivery, patience).await;
    if !in_time || !matches!(socket.state(), State::Closed | State::TimeWait) {
        reset(socket).await;
    }
}

/// Waits until a closed connection is over at both ends; says whether it was in time.
async fn taken_leave(socket: &mut TcpSocket<'_>, delivery: Duration, patience: Duration) -> bool {
    let (mut reader, mut writer) = socket.split();
    let peer_has_closed = Cell::new(false);
    let delivered = select(writer.flush(), async {
        discard(&mut reader).await;
        peer_has_closed.set(true);
        pending::<()>().await;
    });
    with_timeout(delivery, delivered).await.is_ok()
        && (peer_has_closed.get() || with_timeout(patience, discard(&mut reader)).await.is_ok())
}

/// Discards what comes until the peer closes, resets or vanishes.
async fn discard(reader: &mut TcpReader<'_>) {
    while reader.read_with(|data| (data.len(), ())).await.is_ok() {}
}

/// Resets a connection and waits until the reset has been sent, or can't be.
pub(crate) async fn reset(socket: &mut TcpSocket<'_>) {
    socket.abort();
    let _ = with_timeout(RESET_GRACE, socket.flush()).await;
}

/// Waits until the connection is gone: reset by the peer, or timed out.
///
/// A peer's FIN is not the end: it may have half-closed and wait for its answer.
pub(crate) async fn gone(socket: &TcpSocket<'_>) {
    // While data is unread, the stack wakes nobody for a reset: look now and then.
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let mut look_again = Timer::after(LOOK_AGAIN);
    poll_fn(|cx| {
        if socket.state() == State::Closed {
            return Poll::Ready(());
        }
        let has_data = pin!(socket.wait_read_ready()).poll(cx).is_ready();
        if has_data && pin!(&mut look_again).poll(cx).is_ready() {
            look_again = Timer::after(LOOK_AGAIN);
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}
