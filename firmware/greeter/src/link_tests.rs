//! DHCP and mDNS between two stacks on an in-memory link.

use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::string::String;
use std::vec::Vec;

use embassy_futures::select::{Either, select, select3};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time::{Duration, Timer};

use crate::test_clock::advance;
use crate::{dhcp, mdns};

type Queue = RefCell<VecDeque<Vec<u8>>>;

/// Two directions of Ethernet frames.
#[derive(Default)]
pub(crate) struct Link {
    to_board: Queue,
    to_peer: Queue,
    unplugged: Cell<bool>,
}

/// One end of the link.
pub(crate) struct End<'c> {
    mac: [u8; 6],
    incoming: &'c Queue,
    outgoing: &'c Queue,
    unplugged: &'c Cell<bool>,
}

impl Link {
    pub(crate) fn unplug(&self, unplugged: bool) {
        self.unplugged.set(unplugged);
    }

    pub(crate) fn board(&self) -> End<'_> {
        let Self {
            to_board,
            to_peer,
            unplugged,
        } = self;
        End {
            mac: [2, 0, 0, 0, 0, 1],
            incoming: to_board,
            outgoing: to_peer,
            unplugged,
        }
    }

    pub(crate) fn peer(&self) -> End<'_> {
        let Self {
            to_board,
            to_peer,
            unplugged,
        } = self;
        End {
            mac: [2, 0, 0, 0, 0, 2],
            incoming: to_peer,
            outgoing: to_board,
            unplugged,
        }
    }
}

pub(crate) struct Incoming(Vec<u8>);
pub(crate) struct Outgoing<'c>(&'c Queue);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = std::vec![0; len];
        let result = f(&mut frame);
        self.0.borrow_mut().push_back(frame);
        result
    }
}

impl<'c> Driver for End<'c> {
    type RxToken<'a>
        = Incoming
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'c>
    where
        Self: 'a;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Incoming, Outgoing<'c>)> {
        let frame = self.incoming.borrow_mut().pop_front()?;
        Some((Incoming(frame), Outgoing(self.outgoing)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Outgoing<'c>> {
        (!self.unplugged.get()).then_some(Outgoing(self.outgoing))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        if self.unplugged.get() {
            LinkState::Down
        } else {
            LinkState::Up
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

pub(crate) fn fixed(last: u8) -> Config {
    Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Addr::new(192, 168, 1, last), 24),
        gateway: None,
        dns_servers: heapless::Vec::new(),
    })
}

/// Polls `future` once per millisecond of the test's clock, for at most a minute of that clock.
pub(crate) fn finish<R>(future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..60_000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        advance(Duration::from_millis(1));
    }
    panic!("not finished within a minute");
}

/// Runs both stacks and the board's `service` until the peer's `script` is done.
pub(crate) async fn until_done<R>(
    board: &mut Runner<'_, End<'_>>,
    peer: &mut Runner<'_, End<'_>>,
    service: impl Future,
    script: impl Future<Output = R>,
) -> R {
    let served = async {
        service.await;
        core::future::pending::<()>().await;
    };
    match select(script, select3(board.run(), peer.run(), served)).await {
        Either::First(result) => result,
        Either::Second(_) => unreachable!("stacks run for ever"),
    }
}

fn dhcp_server() -> RefCell<dhcp::Server<4>> {
    let address = |last| Ipv4Addr::new(192, 168, 1, last);
    let config = dhcp::Config::new(address(1), 24, address(2), address(5)).unwrap();
    RefCell::new(dhcp::Server::new(config).unwrap())
}

