//! Test servers, and the real binary to run against them.
#![cfg_attr(
    windows,
    allow(
        dead_code,
        reason = "some helpers are for tests of signals and terminals"
    )
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub(crate) mod firmware;
#[cfg(target_os = "linux")]
pub(crate) mod hostile_packets;
#[cfg(target_os = "linux")]
pub(crate) mod loader;
pub(crate) mod schema;
#[cfg(unix)]
pub(crate) mod terminal;

/// A file that is empty on every computer.
pub(crate) const NO_FILE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// Maximum duration of a command. One that hangs is killed and fails only its test.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Interval between checks of a condition that has no event.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A server on a free port that treats every connection alike. It ends with the test process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(behavior: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, behavior)
    }

    pub(crate) fn on(
        listener: TcpListener,
        behavior: impl Fn(TcpStream) + Send + Sync + Clone + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let behavior = behavior.clone();
                thread::spawn(move || behavior(connection.unwrap()));
            }
        });
        Self { address }
    }

    /// Reads a request, replies and closes, like the tutorial's board.
    pub(crate) fn greeter(greeting: &'static [u8]) -> Self {
        Self::start(move |mut connection| {
            read_some(&mut connection);
            let _ = connection.write_all(greeting);
        })
    }

    /// Reads a request, replies, and stays open until the client closes.
    pub(crate) fn staying(greeting: &'static [u8]) -> Self {
        Self::start(move |mut connection| {
            read_some(&mut connection);
            let _ = connection.write_all(greeting);
            read_all(&mut connection);
        })
    }

    pub(crate) fn echo() -> Self {
        Self::start(|mut connection| {
            let mut back = connection.try_clone().unwrap();
            let _ = std::io::copy(&mut connection, &mut back);
            let _ = back.shutdown(std::net::Shutdown::Write);
        })
    }

    /// A server and the messages it receives, one per connection.
    pub(crate) fn recorder() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (sender, receiver) = mpsc::channel();
        let server = Self::start(move |mut connection| {
            let _ = sender.send(read_all(&mut connection));
            let _ = connection.write_all(b"ok");
        });
        (server, receiver)
    }

    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }
}

pub(crate) fn read_some(connection: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let count = connection.read(&mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

pub(crate) fn read_all(connection: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = connection.read_to_end(&mut bytes);
    bytes
}

/// Closes with a reset (RST).
pub(crate) fn reset(connection: TcpStream) {
    let socket = socket2::Socket::from(connection);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// A closed port, reserved as long as the socket exists.
pub(crate) fn closed_port() -> (socket2::Socket, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// `tcpctl` with an environment independent of the machine.
pub(crate) fn tcpctl<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpctl"));
    command
        .args(arguments)
        .env_clear()
        .env("TCPCTL_CONFIG", NO_FILE)
        // Directory for the key files of virtual boards.
        .env(
            "XDG_DATA_HOME",
            std::path::absolute(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        )
        // Windows finds its socket libraries with this variable.
        .envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The exit code and output of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// Whether standard error has one error, with or without hints, and nothing else.
    pub(crate) fn has_one_error(&self) -> bool {
        let mut lines = self.stderr.lines();
        lines.next().is_some_and(|line| line.starts_with("error: "))
            && lines.all(|line| line.starts_with("hint: "))
    }

    /// The JSON objects on standard output, each checked against its schema.
    pub(crate) fn objects(&self) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&self.stdout).unwrap();
        let objects: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        objects.iter().for_each(schema::check);
        objects
    }
}

/// Runs `tcpctl` until it exits.
pub(crate) fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    finish(tcpctl(arguments).spawn().unwrap())
}

/// Runs `tcpctl` until it exits, with `input` on standard input.
pub(crate) fn run_with_input<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    input: &[u8],
) -> Ended {
    let mut child = tcpctl(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    thread::spawn(move || {
        // The command may exit before it has read everything.
        let _ = stdin.write_all(&input);
    });
    finish(child)
}

/// Waits for a child to exit; kills it and panics when it hangs.
pub(crate) fn finish(mut child: Child) -> Ended {
    drop(child.stdin.take());
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let end = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("tcpctl hangs");
        }
        thread::sleep(POLL_INTERVAL);
    };
    Ended {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: String::from_utf8_lossy(&stderr.join().unwrap()).into_owned(),
    }
}

