//! Servers on kernel sockets with known limits, for the tests and the bench of the limit search.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each of the programs that share it takes what it needs"
)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

const GREETING: &[u8] = b"Hello World\n";

/// What the application does with those who get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// So many at a time, in their order; 0 is one that never accepts.
    Workers(usize),
    /// Accepts all at once, serves so many, and does this to the others.
    Cap(usize, Beyond),
    /// Accepts all at once, and closes beyond so many of one address or so many in all.
    PerClient { each: usize, all: usize },
    /// One at a time, whom it greets before it is asked.
    GreetsFirst,
}

/// What happens beyond a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    Fin,
    Reset,
    /// Accepted, and left alone until it leaves.
    Stall,
    /// Taken in, and the eldest sent away.
    Evict,
}

/// A socket that listens, with a backlog as the kernel is told it.
///
/// # Errors
/// What the system refuses.
pub fn listen(at: SocketAddr, backlog: usize) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(backlog).map_err(io::Error::other)?)?;
    Ok(socket.into())
}

/// Serves as long as the process lives.
///
/// # Errors
/// What the listener fails with.
pub fn serve(listener: &TcpListener, app: App, service: Duration) -> io::Result<()> {
    match app {
        App::Workers(0) => loop {
            thread::park();
        },
        App::Workers(workers) => thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(|| work(listener, service));
            }
            work(listener, service)
        }),
        App::Cap(..) | App::PerClient { .. } => Guests::default().admit(listener, app, service),
        App::GreetsFirst => loop {
            let (mut connection, _) = listener.accept()?;
            thread::sleep(service);
            // One that has left already needs no greeting.
            let _ = connection.write_all(GREETING);
        },
    }
}

fn work(listener: &TcpListener, service: Duration) -> io::Result<()> {
    loop {
        let (connection, _) = listener.accept()?;
        answer(&connection, service);
    }
}

/// Reads what comes first, takes its time, answers. The caller closes.
fn answer(mut connection: &TcpStream, service: Duration) {
    let mut request = [0; 1024];
    if matches!(connection.read(&mut request), Ok(1..)) {
        thread::sleep(service);
        let _ = connection.write_all(GREETING);
    }
}

/// Those who are being served, eldest first.
#[derive(Debug, Default, Clone)]
struct Guests(Arc<Mutex<VecDeque<Arc<TcpStream>>>>);

impl Guests {
    fn admit(&self, listener: &TcpListener, app: App, service: Duration) -> io::Result<()> {
        loop {
            let (connection, client) = listener.accept()?;
            let connection = Arc::new(connection);
            let (all, same) = self.count(client);
            let beyond = match app {
                App::Cap(most, beyond) if all >= most => Some(beyond),
                App::PerClient { each, all: most } if same >= each || all >= most => {
                    Some(Beyond::Fin)
                }
                _ => None,
            };
            match beyond {
                Some(Beyond::Fin) => continue,
                Some(Beyond::Reset) => {
                    let socket = socket2::SockRef::from(&*connection);
                    socket.set_linger(Some(Duration::ZERO))?;
                    continue;
                }
                Some(Beyond::Stall) => {
                    thread::spawn(move || io::copy(&mut &*connection, &mut io::sink()));
                    continue;
                }
                Some(Beyond::Evict) => {
                    if let Some(eldest) = self.locked(VecDeque::pop_front) {
                        // It may have left by itself.
                        let _ = eldest.shutdown(Shutdown::Both);
                    }
                }
                None => {}
            }
            self.locked(|guests| guests.push_back(Arc::clone(&connection)));
            let guests = self.clone();
            thread::spawn(move || {
                answer(&connection, service);
                guests.locked(|guests| guests.retain(|guest| !Arc::ptr_eq(guest, &connection)));
            });
        }
    }

    /// How many there are, and how many of them with this client's address.
    fn count(&self, client: SocketAddr) -> (usize, usize) {
        self.locked(|guests| {
            let is_same = |guest: &&Arc<TcpStream>| {
                guest.peer_addr().is_ok_and(|peer| peer.ip() == client.ip())
            };
            (guests.len(), guests.iter().filter(is_same).count())
        })
    }

    fn locked<T>(&self, change: impl FnOnce(&mut VecDeque<Arc<TcpStream>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
