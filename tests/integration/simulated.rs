//! A board in simulated time, with an embassy-net client at the other end of its link.

use std::cell::RefCell;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};

use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::{ConfigV4, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_time::Timer;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tcpctl::sim::boot::{self, Hardware};
use tcpctl::sim::clock;
use tcpctl::sim::driver::LinkDriver;
use tcpctl::sim::event::{self, BoardEvent, EventConsole};
use tcpctl::sim::flash::VirtualFlash;
use tcpctl::sim::link::{LinkControl, link};
use tcpctl::sim::servers::{ADDRESS, Neighbors, Summary};
use tcpctl::sim::spec::Spec;
use tcpctl_greeter::dhcp;

/// The default greeting.
pub(crate) const GREETING: &[u8] = b"Hello World";

/// The board's MAC address.
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The client's address.
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

/// The address of a board in station mode.
pub(crate) const LEASED: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);

/// The result of a simulation.
pub(crate) struct Outcome<T> {
    pub(crate) result: T,
    pub(crate) summary: Summary,
    pub(crate) requests: Vec<Vec<u8>>,
    /// The board's flash, to start it again.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "its readers are for Linux")
    )]
    pub(crate) flash: VirtualFlash,
}

/// Runs `client` against a board in simulated time.
pub(crate) fn simulate<T>(spec: &Spec, client: impl AsyncFnOnce(Client<'_>) -> T) -> Outcome<T> {
    let hardware = Hardware {
        mac: MAC,
        ..Hardware::new(spec).expect("settings")
    };
    simulate_with(spec, hardware, client)
}

/// Runs `client` against a board with this flash and these networks. The client is also the DHCP
/// server of the network.
pub(crate) fn simulate_with<T>(
    spec: &Spec,
    hardware: Hardware,
    client: impl AsyncFnOnce(Client<'_>) -> T,
) -> Outcome<T> {
    let (sender, mut receiver) = event::events();
    let (result, stopped) = clock::simulate(async {
        let (board_end, host_end) = link(spec.link);
        let plug = host_end.control();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (stop_routing, stopped_routing) = tokio::sync::oneshot::channel::<()>();
        let board_driver = LinkDriver::new(board_end, MAC);
        let board = boot::run(
            spec,
            hardware,
            board_driver,
            Neighbors::OneClient,
            EventConsole::new(Some(sender)),
            stopped.map(drop),
        );

        let mut resources = StackResources::<80>::new();
        let mut config = embassy_net::Config::default();
        config.ipv4 = ConfigV4::Static(StaticConfigV4 {
            address: Ipv4Cidr::new(ROUTER, 24),
            gateway: None,
            dns_servers: [].into_iter().collect(),
        });
        let client_driver = LinkDriver::new(host_end, [2, 0, 0, 0, 0, 2]);
        let (stack, mut runner) = embassy_net::new(client_driver, config, &mut resources, 7);

        let router = dhcp::Config::new(ROUTER, 24, LEASED, LEASED)
            .and_then(dhcp::Server::<1>::new)
            .expect("a pool");
        let router = RefCell::new(router);
        let mut buffers = Box::new(dhcp::Buffers::new());
        let mut stopped_board = None;
        let mut result = None;
        {
            let mut tasks: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + '_>>> =
                FuturesUnordered::new();
            tasks.push(Box::pin(async { stopped_board = Some(board.await) }));
            tasks.push(Box::pin(async {
                let served = pin!(dhcp::serve(stack, &router, &mut buffers, |_| ()));
                futures_util::future::select(served, pin!(stopped_routing.map(drop))).await;
            }));
            tasks.push(Box::pin(async {
                stack.wait_config_up().await;
                result = Some(
                    client(Client {
                        stack,
                        port: spec.server.port().get(),
                        plug: &plug,
                    })
                    .await,
                );
                drop((stop, stop_routing));
            }));
            let mut all = pin!(async { while tasks.next().await.is_some() {} });
            let mut network = pin!(runner.run());
            // Use two wakers, because the stack and its sockets wake each other.
            let mut both: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + '_>>> =
                FuturesUnordered::new();
            both.push(Box::pin(async { all.as_mut().await }));
            both.push(Box::pin(async {
                network.as_mut().await;
            }));
            both.next().await;
        }
        (
            result.expect("the client has ended"),
            stopped_board.expect("the board has ended"),
        )
    });
    let mut requests = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        if let BoardEvent::Request { bytes, .. } = event {
            requests.push(bytes);
        }
    }
    Outcome {
        result,
        summary: stopped.summary,
        requests,
        flash: stopped.flash,
    }
}

/// The far end of the link.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) stack: Stack<'a>,
    pub(crate) port: u16,
    /// Takes the link down and up.
    pub(crate) plug: &'a LinkControl,
}

impl<'a> Client<'a> {
    pub(crate) async fn try_connect(self, port: u16) -> Result<TcpSocket<'a>, ConnectError> {
        let buffers = Box::leak(Box::new(([0_u8; 4096], [0_u8; 4096])));
        let mut socket = TcpSocket::new(self.stack, &mut buffers.0, &mut buffers.1);
        socket.set_nagle_enabled(false);
        socket.connect((ADDRESS, port)).await?;
        Ok(socket)
    }

    pub(crate) async fn connect(self) -> TcpSocket<'a> {
        self.try_connect(self.port).await.expect("a free slot")
    }

    /// Connects, and retries while refused.
    pub(crate) async fn connect_when_free(self) -> TcpSocket<'a> {
        loop {
            if let Ok(socket) = self.try_connect(self.port).await {
                return socket;
            }
            Timer::after_millis(1).await;
        }
    }
}

pub(crate) async fn write_all(socket: &mut TcpSocket<'_>, mut data: &[u8]) {
    while !data.is_empty() {
        let written = socket.write(data).await.expect("a live connection");
        data = &data[written..];
    }
}

/// Reads to the peer's FIN; `None` after a reset.
pub(crate) async fn read_to_end(socket: &mut TcpSocket<'_>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer).await {
            Ok(0) => return Some(all),
            Ok(length) => all.extend_from_slice(&buffer[..length]),
            Err(_) => return None,
        }
    }
}

/// Sends a request, reads the reply, closes.
pub(crate) async fn exchange(socket: &mut TcpSocket<'_>, request: &[u8]) -> Option<Vec<u8>> {
    write_all(socket, request).await;
    let answer = read_to_end(socket).await;
    socket.close();
    socket.flush().await.ok();
    answer
}
