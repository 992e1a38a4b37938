//! A virtual board behind a listening socket of this machine.
//!
//! Every connection that the relay accepts is one to the board over the cable, byte for byte both
//! ways, with half-closes and resets passed on. A connection that the board refuses has been
//! accepted here already, so all that is left is to reset it.

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

/// How long the board has to complete a handshake: its SYNs may be lost on the cable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// One direction's buffer, bytes.
const BUFFER: usize = 16 * 1024;

/// Who is who: the peers that the board sees, and who they are outside.
///
/// An entry stays after its connection, for the event that names it may be told later; the next
/// connection from that port replaces it, so there are never more than ports.
#[derive(Debug, Default)]
pub struct Peers(Mutex<HashMap<SocketAddr, SocketAddr>>);

impl Peers {
    /// The peer outside of a peer on the cable.
    pub fn outer(&self, inner: SocketAddr) -> SocketAddr {
        self.lock().get(&inner).copied().unwrap_or(inner)
    }

    fn insert(&self, inner: SocketAddr, outer: SocketAddr) {
        self.lock().insert(inner, outer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, SocketAddr>> {
        // A map is whole between two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes connections on until it is dropped.
///
/// # Errors
/// When the listening socket itself fails for good.
pub async fn relay(listener: TcpListener, session: &Session, peers: &Arc<Peers>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((outer, peer)) => {
                    let inner = session.connector();
                    let to = session.address();
                    let peers = Arc::clone(peers);
                    connections.spawn(async move {
                        let connected = tokio::time::timeout(CONNECT_TIMEOUT, inner.connect(to));
                        match connected.await {
                            Ok(Ok(inner)) => {
                                if let Some(local) = inner.local_address() {
                                    peers.insert(local, peer);
                                }
                                pass(outer, inner).await;
                            }
                            Ok(Err(_)) | Err(_) => reset(&outer),
                        }
                    });
                }
                // What concerns one connection, or passes: no descriptors, no memory.
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes bytes both ways until both sides have closed, or one has reset.
async fn pass(mut outer: TcpStream, mut inner: VirtualStream) {
    // A greeting is one small segment: nothing to coalesce. A socket that is gone has no options.
    let _ = outer.set_nodelay(true);
    let result = {
        let (mut outer_read, mut outer_write) = outer.split();
        let (mut inner_read, mut inner_write) = tokio::io::split(&mut inner);
        tokio::try_join!(
            copy(&mut outer_read, &mut inner_write),
            copy(&mut inner_read, &mut outer_write)
        )
    };
    if result.is_err() {
        reset(&outer);
        inner.abort();
    }
}

/// Copies until the end, and passes the end on.
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

/// Makes the close of this connection a reset.
fn reset(stream: &TcpStream) {
    // It fails only for a connection that is gone already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn is_passing(error: &io::Error) -> bool {
    // EMFILE and ENFILE have no kind of their own.
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
