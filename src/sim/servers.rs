//! The servers of a virtual board: greeter's, over an embassy-net stack, as on a chip.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::{Pin, pin};

use embassy_net::tcp::TcpSocket;
use embassy_net::{ConfigV4, DhcpConfig, Stack, StackResources};
use embassy_net_driver::Driver;
use embassy_time::{Duration, Instant, with_timeout};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tcpctl_app::simulated::RandomWalk;
use tcpctl_app::{App, Command, Output, Sensor, Uptime};
use tcpctl_greeter::bursts::Bursts;
use tcpctl_greeter::console::Console;
use tcpctl_greeter::counters::Counters;
use tcpctl_greeter::management::{self, About, Management};
use tcpctl_greeter::presence::Presence;
use tcpctl_greeter::refusals::Refusals;
use tcpctl_greeter::server::{Config, RECEIVE_BUFFER, SEND_BUFFER, Server};
use tcpctl_greeter::status::{self, Vitals};
use tcpctl_greeter::trial::{self, TrialRun};
use tcpctl_greeter::{access_point, dhcp, mdns, services, station};
use tcpctl_management::RANDOM_LEN;
use tcpctl_settings::sectors::TrialState;
use tcpctl_settings::{HostName, Mode, ServerSettings, Services, Settings};
use tokio::sync::{Notify, oneshot};

use super::clock;
use super::event::{BoardEvent, EventConsole, Online};
use super::firmware::VirtualFirmware;
use super::flash::VirtualFlash;
use super::networks::Networks;
use super::radio::{Associated, Association, StationRadio};
use super::reply::{self, Reply};
use super::spec::{MacAddress, Spec};
use crate::failure::reason;

/// The board's address in AP mode.
pub use tcpctl_greeter::access_point::{ADDRESS, PREFIX};

/// Maximum slots that settings allow: 32 workers and a backlog of 32.
const MAX_SLOTS: usize = 64;
/// Simultaneous connections per service.
const STREAMS: usize = 4;
/// Sockets of one board: slots, three services, management, DHCP client and server, mDNS.
const MAX_SOCKETS: usize = MAX_SLOTS + 3 * STREAMS + 4;
/// Buffer of a service, bytes per direction: ESP-IDF's default TCP window.
const SERVICE_BUFFER: usize = 5760;
/// Frames that the stack processes before the servers run.
const BURST: usize = 1;
/// Timeout of the mDNS goodbye of a stopped board.
const GOODBYE: Duration = Duration::from_secs(1);

/// The other hosts on the board's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbors {
    /// One client that knows the board's address. Nothing is announced, so runs are repeatable
    /// frame by frame.
    OneClient,
    /// Any number of hosts, which may resolve the board's name.
    Wire,
}

/// Why the servers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The board was stopped.
    Stopped,
    /// The board restarts.
    Restart,
}

/// Final counters of a board.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The greeting server's counters.
    pub counters: Counters,
    /// Events dropped because they could not be printed in time.
    pub events_dropped: u64,
}

impl Summary {
    /// Adds the counters of one run.
    pub(super) fn add(&mut self, run: Counters) {
        let all = &mut self.counters;
        let refused = all
            .refused
            .unwrap_or(0)
            .wrapping_add(run.refused.unwrap_or(0));
        *all = Counters {
            accepted: all.accepted.wrapping_add(run.accepted),
            served: all.served.wrapping_add(run.served),
            refused: Some(refused),
            timed_out: all.timed_out.wrapping_add(run.timed_out),
            reset: all.reset.wrapping_add(run.reset),
            bytes_in: all.bytes_in.wrapping_add(run.bytes_in),
            bytes_out: all.bytes_out.wrapping_add(run.bytes_out),
            ..run
        };
    }
}

/// The management server of a virtual board.
type VirtualManagement<'a> = Management<'a, &'a RefCell<VirtualFlash>, VirtualHost<'a>>;

/// The effects of the management server on its board.
struct VirtualHost<'a> {
    requests: &'a HostRequests,
}

