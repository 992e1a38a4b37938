//! The virtual board: the firmware's own server code at the end of an in-memory cable.
//!
//! A stub of the interface that `send` uses; the board itself replaces it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub mod spec;

/// A virtual board, its cable and the client stack on the cable's other end.
#[derive(Debug)]
pub struct Session;

impl Session {
    /// Starts a board as `spec` says.
    pub fn start(_spec: &spec::Spec) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        ([192, 168, 1, 1], 3000).into()
    }

    /// Connects over the cable.
    pub fn connect(&self, _to: SocketAddr) -> impl Future<Output = io::Result<VirtualStream>> {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// A connection over the cable.
#[derive(Debug)]
pub struct VirtualStream;

impl VirtualStream {
    /// Bytes and FIN sent but not yet acknowledged.
    pub fn unacknowledged(&self) -> usize {
        0
    }

    /// Ends the connection with a reset.
    pub fn abort(&mut self) {}
}

impl AsyncRead for VirtualStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for VirtualStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
