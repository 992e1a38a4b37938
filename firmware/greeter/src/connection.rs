//! What every server here does with a connection, whatever it serves.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embassy_net::tcp::{State, TcpSocket};
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
/// acknowledgment. A peer that has not closed after `patience` is reset. Returns with the socket
/// in TIME-WAIT or CLOSED: from both it can listen.
pub(crate) async fn close(socket: &mut TcpSocket<'_>, patience: Duration) {
    socket.close();
    let done = with_timeout(patience, async {
        while socket.read_with(|data| (data.len(), ())).await.is_ok() {}
        // Nothing is left to send for one whose peer has reset it.
        let _ = socket.flush().await;
    })
    .await;
    if done.is_err() || !matches!(socket.state(), State::Closed | State::TimeWait) {
        reset(socket).await;
    }
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