/// Requests by the management server, which the servers carry out.
#[derive(Default)]
struct HostRequests {
    settings: RefCell<Option<ServerSettings>>,
    new_settings: Notify,
    restart: Notify,
}

impl management::Host for VirtualHost<'_> {
    fn random(&self) -> [u8; RANDOM_LEN] {
        let mut random = [0; RANDOM_LEN];
        // A handshake without random numbers would not be secret.
        getrandom::fill(&mut random)
            .unwrap_or_else(|error| panic!("the system has no random numbers: {error}"));
        random
    }

    fn apply(&self, server: &ServerSettings) {
        self.requests.settings.replace(Some(server.clone()));
        self.requests.new_settings.notify_one();
    }

    fn restart(&self) {
        self.requests.restart.notify_one();
    }
}

/// The vitals of a virtual board, which has neither its own memory nor a radio.
struct VirtualBoard<'a> {
    host_name: HostName,
    started: Instant,
    mode: Mode,
    service_streams: usize,
    management: Option<&'a VirtualManagement<'a>>,
    trial: &'a TrialRun,
    firmware: &'a VirtualFirmware<'a>,
}

impl status::Board for VirtualBoard<'_> {
    fn vitals(&self) -> Vitals<'_> {
        Vitals {
            name: self.host_name.as_str(),
            firmware: self.firmware.version(),
            chip: "virtual",
            mode: self.mode.name(),
            uptime: self.started.elapsed(),
            management: self
                .management
                .filter(|management| management.is_on())
                .map(Management::counters),
            trial: self.trial.report(),
            update: self.firmware.status(),
            service_streams: self.service_streams,
            ..Vitals::default()
        }
    }
}

/// A task of the board.
type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The parameters of one run of the servers.
pub(super) struct Run<'a> {
    /// Options of board and link. `settings` replaces the settings in it.
    pub(super) spec: &'a Spec,
    /// Settings in force.
    pub(super) settings: &'a Settings,
    pub(super) flash: &'a RefCell<VirtualFlash>,
    pub(super) firmware: &'a VirtualFirmware<'a>,
    /// Chip whose images the board accepts.
    pub(super) chip: Option<&'static str>,
    pub(super) trial: &'a TrialRun,
    /// Whether the board is on its network. The stack's own notification has room for only one
    /// waiter.
    pub(super) presence: &'a Presence<1>,
    pub(super) mac: MacAddress,
    pub(super) networks: &'a RefCell<Networks>,
    /// Port at which clients reach the management channel.
    pub(super) management_port: u16,
    pub(super) neighbors: Neighbors,
    pub(super) console: &'a EventConsole,
}

