//! `tcpctl sim`: a virtual board for other programs, until Ctrl-C.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::event::{self, BoardEvent, Events};
use super::plan::{Exposure, Plan};
use super::relay::{self, Peers};
use super::report::{Payload, SimEvent, SimReport};
use super::servers::Summary;
use super::session::Session;
use crate::cli::SimArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::{Halt, Output};

/// Runs a virtual board until it is interrupted, and prints what it tells.
///
/// # Errors
/// A board that can't be had as it was asked for, and a standard output that can't be written.
pub fn run(args: &SimArgs, output: &Output) -> Result<Exit, Halt> {
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
) -> Result<Exit, Halt> {
    let listener = bind(listen)?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(listen, &error))?;
    let session =
        Session::start_with(&plan.spec, Some(events)).map_err(|error| no_board(&error))?;
    let peers = Arc::new(Peers::default());
    let served = Arc::clone(&peers);
    let network = in_background(move || {
        let ended = crate::block_on(async {
            let interrupt = Interrupt::install()?;
            let listener = TcpListener::from_std(listener)?;
            tokio::select! {
                exit = relay::relay(listener, &session, &served) => exit,
                _ = interrupt.requested() => Ok(()),
            }
        });
        (ended, session.stop())
    })?;
    let names = Names {
        reachable_at: Some(address),
        peers: &peers,
    };
    finish(plan, &names, told, network, output)
}

/// The board on a TAP interface.
#[cfg(target_os = "linux")]
fn run_tap(
    plan: &Plan,
    interface: &str,
    events: Events,
    told: mpsc::Receiver<BoardEvent>,
    output: &Output,
) -> Result<Exit, Halt> {
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
    let network = in_background(move || {
        let ended = crate::block_on(async {
            Interrupt::install()?.requested().await;
            Ok(())
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
) -> Result<Exit, Halt> {
    Err(Failure::usage("--tap: TAP interfaces are Linux's alone")
        .hint("leave it out, and the board is behind a listening socket, see --listen")
        .into())
}

/// How the network's thread ended, and what the board has counted.
type Ended = (Result<io::Result<()>, Failure>, Summary);

/// The network has a thread of its own: a console that nobody reads must not stop the board.
fn in_background(
    run: impl FnOnce() -> Ended + Send + 'static,
) -> Result<thread::JoinHandle<Ended>, Failure> {
    thread::Builder::new()
        .name("network".into())
        .spawn(run)
        .map_err(|error| no_board(&error))
}

/// Prints the board's events until it has stopped, then the summary.
fn finish(
    plan: &Plan,
    names: &Names<'_>,
    mut told: mpsc::Receiver<BoardEvent>,
    network: thread::JoinHandle<Ended>,
    output: &Output,
) -> Result<Exit, Halt> {
    let mut was_ready = false;
    while let Some(event) = told.blocking_recv() {
        let event = names.outside(plan, event);
        let first = !was_ready && matches!(event, SimEvent::Ready { .. });
        if let (true, SimEvent::Ready { addr, .. }) = (first, &event) {
            was_ready = true;
            output.sim(&SimReport::now(event.clone()))?;
            output.hint(&format!("try: tcpctl send {addr} 'hi'; Ctrl-C ends"));
            continue;
        }
        output.sim(&SimReport::now(event))?;
    }
    let Ok((ended, summary)) = network.join() else {
        return Err(Failure::new(Kind::Internal, "the virtual board's network has died").into());
    };
    output.sim(&SimReport::now(summary.into()))?;
    ended?.map_err(|error| Failure::new(Kind::Internal, format!("the relay: {error}")))?;
    Ok(Exit::Done)
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
    let name = crate::sanitize::one_line(interface);
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

fn no_board(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Device,
        format!("the virtual board can't be started: {error}"),
    )
}
