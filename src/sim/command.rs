//! `tcpctl sim`: a virtual board for other programs, until Ctrl-C.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use tcpctl_settings::HostName;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::board::{self, MacAddress};
use super::event::{self, BoardEvent, Events};
use super::plan::{Exposure, Plan};
use super::relay::{self, Peers};
use super::report::{Payload, SimEvent, SimReport};
use super::servers::{self, Summary};
use super::session::Session;
use crate::cli::SimArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::mdns;
use crate::mdns::announce::announce;
use crate::net::interfaces;
use crate::net::interfaces::Interface;
use crate::output::Output;
use crate::sanitize;

/// Runs a virtual board until it is interrupted, and prints what it tells.
///
/// # Errors
/// A board that can't be had as it was asked for, and a standard output that can't be written.
pub fn run(args: &SimArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = Plan::new(args)?;
    let (events, told) = event::events();
    match &plan.exposure {
        Exposure::Relay(listen) => run_relay(&plan, *listen, events, told, output),
        Exposure::Tap(interface) => run_tap(&plan, interface, events, told, output),
    }
}

/// The board behind a listening socket.
fn run_relay(
    plan: &Plan,
    listen: SocketAddr,
    events: Events,
    told: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> anyhow::Result<Exit> {
    let listener = bind(listen)?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(listen, &error))?;
    let announced = Announced::new(plan, address)?;
    let names = events.clone();
    let session =
        Session::start_with(&plan.spec, Some(events)).map_err(|error| no_board(&error))?;
    let peers = Arc::new(Peers::default());
    let served = Arc::clone(&peers);
    let network = Network::start(move |stop| {
        let ended = crate::runtime::block_on(async {
            let interrupt = Interrupt::install()?;
            let listener = TcpListener::from_std(listener)?;
            let (leave, left) = watch::channel(());
            let announcing = announced.run(&left, names);
            let serving = async {
                let exit = tokio::select! {
                    exit = relay::relay(listener, &session, &served) => exit,
                    _ = interrupt.requested() => Ok(()),
                    _ = stop => Ok(()),
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
        peers: &peers,
    };
    finish(plan, &names, told, network, output)
}

/// A board's places on the mDNS of this computer's networks; none, if it is not to be announced.
struct Announced {
    places: Vec<(Interface, Ipv4Addr)>,
    port: u16,
    mode: String,
    mac: MacAddress,
}

impl Announced {
    /// On the interfaces that have the address where the relay listens.
    fn new(plan: &Plan, address: SocketAddr) -> Result<Self, Failure> {
        let mut places = Vec::new();
        if let (true, IpAddr::V4(listen)) = (plan.announce, address.ip()) {
            let interfaces = interfaces::list().map_err(|error| no_announcement(&error))?;
            for interface in interfaces {
                let reached = interface
                    .v4
                    .iter()
                    .copied()
                    // All of 127/8 is the loopback's (RFC 1122 section 3.2.1.3).
                    .find_map(|(own, _)| match own {
                        _ if own == listen || listen.is_unspecified() => Some(own),
                        _ if own.is_loopback() && listen.is_loopback() => Some(listen),
                        _ => None,
                    });
                places.extend(reached.map(|reached| (interface, reached)));
            }
            // What can't be announced is said before the board is there.
            for (interface, _) in &places {
                mdns::check(interface, mdns::PORT).map_err(|error| no_announcement(&error))?;
            }
        }
        Ok(Self {
            places,
            port: address.port(),
            mode: plan.spec.mode.to_string(),
            mac: board::mac_address(plan.spec.quality.seed),
        })
    }

    /// Announces the board everywhere until `stop` is done, and then says goodbye for it.
    async fn run(self, stop: &watch::Receiver<()>, names: Events) -> io::Result<()> {
        let host_name = HostName::of_board(self.mac);
        let identity = servers::identity(&host_name, &self.mode, self.mac, self.port);
        let announcing = self.places.iter().map(|(interface, address)| {
            let names = names.clone();
            let mut stop = stop.clone();
            let identity = &identity;
            async move {
                let announced = |_, name: &str| {
                    // A console that nobody reads stops no board.
                    let _ = names.try_send(BoardEvent::Named {
                        host_name: name.to_owned(),
                    });
                };
                let stop = async {
                    // Its sender says nothing, and is dropped.
                    let _ = stop.changed().await;
                };
                let identities = std::slice::from_ref(identity);
                announce(interface, *address, mdns::PORT, identities, stop, announced).await
            }
        });
        let ended = futures_util::future::join_all(announcing).await;
        drop(names);
        ended.into_iter().collect()
    }
}

/// The board on a TAP interface.
#[cfg(target_os = "linux")]
fn run_tap(
    plan: &Plan,
    interface: &str,
    events: Events,
    told: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> anyhow::Result<Exit> {
    use super::board::Board;
    use super::servers::Neighbours;
    use super::tap;

    let name = interface.to_owned();
    let quality = plan.spec.quality;
    let board = Board::start(&plan.spec, Neighbours::Wire, Some(events), move |mac| {
        tap::open(&name, quality, mac)
    })
    .map_err(|error| no_interface(interface, &error))?;
    output.hint(&format!(
        "the board is on {interface}; if it is not up yet: ip link set {interface} up, and give it \
         an address, e.g. {}",
        match plan.spec.mode {
            tcpctl_settings::Mode::AccessPoint =>
                format!("ip addr add 192.168.1.2/24 dev {interface}, or a DHCP client"),
            tcpctl_settings::Mode::Station => "that of your DHCP server".to_owned(),
        }
    ));
    let network = Network::start(move |stop| {
        let ended = crate::runtime::block_on(async {
            let interrupt = Interrupt::install()?;
            tokio::select! {
                _ = interrupt.requested() => Ok(()),
                _ = stop => Ok(()),
            }
        });
        (ended, board.stop())
    })?;
    let names = Names {
        reachable_at: None,
        peers: &Peers::default(),
    };
    finish(plan, &names, told, network, output)
}

#[cfg(not(target_os = "linux"))]
fn run_tap(
    _plan: &Plan,
    _interface: &str,
    _events: Events,
    _told: mpsc::Receiver<BoardEvent>,
    _output: &Output,
) -> anyhow::Result<Exit> {
    Err(Failure::usage("--tap: TAP interfaces are Linux's alone")
        .hint("leave it out, and the board is behind a listening socket, see --listen")
        .into())
}

/// How the network's thread ended, and what the board has counted.
type Ended = (Result<io::Result<()>, Failure>, Summary);

/// The network has a thread of its own: a console that nobody reads must not stop the board.
struct Network {
    thread: thread::JoinHandle<Ended>,
    stop: oneshot::Sender<()>,
}

impl Network {
    /// Starts the thread. It is to end, and stop the board, when it is interrupted or told to.
    fn start(
        run: impl FnOnce(oneshot::Receiver<()>) -> Ended + Send + 'static,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("network".into())
            .spawn(move || run(stopped))
            .map_err(|error| no_board(&error))?;
        Ok(Self { thread, stop })
    }

    /// Stops the board, if it has not stopped yet, and waits for its goodbye.
    fn stop(self) -> Result<Summary, Failure> {
        drop(self.stop);
        let Ok((ended, summary)) = self.thread.join() else {
            return Err(Failure::new(
                Kind::Internal,
                "the virtual board's network has died",
            ));
        };
        ended?.map_err(|error| Failure::new(Kind::Internal, format!("the relay: {error}")))?;
        Ok(summary)
    }
}

/// Prints the board's events until it has stopped, then the summary.
fn finish(
    plan: &Plan,
    names: &Names<'_>,
    told: mpsc::Receiver<BoardEvent>,
    network: Network,
    output: &Output,
) -> anyhow::Result<Exit> {
    let printed = print(plan, names, told, output);
    // Whatever has become of its console, the board says goodbye to its network.
    let summary = network.stop()?;
    let failure = printed?;
    output.print(&SimReport::now(summary.into()))?;
    failure.map_or(Ok(Exit::Done), |failure| Err(failure.into()))
}

/// Prints the board's events until it has stopped, or can never be reached again: then it says why.
fn print(
    plan: &Plan,
    names: &Names<'_>,
    mut told: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> anyhow::Result<Option<Failure>> {
    let mut tip = true;
    while let Some(event) = told.blocking_recv() {
        let vanished = match (&event, &plan.exposure) {
            (BoardEvent::Lost, Exposure::Tap(interface)) => vanished(interface),
            _ => None,
        };
        let event = names.outside(plan, event);
        let reached = match event {
            SimEvent::Ready { addr, .. } => Some(addr),
            _ => None,
        };
        output.print(&SimReport::now(event))?;
        if let Some(address) = reached.filter(|_| tip) {
            tip = false;
            output.hint(&format!("try: tcpctl send {address} 'hi'; Ctrl-C ends"));
        }
        if vanished.is_some() {
            return Ok(vanished);
        }
    }
    Ok(None)
}

/// What there is to say if somebody has deleted the interface: it does not come back to us.
fn vanished(interface: &str) -> Option<Failure> {
    let name = sanitize::one_line(interface);
    crate::sys::interface_index(interface).is_none().then(|| {
        Failure::new(Kind::Device, format!("TAP interface '{name}' was deleted"))
            .hint("start the board again")
    })
}

/// What the board's events are called outside its cable.
struct Names<'a> {
    /// The relay's address, where there is one.
    reachable_at: Option<SocketAddr>,
    peers: &'a Peers,
}

impl Names<'_> {
    fn outside(&self, plan: &Plan, event: BoardEvent) -> SimEvent {
        match event {
            BoardEvent::Ready { address } => SimEvent::Ready {
                addr: self.reachable_at.unwrap_or(address.into()),
                mode: plan.spec.mode.to_string(),
                workers: plan.spec.server.workers().get(),
                backlog: plan.spec.server.backlog().get(),
                profile: plan.spec.profile.name(),
                seed: plan.spec.quality.seed,
            },
            BoardEvent::Lost => SimEvent::Link {
                up: false,
                host: None,
            },
            BoardEvent::Lease(lease) => lease.into(),
            BoardEvent::Named { host_name } => SimEvent::Link {
                up: true,
                host: Some(host_name),
            },
            BoardEvent::Request { peer, bytes } => SimEvent::Request {
                peer: self.peers.outer(peer.into()),
                len: bytes.len(),
                request: Payload(bytes),
            },
        }
    }
}

fn bind(listen: SocketAddr) -> Result<std::net::TcpListener, Failure> {
    let listener =
        std::net::TcpListener::bind(listen).map_err(|error| cannot_listen(listen, &error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| cannot_listen(listen, &error))?;
    Ok(listener)
}

fn cannot_listen(listen: SocketAddr, error: &io::Error) -> Failure {
    let failure = |what: &str| Failure::new(Kind::Device, format!("{listen}: {what}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => failure("another program listens there already")
            .hint("choose another port with --listen, e.g. --listen 127.0.0.1:0 for a free one"),
        io::ErrorKind::PermissionDenied => failure("no permission to listen there")
            .hint("choose a port from 1024 on with --listen"),
        io::ErrorKind::AddrNotAvailable => failure("is no address of this computer")
            .hint("choose one of its own with --listen, e.g. 127.0.0.1:3000"),
        _ => failure(&format!("can't listen there: {error}")),
    }
}

#[cfg(target_os = "linux")]
fn no_interface(interface: &str, error: &io::Error) -> Failure {
    let name = sanitize::one_line(interface);
    let failure = |kind, what: &str| Failure::new(kind, format!("TAP interface '{name}': {what}"));
    match error.kind() {
        // The kernel's word for an interface of another kind.
        _ if error.raw_os_error() == Some(libc::EINVAL) => {
            failure(Kind::Usage, "is an interface of another kind").hint("write e.g. --tap tap0")
        }
        io::ErrorKind::InvalidInput => {
            failure(Kind::Usage, &error.to_string()).hint("write e.g. --tap tap0")
        }
        io::ErrorKind::PermissionDenied => failure(Kind::Device, "no permission").hint(format!(
            "run as root, or once: ip tuntap add dev {name} mode tap user $USER"
        )),
        io::ErrorKind::ResourceBusy => {
            failure(Kind::Device, "another program has it").hint("choose another name with --tap")
        }
        io::ErrorKind::NotFound => failure(Kind::Device, "this system has no /dev/net/tun")
            .hint("load the module: modprobe tun"),
        _ => failure(Kind::Device, &error.to_string()),
    }
}

fn no_announcement(error: &io::Error) -> Failure {
    Failure::new(Kind::Device, format!("--announce: no mDNS here: {error}")).hint(
        "port 5353 must be shared by who has it, and the interface of --listen have multicast",
    )
}

fn no_board(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Device,
        format!("the virtual board can't be started: {error}"),
    )
}