/// Waits until `is_done`. Panics when the child exits before that, and kills one that hangs.
#[cfg(target_os = "linux")]
pub(crate) fn wait_while_running(child: &mut Child, mut is_done: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !is_done() {
        let status = child.try_wait().unwrap();
        if status.is_some() || Instant::now() > end {
            let _ = child.kill();
            let stderr = read_in_background(child.stderr.take()).join().unwrap();
            let stderr = String::from_utf8_lossy(&stderr);
            panic!("tcpctl hangs, or ended too early ({status:?}): {stderr}");
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Writes a program or script through another process. A file that this process had open for writing
/// would stay open for a moment in commands that other tests start, and could not be run (ETXTBSY).
#[cfg(unix)]
pub(crate) fn write_executable(path: &std::path::Path, bytes: &[u8]) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// Copies `tcpctl`. The copy can be run at once.
#[cfg(target_os = "linux")]
pub(crate) fn copy_tcpctl(to: &std::path::Path) {
    write_executable(to, &std::fs::read(env!("CARGO_BIN_EXE_tcpctl")).unwrap());
}

/// Reads a pipe to its end, if there is one.
fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).unwrap();
        }
        bytes
    })
}

/// Checks that standard error is one `error: ` line and at most one `hint: ` line.
pub(crate) fn assert_one_error(stderr: &str) {
    let mut lines = stderr.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("error: "), "{stderr}");
    assert!(
        lines.next().is_none_or(|line| line.starts_with("hint: ")),
        "{stderr}"
    );
    assert_eq!(lines.next(), None, "{stderr}");
}

/// Sends a signal to a child.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// Maximum time from the first signal to the end of a command, whatever it waits for.
#[cfg(unix)]
const END_LIMIT: Duration = Duration::from_secs(1);

/// Starts a command, sends it its first signal, and checks that it ends within [`END_LIMIT`]. Other
/// values that `start` returns are kept until then.
#[cfg(unix)]
pub(crate) fn end_by<Held>(
    first: rustix::process::Signal,
    mut start: impl FnMut() -> (Child, Held),
) -> Ended {
    within_end_limit(|| {
        let (child, _held) = start();
        let signaled = Instant::now();
        signal(&child, first);
        let ended = finish(child);
        (signaled.elapsed(), ended)
    })
}

/// Checks that SIGINT and SIGTERM end a command while it reads from a pipe that stays open.
#[cfg(target_os = "linux")]
pub(crate) fn check_signals_end_reading(arguments: &[&str]) {
    use rustix::process::Signal;

    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let ended = end_by(sent, || {
            let mut command = tcpctl(arguments.iter().copied());
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            let stdin = child.stdin.take();
            wait_for_signal_handler(&mut child);
            (child, stdin)
        });
        assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
    }
}

/// The result of `run`, which must take less than [`END_LIMIT`] by its own measurement. A busy
/// machine may stall, so the fastest of three runs counts.
#[cfg(unix)]
pub(crate) fn within_end_limit<T>(mut run: impl FnMut() -> (Duration, T)) -> T {
    const TRIES: usize = 3;
    let mut times = Vec::new();
    while times.len() < TRIES {
        let (took, result) = run();
        if took < END_LIMIT {
            return result;
        }
        times.push(took);
    }
    panic!("ended {times:?} after the signal");
}

/// Waits until a process handles SIGINT and SIGTERM.
#[cfg(target_os = "linux")]
pub(crate) fn wait_for_signal_handler(child: &mut Child) {
    use rustix::process::Signal;

    // Bit N - 1 is set for signal N, see proc_pid_status(5).
    let wanted = [Signal::INT, Signal::TERM]
        .iter()
        .fold(0, |bits, signal| bits | 1_u64 << (signal.as_raw() - 1));
    let path = format!("/proc/{}/status", child.id());
    wait_while_running(child, || {
        let status = std::fs::read_to_string(&path).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(mask.unwrap().trim(), 16).unwrap() & wanted == wanted
    });
}

/// A listener that replies to no further SYN, its address, and the connections that fill its
/// backlog.
#[cfg(target_os = "linux")]
pub(crate) fn full_backlog() -> (socket2::Socket, SocketAddr, Vec<TcpStream>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    let timeout = Duration::from_millis(300);
    while let Ok(connection) = TcpStream::connect_timeout(&address, timeout) {
        waiting.push(connection);
        assert!(waiting.len() < 100);
    }
    (listener, address, waiting)
}

/// Checks cases that mostly wait, a few at a time.
pub(crate) fn in_parallel<Case: Send>(
    cases: impl IntoIterator<Item = Case>,
    check: impl Fn(Case) + Sync,
) {
    const AT_ONCE: usize = 4;
    let cases: Vec<_> = cases.into_iter().collect();
    let left = Mutex::new(cases.into_iter());
    let next = || left.lock().expect("taking a case does not panic").next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}

/// Pseudo-random bytes from a seed.
pub(crate) fn noise(mut seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
