//! Servers with known limits on the kernel's sockets, for tests and the bench of the limit finder.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each of the programs that share it uses a part"
)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

const GREETING: &[u8] = b"Hello World\n";

/// How the application treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// Serves this many at a time, in order, with one reply each. With 0 it never accepts.
    Workers(usize),
    /// Serves this many at a time and echoes until the client closes.
    Echo(usize),
    /// Like `Workers`, but when it is full it checks for free workers only at this interval.
    AcceptTimer(usize, Duration),
    /// Accepts all at once and serves this many.
    Cap(usize, Beyond),
    /// Accepts all at once; closes those beyond a number per address, or beyond a total.
    PerClient { each: usize, all: usize },
    /// Serves one at a time: greets it before a request, and closes.
    GreetsFirst,
    /// Greets this many and replies to them until they close; rejects others with a line.
    GreetsAndWaits(usize),
}

/// How the application treats connections beyond a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// Closes them.
    Fin,
    /// Sends them a line, then closes them.
    Line(&'static str),
    /// Resets them.
    Reset,
    /// Never serves them.
    Stall,
    /// Serves them, and closes this many of the oldest.
    Evict(usize),
}

/// A listening socket with a backlog as given to the kernel.
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
        App::Workers(workers) | App::Echo(workers) => {
            let keeps_open = matches!(app, App::Echo(_));
            thread::scope(|scope| {
                for _ in 1..workers {
                    scope.spawn(|| work(listener, service, keeps_open));
                }
                work(listener, service, keeps_open)
            })
        }
        App::AcceptTimer(workers, interval) => {
            let served = Served::default();
            loop {
                while served.count() < workers {
                    let (connection, _) = listener.accept()?;
                    served.spawn(connection, move |it| {
                        answer(it, service);
                    });
                }
                thread::sleep(interval);
            }
        }
        App::Cap(..) | App::PerClient { .. } | App::GreetsAndWaits(_) => {
            Served::default().admit(listener, app, service)
        }
        App::GreetsFirst => loop {
            let (mut connection, _) = listener.accept()?;
            thread::sleep(service);
            // The client may have closed already.
            let _ = connection.write_all(GREETING);
        },
    }
}

fn work(listener: &TcpListener, service: Duration, keeps_open: bool) -> io::Result<()> {
    loop {
        let (connection, _) = listener.accept()?;
        while answer(&connection, service) && keeps_open {}
    }
}

/// Reads a request and replies after the service time. Returns whether there was a request.
fn answer(mut connection: &TcpStream, service: Duration) -> bool {
    let mut request = [0; 1024];
    let has_request = matches!(connection.read(&mut request), Ok(1..));
    if has_request {
        thread::sleep(service);
        let _ = connection.write_all(GREETING);
    }
    has_request
}

/// The connections that are being served, oldest first.
#[derive(Debug, Default, Clone)]
struct Served(Arc<Mutex<VecDeque<Arc<TcpStream>>>>);

impl Served {
    fn admit(&self, listener: &TcpListener, app: App, service: Duration) -> io::Result<()> {
        loop {
            let (mut connection, client) = listener.accept()?;
            let beyond = match app {
                App::Cap(most, beyond) if self.count() >= most => Some(beyond),
                App::PerClient { each, all }
                    if self.count_of(client) >= each || self.count() >= all =>
                {
                    Some(Beyond::Fin)
                }
                App::GreetsAndWaits(most) if self.count() >= most => {
                    Some(Beyond::Line("421 too many connections"))
                }
                _ => None,
            };
            match beyond {
                Some(Beyond::Fin) => continue,
                Some(Beyond::Line(line)) => {
                    let _ = writeln!(connection, "{line}\r");
                    continue;
                }
                Some(Beyond::Reset) => {
                    let socket = socket2::SockRef::from(&connection);
                    socket.set_linger(Some(Duration::ZERO))?;
                    continue;
                }
                Some(Beyond::Stall) => {
                    thread::spawn(move || io::copy(&mut connection, &mut io::sink()));
                    continue;
                }
                Some(Beyond::Evict(count)) => {
                    for _ in 0..count {
                        if let Some(oldest) = self.locked(VecDeque::pop_front) {
                            // The client may have closed already.
                            let _ = oldest.shutdown(Shutdown::Both);
                        }
                    }
                }
                None => {}
            }
            if matches!(app, App::GreetsAndWaits(_)) {
                let _ = writeln!(connection, "220 ready\r");
                self.spawn(connection, move |it| while answer(it, service) {});
            } else {
                self.spawn(connection, move |it| {
                    answer(it, service);
                });
            }
        }
    }

    /// Serves a connection on a thread of its own.
    fn spawn(&self, connection: TcpStream, serve: impl FnOnce(&TcpStream) + Send + 'static) {
        let connection = Arc::new(connection);
        self.locked(|all| all.push_back(Arc::clone(&connection)));
        let served = self.clone();
        thread::spawn(move || {
            serve(&connection);
            served.locked(|all| all.retain(|it| !Arc::ptr_eq(it, &connection)));
        });
    }

    fn count(&self) -> usize {
        self.locked(|all| all.len())
    }

    /// Number of connections with this client's address.
    fn count_of(&self, client: SocketAddr) -> usize {
        self.locked(|all| {
            let is_same =
                |it: &&Arc<TcpStream>| it.peer_addr().is_ok_and(|peer| peer.ip() == client.ip());
            all.iter().filter(is_same).count()
        })
    }

    fn locked<T>(&self, change: impl FnOnce(&mut VecDeque<Arc<TcpStream>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
