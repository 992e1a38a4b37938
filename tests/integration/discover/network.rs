use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tcpctl::discover::plan::{DiscoverPlan, Ending, SerialPorts};
use tcpctl::discover::report::DiscoverReport;
use tcpctl::discover::session::{SearchResult, Session};
use tcpctl::mdns::announce::announce;
use tcpctl::mdns::message::DnsName;
use tcpctl::net::interfaces;
use tcpctl::net::interfaces::Interface;
use tcpctl_greeter::mdns::Identity;
use tokio::sync::{Notify, watch};

/// A daemon reports at most 100 events at a time.
const BOARDS_PER_DAEMON: usize = 50;

/// A network for one test: the loopback, with an mDNS port of its own.
pub(crate) struct Network {
    pub(crate) loopback: Interface,
    pub(crate) port: u16,
}

/// An announced board.
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
            management: None,
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

    /// The plan of a search on this network.
    pub(crate) fn plan(&self, ending: Ending) -> DiscoverPlan {
        DiscoverPlan {
            service_type: DnsName::of_text("_tcpctl._tcp.local"),
            mdns_port: self.port,
            serial: SerialPorts::None,
            gateway: false,
            probe: None,
            interface: Some(self.loopback.name.clone()),
            ending,
        }
    }

    /// Searches for boards that were announced before.
    pub(crate) fn search(
        &self,
        boards: &[Board],
        plan: &DiscoverPlan,
    ) -> (SearchResult, Vec<DiscoverReport>) {
        self.search_among(&[boards], plan)
    }

    /// Searches for boards of several announcers.
    pub(crate) fn search_among(
        &self,
        announcers: &[&[Board]],
        plan: &DiscoverPlan,
    ) -> (SearchResult, Vec<DiscoverReport>) {
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
                let emit = |event: &DiscoverReport| {
                    events.push(event.clone());
                    Ok(())
                };
                let found = Session::new(plan).run(None, emit).await.unwrap();
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

/// Runs a future on one thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A server that accepts and closes every connection: its port and the number of connections.
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

/// Ends once `enough` boards are found, or after a long time.
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
