//! One stream type for kernel sockets and virtual boards.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::sim::VirtualStream;
use crate::sys;

/// A TCP connection.
#[derive(Debug)]
pub enum Stream {
    /// A socket of the operating system.
    Kernel(TcpStream),
    /// A connection to a virtual board.
    Virtual(VirtualStream),
}

impl Stream {
    /// Bytes sent and not yet acknowledged, with the FIN counted as one; `None` if the system does
    /// not report them.
    pub fn unacknowledged(&self) -> io::Result<Option<usize>> {
        match self {
            Self::Kernel(stream) => sys::unacknowledged(stream),
            Self::Virtual(stream) => Ok(Some(stream.unacknowledged())),
        }
    }

    /// Whether the connection broke, even if neither a read nor a write would report it.
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
