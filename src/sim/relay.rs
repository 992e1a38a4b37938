//! Relays a listening socket of this computer to a virtual board.
//!
//! Each accepted connection becomes a connection to the board, with half-closes and resets passed on.
//! A connection that the board refuses was accepted here already, so it is reset.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::session::Session;
use super::stream::VirtualStream;

/// Limit for the handshake with the board: SYNs may be lost on the link.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Buffer of one direction, bytes.
const BUFFER: usize = 16 * 1024;

/// Maps the peers that the board sees to the real peers.
///
/// An entry outlives its connection, because events are printed later. The next connection from the
/// same port replaces it, which bounds the map.
#[derive(Debug, Default)]
pub struct Peers(Mutex<HashMap<SocketAddr, SocketAddr>>);

impl Peers {
    /// The real peer of a peer on the link.
    pub fn outer(&self, inner: SocketAddr) -> SocketAddr {
        self.lock().get(&inner).copied().unwrap_or(inner)
    }

    fn insert(&self, inner: SocketAddr, outer: SocketAddr) {
        self.lock().insert(inner, outer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, SocketAddr>> {
        // The map is consistent between two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Relays connections to the greeting server, or to another `port` of the board, until dropped.
///
/// # Errors
/// The listening socket fails permanently.
pub async fn relay(
    listener: TcpListener,
    port: Option<u16>,
    session: &Session,
    peers: &Arc<Peers>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((outer, peer)) => {
                    let mut online = session.online().clone();
                    let board = online.borrow_and_update().as_ref().map(|it| it.address);
                    let Some(board) = board else {
                        // Nothing replies at the address of a board without a network.
                        reset(&outer);
                        continue;
                    };
                    let to = SocketAddr::new((*board.ip()).into(), port.unwrap_or(board.port()));
                    let inner = session.connector();
                    let peers = Arc::clone(peers);
                    connections.spawn(async move {
                        let connected = tokio::time::timeout(CONNECT_TIMEOUT, inner.connect(to));
                        match connected.await {
                            Ok(Ok(mut inner)) => {
                                if let Some(local) = inner.local_address() {
                                    peers.insert(local, peer);
                                }
                                let mut outer = outer;
                                // A board that restarts or loses its network loses its connections.
                                let lost = async { online.changed().await };
                                let is_whole = tokio::select! {
                                    is_whole = forward(&mut outer, &mut inner) => is_whole,
                                    _ = lost => false,
                                };
                                if !is_whole {
                                    reset(&outer);
                                    inner.abort();
                                }
                            }
                            Ok(Err(_)) | Err(_) => reset(&outer),
                        }
                    });
                }
                Err(error) if is_transient(&error) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Copies bytes in both directions until both sides have closed or one has reset. Returns whether
/// all bytes arrived.
async fn forward(outer: &mut TcpStream, inner: &mut VirtualStream) -> bool {
    // Fails only if the connection has already ended.
    let _ = outer.set_nodelay(true);
    let (mut outer_read, mut outer_write) = outer.split();
    let (mut inner_read, mut inner_write) = tokio::io::split(inner);
    let copied = tokio::try_join!(
        copy(&mut outer_read, &mut inner_write),
        copy(&mut inner_read, &mut outer_write)
    );
    copied.is_ok()
}

/// Copies until EOF and shuts down the other side.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// Closes the connection with a reset.
fn reset(stream: &TcpStream) {
    // Fails only if the connection has already ended.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Whether an accept error concerns only one connection or is temporary: no descriptors, no memory.
fn is_transient(error: &io::Error) -> bool {
    // std has no kind for EMFILE and ENFILE.
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::OutOfMemory
    ) || matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}
