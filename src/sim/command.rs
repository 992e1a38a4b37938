//! `tcpctl sim`: runs a virtual board until Ctrl-C.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use tcpctl_greeter::stored;
use tcpctl_settings::sectors::TrialState;
use tcpctl_settings::{MANAGEMENT_PORT, ManagementKey, Settings};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::boot::Hardware;
use super::event::{self, BoardEvent, Events, Online};
use super::firmware;
use super::flash::{Opened, VirtualFlash};
use super::networks::Networks;
use super::plan::{Exposure, SimPlan};
use super::relay::{self, Peers};
use super::report::{Payload, SimEvent, SimReport};
use super::servers::{self, Summary};
use super::session::Session;
use super::spec::{MacAddress, Spec};
use crate::cli::SimArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind, reason};
use crate::interrupt::Interrupt;
use crate::keys::{self, KeyFile};
use crate::mdns::{self, announce::announce};
use crate::net::{
    self,
    interfaces::{self, Interface},
};
use crate::output::Output;
use crate::sanitize;

/// Runs a virtual board until it is interrupted, and prints its events.
///
/// # Errors
/// Invalid options, a board that cannot start, or standard output that cannot be written.
pub fn run(args: &SimArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = SimPlan::new(args)?;
    let (events, received) = event::events();
    match &plan.exposure {
        Exposure::Relay(listen) => run_relay(&plan, *listen, events, received, output),
        Exposure::Tap(interface) => run_tap(&plan, interface, events, received, output),
    }
}

