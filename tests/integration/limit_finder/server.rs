//! A simulated server: its TCP stack, its application, and the path to it.

use std::time::Duration;

/// The part of a TCP stack that decides which connections are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stack {
    /// `listen(k)` on Linux: k+1 connections wait and the next SYN is dropped. A connection that
    /// is closed keeps its place.
    Linux { k: usize },
    /// `listen(k)` on lwIP: k connections wait, half-open ones included; the next SYN is dropped.
    Lwip { k: usize },
    /// smoltcp with n sockets: the next SYN is refused.
    Slots { n: usize },
}

/// How the application treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    /// Serves this many at a time, in order. With 0 it never accepts.
    Workers(usize),
    /// Accepts all at once and serves this many.
    Cap(usize, Beyond),
}

/// How the application treats connections beyond a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Closes them.
    Fin,
    /// Resets them.
    Reset,
    /// Never serves them.
    Stall,
    /// Serves them, and closes this many of the oldest.
    Evict(usize),
}

/// When the server sends data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// After a request only.
    None,
    /// At once; then it closes.
    ThenCloses,
    /// At once; then it waits for a request.
    ThenWaits,
}

/// How the server treats a client that sends a FIN without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFin {
    /// Closes the connection at once if it is being served.
    Closes,
    /// A runtime closes the connection at once, even if it waits.
    RuntimeCloses,
    /// Serves it like a request.
    Serves,
}

/// How a server crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The server stops replying.
    Silent,
    /// The server resets all connections and refuses new ones.
    Resets,
}

/// A server and the path to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) stack: Stack,
    pub(crate) app: App,
    pub(crate) greeting: Greeting,
    pub(crate) service: Duration,
    /// Maximum factor by which a service is slowed down at random.
    pub(crate) max_slowdown: u32,
    pub(crate) closes: bool,
    pub(crate) on_fin: OnFin,
    /// How long an application with a cap counts a closed connection.
    pub(crate) notices_after: Duration,
    /// Time to accept one connection. Connections are accepted one after another.
    pub(crate) accepts_in: Duration,
    /// Interval at which the application checks for free workers after it was full.
    pub(crate) accept_timer: Option<Duration>,
    /// Whether the slots are per client address.
    pub(crate) per_client: bool,
    /// Time after which a silent connection that is being served gets a reply.
    pub(crate) request_timeout: Option<Duration>,
    /// One-way delay.
    pub(crate) delay: Duration,
    pub(crate) loss: f64,
    /// Mean interval at which other clients connect, and mean time that they stay.
    pub(crate) others: Option<Duration>,
    /// Number of connections at which the server crashes.
    pub(crate) crashes_at: Option<(usize, Crash)>,
    pub(crate) seed: u64,
}

impl Server {
    pub(crate) fn new(stack: Stack, app: App) -> Self {
        Self {
            stack,
            app,
            greeting: Greeting::None,
            service: Duration::ZERO,
            max_slowdown: 1,
            closes: true,
            on_fin: OnFin::Closes,
            notices_after: Duration::ZERO,
            accepts_in: Duration::ZERO,
            accept_timer: None,
            per_client: false,
            request_timeout: None,
            delay: Duration::from_micros(100),
            loss: 0.0,
            others: None,
            crashes_at: None,
            seed: 1,
        }
    }

    pub(crate) fn linux(k: usize, workers: usize) -> Self {
        Self::new(Stack::Linux { k }, App::Workers(workers))
    }

    /// The firmware's own server.
    pub(crate) fn greeter(workers: usize, backlog: usize) -> Self {
        let n = workers + backlog;
        Self {
            request_timeout: Some(Duration::from_secs(5)),
            ..Self::new(Stack::Slots { n }, App::Workers(workers))
        }
    }

    pub(crate) fn cap(n: usize, beyond: Beyond) -> Self {
        Self::new(Stack::Linux { k: 128 }, App::Cap(n, beyond))
    }
}
