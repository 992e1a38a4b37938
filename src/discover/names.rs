//! A board's name as a target: where it was seen a moment ago, else where it says that it is.
//!
//! `NAME.local` is asked of the boards alone, with no help of the system's resolver, which may
//! know no mDNS. A name without a dot is asked of both. A name with one is the resolver's first, so
//! that no board can take the place of a server elsewhere by calling itself `example.com`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use super::cache::{Cache, Remembered};
use super::interfaces;
use super::mdns::directory::Service;
use super::mdns::link::{PORT, Received};
use super::mdns::message::{self, Ask, Data, DnsName};
use super::mdns::{Mdns, MdnsEvent, Origin};
use super::plan::DEFAULT_TYPE;
use super::registry::{Key, Registry, Sighting};
use crate::serial;
use crate::target::DEFAULT_PORT;

/// How long the boards have to answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// When they are asked again.
const REPEATS: [Duration; 3] = [
    Duration::from_millis(150),
    Duration::from_millis(450),
    Duration::from_secs(1),
];
/// How long after the first answer a second board of the same name may answer, too: responders
/// wait up to 120 ms (RFC 6762 §6).
const SECOND: Duration = Duration::from_millis(130);
/// How long the system's resolver may think about a name of its own before the boards are asked.
pub const RESOLVER_FIRST: Duration = Duration::from_secs(1);

/// Who knows a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The system's resolver.
    System,
    /// The system's resolver; if not, a board.
    SystemFirst,
    /// The boards.
    Board,
    /// Either.
    Either,
}

/// Who knows this name.
pub fn kind(host: &str) -> Kind {
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    match name.rsplit_once('.') {
        // RFC 6761 §6.3: it is this computer.
        None if name == "localhost" => Kind::System,
        // RFC 6762 §3.
        Some((_, "local")) => Kind::Board,
        // The resolver has ways of its own with what is beyond ASCII.
        _ if host.chars().any(|c| c.is_ascii() && !is_host(c)) => Kind::Board,
        _ if host.ends_with('.') => Kind::System,
        None => Kind::Either,
        // The longest label of a service (RFC 6763 §4.1.1).
        Some(_) if name.len() <= 63 => Kind::SystemFirst,
        Some(_) => Kind::System,
    }
}

/// What a board calls itself, where it is written in full: without `.local`, and without the
/// service type that DNS tools print before it.
pub fn label(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    let name = without(name, ".local").unwrap_or(name);
    without(name, "._tcpctl._tcp").unwrap_or(name)
}

fn without<'n>(name: &'n str, suffix: &str) -> Option<&'n str> {
    let (start, end) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
    (end.eq_ignore_ascii_case(suffix) && !start.is_empty()).then_some(start)
}

/// A name that is to be an address.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'n> {
    /// The name.
    pub host: &'n str,
    /// The port, where the user has written one.
    pub port: Option<u16>,
    /// The only interface to use.
    pub interface: Option<&'n str>,
}

/// Where the one board of this name was seen a moment ago. Asks nobody.
pub fn remembered(wanted: &Wanted<'_>) -> Option<Vec<SocketAddr>> {
    let boards = Cache::of_user().fresh(wanted.host, SystemTime::now());
    // Which of several it is, and whether there are several still, the network knows.
    let [board] = &boards[..] else {
        return None;
    };
    let mut addresses = board.socket_addresses();
    if let Some(port) = wanted.port {
        with_port(&mut addresses, port);
    }
    (!addresses.is_empty()).then_some(addresses)
}

/// The MAC addresses of the boards of this name: of those that were seen today, else of the one
/// that answers to it now. Blocks for as long as that takes.
pub fn macs(host: &str) -> Vec<String> {
    let known = Cache::of_user().macs(host, SystemTime::now());
    if !known.is_empty() {
        return known;
    }
    let wanted = Wanted {
        host,
        port: None,
        interface: None,
    };
    let asked = crate::block_on(ask_on(PORT, &wanted, PATIENCE));
    let board = asked.ok().and_then(Result::ok).and_then(|(_, board)| board);
    board.and_then(|board| board.mac).into_iter().collect()
}

/// Forgets what was remembered of a name.
pub fn forget(host: &str) {
    Cache::of_user().forget(host);
}

/// Asks the boards who has this name.
///
/// # Errors
/// Nobody, or more than one: a text that says so, safe for a terminal.
pub async fn ask(wanted: &Wanted<'_>, patience: Duration) -> Result<Vec<SocketAddr>, String> {
    let (addresses, board) = ask_on(PORT, wanted, patience.min(PATIENCE)).await?;
    if let Some(board) = board {
        Cache::of_user().remember(vec![board], SystemTime::now());
    }
    Ok(addresses)
}

