//! A virtual board: the firmware's servers on a thread of their own, over any driver.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::{Pin, pin};
use std::thread::{self, JoinHandle};

use embassy_net::{ConfigV4, DhcpConfig, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::Driver;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tcpctl_greeter::console::{Console, Request};
use tcpctl_greeter::counters::Counters;
use tcpctl_greeter::refusals::Refusals;
use tcpctl_greeter::server::{Config, Server};
use tcpctl_greeter::services;
use tcpctl_settings::{Mode, Services};
use tokio::sync::{mpsc, oneshot};

use super::clock::{self, Park};
use super::spec::Spec;

/// The board's address in AP mode.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The network's prefix in AP mode.
pub const PREFIX: u8 = 24;

/// As many slots as the settings permit: 32 workers and 32 that wait.
const MAX_SLOTS: usize = 64;
/// Connections to each bench service at the same time.
const STREAMS: usize = 4;
/// The sockets of one board: slots, three bench services, DHCP client and server, mDNS.
const MAX_SOCKETS: usize = MAX_SLOTS + 3 * STREAMS + 3;
/// Buffers of a bench service, bytes each way: the window of an ESP32 with ESP-IDF's defaults.
const SERVICE_BUFFER: usize = 5760;
/// Events that may wait for a console that is slow to print. What comes on top is dropped and
/// counted, as on the chip's serial line: a flood must not starve the network.
const MAX_EVENTS: usize = 4096;

/// What a board tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardEvent {
    /// It can be reached.
    Ready {
        /// The greeting server's address.
        address: SocketAddrV4,
    },
    /// It has lost its address or its link.
    Lost,
    /// A request was read.
    Request {
        /// Who sent it.
        peer: SocketAddrV4,
        /// What had come, one receive buffer at the most.
        bytes: Vec<u8>,
    },
}

/// A running virtual board.
pub struct Board {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Summary>>,
}

/// What a board leaves behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The greeting server's counters.
    pub counters: Counters,
    /// Events that nobody took in time.
    pub events_dropped: u64,
}

/// A place for a board's events.
pub type Events = mpsc::Sender<BoardEvent>;

/// A channel for a board's events.
pub fn events() -> (Events, mpsc::Receiver<BoardEvent>) {
    mpsc::channel(MAX_EVENTS)
}