#[test]
fn station_gets_an_address() {
    let link = Link::default();
    let (mut a, mut b) = (StackResources::<4>::new(), StackResources::<4>::new());
    let (board, mut board_runner) = embassy_net::new(link.board(), fixed(1), &mut a, 1);
    let config = Config::dhcpv4(embassy_net::DhcpConfig::default());
    let (peer, mut peer_runner) = embassy_net::new(link.peer(), config, &mut b, 2);

    let server = dhcp_server();
    let events = RefCell::new(Vec::new());
    let mut buffers = dhcp::Buffers::new();
    let service = dhcp::serve(board, &server, &mut buffers, |event| {
        events.borrow_mut().push(event.change);
    });
    let address = finish(until_done(
        &mut board_runner,
        &mut peer_runner,
        service,
        async {
            peer.wait_config_up().await;
            peer.config_v4().unwrap().address
        },
    ));
    assert_eq!(address, Ipv4Cidr::new(Ipv4Addr::new(192, 168, 1, 2), 24));
    assert_eq!(*events.borrow(), [dhcp::Change::Granted]);
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("few words");
    (!folded).to_be_bytes()
}

#[test]
fn board_answers_ping() {
    let link = Link::default();
    let mut resources = StackResources::<1>::new();
    let (_stack, mut runner) = embassy_net::new(link.board(), fixed(1), &mut resources, 1);
    let (board, peer) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let (board_ip, peer_ip) = ([192, 168, 1, 1], [192, 168, 1, 9]);

    let mut arp = [&[0xff; 6][..], &peer, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    arp.extend([&peer[..], &peer_ip, &[0; 6], &board_ip].concat());
    let mut echo = std::vec![8, 0, 0, 0, 0, 1, 0, 1, 0x70, 0x69, 0x6e, 0x67];
    let sum = checksum(&echo);
    echo[2..4].copy_from_slice(&sum);
    let mut ip = [
        &[0x45, 0, 0, 32, 0, 0, 0, 0, 64, 1, 0, 0][..],
        &peer_ip,
        &board_ip,
    ]
    .concat();
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let request = [&board[..], &peer, &[8, 0], &ip, &echo].concat();
    link.to_board.borrow_mut().extend([arp, request]);

    let replied = async {
        loop {
            let frame = link.to_peer.borrow_mut().pop_front();
            // IPv4, ICMP, echo reply.
            if frame.is_some_and(|it| it[12..14] == [8, 0] && it[23] == 1 && it[34] == 0) {
                return;
            }
            Timer::after(Duration::from_millis(1)).await;
        }
    };
    assert!(matches!(
        finish(select(replied, runner.run())),
        Either::First(())
    ));
}

/// The fixed part of a DHCP request from a station that does not exist.
fn renewal_by_vanished_client(ciaddr: Ipv4Addr) -> Vec<u8> {
    let mut request = std::vec![0; 240];
    request[..3].copy_from_slice(&[1, 1, 6]);
    request[12..16].copy_from_slice(&ciaddr.octets());
    request[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    request[236..].copy_from_slice(&[99, 130, 83, 99]);
    request.extend([53, 1, 3, 255]);
    request
}

#[test]
fn vanished_client_does_not_block_the_server() {
    let link = Link::default();
    let (mut a, mut b) = (StackResources::<4>::new(), StackResources::<4>::new());
    let (board, mut board_runner) = embassy_net::new(link.board(), fixed(1), &mut a, 1);
    let (peer, mut peer_runner) = embassy_net::new(link.peer(), fixed(77), &mut b, 2);

    let server = dhcp_server();
    let mut buffers = dhcp::Buffers::new();
    let events = Cell::new(0);
    let service = dhcp::serve(board, &server, &mut buffers, |_| {
        events.set(events.get() + 1);
    });
    let script = async {
        peer.wait_link_up().await;
        let mut meta = [[PacketMetadata::EMPTY; 4]; 2];
        let mut space = [[0; 2000]; 2];
        let mut socket = udp_socket(peer, &mut meta, &mut space, 68);
        let vanished = Ipv4Addr::new(192, 168, 1, 3);
        socket
            .send_to(
                &renewal_by_vanished_client(vanished),
                (Ipv4Addr::BROADCAST, 67),
            )
            .await
            .unwrap();
        Timer::after(Duration::from_millis(700)).await;
        assert_eq!(events.get(), 1, "the vanished client has a lease");

        // The second request is an INFORM from a station that exists.
        let mut inform = renewal_by_vanished_client(Ipv4Addr::new(192, 168, 1, 77));
        inform[242] = 8;
        socket
            .send_to(&inform, (Ipv4Addr::BROADCAST, 67))
            .await
            .unwrap();
        let mut reply = [0; 600];
        let (len, from) = socket.recv_from(&mut reply).await.unwrap();
        socket.close();
        (len >= 300, from.endpoint.port)
    };
    let answered = finish(until_done(
        &mut board_runner,
        &mut peer_runner,
        service,
        script,
    ));
    assert_eq!(answered, (true, 67));
}

fn udp_socket<'s>(
    stack: Stack<'s>,
    [rx_meta, tx_meta]: &'s mut [[PacketMetadata; 4]; 2],
    [rx, tx]: &'s mut [[u8; 2000]; 2],
    port: u16,
) -> UdpSocket<'s> {
    let mut socket = UdpSocket::new(stack, rx_meta, rx, tx_meta, tx);
    socket.bind(port).unwrap();
    socket
}

