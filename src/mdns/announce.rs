//! Announces boards of this computer.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::Duration;

use mdns_sd::{DaemonEvent, Error, ServiceDaemon, ServiceInfo};
use tcpctl_greeter::mdns::Identity;

use super::daemon::{self, CHECK_INTERVAL, CacheGuard};
use super::{SERVICE_TYPE, check};
use crate::net::interfaces::Interface;

/// Maximum time to send the goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause before repeating a command for which the daemon had no room.
const RETRY_DELAY: Duration = Duration::from_millis(5);

/// Announces boards on one interface until `stop`, and then sends goodbyes for them.
///
/// `address` is where they are reached, and `port` that of mDNS. `announced` gets the number of a
/// board and its host name, once that is known to be unique; a conflict changes the name.
///
/// # Errors
/// See [`check`].
pub async fn announce(
    interface: &Interface,
    address: Ipv4Addr,
    port: u16,
    boards: &[Identity<'_>],
    stop: impl Future<Output = ()>,
    mut announced: impl FnMut(usize, &str),
) -> io::Result<()> {
    check(interface, port)?;
    let mut names: Vec<_> = boards
        .iter()
        .map(|board| Name::new(board.hostname))
        .collect();
    let mut stop = pin!(stop);
    loop {
        let daemon = daemon::on_interface(interface.index, port).map_err(io::Error::other)?;
        let is_replaced = tokio::select! {
            result = run(&daemon, boards, &mut names, address, &mut announced) => {
                result.map_err(io::Error::other)?;
                false
            }
            () = overload(&daemon) => true,
            () = &mut stop => false,
        };
        let Ok(ended) = daemon.shutdown() else {
            return Ok(());
        };
        if !is_replaced {
            let _ = tokio::time::timeout(GOODBYE_TIMEOUT, ended.recv_async()).await;
            return Ok(());
        }
        let _ = ended.recv_async().await;
    }
}

/// Waits until a flood of records overloads the daemon.
async fn overload(daemon: &ServiceDaemon) {
    let mut guard = CacheGuard::default();
    while !guard.is_overloaded(daemon) {
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Registers boards, and handles changes of their names as long as the daemon runs.
async fn run(
    daemon: &ServiceDaemon,
    boards: &[Identity<'_>],
    names: &mut [Name],
    address: Ipv4Addr,
    announced: &mut impl FnMut(usize, &str),
) -> Result<(), Error> {
    let events = daemon.monitor()?;
    register_all(daemon, boards, names, address).await?;
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::Announce(full_name, _) => {
                let mut names = names.iter_mut().enumerate();
                let name = names.find(|(_, it)| !it.is_announced && it.is_in(&full_name));
                if let Some((number, name)) = name {
                    name.is_announced = true;
                    announced(number, &name.current);
                }
            }
            // The interface was not up yet, or has changed.
            DaemonEvent::IpAdd(IpAddr::V4(_)) => {
                register_all(daemon, boards, names, address).await?;
            }
            DaemonEvent::NameChange(change) => {
                let changed = names.iter_mut().zip(boards);
                let mut changed = changed.filter(|(it, _)| it.is_in(&change.original));
                if let Some((name, board)) = changed.next() {
                    // The daemon's own choice is "name (2)", which is not a host name.
                    daemon.unregister(&name.full())?;
                    name.change(board.hostname);
                    register(daemon, board, name, address).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name of a board, and the number of changes.
struct Name {
    current: String,
    number: u32,
    is_announced: bool,
}

impl Name {
    fn new(name: &str) -> Self {
        Self {
            current: name.to_owned(),
            number: 1,
            is_announced: false,
        }
    }

    fn full(&self) -> String {
        format!("{}.{SERVICE_TYPE}.local.", self.current)
    }

    /// Whether it is the first label of a service name or host name.
    fn is_in(&self, full_name: &str) -> bool {
        let domain = full_name.strip_prefix(&self.current);
        domain.is_some_and(|it| it == ".local." || it == format!(".{SERVICE_TYPE}.local."))
    }

    /// Changes to the next name, as the firmware does.
    fn change(&mut self, name: &str) {
        self.number += 1;
        let suffix = format!("-{}", self.number);
        // Maximum label length (RFC 1035 §2.3.4).
        let end = name.floor_char_boundary(63 - suffix.len());
        self.current = format!("{}{suffix}", &name[..end.min(name.len())]);
        self.is_announced = false;
    }
}

async fn register_all(
    daemon: &ServiceDaemon,
    boards: &[Identity<'_>],
    names: &[Name],
    address: Ipv4Addr,
) -> Result<(), Error> {
    for (board, name) in boards.iter().zip(names) {
        register(daemon, board, name, address).await?;
    }
    Ok(())
}

async fn register(
    daemon: &ServiceDaemon,
    board: &Identity<'_>,
    name: &Name,
    address: Ipv4Addr,
) -> Result<(), Error> {
    let mac = board.mac.map(|byte| format!("{byte:02x}")).join(":");
    // `txtvers` first (RFC 6763 §6.7).
    let management = board.management.map(|port| port.to_string());
    let mut text = vec![
        ("txtvers", "1"),
        ("chip", board.chip),
        ("mode", board.mode),
        ("fw", board.firmware),
        ("mac", &mac),
    ];
    text.extend(management.as_deref().map(|port| ("mgmt", port)));
    let service_type = format!("{SERVICE_TYPE}.local.");
    let label = &name.current;
    let host = format!("{label}.local.");
    let address = address.to_string();
    let mut service =
        ServiceInfo::new(&service_type, label, &host, address, board.port, &text[..])?;
    // The name is already known to be unique if a daemon replaces another one.
    service.set_requires_probe(!name.is_announced);
    loop {
        match daemon.register(service.clone()) {
            Err(Error::Again) => tokio::time::sleep(RETRY_DELAY).await,
            result => return result,
        }
    }
}