impl Board {
    /// Starts a board on a thread of its own. `connect` makes its driver and its place to sleep
    /// there, for neither has to be `Send`.
    ///
    /// # Errors
    /// When `connect` fails, or there is no thread to be had.
    pub fn start<D, P, F>(spec: &Spec, events: Option<Events>, connect: F) -> io::Result<Self>
    where
        D: Driver,
        P: Park,
        F: FnOnce(MacAddress) -> io::Result<(D, P)> + Send + 'static,
    {
        let spec = spec.clone();
        let (stop, stopped) = oneshot::channel();
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("board".into()).spawn(move || {
            let (driver, mut park) = match connect(mac_address(spec.quality.seed)) {
                Ok(connected) => connected,
                Err(error) => {
                    // The one who waits for it is there until it has come.
                    let _ = started.send(Err(error));
                    return Summary::default();
                }
            };
            let _ = started.send(Ok(()));
            clock::block_on(&mut park, {
                // Sent or dropped, it means the same.
                serve(&spec, driver, events, stopped.map(drop))
            })
        })?;
        start
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the virtual board has died")))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Stops the board and returns what it has counted.
    pub fn stop(mut self) -> Summary {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Summary> {
        drop(self.stop.take());
        // A board that panicked has said so on stderr.
        self.thread.take()?.join().ok()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.end();
    }
}

/// A hardware address.
pub type MacAddress = [u8; 6];

/// The hardware address of the board with this seed: locally administered, the same every time.
pub fn mac_address(seed: u64) -> MacAddress {
    let [.., a, b] = seed.to_be_bytes();
    [0x02, 0x74, 0x63, 0x70, a, b]
}

/// Runs a board's servers over `driver` until `stop` is done.
pub async fn serve(
    spec: &Spec,
    driver: impl Driver,
    events: Option<Events>,
    stop: impl Future<Output = ()>,
) -> Summary {
    let port = spec.server.port().get();
    let refused = Cell::new(0);
    let driver = Refusals::new(driver, port, &refused);
    let mut resources = Box::new(StackResources::<MAX_SOCKETS>::new());
    let (stack, mut runner) =
        embassy_net::new(driver, network(spec), &mut *resources, spec.quality.seed);
    let console = EventConsole {
        events,
        dropped: Cell::new(0),
    };
    let config = Config {
        port,
        greeting: spec.server.greeting().as_bytes(),
        workers: spec.server.workers().get().into(),
        backlog: spec.server.backlog().get().into(),
        request_timeout: clock::duration(spec.server.request_timeout().as_duration()),
        service_time: clock::duration(spec.service_time),
        ..Config::DEFAULT
    };
    let server = Server::<_, MAX_SLOTS>::new(stack, config, &console, Some(&refused));

    // Each future has a waker of its own in here: on one shared waker the stack and the sockets,
    // which wake each other whenever they are polled, would never sleep.
    let mut tasks: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + '_>>> =
        FuturesUnordered::new();
    for _ in 0..config.slots() {
        tasks.push(Box::pin(async {
            let mut receive = [0; tcpctl_greeter::server::RECEIVE_BUFFER];
            let mut send = [0; tcpctl_greeter::server::SEND_BUFFER];
            server.slot(&mut receive, &mut send).await;
        }));
    }
    if spec.server.services() == Services::On {
        for _ in 0..STREAMS {
            tasks.push(Box::pin(with_buffers(async |receive, send| {
                services::echo(stack, receive, send).await;
            })));
            tasks.push(Box::pin(with_buffers(async |receive, send| {
                services::discard(stack, receive, send).await;
            })));
            tasks.push(Box::pin(with_buffers(async |receive, send| {
                services::chargen(stack, receive, send).await;
            })));
        }
    }
    tasks.push(Box::pin(watch(stack, port, &console)));
    // The stack comes last, so that every slot listens before the first frame is looked at.
    tasks.push(Box::pin(async {
        runner.run().await;
    }));
    tokio::select! {
        () = stop => {}
        () = async { while tasks.next().await.is_some() {} } => {}
    }
    // Asked while the tasks live: their connections are counted too.
    let counters = server.counters();
    drop(tasks);
    Summary {
        counters,
        events_dropped: console.dropped.get(),
    }
}

/// The board's network: its own in AP mode, what DHCP gives it in STA mode.
fn network(spec: &Spec) -> embassy_net::Config {
    let mut config = embassy_net::Config::default();
    config.ipv4 = match spec.mode {
        Mode::AccessPoint => ConfigV4::Static(StaticConfigV4 {
            address: Ipv4Cidr::new(ADDRESS, PREFIX),
            gateway: None,
            dns_servers: [].into_iter().collect(),
        }),
        Mode::Station => ConfigV4::Dhcp(DhcpConfig::default()),
    };
    config
}

/// Says when the board can be reached, and when no longer.
async fn watch(stack: Stack<'_>, port: u16, console: &EventConsole) {
    loop {
        stack.wait_link_up().await;
        stack.wait_config_up().await;
        let Some(config) = stack.config_v4() else {
            continue;
        };
        let address = SocketAddrV4::new(config.address.address(), port);
        console.say(BoardEvent::Ready { address });
        futures_util::future::select(pin!(stack.wait_config_down()), pin!(stack.wait_link_down()))
            .await;
        console.say(BoardEvent::Lost);
    }
}

async fn with_buffers(serve: impl AsyncFnOnce(&mut [u8], &mut [u8])) {
    let mut receive = vec![0; SERVICE_BUFFER];
    let mut send = vec![0; SERVICE_BUFFER];
    serve(&mut receive, &mut send).await;
}

/// A console that hands everything on, and drops what nobody takes.
struct EventConsole {
    events: Option<Events>,
    dropped: Cell<u64>,
}

impl EventConsole {
    fn say(&self, event: BoardEvent) {
        if let Some(events) = &self.events
            && events.try_send(event).is_err()
        {
            self.dropped.set(self.dropped.get() + 1);
        }
    }
}

impl Console for EventConsole {
    fn request(&self, request: &Request<'_>) {
        if self.events.is_some() {
            self.say(BoardEvent::Request {
                peer: request.peer,
                bytes: request.bytes.to_vec(),
            });
        }
    }
}
