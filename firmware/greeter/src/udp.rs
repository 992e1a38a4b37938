//! Sends datagrams to peers that may have disappeared.

use core::net::SocketAddrV4;

use embassy_net::udp::UdpSocket;
use embassy_time::{Duration, Timer, with_timeout};

/// How long one datagram may wait for the link or for its receiver's hardware address. A station in
/// power save answers ARP within a few beacons (about 100 ms each).
const PATIENCE: Duration = Duration::from_millis(500);

/// Binds `socket` to `port` on every address of the board, unless it is bound already.
pub(crate) async fn ensure_bound(socket: &mut UdpSocket<'_>, port: u16) {
    while !socket.is_open() {
        if socket.bind(port).is_err() {
            // Binding a closed socket to a fixed port does not fail. If it does, do not spin.
            Timer::after(PATIENCE).await;
        }
    }
}

/// Sends one datagram and waits until it was sent.
///
/// smoltcp keeps a datagram at the head of the socket's queue until its receiver answers ARP: one
/// receiver that has walked away would silence the socket for everybody else. So what has not left
/// after [`PATIENCE`] is thrown away by closing the socket; bind it again before the next use.
pub(crate) async fn send(socket: &mut UdpSocket<'_>, datagram: &[u8], to: SocketAddrV4) {
    let sent = with_timeout(PATIENCE, async {
        if socket.send_to(datagram, to).await.is_ok() {
            socket.flush().await;
        }
    });
    if sent.await.is_err() {
        socket.close();
    }
}
