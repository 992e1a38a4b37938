//! Async streams over a virtual cable: for `send`, and for the relay of `tcpctl sim`.

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

/// The client stack on a thread of its own, shared by the streams over it.
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
    /// Dropped streams whose connections are not over yet.
    closing: Vec<Handle>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pumped> {
        // The stack is plain state between two calls; a panic elsewhere has not torn it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the pump send what was just written, and read its new timers.
    fn kick(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.kick();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.kick();
    }
}

impl Client {
    /// Puts a client stack on its thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
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
            .name("cable".into())
            .spawn(move || pump(&pumped))?;
        Ok(Self {
            shared,
            pump: Some(pump),
        })
    }

    /// Connects, as [`Connector::connect`].
    ///
    /// # Errors
    /// As there.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<VirtualStream> {
        self.connector().connect(to).await
    }

    /// What makes connections without borrowing the client. They end with it all the same.
    pub fn connector(&self) -> Connector {
        Connector(Arc::clone(&self.shared))
    }
}

/// Makes connections over a [`Client`].
pub struct Connector(Arc<Shared>);

impl Connector {
    /// Connects. Waits for as long as the stack repeats its SYN: bound it by a timeout of your own.
    ///
    /// # Errors
    /// `ConnectionRefused` for a SYN that was answered with a reset; `HostUnreachable`,
    /// `AddrInUse` for what fails here.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<VirtualStream> {
        let handle = self.0.lock().stack.connect(to).map_err(|failure| {
            let kind = match failure {
                ConnectFailure::LocalPorts => io::ErrorKind::AddrInUse,
                _ => io::ErrorKind::HostUnreachable,
            };
            io::Error::new(kind, failure)
        })?;
        // From here on dropping the stream, also by a timeout of the caller's, lets go of it.
        let stream = VirtualStream {
            shared: Arc::clone(&self.0),
            handle,
        };
        self.0.kick();
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
        self.shared.kick();
        if let Some(pump) = self.pump.take() {
            // A pump that panicked has said so on stderr.
            let _ = pump.join();
        }
    }
}

/// Polls the stack whenever a frame, a timer or a stream asks for it.
fn pump(shared: &Arc<Shared>) {
    // Nobody else sets it.
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
    /// Bytes that were written and not yet acknowledged, a FIN included.
    pub fn unacknowledged(&self) -> usize {
        self.shared.lock().stack.unacknowledged(self.handle)
    }

    /// Resets the connection.
    pub fn abort(&mut self) {
        self.shared.lock().stack.abort(self.handle);
        self.shared.kick();
    }

    /// This end's address on the cable.
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
                // The window has grown: the other end may wait to hear of it.
                self.shared.kick();
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
                self.shared.kick();
                Poll::Ready(Ok(length))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                pumped.stack.wake_writer(self.handle, cx.waker());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// What was written is on its way without being asked.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().stack.finish(self.handle);
        self.shared.kick();
        Poll::Ready(Ok(()))
    }
}

impl Drop for VirtualStream {
    fn drop(&mut self) {
        let mut pumped = self.shared.lock();
        // As the kernel does (RFC 1122, section 4.2.2.13): bytes that nobody will read any more
        // are answered with a reset, else the other end would send for ever.
        if pumped.stack.has_unread(self.handle) {
            pumped.stack.abort(self.handle);
        } else {
            pumped.stack.finish(self.handle);
        }
        pumped.closing.push(self.handle);
        drop(pumped);
        self.shared.kick();
    }
}
