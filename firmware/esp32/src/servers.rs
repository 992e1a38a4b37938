//! The greeter's futures as tasks of the chip's executor.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::pending;

use embassy_executor::Spawner;
use embassy_futures::select::select;
use embassy_net::{ConfigV4, DhcpConfig, Runner, Stack, StackResources};
use embassy_time::{Duration, Timer};
use esp_radio::wifi::Interface;
use static_cell::StaticCell;
use tcpctl_greeter::boot_loop::Start;
use tcpctl_greeter::bursts::Bursts;
use tcpctl_greeter::console::{Heartbeat, Lease};
use tcpctl_greeter::memory::{MAX_SERVICE_STREAMS, SERVICE_BUFFER};
use tcpctl_greeter::refusals::Refusals;
use tcpctl_greeter::server::{Config, RECEIVE_BUFFER, SEND_BUFFER, Server};
use tcpctl_greeter::status::{Board as _, Report};
use tcpctl_greeter::trial::TrialRun;
use tcpctl_greeter::{access_point, dhcp, mdns, services};
use tcpctl_settings::{HostName, MANAGEMENT_PORT, Mode, ServerSettings, Services, Settings};

use crate::chip::{self, MEMORY};
use crate::console::Console;
use crate::flash::{ChipFirmware, SharedFlash};
use crate::management::{self, ChipHost};
use crate::online::{Online, SERVER_SOCKETS};
use crate::radio::{self, Radio};
use crate::station::{self, Station};
use crate::status::ChipStatus;
use crate::watchdog::Watchdog;
use crate::{boot_guard, raw, spawn};

/// Sockets: those of the servers, of the management server, of the DHCP client and server, and of
/// mDNS.
const SOCKETS: usize = SERVER_SOCKETS + 4;
/// Frames that the stack processes before the servers run, as on the virtual board.
const BURST: usize = 1;
const COUNTERS_INTERVAL: Duration = Duration::from_secs(60);

type Driver = Bursts<Refusals<'static, Interface>>;
type GreetingServer = Server<'static, &'static Console, { MEMORY.slots }>;

/// Parameters of the servers.
pub(crate) struct Board {
    pub(crate) settings: &'static Settings,
    pub(crate) config: Config<'static>,
    /// Connections to each bench service.
    pub(crate) service_streams: usize,
    pub(crate) host_name: &'static HostName,
    pub(crate) mac: [u8; 6],
    pub(crate) console: &'static Console,
    pub(crate) chip: &'static ChipStatus,
    pub(crate) watchdog: Watchdog,
    pub(crate) start: Start,
    pub(crate) flash: SharedFlash,
    /// Firmware, with its trial and updates.
    pub(crate) firmware: &'static ChipFirmware,
    /// Trial of the settings.
    pub(crate) trial: &'static TrialRun,
    pub(crate) seed: u64,
}

/// Starts all servers and the network.
pub(crate) fn start(spawner: Spawner, board: Board, radio: Radio) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let Board {
        settings,
        config,
        service_streams,
        host_name,
        mac,
        console,
        chip,
        watchdog,
        start,
        flash,
        firmware,
        trial,
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
    let server = GreetingServer::new(stack, config, console, Some(refused))
        .with_handler(crate::app::start(chip, &settings.server, mac));
    let server = crate::leak(server);
    let online = crate::leak(Online::new());
    let host = ChipHost {
        apply: crate::leak(|settings: &ServerSettings| server.apply(settings)),
        console,
    };
    let management = management::new(settings, flash, firmware, trial, mac, host);
    let is_managed = management.is_some();
    if let Some(server) = management {
        chip.set_management(server.management);
        management::start(spawner, server, stack, online);
    }

    for _ in 0..config.slots() {
        spawn(spawner, slot(server, online));
    }
    if settings.server.services() == Services::On {
        for kind in [Service::Echo, Service::Discard, Service::Chargen] {
            for _ in 0..service_streams {
                spawn(spawner, service(kind, stack, online, console));
            }
        }
    }
    spawn(
        spawner,
        announce(
            stack,
            Announcement {
                host_name,
                mode,
                mac,
                port: config.port,
                management: is_managed.then_some(MANAGEMENT_PORT),
            },
            seed,
            console,
        ),
    );
    spawn(spawner, print_counters(server, chip, console));
    spawn(spawner, boot_guard::settle(online, firmware));
    spawn(spawner, boot_guard::end_trial(firmware, console));
    match mode {
        Mode::AccessPoint => {
            spawn(spawner, crate::access_point::watch(radio, console, chip));
            spawn(spawner, lease(stack, console));
            spawn(spawner, open(stack, online, console, config.port));
        }
        Mode::Station => {
            let station = Station {
                radio,
                settings,
                stack,
                console,
                chip,
                online,
                start,
                trial,
                seed,
            };
            spawn(spawner, station::stay(station));
        }
    }
    // The stack comes last, so that every slot listens before the first frame is processed.
    spawn(spawner, network(runner, watchdog));
}