/// Runs a board's servers over `driver` until `stop` completes.
pub(super) async fn serve(
    run: &Run<'_>,
    driver: impl Driver,
    stop: impl Future<Output = ()>,
) -> (Counters, Ended) {
    let Run {
        spec,
        settings,
        mac,
        networks,
        neighbors,
        console,
        ..
    } = *run;
    let mode = settings.network.mode();
    let config = server_config(spec, &settings.server);
    let refused = Cell::new(0);
    let association = Association::default();
    association.set(mode == Mode::AccessPoint);
    let driver = Refusals::new(Associated::new(driver, &association), config.port, &refused);
    let driver = Bursts::new(driver, BURST);
    let mut resources = Box::new(StackResources::<MAX_SOCKETS>::new());
    let (stack, mut runner) =
        embassy_net::new(driver, network(mode), &mut *resources, spec.link.seed);
    let host_name = run.host_name();
    let requests = HostRequests::default();
    let management = run.management(&requests);
    let is_managed = management.is_some();
    let status = VirtualBoard {
        host_name: host_name.clone(),
        started: Instant::now(),
        service_streams: run.service_streams(),
        mode,
        management: management.as_ref(),
        trial: run.trial,
        firmware: run.firmware,
    };
    let temperature = RandomWalk::new("temperature", "Cel", 215, 30, 1, spec.link.seed);
    let uptime = Uptime(|| status.started.elapsed().as_millis());
    let sensors: [&dyn Sensor; 2] = [&temperature, &uptime];
    let lit = Cell::new(false);
    let led = Output::new("led", |on| lit.set(on));
    let commands: [&dyn Command; 1] = [&led];
    let app = App::new(&sensors, &commands).on_board(&status, mac, &settings.server);
    let mut server = Server::<_, MAX_SLOTS>::new(stack, config, console, Some(&refused));
    if spec.reply == Reply::Greeting {
        server = server.with_handler(&app);
    }
    let server = server;

    // FuturesUnordered gives each task its own waker. With a shared waker the stack and its sockets
    // would wake each other forever.
    let mut tasks: FuturesUnordered<Task<'_>> = FuturesUnordered::new();
    for _ in 0..config.slots() {
        tasks.push(Box::pin(slot(&server, &spec.reply, config.request_timeout)));
    }
    if settings.server.services().is_on() {
        tasks.extend(bench_services(stack));
    }
    match mode {
        Mode::AccessPoint => {
            tasks.push(Box::pin(lease_addresses(stack, console)));
            tasks.push(Box::pin(watch(stack, run, is_managed)));
        }
        Mode::Station => {
            let radio = StationRadio {
                network: &settings.network,
                networks,
                association: &association,
                stack,
            };
            tasks.push(Box::pin(stay(radio, run, is_managed)));
        }
    }
    tasks.extend(management.iter().flat_map(|it| management_tasks(stack, it)));
    tasks.push(Box::pin(apply(&requests, &server, &spec.reply)));
    tasks.push(Box::pin(try_firmware(run, &requests)));
    let (leave, left) = oneshot::channel::<()>();
    if neighbors == Neighbors::Wire {
        tasks.push(Box::pin(announce(stack, run, is_managed, left.map(drop))));
    }
    // The stack comes last, so that every slot listens before the first frame is processed.
    tasks.push(Box::pin(async {
        runner.run().await;
    }));
    let ended = tokio::select! {
        () = stop => Ended::Stopped,
        () = requests.restart.notified() => Ended::Restart,
        () = async { while tasks.next().await.is_some() {} } => Ended::Stopped,
    };
    // Read the counters while the tasks exist, because their open connections count as well.
    let counters = server.counters();
    // A restart sends no mDNS goodbye, as on a chip.
    if neighbors == Neighbors::Wire && ended == Ended::Stopped {
        drop(leave);
        send_goodbye(&mut tasks, spec).await;
    }
    drop(tasks);
    (counters, ended)
}

impl Run<'_> {
    fn host_name(&self) -> HostName {
        let given = self.settings.host_name.clone();
        given.unwrap_or_else(|| HostName::of_board(self.mac))
    }

    /// Connections to each bench service.
    fn service_streams(&self) -> usize {
        match self.settings.server.services() {
            Services::On => STREAMS,
            Services::Off => 0,
        }
    }

    /// The management server; `None` where it is off.
    fn management<'m>(&self, requests: &'m HostRequests) -> Option<VirtualManagement<'m>>
    where
        Self: 'm,
    {
        let about = About {
            firmware: self.firmware.version(),
            chip: "virtual",
            mac: self.mac,
        };
        let host = VirtualHost { requests };
        let management = Management::new(self.settings, self.flash, self.trial, about, host);
        // A board without a settings partition has no key either.
        let management = management.ok().flatten()?;
        let management = management.with_firmware(self.firmware);
        Some(management.with_relay_port(self.management_port))
    }

    /// Reports that the board is reachable at this address.
    fn ready(&self, address: Ipv4Addr, is_managed: bool) {
        self.presence.set(true);
        let server = &self.settings.server;
        self.console.emit(BoardEvent::Ready(Online {
            address: SocketAddrV4::new(address, server.port().get()),
            mode: self.settings.network.mode(),
            host_name: self.host_name(),
            workers: server.workers().get(),
            backlog: server.backlog().get(),
            management: is_managed,
            firmware: self.chip.map(|_| self.firmware.version().to_owned()),
        }));
        let trial = self.trial.report();
        let is_news = |report: &trial::Report| report.state != TrialState::Confirmed;
        if let Some(report) = trial.filter(is_news) {
            self.console.emit(BoardEvent::Trial(report));
        }
    }

    fn lost(&self, reason: Option<String>) {
        self.presence.set(false);
        self.console.emit(BoardEvent::Lost { reason });
    }
}

