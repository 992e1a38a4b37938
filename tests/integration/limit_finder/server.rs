//! What a simulated server is: its stack, its application, the path to it.

use std::time::Duration;

/// What of TCP/IP decides who gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stack {
    /// `listen(k)` on Linux: k+1 wait, the next SYN is dropped; who leaves keeps the place.
    Linux { k: usize },
    /// lwIP's `listen(k)`: k wait, half-open ones with them, the next SYN is dropped.
    Lwip { k: usize },
    /// smoltcp: as many sockets, the next SYN is refused.
    Slots { n: usize },
}

/// What the application does with those who got in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    /// So many at a time, in their order; none is an application that never accepts.
    Workers(usize),
    /// Accepts all at once, serves so many, and does this to the others.
    Cap(usize, Beyond),
}

/// What happens beyond a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    Fin,
    Reset,
    Stall,
    Evict,
}

/// When it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    WhenAsked,
    /// Greets and closes.
    First,
    /// Greets, and waits for a request.
    Banner,
}

/// What it does with a client that has ended its side without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaver {
    /// Who serves it lets go of it at once.
    LetGo,
    /// So it is, and also where nobody serves it yet: a runtime does that in the application's
    /// place.
    LetGoByTheRuntime,
    /// Served as if it had asked.
    Served,
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Falls silent.
    Silence,
    /// Resets everybody and refuses.
    Resets,
}

/// A server and the path to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) stack: Stack,
    pub(crate) app: App,
    pub(crate) speaks: Speaks,
    pub(crate) service: Duration,
    /// Each service takes up to so many times as long, by chance.
    pub(crate) late: u32,
    pub(crate) closes: bool,
    pub(crate) leaver: Leaver,
    /// An application with a cap counts one that has ended for so long still.
    pub(crate) notices_after: Duration,
    /// So long it takes to accept one, after the other.
    pub(crate) accepts_in: Duration,
    /// Slots for each client's address, and not for all.
    pub(crate) per_client: bool,
    /// A connection that is served and silent is answered after this.
    pub(crate) request_timeout: Option<Duration>,
    /// One way.
    pub(crate) latency: Duration,
    pub(crate) loss: f64,
    /// Others come this often, on average, and stay as long.
    pub(crate) others: Option<Duration>,
    /// When so many are in.
    pub(crate) dies_at: Option<(usize, Death)>,
    pub(crate) seed: u64,
}

impl Server {
    pub(crate) fn new(stack: Stack, app: App) -> Self {
        Self {
            stack,
            app,
            speaks: Speaks::WhenAsked,
            service: Duration::ZERO,
            late: 1,
            closes: true,
            leaver: Leaver::LetGo,
            notices_after: Duration::ZERO,
            accepts_in: Duration::ZERO,
            per_client: false,
            request_timeout: None,
            latency: Duration::from_micros(100),
            loss: 0.0,
            others: None,
            dies_at: None,
            seed: 1,
        }
    }

    pub(crate) fn linux(k: usize, workers: usize) -> Self {
        Self::new(Stack::Linux { k }, App::Workers(workers))
    }

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
