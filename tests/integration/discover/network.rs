use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tcpctl::discover::plan::{Ending, Plan, Serial};
use tcpctl::discover::report::DiscoverReport;
use tcpctl::discover::session::{Found, Session};
use tcpctl::mdns::announce::announce;
use tcpctl::mdns::message::DnsName;
use tcpctl::net::interfaces;
use tcpctl::net::interfaces::Interface;
use tcpctl_greeter::mdns::Identity;
use tokio::sync::{Notify, watch};

/// A daemon reports at most 100 events at a time.
const BOARDS_PER_DAEMON: usize = 50;

/// A network of one test: the loopback, with a port of mDNS that is the test's alone.
pub(crate) struct Network {
    pub(crate) loopback: Interface,
    pub(crate) port: u16,
}

/// A board that is announced.
#[derive(Clone)]
pub(crate) struct Board {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) mac: [u8; 6],
}

impl Board {
    pub(crate) fn new(number: u16, port: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            name: format!("board-{number}"),
            port,
            mac: [2, 0, 0, 0, high, low],
        }
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            hostname: &self.name,
            port: self.port,
            chip: "virtual",
            mode: "ap",
            firmware: "1.2.3",
            mac: self.mac,
        }
    }
}

impl Network {
    pub(crate) fn new() -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let interfaces = interfaces::list().unwrap();
        Self {
            loopback: interfaces.into_iter().find(|it| it.is_loopback).unwrap(),
            port: free.local_addr().unwrap().port(),
        }
    }

    /// A search on this network alone.
    pub(crate) fn plan(&self, ending: Ending) -> Plan {
        Plan {
            service_type: DnsName::of_text("_tcpctl._tcp.local"),
            mdns_port: self.port,
            serial: Serial::None,
            gateway: false,
            probe: None,
            interface: Some(self.loopback.name.clone()),
            ending,
        }
    }

    /// Runs a search while boards are announced: it begins once their names are established.
    pub(crate) fn search(&self, boards: &[Board], plan: &Plan) -> (Found, Vec<DiscoverReport>) {
        self.search_among(&[boards], plan)
    }

    /// The same with several announcers, which hear each other.
    pub(crate) fn search_among(
        &self,
        announcers: &[&[Board]],
        plan: &Plan,
    ) -> (Found, Vec<DiscoverReport>) {
        run(async {
            let (stop, stopped) = watch::channel(());
            let established = Cell::new(0);
            let notice = Notify::new();
            let total: usize = announcers.iter().map(|boards| boards.len()).sum();
            let groups = announcers
                .iter()
                .flat_map(|boards| boards.chunks(BOARDS_PER_DAEMON));
            let announcing = groups.map(|boards| {
                let mut stopped = stopped.clone();
                let (established, notice) = (&established, &notice);
                async move {
                    let identities: Vec<_> = boards.iter().map(Board::identity).collect();
                    let announced = |_, _: &str| {
                        established.set(established.get() + 1);
                        notice.notify_one();
                    };
                    let stopped = async { drop(stopped.changed().await) };
                    let (loopback, address) = (&self.loopback, Ipv4Addr::LOCALHOST);
                    announce(
                        loopback,
                        address,
                        self.port,
                        &identities,
                        stopped,
                        announced,
                    )
                    .await
                }
            });
            let searching = async {
                while established.get() < total {
                    notice.notified().await;
                }
                let mut events = Vec::new();
                let told = |event: &DiscoverReport| {
                    events.push(event.clone());
                    Ok(())
                };
                let found = Session::new(plan).run(None, told).await.unwrap();
                drop(stop);
                (found, events)
            };
            let announcing = futures_util::future::join_all(announcing);
            let (announced, found) = tokio::join!(announcing, searching);
            for ended in announced {
                ended.unwrap();
            }
            found
        })
    }
}

/// Runs a future to its end, on one thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A port on which every connection is accepted and closed, and how many there were.
pub(crate) fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, count)
}

/// Ends when so many boards are found; far later than that it takes, where they are not.
pub(crate) const fn until(enough: usize) -> Ending {
    Ending::After {
        timeout: Duration::from_secs(30),
        enough: Some(enough),
    }
}

/// Ends after this time.
pub(crate) const fn after(timeout: Duration) -> Ending {
    Ending::After {
        timeout,
        enough: None,
    }
}
