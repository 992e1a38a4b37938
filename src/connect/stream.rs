//! One stream type for both worlds.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::sim::VirtualStream;
use crate::sys;

/// A connection: to a server on the network, or to a virtual board.
#[derive(Debug)]
pub enum Stream {
    /// A socket of the operating system.
    Kernel(TcpStream),
    /// A connection over the virtual cable.
    Virtual(VirtualStream),
}

impl Stream {
    /// The bytes sent that the peer has not acknowledged, its FIN counted as one; `None` where the
    /// system does not say.
    pub fn unacknowledged(&self) -> io::Result<Option<usize>> {
        match self {
            Self::Kernel(stream) => sys::unacknowledged(stream),
            Self::Virtual(stream) => Ok(Some(stream.unacknowledged())),
        }
    }

    /// Whether the connection broke, where neither a read nor a write would tell.
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Kernel(stream) => matches!(stream.take_error(), Ok(Some(_)) | Err(_)),
            Self::Virtual(_) => false,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Kernel(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Virtual(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Kernel(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Virtual(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Kernel(stream) => Pin::new(stream).poll_flush(cx),
            Self::Virtual(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Kernel(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Virtual(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
