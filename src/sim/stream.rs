//! Async streams over the virtual link, for `send` and for the relay of `sim`.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use embassy_time::Instant;
use smoltcp::socket::tcp::State;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::{ClientStack, Handle};
use super::clock;
use tcpctl_engine::readiness::ConnectFailure;

/// The client stack on its own thread, shared by its streams.
pub struct Client {
    shared: Arc<Shared>,
    pump: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<Pumped>,
    stop: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

struct Pumped {
    stack: ClientStack,
    /// Dropped streams whose connections have not ended yet.
    closing: Vec<Handle>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pumped> {
        // The stack is consistent between two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the pump send pending data and read new timers.
    fn unpark_pump(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.unpark_pump();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark_pump();
    }
}

impl Client {
    /// Starts the thread of a client stack.
    ///
    /// # Errors
    /// No thread can be created.
    pub fn start(stack: ClientStack) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(Pumped {
                stack,
                closing: Vec::new(),
            }),
            stop: AtomicBool::new(false),
            thread: std::sync::OnceLock::new(),
        });
        let pumped = Arc::clone(&shared);
        let pump = thread::Builder::new()
            .name("link".into())
            .spawn(move || pump(&pumped))?;
        Ok(Self {
            shared,
            pump: Some(pump),
        })
    }

    /// Connects; see [`Connector::connect`].
    ///
    /// # Errors
    /// See [`Connector::connect`].
    pub async fn connect(&self, to: SocketAddr) -> io::Result<VirtualStream> {
        self.connector().connect(to).await
    }

    /// Makes connections without borrowing the client. They end with the client.
    pub fn connector(&self) -> Connector {
        Connector(Arc::clone(&self.shared))
    }
}

/// Makes connections over a [`Client`].
pub struct Connector(Arc<Shared>);

impl Connector {
    /// Connects. The stack retransmits its SYN without limit: use a timeout.
    ///
    /// # Errors
    /// `ConnectionRefused` when a reset answers the SYN, `HostUnreachable` for an address that is
    /// not the board's, `AddrInUse` without a free port.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<VirtualStream> {
        let handle = self.0.lock().stack.connect(to).map_err(|failure| {
            let kind = match failure {
                ConnectFailure::LocalPorts => io::ErrorKind::AddrInUse,
                _ => io::ErrorKind::HostUnreachable,
            };
            io::Error::new(kind, failure)
        })?;
        // From this point on, dropping the stream closes the connection, even on the caller's
        // timeout.
        let stream = VirtualStream {
            shared: Arc::clone(&self.0),
            handle,
        };
        self.0.unpark_pump();
        poll_fn(|cx| {
            let mut pumped = stream.shared.lock();
            match pumped.stack.state(handle) {
                State::SynSent | State::SynReceived => {
                    pumped.stack.wake_writer(handle, cx.waker());
                    Poll::Pending
                }
                State::Closed => {
                    Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused)))
                }
                _ => Poll::Ready(Ok(())),
            }
        })
        .await?;
        Ok(stream)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.unpark_pump();
        if let Some(pump) = self.pump.take() {
            // A panic of the pump was printed already.
            let _ = pump.join();
        }
    }
}

/// Polls the stack for frames, timers and streams.
fn pump(shared: &Arc<Shared>) {
    // Set only by this function.
    let _ = shared.thread.set(thread::current());
    shared.lock().stack.wake(&Waker::from(Arc::clone(shared)));
    while !shared.stop.load(Ordering::Relaxed) {
        let at = {
            let mut pumped = shared.lock();
            let Pumped { stack, closing } = &mut *pumped;
            stack.poll(Instant::now());
            closing.retain(|&handle| {
                let over = stack.is_over(handle);
                if over {
                    stack.release(handle);
                }
                !over
            });
            stack.poll_at(Instant::now())
        };
        match at {
            Some(at) => thread::park_timeout(clock::until_then(at)),
            None => thread::park(),
        }
    }
}

/// A connection to a virtual board. Dropping it closes it.
pub struct VirtualStream {
    shared: Arc<Shared>,
    handle: Handle,
}

impl fmt::Debug for VirtualStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualStream").field(&self.handle).finish()
    }
}

impl VirtualStream {
    /// Bytes written and not yet acknowledged; a FIN counts as one.
    pub fn unacknowledged(&self) -> usize {
        self.shared.lock().stack.unacknowledged(self.handle)
    }

    /// Resets the connection.
    pub fn abort(&mut self) {
        self.shared.lock().stack.abort(self.handle);
        self.shared.unpark_pump();
    }

    /// The local address on the link.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.shared.lock().stack.local_address(self.handle)
    }
}

impl AsyncRead for VirtualStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pumped = self.shared.lock();
        match pumped.stack.read(self.handle, buffer.initialize_unfilled()) {
            Ok(length) => {
                buffer.advance(length);
                drop(pumped);
                // The window has grown, and the peer may be waiting for the update.
                self.shared.unpark_pump();
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                pumped.stack.wake_reader(self.handle, cx.waker());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for VirtualStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pumped = self.shared.lock();
        match pumped.stack.write(self.handle, data) {
            Ok(length) => {
                drop(pumped);
                self.shared.unpark_pump();
                Poll::Ready(Ok(length))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                pumped.stack.wake_writer(self.handle, cx.waker());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Does nothing, because written bytes are sent at once.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().stack.finish(self.handle);
        self.shared.unpark_pump();
        Poll::Ready(Ok(()))
    }
}

impl Drop for VirtualStream {
    fn drop(&mut self) {
        let mut pumped = self.shared.lock();
        // RFC 1122 section 4.2.2.13: unread data at close is answered with a reset.
        if pumped.stack.has_unread(self.handle) {
            pumped.stack.abort(self.handle);
        } else {
            pumped.stack.finish(self.handle);
        }
        pumped.closing.push(self.handle);
        drop(pumped);
        self.shared.unpark_pump();
    }
}