/// Returns the board to its old settings if a trial fails.
async fn end_trial(management: &VirtualManagement<'_>) {
    let reason = management.trial().rollback_due().await;
    management.roll_back(reason);
}

/// Applies settings that need no restart.
async fn apply<C: Console>(
    requests: &HostRequests,
    server: &Server<'_, C, MAX_SLOTS>,
    reply: &Reply,
) {
    loop {
        requests.new_settings.notified().await;
        let settings = requests.settings.take();
        // A reply by a file or program is not the greeting.
        if let Some(settings) = settings.filter(|_| *reply == Reply::Greeting) {
            server.apply(&settings);
        }
    }
}

/// Lets the mDNS responder send its goodbye.
async fn send_goodbye(tasks: &mut FuturesUnordered<Task<'_>>, spec: &Spec) {
    // Times out on a board without a network.
    let _ = with_timeout(GOODBYE, tasks.next()).await;
    // Wait: the goodbye is still in flight.
    let in_flight = spec.link.delay + spec.link.jitter * 8;
    let _ = with_timeout(in_flight, tasks.next()).await;
}

/// Serves one connection at a time with the board's kind of reply.
async fn slot<C: Console>(
    server: &Server<'_, C, MAX_SLOTS>,
    reply: &Reply,
    request_timeout: Duration,
) {
    let mut receive = [0; RECEIVE_BUFFER];
    let mut send = [0; SEND_BUFFER];
    let (receive, send) = (&mut receive[..], &mut send[..]);
    match reply {
        Reply::Greeting | Reply::Bytes(_) => server.slot(receive, send).await,
        Reply::Echo => {
            let answer =
                async |socket: &mut TcpSocket<'_>, peer| reply::echo(server, socket, peer).await;
            server.slot_with(receive, send, answer).await;
        }
        Reply::Exec(command) => {
            let answer = async |socket: &mut TcpSocket<'_>, peer| {
                reply::exec(server, request_timeout, command, socket, peer).await
            };
            server.slot_with(receive, send, answer).await;
        }
    }
}

/// The greeting server's configuration, with the simulated service time.
fn server_config<'a>(spec: &'a Spec, server: &'a ServerSettings) -> Config<'a> {
    Config {
        service_time: clock::duration(spec.service_time),
        greeting: match &spec.reply {
            Reply::Bytes(bytes) => bytes,
            _ => server.greeting().as_bytes(),
        },
        ..Config::from_settings(server)
    }
}

/// The board's IP configuration: static in AP mode, DHCP in STA mode.
fn network(mode: Mode) -> embassy_net::Config {
    let mut config = embassy_net::Config::default();
    config.ipv4 = match mode {
        Mode::AccessPoint => ConfigV4::Static(access_point::network()),
        Mode::Station => ConfigV4::Dhcp(DhcpConfig::default()),
    };
    config
}

/// Echo, discard and chargen, several connections of each.
fn bench_services(stack: Stack<'_>) -> impl Iterator<Item = Task<'_>> {
    (0..STREAMS).flat_map(move |_| {
        let echo: Task<'_> = Box::pin(with_buffers(async move |receive, send| {
            services::echo(stack, receive, send).await;
        }));
        let discard: Task<'_> = Box::pin(with_buffers(async move |receive, send| {
            services::discard(stack, receive, send).await;
        }));
        let chargen: Task<'_> = Box::pin(with_buffers(async move |receive, send| {
            services::chargen(stack, receive, send).await;
        }));
        [echo, discard, chargen]
    })
}

async fn with_buffers(serve: impl AsyncFnOnce(&mut [u8], &mut [u8])) {
    let mut receive = vec![0; SERVICE_BUFFER];
    let mut send = vec![0; SERVICE_BUFFER];
    serve(&mut receive, &mut send).await;
}