/// Runs the board behind a listening socket.
fn run_relay(
    plan: &SimPlan,
    listen: SocketAddr,
    events: Events,
    received: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> anyhow::Result<Exit> {
    let listener = net::bind(listen)?;
    let address = listener.local_addr()?;
    let management = net::bind(SocketAddr::new(address.ip(), 0))?;
    let management_port = management.local_addr()?.port();
    let places = places_to_announce(plan, address)?;
    let (hardware, spec) = hardware(plan, management_port, output)?;
    let announced = Announced {
        places,
        port: address.port(),
        management_port,
        mac: hardware.mac,
    };
    let names = events.clone();
    let session =
        Session::start_with(&spec, hardware, events).map_err(|error| cannot_start(&error))?;
    let peers = Arc::new(Peers::default());
    let served = Arc::clone(&peers);
    let network = Network::start(move |stop| {
        let ended = crate::runtime::block_on(async {
            let end = stop.install()?;
            let listener = TcpListener::from_std(listener)?;
            let management = TcpListener::from_std(management)?;
            let (leave, left) = watch::channel(());
            let announcing = announced.run(&left, session.online().clone(), names);
            let serving = async {
                let exit = tokio::select! {
                    exit = relay::relay(listener, None, &session, &served) => exit,
                    exit = relay::relay(management, Some(MANAGEMENT_PORT), &session, &served) => exit,
                    () = end => Ok(()),
                };
                drop(leave);
                exit
            };
            let (exit, announced) = tokio::join!(serving, announcing);
            exit.and(announced)
        });
        (ended, session.stop())
    })?;
    let names = Names {
        reachable_at: Some(address),
        management_port,
        peers: &peers,
    };
    finish(plan, &names, received, network, output)
}

/// The flash and networks of a board. Writes the key file if there is none. The board's own MAC
/// address is in the returned spec. Blocks.
fn hardware(
    plan: &SimPlan,
    management_port: u16,
    output: &Output,
) -> anyhow::Result<(Hardware, Spec)> {
    let mut spec = plan.spec.clone();
    let mac = spec.mac();
    let opened = if let Some(path) = &plan.state {
        VirtualFlash::open(path, mac, || {
            let management_key = Some(new_key(mac)?);
            Ok(Settings {
                management_key,
                ..spec.settings()
            })
        })?
    } else {
        spec.management_key = Some(new_key(mac)?);
        let flash = VirtualFlash::in_memory(mac, &spec.settings());
        Opened {
            flash: flash.map_err(|error| cannot_start(&error))?,
            mac,
            is_new: true,
        }
    };
    let Opened {
        mut flash,
        mac,
        is_new,
    } = opened;
    if plan.has_settings && !is_new {
        output.note(
            "note: the board keeps the settings in its --state file; change them with tcpctl \
             configure, or delete the file",
        );
    }
    write_key_file(&mut flash, mac, output)?;
    let networks = plan.networks.clone();
    let networks = networks.unwrap_or_else(|| own_network(&mut flash, &spec));
    spec.mac = Some(mac);
    let chip = firmware::prepare(&mut flash, plan.spec.chip)?;
    let hardware = Hardware {
        mac,
        flash,
        chip,
        networks,
        management_port,
    };
    Ok((hardware, spec))
}

/// The network of the settings that the board starts with. A trial that has not been confirmed yet is not
/// among them: its network does not exist.
fn own_network(flash: &mut VirtualFlash, spec: &Spec) -> Networks {
    let stored = stored::load(flash).ok().filter(|stored| {
        !stored
            .trial
            .as_ref()
            .is_some_and(|trial| matches!(trial.state, TrialState::Pending | TrialState::Started))
    });
    match stored {
        Some(stored) => Networks::of(&stored.record.settings.network),
        None => Networks::of(&spec.settings().network),
    }
}

/// The key of a new board: that of its key file, or a generated one.
fn new_key(mac: MacAddress) -> Result<ManagementKey, Failure> {
    let found = match KeyFile::of_board(mac) {
        Ok(file) => file.find()?,
        // `write_key_file` reports the error.
        Err(_) => None,
    };
    found.map_or_else(keys::generate, Ok)
}

/// Writes the key file of a board whose management is on, unless there is one.
fn write_key_file(
    flash: &mut VirtualFlash,
    mac: MacAddress,
    output: &Output,
) -> Result<(), Failure> {
    let settings = stored::load(flash)
        .ok()
        .map(|stored| stored.record.settings);
    let settings = settings.filter(|it| it.server.management().is_on());
    let Some(key) = settings.and_then(|it| it.management_key) else {
        return Ok(());
    };
    let file = match KeyFile::of_board(mac) {
        Ok(file) => file,
        Err(failure) => {
            output.note(&format!(
                "note: {failure}: tcpctl configure cannot reach this board"
            ));
            return Ok(());
        }
    };
    let stored = match file.find()? {
        Some(stored) => stored,
        None => file.create(key.clone()).map_err(|failure| {
            failure.hint("give --management off to run a board without a key")
        })?,
    };
    if stored == key {
        output.detail(|| format!("management key: {}", file.name()));
    } else {
        output.note(&format!(
            "note: key file {} has the key of another board; move it away and start again to \
             configure this board",
            file.name()
        ));
    }
    Ok(())
}

/// The interfaces with the relay's address, on which to announce a board; empty without
/// `--announce`.
fn places_to_announce(
    plan: &SimPlan,
    address: SocketAddr,
) -> Result<Vec<(Interface, Ipv4Addr)>, Failure> {
    let (true, IpAddr::V4(listen)) = (plan.announce, address.ip()) else {
        return Ok(Vec::new());
    };
    let mut places = Vec::new();
    for interface in interfaces::list().map_err(|error| no_announcement(&error))? {
        // All of 127/8 is loopback (RFC 1122 section 3.2.1.3).
        let reached = interface.v4.iter().find_map(|(own, _)| match *own {
            own if own == listen || listen.is_unspecified() => Some(own),
            own if own.is_loopback() && listen.is_loopback() => Some(listen),
            _ => None,
        });
        places.extend(reached.map(|reached| (interface, reached)));
    }
    // Fail before the board starts.
    for (interface, _) in &places {
        mdns::check(interface, mdns::PORT).map_err(|error| no_announcement(&error))?;
    }
    Ok(places)
}

/// A board that is announced over mDNS.
struct Announced {
    /// Interfaces and addresses; empty without `--announce`.
    places: Vec<(Interface, Ipv4Addr)>,
    port: u16,
    management_port: u16,
    mac: MacAddress,
}

impl Announced {
    /// Announces the board while it is reachable, until `stop` completes.
    async fn run(
        self,
        stop: &watch::Receiver<()>,
        mut online: watch::Receiver<Option<Online>>,
        names: Events,
    ) -> io::Result<()> {
        // The sender of `stop` only ever drops.
        let mut stopped = stop.clone();
        if self.places.is_empty() {
            let _ = stopped.changed().await;
            return Ok(());
        }
        loop {
            let board = tokio::select! {
                _ = stopped.changed() => return Ok(()),
                board = online.wait_for(Option::is_some) => match board {
                    Ok(board) => board.clone(),
                    Err(_) => return Ok(()),
                },
            };
            if let Some(board) = board {
                self.announce(&board, stop, &online, &names).await?;
            }
        }
    }

    /// Announces the board until it changes or `stop` completes, then sends its goodbye.
    async fn announce(
        &self,
        board: &Online,
        stop: &watch::Receiver<()>,
        online: &watch::Receiver<Option<Online>>,
        names: &Events,
    ) -> io::Result<()> {
        let mode = board.mode.to_string();
        let management = board.management.then_some(self.management_port);
        let version = board.firmware.as_deref().unwrap_or(firmware::VERSION);
        let identity = servers::identity(
            &board.host_name,
            &mode,
            self.mac,
            self.port,
            management,
            version,
        );
        let announcing = self.places.iter().map(|(interface, address)| {
            let (mut stop, mut online) = (stop.clone(), online.clone());
            let identity = &identity;
            async move {
                let announced = |_, name: &str| {
                    // If the console is full, drop the event instead of stopping the board.
                    let _ = names.try_send(BoardEvent::Named {
                        host_name: name.to_owned(),
                    });
                };
                let end = async {
                    tokio::select! {
                        _ = stop.changed() => {}
                        _ = online.changed() => {}
                    }
                };
                let identities = std::slice::from_ref(identity);
                announce(interface, *address, mdns::PORT, identities, end, announced).await
            }
        });
        let ended = futures_util::future::join_all(announcing).await;
        ended.into_iter().collect()
    }
}

/// Runs the board on a TAP interface.
#[cfg(target_os = "linux")]
fn run_tap(
    plan: &SimPlan,
    interface: &str,
    events: Events,
    received: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> anyhow::Result<Exit> {
    use super::board::Board;
    use super::servers::Neighbors;
    use super::tap;

    let name = interface.to_owned();
    let link = plan.spec.link;
    let (hardware, spec) = hardware(plan, MANAGEMENT_PORT, output)?;
    let neighbors = Neighbors::Wire;
    let board = Board::start(&spec, hardware, neighbors, Some(events), move |mac| {
        tap::open(&name, link, mac)
    })
    .map_err(|error| cannot_open(interface, &error))?;
    output.hint(&format!(
        "the board is on {interface}. If the interface is down: ip link set {interface} up. Give it \
         an address, e.g. {}",
        match plan.spec.mode {
            tcpctl_settings::Mode::AccessPoint =>
                format!("ip addr add 192.168.1.2/24 dev {interface}, or a DHCP client"),
            tcpctl_settings::Mode::Station => "that of your DHCP server".to_owned(),
        }
    ));
    let network = Network::start(move |stop| {
        let ended = crate::runtime::block_on(async {
            stop.install()?.await;
            Ok(())
        });
        (ended, board.stop())
    })?;
    let names = Names {
        reachable_at: None,
        management_port: MANAGEMENT_PORT,
        peers: &Peers::default(),
    };
    finish(plan, &names, received, network, output)
}

#[cfg(not(target_os = "linux"))]
fn run_tap(
    _plan: &SimPlan,
    _interface: &str,
    _events: Events,
    _received: mpsc::Receiver<BoardEvent>,
    _output: &Output,
) -> anyhow::Result<Exit> {
    Err(Failure::usage("--tap is only available on Linux")
        .hint("use --listen instead")
        .into())
}

/// The result of the network thread, and the board's counters.
type Ended = (Result<io::Result<()>, Failure>, Summary);

/// The network thread: a blocked console does not stop the board.
struct Network {
    thread: thread::JoinHandle<Ended>,
    stop: oneshot::Sender<()>,
}

/// The signals that stop the network thread.
struct Stop {
    requested: oneshot::Receiver<()>,
    installed: std::sync::mpsc::Sender<()>,
}

impl Stop {
    /// Installs the signal handlers. The future completes at the first signal or when the stop is
    /// requested. Call it inside the runtime.
    fn install(self) -> io::Result<impl Future<Output = ()>> {
        let interrupt = Interrupt::install()?;
        drop(self.installed);
        Ok(async move {
            tokio::select! {
                _ = interrupt.requested() => {}
                _ = self.requested => {}
            }
        })
    }
}

impl Network {
    /// Starts the thread. Returns once it handles signals. `run` stops the board when the future of
    /// its [`Stop`] completes.
    fn start(run: impl FnOnce(Stop) -> Ended + Send + 'static) -> Result<Self, Failure> {
        let (stop, requested) = oneshot::channel();
        let (installed, is_installed) = std::sync::mpsc::channel();
        let stop_of_thread = Stop {
            requested,
            installed,
        };
        let thread = thread::Builder::new()
            .name("network".into())
            .spawn(move || run(stop_of_thread))
            .map_err(|error| cannot_start(&error))?;
        // The sender is dropped, not used.
        let _ = is_installed.recv();
        Ok(Self { thread, stop })
    }

    /// Stops the board and waits until the goodbye was sent.
    fn stop(self) -> Result<Summary, Failure> {
        drop(self.stop);
        let Ok((ended, summary)) = self.thread.join() else {
            return Err(Failure::new(
                Kind::Internal,
                "the virtual board's network thread panicked",
            ));
        };
        ended?.map_err(|error| {
            Failure::new(Kind::Internal, format!("relay failed: {}", reason(&error)))
        })?;
        Ok(summary)
    }
}

/// Prints events until the board stops, then the summary.
fn finish(
    plan: &SimPlan,
    names: &Names<'_>,
    received: mpsc::Receiver<BoardEvent>,
    network: Network,
    output: &Output,
) -> anyhow::Result<Exit> {
    let printed = print(plan, names, received, output);
    // The board sends its goodbye even if printing failed.
    let summary = network.stop()?;
    let failure = printed?;
    output.print(&SimReport::now(summary.into()))?;
    failure.map_or(Ok(Exit::Done), |failure| Err(failure.into()))
}

/// Prints events until the board stops. Returns the failure if the board can never be reached
/// again.
fn print(
    plan: &SimPlan,
    names: &Names<'_>,
    mut received: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> anyhow::Result<Option<Failure>> {
    let mut tip = true;
    while let Some(event) = received.blocking_recv() {
        let deleted = match (&event, &plan.exposure) {
            (BoardEvent::Lost { .. }, Exposure::Tap(interface)) => interface_deleted(interface),
            _ => None,
        };
        let event = names.translate(plan, event);
        let reached = match event {
            SimEvent::Ready { addr, .. } => Some(addr),
            _ => None,
        };
        output.print(&SimReport::now(event))?;
        if let Some(address) = reached.filter(|_| tip) {
            tip = false;
            output.hint(&format!(
                "try: tcpctl send {address} hi (Ctrl-C stops the board)"
            ));
        }
        if deleted.is_some() {
            return Ok(deleted);
        }
    }
    Ok(None)
}

/// The failure if the interface was deleted.
fn interface_deleted(interface: &str) -> Option<Failure> {
    let name = sanitize::one_line(interface);
    crate::sys::interface_index(interface).is_none().then(|| {
        Failure::new(Kind::Device, format!("TAP interface '{name}' was deleted"))
            .hint("start the board again")
    })
}

/// Maps addresses on the link to addresses of this computer.
struct Names<'a> {
    /// The relay's address, if any.
    reachable_at: Option<SocketAddr>,
    management_port: u16,
    peers: &'a Peers,
}

impl Names<'_> {
    fn translate(&self, plan: &SimPlan, event: BoardEvent) -> SimEvent {
        match event {
            BoardEvent::Ready(board) => SimEvent::Ready {
                addr: self.reachable_at.unwrap_or(board.address.into()),
                mode: board.mode.to_string(),
                workers: board.workers,
                backlog: board.backlog,
                mgmt: board.management.then_some(self.management_port),
                firmware: board.firmware,
                profile: plan.spec.profile.name(),
                seed: plan.spec.link.seed,
            },
            BoardEvent::Lost { reason } => SimEvent::Link {
                up: false,
                host: None,
                reason,
            },
            BoardEvent::Trial(report) => report.into(),
            BoardEvent::Lease(lease) => lease.into(),
            BoardEvent::Named { host_name } => SimEvent::Link {
                up: true,
                host: Some(host_name),
                reason: None,
            },
            BoardEvent::Request {
                peer,
                len,
                bytes,
                sent,
                elapsed,
            } => SimEvent::Request {
                peer: self.peers.outer(peer.into()),
                len,
                request: Payload(bytes),
                reply_bytes: sent,
                elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            },
        }
    }
}

#[cfg(target_os = "linux")]
fn cannot_open(interface: &str, error: &io::Error) -> Failure {
    let name = sanitize::one_line(interface);
    let failure =
        |kind, why: &str| Failure::new(kind, format!("cannot open TAP interface '{name}': {why}"));
    match error.kind() {
        // The kernel's error for an interface of another type.
        _ if error.raw_os_error() == Some(libc::EINVAL) => {
            failure(Kind::Usage, "not a TAP interface").hint("use e.g. --tap tap0")
        }
        io::ErrorKind::InvalidInput => {
            failure(Kind::Usage, &reason(error)).hint("use e.g. --tap tap0")
        }
        io::ErrorKind::PermissionDenied => failure(Kind::Device, "permission denied").hint(
            format!("run as root, or once: ip tuntap add dev {name} mode tap user $USER"),
        ),
        io::ErrorKind::ResourceBusy => failure(Kind::Device, "in use by another program")
            .hint("choose another name with --tap"),
        io::ErrorKind::NotFound => failure(Kind::Device, "/dev/net/tun does not exist")
            .hint("load the kernel module: modprobe tun"),
        _ => failure(Kind::Device, &reason(error)),
    }
}

fn no_announcement(error: &io::Error) -> Failure {
    Failure::new(Kind::Device, format!("cannot announce the board: {}", reason(error)))
        .hint("the interface of --listen needs multicast, and UDP port 5353 must not be taken exclusively")
}

fn cannot_start(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Device,
        format!("cannot start the virtual board: {}", reason(error)),
    )
}
