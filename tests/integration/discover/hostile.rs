#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tcpctl::discover::report::Status;

use socket2::{Domain, Socket, Type};

use super::network::{Board, Network, after, server};
use crate::common::hostile_packets::packets;

#[test]
fn hostile_packets_hide_no_board() {
    let network = Network::new();
    let (port, connections) = server();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), network.port);
    socket.bind(&address.into()).unwrap();
    let group = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), network.port);
    let sender = std::thread::spawn(move || {
        for _ in 0..20 {
            for packet in packets(Ipv4Addr::LOCALHOST, port) {
                let _ = socket.send_to(&packet, &group.into());
            }
            std::thread::sleep(Duration::from_millis(60));
        }
    });
    let plan = network.plan(after(Duration::from_millis(1500)));
    let (_, events) = network.search(&[Board::new(7, port)], &plan);
    sender.join().unwrap();
    let good = |it: &&tcpctl::discover::report::DiscoverReport| {
        it.board.name.as_deref() == Some("board-7") && it.board.status == Status::Online
    };
    assert_eq!(events.iter().filter(good).count(), 1, "{events:?}");
    // Three hostile boards claim the address of the good one. They are reported, and neither replace
    // it nor cause a second connection.
    assert!(events.len() <= 4, "{events:?}");
    assert!(
        events.iter().all(|it| it.board.addresses == ["127.0.0.1"]),
        "{events:?}"
    );
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
