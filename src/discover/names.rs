//! Resolves the name of a board: from the cache, else by mDNS.
//!
//! `NAME.local` is resolved over mDNS alone, because the system's resolver may not support it; a name
//! without a dot by both. A name with a dot goes to the system first, so that no board can pose as a
//! server by calling itself `example.com`.

mod by_mac;
mod search;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

pub use self::by_mac::{Announced, by_mac};
use self::search::Search;
use super::cache::{Cache, CachedBoard};
use crate::mdns::PORT;

/// How long to wait for replies from boards.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// When the queries are repeated.
const REPEATS: [Duration; 3] = [
    Duration::from_millis(150),
    Duration::from_millis(450),
    Duration::from_secs(1),
];
/// How long to wait for a second board with the same name: responders wait up to 120 ms (RFC 6762
/// §6).
const AMBIGUITY_WINDOW: Duration = Duration::from_millis(130);
/// How long to wait for the system's resolver before querying mDNS.
pub const SYSTEM_TIMEOUT: Duration = Duration::from_secs(1);

/// How to resolve a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// With the system's resolver.
    System,
    /// With the system's resolver, then by mDNS.
    SystemFirst,
    /// By mDNS.
    Boards,
    /// With both at once.
    Either,
}

/// The resolver for this name.
pub fn resolver(host: &str) -> Resolver {
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    match name.rsplit_once('.') {
        // RFC 6761 §6.3.
        None if name == "localhost" => Resolver::System,
        // RFC 6762 §3.
        Some((_, "local")) => Resolver::Boards,
        // Only the system's resolver handles non-ASCII host names.
        _ if host.chars().any(|c| c.is_ascii() && !is_host(c)) => Resolver::Boards,
        _ if host.ends_with('.') => Resolver::System,
        None => Resolver::Either,
        // Maximum label length of a service (RFC 6763 §4.1.1).
        Some(_) if name.len() <= 63 => Resolver::SystemFirst,
        Some(_) => Resolver::System,
    }
}

/// A name to resolve.
#[derive(Debug, Clone, Copy)]
pub struct NameQuery<'n> {
    /// The name.
    pub host: &'n str,
    /// The port, if the user gave one.
    pub port: Option<u16>,
    /// The only interface to use.
    pub interface: Option<&'n str>,
}

/// The cached addresses of the one board with this name. Sends nothing.
pub fn cached(query: &NameQuery<'_>) -> Option<Vec<SocketAddr>> {
    let boards = Cache::for_user().fresh(query.host, SystemTime::now());
    // Several boards may use one name by now.
    let [board] = &boards[..] else {
        return None;
    };
    let mut addresses = board.socket_addresses();
    if let Some(port) = query.port {
        with_port(&mut addresses, port);
    }
    (!addresses.is_empty()).then_some(addresses)
}

/// The MAC addresses of the boards with this name: from the cache, else from the network. Blocks for
/// up to 1.5 s.
pub fn macs(host: &str) -> Vec<String> {
    let known = Cache::for_user().macs(host, SystemTime::now());
    if !known.is_empty() {
        return known;
    }
    let query = NameQuery {
        host,
        port: None,
        interface: None,
    };
    let asked = crate::runtime::block_on(ask_on(PORT, &query, TIMEOUT));
    let board = asked.ok().and_then(Result::ok).and_then(|(_, board)| board);
    board.and_then(|board| board.mac).into_iter().collect()
}

/// Removes a name from the cache.
pub fn forget(host: &str) {
    Cache::for_user().forget(host);
}

/// Resolves a name by mDNS.
///
/// # Errors
/// No board or several boards have the name; the text is safe for a terminal.
pub async fn ask(query: &NameQuery<'_>, timeout: Duration) -> Result<Vec<SocketAddr>, String> {
    let (addresses, board) = ask_on(PORT, query, timeout.min(TIMEOUT)).await?;
    if let Some(board) = board {
        Cache::for_user().store(vec![board], SystemTime::now());
    }
    Ok(addresses)
}

/// Resolves a name on any mDNS port. Also returns the board, unless only its host name was found.
async fn ask_on(
    port: u16,
    query: &NameQuery<'_>,
    timeout: Duration,
) -> Result<(Vec<SocketAddr>, Option<CachedBoard>), String> {
    let mut search = Search::new(port, query).ok_or("it is not a valid board name")?;
    let begin = Instant::now();
    let mut end = begin + timeout;
    let mut repeats = REPEATS.iter();
    let mut again = Some(begin);
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if again.is_some_and(|at| at <= now) {
            if again != Some(begin) {
                // A firewall may block the replies to our own port.
                search.mdns.start_daemons();
            }
            search.ask().await;
            again = repeats.next().map(|after| begin + *after);
        }
        let wake = again.map_or(end, |again| again.min(end));
        tokio::select! {
            received = search.mdns.receive() => {
                if search.learn(received).await {
                    end = end.min(Instant::now() + AMBIGUITY_WINDOW);
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
    search.conclude(query)
}

fn with_port(addresses: &mut [SocketAddr], port: u16) {
    for address in addresses {
        address.set_port(port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_right_resolver() {
        for (name, who) in [
            ("greeter-1a2b3c", Resolver::Either),
            ("greeter-1a2b3c.local", Resolver::Boards),
            ("Greeter.LOCAL.", Resolver::Boards),
            ("localhost", Resolver::System),
            ("LocalHost", Resolver::System),
            ("board.example.com", Resolver::SystemFirst),
            ("board.", Resolver::System),
            ("board.example.com.", Resolver::System),
            ("local", Resolver::Either),
            ("Board in the kitchen", Resolver::Boards),
            ("Board v1.2", Resolver::Boards),
            ("board-v1.2", Resolver::SystemFirst),
            ("board(2)", Resolver::Boards),
            ("Küche", Resolver::Either),
        ] {
            assert_eq!(resolver(name), who, "{name}");
        }
    }
}