/// The same on any port of mDNS; returns the board too, if it is one of ours.
async fn ask_on(
    port: u16,
    wanted: &Wanted<'_>,
    patience: Duration,
) -> Result<(Vec<SocketAddr>, Option<Remembered>), String> {
    let mut search = Search::new(port, wanted).ok_or("it is no name that a board can have")?;
    let begin = Instant::now();
    let mut end = begin + patience;
    let mut repeats = REPEATS.iter();
    let mut again = Some(begin);
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if again.is_some_and(|at| at <= now) {
            search.ask().await;
            again = repeats.next().map(|after| begin + *after);
        }
        let wake = again.map_or(end, |again| again.min(end));
        tokio::select! {
            received = search.mdns.receive() => {
                if search.learn(received).await {
                    end = end.min(Instant::now() + SECOND);
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
    search.conclude(wanted)
}

/// One name that is being asked for.
struct Search {
    mdns: Mdns,
    registry: Registry,
    instance: DnsName,
    /// Its host's name, where the name can be one.
    host: Option<DnsName>,
    /// What the host itself says, by interface.
    hosts: HashMap<u32, Vec<IpAddr>>,
}

impl Search {
    fn new(port: u16, wanted: &Wanted<'_>) -> Option<Self> {
        let label = label(wanted.host);
        let service_type = DnsName::of_text(&format!("{DEFAULT_TYPE}.local"))?;
        let instance = DnsName::new([label.as_bytes(), b"_tcpctl", b"_tcp", b"local"])?;
        let host = DnsName::of_text(&format!("{label}.local"));
        let mut interfaces = interfaces::list().unwrap_or_default();
        if let Some(only) = wanted.interface {
            interfaces.retain(|it| it.name == only);
        }
        let mut mdns = Mdns::new(service_type, port, false);
        mdns.use_interfaces(interfaces);
        Some(Self {
            mdns,
            registry: Registry::default(),
            instance,
            host,
            hosts: HashMap::new(),
        })
    }

    async fn ask(&self) {
        self.mdns.ask_for(&self.instance, Ask::Everything).await;
        if let Some(host) = &self.host {
            self.mdns.ask_for(host, Ask::V4).await;
            self.mdns.ask_for(host, Ask::V6).await;
        }
    }

    /// Takes in a datagram; says whether there is an answer now.
    async fn learn(&mut self, received: Received) -> bool {
        if !self.mdns.is_from_link(&received) {
            return false;
        }
        let interface = received.interface;
        for answer in message::answers(&received.bytes) {
            if let Data::Address(address) = answer.data
                && Some(&answer.owner) == self.host.as_ref()
                && !answer.goodbye
                && self.mdns.is_credible(interface, address)
            {
                let known = self.hosts.entry(interface).or_default();
                if !known.contains(&address) && known.len() < 16 {
                    known.push(address);
                }
            }
        }
        for event in self.mdns.learn(received).await {
            if let MdnsEvent::Found(origin, service) = event
                && (service.instance == self.instance || Some(&service.host) == self.host.as_ref())
            {
                self.see(origin, &service);
            }
        }
        !self.hosts.is_empty() || self.registry.boards().next().is_some()
    }

    fn see(&mut self, origin: Origin, service: &Service) {
        let mac = service.text.iter().find(|(key, _)| key == "mac");
        let interface = self.mdns.interface(origin.interface);
        let sighting = Sighting {
            name: Some(service.instance.first()),
            host: Some(service.host.to_string()),
            addresses: Mdns::addresses(service, origin.interface),
            mac: mac.and_then(|(_, mac)| serial::mac_address(mac)),
            interface: interface.map(|it| it.name.clone()),
            ..Sighting::new(Key::Mdns(origin))
        };
        let mdns = &self.mdns;
        self.registry
            .see(sighting, |address| mdns.is_ours(address.ip()));
    }

    fn conclude(
        self,
        wanted: &Wanted<'_>,
    ) -> Result<(Vec<SocketAddr>, Option<Remembered>), String> {
        let mut boards: Vec<_> = self.registry.boards().collect();
        // One server may be announced under several names.
        let mut known = Vec::new();
        boards.retain(|board| {
            let addresses = board.addresses();
            let is_another = !known.contains(&addresses);
            known.push(addresses);
            is_another
        });
        let (mut addresses, board) = match &boards[..] {
            [] => (self.host_addresses()?, None),
            [board] => {
                let remembered = Remembered::of(&board.report(), SystemTime::now());
                (board.addresses(), remembered)
            }
            several => {
                let several: Vec<_> = several
                    .iter()
                    .map(|board| {
                        let report = board.report();
                        let address = board.addresses().first().map(SocketAddr::to_string);
                        let interface = report.interface.unwrap_or_default();
                        let mac = report.mac.map(|mac| format!(", {mac}")).unwrap_or_default();
                        format!("{} ({interface}{mac})", address.unwrap_or_default())
                    })
                    .collect();
                return Err(ambiguous(&several));
            }
        };
        if let Some(port) = wanted.port {
            with_port(&mut addresses, port);
        }
        if addresses.is_empty() {
            return Err("no board of this name answers over mDNS".to_owned());
        }
        Ok((addresses, board))
    }

    /// Where the host is that has the name and no service of ours.
    fn host_addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let mut found: Vec<Vec<SocketAddr>> = Vec::new();
        for (interface, addresses) in &self.hosts {
            let here: Vec<_> = addresses
                .iter()
                .map(|address| match address {
                    IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                        std::net::SocketAddrV6::new(*v6, DEFAULT_PORT, 0, *interface).into()
                    }
                    address => SocketAddr::new(*address, DEFAULT_PORT),
                })
                .collect();
            let ours = addresses.iter().all(|it| self.mdns.is_ours(*it));
            let same = found.iter_mut().find(|known| {
                let known_ours = known.iter().all(|it| self.mdns.is_ours(it.ip()));
                (ours && known_ours) || known.iter().any(|it| here.contains(it))
            });
            match same {
                Some(known) => known.extend(here),
                None => found.push(here),
            }
        }
        if found.len() > 1 {
            let several: Vec<_> = found
                .iter()
                .filter_map(|addresses| addresses.first().map(|it| it.ip().to_string()))
                .collect();
            return Err(ambiguous(&several));
        }
        let mut addresses = found.pop().unwrap_or_default();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    }
}

fn with_port(addresses: &mut [SocketAddr], port: u16) {
    for address in addresses {
        address.set_port(port);
    }
}

fn ambiguous(several: &[String]) -> String {
    format!(
        "{} boards have this name: {}",
        several.len(),
        several.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_a_name() {
        for (name, who) in [
            ("greeter-1a2b3c", Kind::Either),
            ("greeter-1a2b3c.local", Kind::Board),
            ("Greeter.LOCAL.", Kind::Board),
            ("localhost", Kind::System),
            ("LocalHost", Kind::System),
            ("board.example.com", Kind::SystemFirst),
            ("board.", Kind::System),
            ("board.example.com.", Kind::System),
            ("local", Kind::Either),
            ("Board in the kitchen", Kind::Board),
            ("Board v1.2", Kind::Board),
            ("board-v1.2", Kind::SystemFirst),
            ("board(2)", Kind::Board),
            ("Küche", Kind::Either),
        ] {
            assert_eq!(kind(name), who, "{name}");
        }
    }

    #[test]
    fn a_name_may_be_written_in_full() {
        for (written, plain) in [
            ("board", "board"),
            ("board.local", "board"),
            ("Board.LOCAL.", "Board"),
            ("A board._tcpctl._tcp.local", "A board"),
            ("A board._TCPCTL._tcp.local.", "A board"),
            ("board-v1.2", "board-v1.2"),
            (".local", ".local"),
            ("é.local", "é"),
        ] {
            assert_eq!(label(written), plain, "{written}");
        }
    }

    #[test]
    fn only_who_is_on_the_link_and_speaks_from_its_port_says_where_a_host_is() {
        let unused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        let loopback = interfaces::list().unwrap();
        let loopback = loopback.into_iter().find(|it| it.is_loopback).unwrap();
        let wanted = Wanted {
            host: "printer",
            port: None,
            interface: Some(&loopback.name),
        };
        // A response: printer.local has the address 127.0.0.1.
        let record =
            b"\x07printer\x05local\x00\x00\x01\x00\x01\x00\x00\x00\x78\x00\x04\x7f\x00\x00\x01";
        let bytes = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0], &record[..]].concat();
        let hears = async |from: SocketAddr| {
            let mut search = Search::new(port, &wanted).unwrap();
            let received = Received {
                interface: loopback.index,
                from,
                bytes: bytes.clone(),
            };
            (
                search.learn(received).await,
                search.conclude(&wanted).is_ok(),
            )
        };
        crate::block_on(async {
            let other = if port > 1024 { port - 1 } else { port + 1 };
            for (from, heard) in [
                (SocketAddr::from(([127, 0, 0, 1], port)), true),
                (SocketAddr::from(([127, 0, 0, 1], other)), false),
                (SocketAddr::from(([192, 0, 2, 1], port)), false),
            ] {
                assert_eq!(hears(from).await, (heard, heard), "{from}");
            }
        })
        .unwrap();
    }
}
