//! The greeter's futures as tasks: what a desktop joins on one thread, the chip's executor turns.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::pending;

use embassy_executor::Spawner;
use embassy_futures::select::select;
use embassy_net::{ConfigV4, DhcpConfig, Runner, Stack, StackResources};
use embassy_time::{Duration, Timer};
use esp_radio::wifi::Interface;
use static_cell::StaticCell;
use tcpctl_greeter::bursts::Bursts;
use tcpctl_greeter::console::{Heartbeat, Lease};
use tcpctl_greeter::presence::Presence;
use tcpctl_greeter::refusals::Refusals;
use tcpctl_greeter::server::{Config, RECEIVE_BUFFER, SEND_BUFFER, Server};
use tcpctl_greeter::status::{Board as _, Report};
use tcpctl_greeter::{access_point, dhcp, mdns, services};
use tcpctl_settings::{HostName, Mode, Services, Settings, Status};

use crate::chip::{self, MAX_SLOTS};
use crate::console::Console;
use crate::headroom;
use crate::radio::{self, Radio, ap, sta};
use crate::spawn;
use crate::starts;
use crate::vitals::Chip;
use crate::watchdog::Watchdog;

/// Connections to each bench service at the same time.
const STREAMS: usize = 2;
/// The servers that come and go with the network, each with a socket.
const SERVERS: usize = MAX_SLOTS + 3 * STREAMS;
/// The tasks that do: those, and the one that sees the start succeed.
const COMING_AND_GOING: usize = SERVERS + 1;
/// The stack's sockets: the servers', DHCP client and server, mDNS.
const SOCKETS: usize = SERVERS + 3;
/// Buffers of a bench service, bytes each way: two full segments.
const SERVICE_BUFFER: usize = 2 * 1460;
/// Frames that the stack takes before the servers have their turn, as on the virtual board.
const BURST: usize = 1;
/// How often the counters are printed.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// The radio, watched.
type Driver = Bursts<Refusals<'static, Interface>>;
/// The greeting server of this board.
type GreetingServer = Server<'static, &'static Console, MAX_SLOTS>;
/// Whether the board is on its network.
pub(crate) type Online = Presence<COMING_AND_GOING>;

/// A board that is ready to serve.
pub(crate) struct Board {
    pub(crate) settings: &'static Settings,
    pub(crate) config: Config<'static>,
    pub(crate) host_name: &'static HostName,
    pub(crate) mac: [u8; 6],
    pub(crate) console: &'static Console,
    pub(crate) chip: &'static Chip,
    pub(crate) watchdog: Watchdog,
    pub(crate) seed: u64,
}

/// Starts everything that serves.
pub(crate) fn start(spawner: Spawner, board: Board, radio: Radio) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let Board {
        settings,
        config,
        host_name,
        mac,
        console,
        chip,
        watchdog,
        seed,
    } = board;
    let mode = settings.network.mode();
    let refused = crate::leak(Cell::new(0));
    let driver = Bursts::new(
        Refusals::new(radio::interface(mode), config.port, refused),
        BURST,
    );
    let (stack, runner) = embassy_net::new(
        driver,
        network_config(mode, host_name),
        RESOURCES.init_with(StackResources::new),
        seed,
    );
    let mut server = GreetingServer::new(stack, config, console, Some(refused));
    if settings.server.status() == Status::On {
        server = server.with_status(chip);
    }
    let server = crate::leak(server);
    let online = crate::leak(Online::new());

    for _ in 0..config.slots() {
        spawn(spawner, slot(server, online));
    }
    if settings.server.services() == Services::On {
        for kind in [Service::Echo, Service::Discard, Service::Chargen] {
            for _ in 0..STREAMS {
                spawn(spawner, service(kind, stack, online, console));
            }
        }
    }
    spawn(
        spawner,
        announce(stack, host_name, mode, mac, config.port, seed, console),
    );
    spawn(spawner, heartbeat(server, chip, console));
    spawn(spawner, starts::settle(online));
    match mode {
        Mode::AccessPoint => {
            spawn(spawner, ap::watch(radio, console, chip));
            spawn(spawner, lease(stack, console));
            spawn(spawner, open(stack, online, console, config.port));
        }
        Mode::Station => {
            spawn(
                spawner,
                sta::stay(radio, settings, stack, console, chip, online, seed),
            );
        }
    }
    // The stack comes last, so that every slot listens before the first frame is looked at.
    spawn(spawner, network(runner, watchdog));
}

