//! Sends datagrams to peers that may have disappeared.

use core::net::SocketAddrV4;

use embassy_net::udp::UdpSocket;
use embassy_time::{Duration, Timer, with_timeout};

/// Maximum wait of one datagram for the link or for its receiver's hardware address. A station in
/// power save answers ARP within a few beacons (about 100 ms each).
const SEND_TIMEOUT: Duration = Duration::from_millis(500);

/// Binds `socket` to `port` on every address of the board, unless it is bound already.
pub(crate) async fn ensure_bound(socket: &mut UdpSocket<'_>, port: u16) {
    while !socket.is_open() {
        if socket.bind(port).is_err() {
            // Binding a closed socket to a fixed port does not fail. If it does, do not spin.
            Timer::after(SEND_TIMEOUT).await;
        }
    }
}

/// Sends one datagram and waits until it was sent.
///
/// smoltcp keeps a datagram at the head of the socket's queue until its receiver answers ARP, so one
/// receiver out of range would block all others. A datagram that is not sent within [`SEND_TIMEOUT`]
/// is therefore discarded by closing the socket. Bind the socket again before the next use.
pub(crate) async fn send(socket: &mut UdpSocket<'_>, datagram: &[u8], to: SocketAddrV4) {
    let sent = with_timeout(SEND_TIMEOUT, async {
        if socket.send_to(datagram, to).await.is_ok() {
            socket.flush().await;
        }
    });
    if sent.await.is_err() {
        socket.close();
    }
}
