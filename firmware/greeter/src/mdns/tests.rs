mod conversation;
mod hostile;
mod names;
mod wire;

use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::string::String;
use std::vec::Vec;

use super::{Datagram, GROUP, Identity, PORT, Responder};
use wire::{Sent, parse};

const BOARD: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 20), PORT);
const EVERYBODY: SocketAddrV4 = SocketAddrV4::new(GROUP, PORT);

const HOST: &str = "greeter.local";
const INSTANCE: &str = "greeter._tcpctl._tcp.local";
const SERVICE: &str = "_tcpctl._tcp.local";
const TYPES: &str = "_services._dns-sd._udp.local";
const REVERSE: &str = "10.1.168.192.in-addr.arpa";

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const NSEC: u16 = 47;
const ANY: u16 = 255;

const IDENTITY: Identity<'_> = Identity {
    hostname: "greeter",
    port: 3000,
    chip: "esp32c3",
    mode: "sta",
    firmware: "0.1.0",
    mac: [2, 0xAB, 0, 0, 0, 1],
    management: Some(3001),
};

/// A responder with its clock.
struct Board {
    responder: Responder<'static>,
    now: u64,
}

impl Board {
    /// A board that has just got an address.
    fn new() -> Self {
        let mut responder = Responder::new(&IDENTITY, 7).unwrap();
        responder.set_network(0, Some((BOARD, 24)));
        Self { responder, now: 0 }
    }

    /// A board whose name was probed and announced three times, after the rate limit of every
    /// record has passed.
    fn established() -> Self {
        let mut board = Self::new();
        board.run(10_000);
        assert!(board.responder.is_announced());
        board.responder.take_event();
        board
    }

    /// Advances the time. Returns the sent messages with their times.
    fn run(&mut self, until: u64) -> Vec<(u64, Sent)> {
        let mut sent = Vec::new();
        let mut out = [0; 1024];
        while let Some(at) = self.responder.next_timer().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            if let Some(Datagram { len, to }) = self.responder.on_timer(self.now, &mut out) {
                sent.push((self.now, parse(&out[..len], to)));
            }
            assert!(sent.len() < 1000, "a timer that never moves on");
        }
        self.now = until;
        sent
    }

    /// The multicasts within `ms` from now, without the times.
    fn hears_within(&mut self, ms: u64) -> Vec<Sent> {
        self.run(self.now + ms)
            .into_iter()
            .map(|(_, sent)| sent)
            .collect()
    }

    /// Passes a packet that `from` multicast to the board.
    fn receive_from(&mut self, from: SocketAddrV4, packet: &[u8]) -> Option<Sent> {
        self.receive(from, IpAddr::V4(GROUP), packet)
    }

    fn receive(&mut self, from: SocketAddrV4, to: IpAddr, packet: &[u8]) -> Option<Sent> {
        let mut out = [0; 1024];
        let answer = self
            .responder
            .on_packet(self.now, from, to, packet, &mut out)?;
        Some(parse(&out[..answer.len], answer.to))
    }

    fn name(&self) -> String {
        String::from(self.responder.hostname())
    }
}