/// The DHCP server of an access point.
async fn lease_addresses(stack: Stack<'_>, console: &EventConsole) {
    let server = access_point::dhcp_server();
    let mut buffers = Box::new(dhcp::Buffers::new());
    let emit = |lease| console.emit(BoardEvent::Lease(lease));
    dhcp::serve(stack, &RefCell::new(server), &mut buffers, emit).await;
}

/// What a board announces over mDNS.
pub(super) fn identity<'a>(
    host_name: &'a HostName,
    mode: &'a str,
    mac: MacAddress,
    port: u16,
    management: Option<u16>,
    firmware: &'a str,
) -> mdns::Identity<'a> {
    mdns::Identity {
        hostname: host_name.as_str(),
        port,
        chip: "virtual",
        mode,
        firmware,
        mac,
        management,
    }
}

/// Runs the mDNS responder until `leave` completes.
async fn announce(
    stack: Stack<'_>,
    run: &Run<'_>,
    is_managed: bool,
    leave: impl Future<Output = ()>,
) {
    let host_name = run.host_name();
    let mode = run.settings.network.mode().to_string();
    let port = run.settings.server.port().get();
    let management = is_managed.then_some(run.management_port);
    let identity = identity(
        &host_name,
        &mode,
        run.mac,
        port,
        management,
        run.firmware.version(),
    );
    let responder = mdns::Responder::new(&identity, run.spec.link.seed)
        .unwrap_or_else(|error| unreachable!("a host name of the settings is a label: {error}"));
    let mut buffers = Box::new(mdns::Buffers::new());
    let emit = |_, name: &str| {
        run.console.emit(BoardEvent::Named {
            host_name: name.to_owned(),
        });
    };
    mdns::run(stack, &RefCell::new(responder), &mut buffers, leave, emit).await;
}

/// Reports when an access point becomes reachable or unreachable.
async fn watch(stack: Stack<'_>, run: &Run<'_>, is_managed: bool) {
    loop {
        stack.wait_link_up().await;
        stack.wait_config_up().await;
        let Some(config) = stack.config_v4() else {
            continue;
        };
        run.ready(config.address.address(), is_managed);
        futures_util::future::select(pin!(stack.wait_config_down()), pin!(stack.wait_link_down()))
            .await;
        run.lost(None);
    }
}

/// Keeps a station on its network, and reports when it is reachable.
async fn stay(mut radio: StationRadio<'_>, run: &Run<'_>, is_managed: bool) {
    let error = station::run(&mut radio, run.spec.link.seed, |event| {
        run.trial.on_event(&event);
        match event {
            station::Event::Online(address) => run.ready(address, is_managed),
            station::Event::Offline(loss) => run.lost(Some(loss.to_string())),
            station::Event::Failed { failure, .. } => run.lost(Some(failure.to_string())),
            station::Event::Joining | station::Event::Rejected(_) => {}
        }
    })
    .await;
    // This radio accepts any settings.
    run.lost(Some(reason(&error)));
}

/// The management server.
async fn manage(stack: Stack<'_>, management: &VirtualManagement<'_>) {
    let mut receive = vec![0; management::RECEIVE_BUFFER];
    let mut send = vec![0; management::SEND_BUFFER];
    management::serve(stack, management, &mut receive, &mut send).await;
}

/// The management server, and the end of trials of settings.
fn management_tasks<'t, 'm: 't>(
    stack: Stack<'t>,
    management: &'t VirtualManagement<'m>,
) -> [Task<'t>; 2] {
    [
        Box::pin(manage(stack, management)),
        Box::pin(end_trial(management)),
    ]
}

/// Confirms a trial of the firmware once the board has been on its network for a while, and
/// restarts the board if the trial failed.
async fn try_firmware(run: &Run<'_>, requests: &HostRequests) {
    let confirm = async || run.firmware.confirm_when_served().await;
    tokio::select! {
        never = run.presence.serve_online(confirm) => never,
        () = run.firmware.trial_failed() => requests.restart.notify_one(),
    }
    // The restart ends this task with all others.
    std::future::pending::<()>().await;
}
