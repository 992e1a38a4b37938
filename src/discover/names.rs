//! A board's name as a target: where it was seen a moment ago, else where it says that it is.
//!
//! `NAME.local` is asked of the boards alone, with no help of the system's resolver, which may
//! know no mDNS. A name without a dot is asked of both. A name with one is the resolver's first, so
//! that no board can take the place of a server elsewhere by calling itself `example.com`.

mod search;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use self::search::Search;
use super::cache::{Cache, Remembered};
use crate::mdns::PORT;

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
    let asked = crate::runtime::block_on(ask_on(PORT, &wanted, PATIENCE));
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
            if again != Some(begin) {
                // A firewall may block the answers to our own port.
                search.mdns.start_daemons();
            }
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

fn with_port(addresses: &mut [SocketAddr], port: u16) {
    for address in addresses {
        address.set_port(port);
    }
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
}