/// A query for `greeter.local`, type A.
const QUERY: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x07greeter\x05local\0\0\x01\0\x01";

#[test]
fn board_announces_answers_and_says_goodbye() {
    let link = Link::default();
    let (mut a, mut b) = (StackResources::<4>::new(), StackResources::<4>::new());
    let (board, mut board_runner) = embassy_net::new(link.board(), fixed(10), &mut a, 1);
    let (peer, mut peer_runner) = embassy_net::new(link.peer(), fixed(20), &mut b, 2);

    let identity = mdns::Identity {
        hostname: "greeter",
        port: 3000,
        chip: "sim",
        mode: "sta",
        firmware: "0.1.0",
        mac: [2, 0, 0, 0, 0, 1],
        management: None,
    };
    let responder = RefCell::new(mdns::Responder::new(&identity, 1).unwrap());
    let events = RefCell::new(Vec::new());
    let leave = Cell::new(false);
    let shutdown = async {
        while !leave.get() {
            Timer::after(Duration::from_millis(10)).await;
        }
    };
    let mut buffers = mdns::Buffers::new();
    let service = mdns::run(board, &responder, &mut buffers, shutdown, |event, name| {
        events.borrow_mut().push((event, String::from(name)));
    });
    let script = async {
        peer.wait_link_up().await;
        peer.join_multicast_group(mdns::GROUP).unwrap();
        let mut meta = [[PacketMetadata::EMPTY; 4]; 2];
        let mut space = [[0; 2000]; 2];
        let socket = udp_socket(peer, &mut meta, &mut space, mdns::PORT);
        let mut packet = [0; 1472];
        let mut hear = async || {
            let (len, from) = socket.recv_from(&mut packet).await.unwrap();
            assert_eq!(
                from.endpoint,
                (Ipv4Addr::new(192, 168, 1, 10), mdns::PORT).into()
            );
            packet[..len].to_vec()
        };
        // The header's flags and its counts of questions, answers and proposals.
        let summary = |packet: &[u8]| [packet[2], packet[5], packet[7], packet[9]];
        for _ in 0..3 {
            assert_eq!(summary(&hear().await), [0, 2, 0, 3], "a probe");
        }
        for _ in 0..3 {
            assert_eq!(summary(&hear().await), [0x84, 0, 8, 0], "an announcement");
        }
        Timer::after(Duration::from_secs(2)).await;
        socket
            .send_to(QUERY, (mdns::GROUP, mdns::PORT))
            .await
            .unwrap();
        assert_eq!(summary(&hear().await), [0x84, 0, 1, 0], "the answer");

        link.unplugged.set(true);
        Timer::after(Duration::from_secs(1)).await;
        link.unplugged.set(false);
        assert_eq!(
            summary(&hear().await),
            [0, 2, 0, 3],
            "a new link, a new probe"
        );
        for _ in 0..3 {
            hear().await;
        }
        leave.set(true);
        assert_eq!(summary(&hear().await), [0x84, 0, 5, 0], "goodbye");
    };
    finish(until_done(
        &mut board_runner,
        &mut peer_runner,
        service,
        script,
    ));
    let announced = || (mdns::Event::Announced, String::from("greeter"));
    assert_eq!(*events.borrow(), [announced(), announced()]);
}
