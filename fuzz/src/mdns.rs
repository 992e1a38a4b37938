//! mDNS messages, as `discover` reads them and as a board answers them.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use tcpctl::mdns::directory::Directory;
use tcpctl::mdns::message;
use tcpctl::mdns::message::{DnsName, Question};
use tcpctl::sanitize;
use tcpctl_greeter::mdns::{GROUP, Identity, PORT, Responder};

const BOARD: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

/// Names from messages are safe to print, answers parse, and the board continues.
pub fn holds(data: &[u8]) {
    listen(data);
    answer(data);
}

fn listen(data: &[u8]) {
    let service = DnsName::of_text("_tcpctl._tcp.local").expect("a name");
    let mut directory = Directory::new(service);
    for packet in super::messages(data) {
        let answers = message::answers(packet);
        let names: Vec<_> = answers.iter().map(|answer| answer.owner.clone()).collect();
        for name in &names {
            assert!(super::is_harmless(&sanitize::one_line(&name.to_string())));
        }
        if let Some(first) = names.first() {
            let query = message::query(first, Question::Everything);
            assert!(query.is_none_or(|query| query.len() <= 1500));
        }
        directory.learn(Instant::now(), Some(STRANGER.into()), answers);
    }
}

fn answer(data: &[u8]) {
    let identity = Identity {
        hostname: "greeter-1a2b3c",
        port: 3000,
        chip: "esp32c3",
        mode: "ap",
        firmware: "0.1.0",
        mac: [2, 0, 0, 0x1a, 0x2b, 0x3c],
        management: Some(3001),
    };
    let mut board = Responder::new(&identity, 7).expect("an identity");
    let mut out = [0; 1024];
    board.set_network(0, Some((BOARD, 24)));
    let mut now = 0;
    for (number, packet) in super::messages(data).enumerate() {
        // The first messages arrive while it probes, the later ones after its name is announced.
        if number > 1 {
            for _ in 0..32 {
                let Some(at) = board.next_timer() else { break };
                now = now.max(at);
                if let Some(datagram) = board.on_timer(now, &mut out) {
                    assert!(datagram.len <= out.len());
                }
            }
        }
        let port = if number % 2 == 0 { PORT } else { 49_152 };
        let to = if number % 3 == 0 { BOARD } else { GROUP };
        let from = SocketAddrV4::new(STRANGER, port);
        if let Some(datagram) = board.on_packet(now, from, IpAddr::V4(to), packet, &mut out) {
            assert_eq!(datagram.to, from, "an answer goes to who has asked");
            assert!(datagram.len <= out.len());
        }
        assert!(board.hostname().starts_with("greeter-1a2b3c"));
        now += 10;
    }
}