/// The board's address: its own in AP mode, what DHCP gives it in STA mode.
fn network_config(mode: Mode, host_name: &HostName) -> embassy_net::Config {
    let mut config = embassy_net::Config::default();
    config.ipv4 = match mode {
        Mode::AccessPoint => ConfigV4::Static(access_point::network()),
        Mode::Station => {
            let mut dhcp = DhcpConfig::default();
            // 32 characters at the most, on both sides.
            dhcp.hostname = heapless::String::try_from(host_name.as_str()).ok();
            ConfigV4::Dhcp(dhcp)
        }
    };
    config
}

/// The stack, and the watchdog's food with it: whoever stops the one stops the other.
#[embassy_executor::task]
async fn network(mut runner: Runner<'static, Driver>, mut watchdog: Watchdog) {
    select(runner.run(), watchdog.feed()).await;
}

/// One connection at a time, while the board is on its network.
#[embassy_executor::task(pool_size = MAX_SLOTS)]
async fn slot(server: &'static GreetingServer, online: &'static Online) {
    let mut receive = [0; RECEIVE_BUFFER];
    let mut send = [0; SEND_BUFFER];
    online
        .serve_online(async || server.slot(&mut receive, &mut send).await)
        .await;
}

/// A bench service.
#[derive(Clone, Copy)]
enum Service {
    Echo,
    Discard,
    Chargen,
}

/// One connection's worth of a bench service. Its buffers come from the heap: most boards run none.
#[embassy_executor::task(pool_size = 3 * STREAMS)]
async fn service(
    kind: Service,
    stack: Stack<'static>,
    online: &'static Online,
    console: &'static Console,
) {
    let (Some(mut receive), Some(mut send)) = (buffer(), buffer()) else {
        console.say("services reduced reason=\"the heap has no room for another connection\"");
        return;
    };
    online
        .serve_online(async || match kind {
            Service::Echo => services::echo(stack, &mut receive, &mut send).await,
            Service::Discard => services::discard(stack, &mut receive, &mut send).await,
            Service::Chargen => services::chargen(stack, &mut receive, &mut send).await,
        })
        .await;
}

/// A buffer from the heap, if it has one.
fn buffer() -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(SERVICE_BUFFER).ok()?;
    buffer.resize(SERVICE_BUFFER, 0);
    Some(buffer)
}

/// The servers of an access point, once it is up.
#[embassy_executor::task]
async fn open(
    stack: Stack<'static>,
    online: &'static Online,
    console: &'static Console,
    port: u16,
) {
    access_point::stay_open(stack, port, online, |line| console.say(line)).await;
}

/// The DHCP server of an access point.
#[embassy_executor::task]
async fn lease(stack: Stack<'static>, console: &'static Console) {
    let server = RefCell::new(access_point::dhcp_server());
    let mut buffers = dhcp::Buffers::new();
    dhcp::serve(stack, &server, &mut buffers, |lease| {
        console.say(Lease(lease));
    })
    .await;
}

/// The mDNS responder.
#[embassy_executor::task]
async fn announce(
    stack: Stack<'static>,
    host_name: &'static HostName,
    mode: Mode,
    mac: [u8; 6],
    port: u16,
    seed: u64,
    console: &'static Console,
) {
    let identity = mdns::Identity {
        hostname: host_name.as_str(),
        port,
        chip: chip::NAME,
        mode: match mode {
            Mode::AccessPoint => "ap",
            Mode::Station => "sta",
        },
        firmware: crate::VERSION,
        mac,
    };
    let responder = match mdns::Responder::new(&identity, seed) {
        Ok(responder) => RefCell::new(responder),
        Err(error) => {
            // Without a name the board is there all the same.
            console.say(format_args!("mdns failed reason=\"{error}\""));
            return;
        }
    };
    let mut buffers = mdns::Buffers::new();
    mdns::run(stack, &responder, &mut buffers, pending(), |_, name| {
        console.say(format_args!("mdns host={name}.local"));
    })
    .await;
}

/// The counters, now and then.
#[embassy_executor::task]
async fn heartbeat(
    server: &'static GreetingServer,
    chip: &'static Chip,
    console: &'static Console,
) {
    loop {
        chip.stack_lowest.set(headroom::lowest());
        // The first one at once: what the radio has left of the heap.
        console.say(Heartbeat(Report {
            vitals: chip.vitals(),
            counters: server.counters(),
        }));
        Timer::after(HEARTBEAT).await;
    }
}