/// A static address in AP mode, DHCP in STA mode.
fn network_config(mode: Mode, host_name: &HostName) -> embassy_net::Config {
    let mut config = embassy_net::Config::default();
    config.ipv4 = match mode {
        Mode::AccessPoint => ConfigV4::Static(access_point::network()),
        Mode::Station => {
            let mut dhcp = DhcpConfig::default();
            // Cannot fail: both lengths are at most 32 characters.
            dhcp.hostname = heapless::String::try_from(host_name.as_str()).ok();
            ConfigV4::Dhcp(dhcp)
        }
    };
    config
}

/// Runs the stack and feeds the watchdog: if one hangs, so does the other.
#[embassy_executor::task]
async fn network(mut runner: Runner<'static, Driver>, mut watchdog: Watchdog) {
    select(runner.run(), watchdog.feed()).await;
}

/// Serves one connection at a time.
#[embassy_executor::task(pool_size = MEMORY.slots)]
async fn slot(server: &'static GreetingServer, online: &'static Online) {
    let mut receive = [0; RECEIVE_BUFFER];
    let mut send = [0; SEND_BUFFER];
    online
        .serve_online(async || server.slot(&mut receive, &mut send).await)
        .await;
}

#[derive(Clone, Copy)]
enum Service {
    Echo,
    Discard,
    Chargen,
}

/// Serves one connection of a bench service at a time. Buffers come from the heap, because most
/// boards run no services.
#[embassy_executor::task(pool_size = 3 * MAX_SERVICE_STREAMS)]
async fn service(
    kind: Service,
    stack: Stack<'static>,
    online: &'static Online,
    console: &'static Console,
) {
    let (Some(mut receive), Some(mut send)) = (buffer(), buffer()) else {
        console.print("services reduced reason=\"the heap has no room for another connection\"");
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

/// A buffer from the heap; `None` if the heap is full.
fn buffer() -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(SERVICE_BUFFER).ok()?;
    buffer.resize(SERVICE_BUFFER, 0);
    Some(buffer)
}

/// Puts the servers online once the access point is up.
#[embassy_executor::task]
async fn open(
    stack: Stack<'static>,
    online: &'static Online,
    console: &'static Console,
    port: u16,
) {
    access_point::track_link(stack, port, online, |line| console.print(line)).await;
}

/// The DHCP server of an access point.
#[embassy_executor::task]
async fn lease(stack: Stack<'static>, console: &'static Console) {
    let server = RefCell::new(access_point::dhcp_server());
    let mut buffers = dhcp::Buffers::new();
    dhcp::serve(stack, &server, &mut buffers, |lease| {
        console.print(Lease(lease));
    })
    .await;
}

/// The identity that the board announces.
struct Announcement {
    host_name: &'static HostName,
    mode: Mode,
    mac: [u8; 6],
    port: u16,
    management: Option<u16>,
}

/// The mDNS responder.
#[embassy_executor::task]
async fn announce(
    stack: Stack<'static>,
    announcement: Announcement,
    seed: u64,
    console: &'static Console,
) {
    let identity = mdns::Identity {
        hostname: announcement.host_name.as_str(),
        port: announcement.port,
        chip: chip::NAME,
        mode: announcement.mode.name(),
        firmware: crate::VERSION,
        mac: announcement.mac,
        management: announcement.management,
    };
    let responder = match mdns::Responder::new(&identity, seed) {
        Ok(responder) => RefCell::new(responder),
        Err(error) => {
            // The board serves even without mDNS.
            console.print(format_args!("mdns failed reason=\"{error}\""));
            return;
        }
    };
    let mut buffers = mdns::Buffers::new();
    mdns::run(stack, &responder, &mut buffers, pending(), |_, name| {
        console.print(format_args!("mdns host={name}.local"));
    })
    .await;
}

/// Prints the counters at the start, when the heap shows how much the radio has left, and
/// periodically.
#[embassy_executor::task]
async fn print_counters(
    server: &'static GreetingServer,
    chip: &'static ChipStatus,
    console: &'static Console,
) {
    loop {
        chip.stack_lowest.set(raw::unused_stack());
        console.print(Heartbeat(Report {
            vitals: chip.vitals(),
            counters: server.counters(),
        }));
        Timer::after(COUNTERS_INTERVAL).await;
    }
}
