//! The first signal ends every wait of every command within a second.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::loader::line::Line;
use crate::common::terminal::Terminal;
use crate::common::{
    Server, end_by, full_backlog, read_all, read_some, signal, tcpctl, wait_for_signal_handler,
    wait_while_running, within_end_limit,
};
use crate::processes::{Board, Need, skipped};

/// The signals, and the exit codes of commands that they interrupt.
const INTERRUPTED: [(Signal, i32); 2] = [(Signal::INT, 130), (Signal::TERM, 143)];
/// The signals, and the exit codes of commands that only a signal ends.
const ENDLESS: [(Signal, i32); 2] = [(Signal::INT, 0), (Signal::TERM, 0)];
/// Maximum time for a command to get to the point at which it is interrupted.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A server that behaves like this after the first bytes, and reports their arrival.
fn server_after(behavior: fn(&mut TcpStream)) -> (Server, mpsc::Receiver<()>) {
    let (sender, asked) = mpsc::channel();
    let server = Server::start(move |mut connection| {
        if !read_some(&mut connection).is_empty() {
            let _ = sender.send(());
            behavior(&mut connection);
        }
    });
    (server, asked)
}

/// Lines of a socket table, such as `tcp`, about sockets that a process has open.
fn sockets_of(pid: u32, table: &str) -> Vec<String> {
    const INODE: usize = 9;
    let folder = format!("/proc/{pid}");
    let opened: Vec<_> = std::fs::read_dir(format!("{folder}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let lines = std::fs::read_to_string(format!("{folder}/net/{table}")).unwrap_or_default();
    let is_opened = |line: &&str| {
        let inode = line.split_whitespace().nth(INODE).unwrap_or_default();
        opened.contains(&format!("socket:[{inode}]"))
    };
    lines.lines().filter(is_opened).map(str::to_owned).collect()
}

/// Waits until a process has a socket whose line in a table has `text`.
fn wait_for_socket(child: &mut Child, table: &str, text: &str) {
    let pid = child.id();
    wait_while_running(child, || {
        let sockets = sockets_of(pid, table);
        sockets.iter().any(|line| line.contains(text))
    });
}

/// An address as the tables show it.
fn in_table(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("{address}")
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    format!("{ip:08X}:{:04X}", address.port())
}

#[test]
fn wait_for_a_connection_ends() {
    const SYN_SENT: &str = "02";
    let (_listener, address, _waiting) = full_backlog();
    let target = address.to_string();
    let connecting = format!(" {} {SYN_SENT} ", in_table(address));
    let long = ["--connect-timeout", "1h"];
    for arguments in [
        &["send", &target, "hi"][..],
        &["send", &target, "hi", "--count", "2"],
        &["bench", &target, "--only", "latency"],
        &["bench", &target, "--only", "limits"],
    ] {
        for (sent, code) in INTERRUPTED {
            let ended = end_by(sent, || {
                let mut child = tcpctl([arguments, &long].concat()).spawn().unwrap();
                wait_for_socket(&mut child, "tcp", &connecting);
                (child, ())
            });
            assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
        }
    }
}

#[test]
fn wait_for_a_reply_ends() {
    for arguments in [
        &["send", "hi", "--reply-timeout", "1h"][..],
        &["send", "hi", "--until-close"],
        &["read", "--timeout", "1h"],
        &["status", "--timeout", "1h"],
        &["configure", "--show"],
        &["bench", "--only", "latency", "--reply-timeout", "1h"],
        &["bench", "--only", "limits"],
    ] {
        for (sent, code) in INTERRUPTED {
            let ended = end_by(sent, || {
                let (server, asked) = server_after(|connection| {
                    read_all(connection);
                });
                let mut arguments = arguments.to_vec();
                let target = server.target();
                arguments.insert(1, &target);
                let child = tcpctl(arguments).spawn().unwrap();
                asked.recv_timeout(START_LIMIT).unwrap();
                (child, ())
            });
            assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
        }
    }
}

/// Neither the system's resolver nor any board replies.
#[test]
fn name_lookup_ends() {
    if skipped(&[Need::Root, Need::Program("unshare"), Need::Program("ip")]) {
        return;
    }
    let resolver = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&resolver, "nameserver 192.0.2.53\noptions timeout:30\n").unwrap();
    // The peer drops packets to another MAC address.
    let script = "ip link set lo up && ip link add silent type veth peer name deaf \
        && ip link set deaf up && ip link set silent up \
        && ip addr add 192.0.2.1/24 dev silent \
        && ip neigh add 192.0.2.53 lladdr 02:00:00:00:00:53 dev silent \
        && mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    for (host, port) in [("board.example.com.", ":0035 "), ("board", ":0035 ")] {
        for (sent, code) in INTERRUPTED {
            let ended = end_by(sent, || {
                let inner = tcpctl(["send", host, "hi", "--connect-timeout", "1h"]);
                let mut command = Command::new("unshare");
                command.args(["--net", "--mount", "sh", "-c", script]);
                command.arg(resolver.path()).arg(inner.get_program());
                command.args(inner.get_args());
                command.env("TCPCTL_CONFIG", "/dev/null");
                command.stdin(Stdio::null());
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut child = command.spawn().unwrap();
                wait_for_socket(&mut child, "udp", port);
                (child, ())
            });
            assert_eq!(ended.code, code, "{host}: {ended:?}");
        }
    }
}

#[test]
fn wait_for_the_next_round_ends() {
    for arguments in [
        &["read", "sim", "--watch", "1h"][..],
        &["read", "sim", "--watch", "1h", "--json"],
        &["status", "sim", "--watch", "1h"],
    ] {
        for (sent, code) in ENDLESS {
            let ended = end_by(sent, || {
                let mut child = tcpctl(arguments.iter().copied()).spawn().unwrap();
                let mut stdout = child.stdout.take().unwrap();
                stdout.read_exact(&mut [0]).unwrap();
                (child, stdout)
            });
            assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
        }
    }
}

#[test]
fn discover_ends() {
    const MDNS: &str = ":14E9 ";
    let search = ["discover", "--no-serial", "--interface", "lo"];
    for (options, codes) in [
        (&["--timeout", "1h"][..], INTERRUPTED),
        (&["--timeout", "1h", "--json"], INTERRUPTED),
        (&["--watch", "--json"], ENDLESS),
    ] {
        for (sent, code) in codes {
            let ended = end_by(sent, || {
                let mut child = tcpctl([&search, options].concat()).spawn().unwrap();
                wait_for_socket(&mut child, "udp", MDNS);
                (child, ())
            });
            assert_eq!(ended.code, code, "{options:?}: {ended:?}");
        }
    }
}

#[test]
fn bench_under_load_ends() {
    const REQUESTS: usize = 20;
    for (sent, code) in INTERRUPTED {
        let ended = end_by(sent, || {
            let (server, asked) = server_after(|connection| {
                let _ = connection.write_all(b"Hello World");
            });
            let target = server.target();
            let bench = ["bench", &target, "--only", "latency", "-d", "1h"];
            let child = tcpctl(bench).spawn().unwrap();
            for _ in 0..REQUESTS {
                asked.recv_timeout(START_LIMIT).unwrap();
            }
            (child, asked)
        });
        assert_eq!(ended.code, code, "{ended:?}");
    }
}

/// `tcpctl listen` on a free port, and its address.
fn listen(options: &[&str]) -> (Child, SocketAddr) {
    let arguments = [&["listen", "127.0.0.1:0"][..], options].concat();
    let mut child = tcpctl(arguments).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").unwrap();
    let address = address.parse().unwrap();
    // Keep reading the notes about connections.
    std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    (child, address)
}

#[test]
fn listen_ends() {
    for (sent, code) in ENDLESS {
        let ended = end_by(sent, || (listen(&[]).0, ()));
        assert_eq!(ended.code, code, "{ended:?}");

        let ended = end_by(sent, || {
            let (mut child, address) = listen(&[]);
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(b"x").unwrap();
            child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            (child, connection)
        });
        assert_eq!(ended.code, code, "{ended:?}");

        let ended = end_by(sent, || {
            let (child, address) = listen(&["--exec", "echo started; sleep 1000"]);
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(b"x").unwrap();
            connection.read_exact(&mut [0]).unwrap();
            (child, connection)
        });
        assert_eq!(ended.code, code, "{ended:?}");
    }
}

/// The output is not read, so a write blocks. The received bytes are lost, which is a failure.
#[test]
fn listen_with_a_blocked_output_ends() {
    for (sent, code) in INTERRUPTED {
        let ended = end_by(sent, || {
            let (mut child, address) = listen(&[]);
            let output = child.stdout.take().unwrap();
            let mut connection = TcpStream::connect(address).unwrap();
            fill(&output);
            connection.write_all(b"x").unwrap();
            wait_until_read(&mut child, &connection);
            (child, (output, connection))
        });
        assert_eq!(ended.code, code, "{ended:?}");
    }
}

/// Fills the pipe of this reading end.
fn fill(pipe: &ChildStdout) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let writing = std::fs::File::options()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let mut writing = writing.unwrap();
    while writing.write(&[0; 4096]).is_ok() {}
}

/// Waits until a process has read everything that was written to a connection.
fn wait_until_read(child: &mut Child, connection: &TcpStream) {
    let own = in_table(connection.local_addr().unwrap());
    let peer = in_table(connection.peer_addr().unwrap());
    // The columns are states, and the sizes of the send and receive queues.
    let acknowledged = format!(" {own} {peer} 01 00000000:");
    let start = Instant::now();
    let table = || std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    while !table().contains(&acknowledged) {
        assert!(start.elapsed() < START_LIMIT, "{}", table());
    }
    wait_for_socket(
        child,
        "tcp",
        &format!(" {peer} {own} 01 00000000:00000000 "),
    );
}

#[test]
fn reading_standard_input_ends() {
    let password = ["--ssid", "home", "--password-stdin", "--dry-run"];
    for arguments in [
        &["merge", "-"][..],
        &["bench", "sim", "--file", "-"],
        &["configure", "sim", "--show", "--key-file", "-"],
        &[&["flash", "--mode", "sta"][..], &password].concat(),
    ] {
        crate::common::check_signals_end_reading(arguments);
    }
}

#[test]
fn ctrl_c_ends_the_passphrase_prompt_of_configure() {
    let configure = tcpctl(["configure", "sim", "--mode", "sta", "--ssid", "home"]);
    let (mut terminal, child) = Terminal::start(configure);
    terminal.wait_for("passphrase of home: ");
    terminal.type_hidden("sec\x03");
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 130, "{seen}");
    assert!(!seen.contains("error"), "{seen}");
}

#[test]
fn monitor_ends() {
    let never = ["--until", "never"];
    for options in [&[][..], &never] {
        for (sent, code) in INTERRUPTED {
            let ended = end_by(sent, || {
                let mut line = Line::open();
                line.write(b"it runs\r\n");
                let port = line.path.to_str().unwrap();
                let arguments = [&["monitor", "--port", port][..], options].concat();
                let mut child = tcpctl(arguments).spawn().unwrap();
                child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
                (child, line)
            });
            assert_eq!(ended.code, code, "{options:?}: {ended:?}");
        }
    }
}

#[test]
fn monitor_with_a_blocked_output_ends() {
    for (sent, code) in INTERRUPTED {
        let ended = end_by(sent, || {
            let mut line = Line::open();
            let port = line.path.to_str().unwrap();
            let arguments = ["monitor", "--port", port, "--timeout", "1h"];
            let mut child = tcpctl(arguments).spawn().unwrap();
            let output = child.stdout.take().unwrap();
            fill(&output);
            wait_for_signal_handler(&mut child);
            // Write until the line accepts no more for a second.
            while line.write_some(&b"it runs\r\n".repeat(100), 1).is_some() {}
            (child, (output, line))
        });
        assert_eq!(ended.code, code, "{ended:?}");
    }
}

#[test]
fn sim_ends() {
    for (is_blocked, codes) in [(false, ENDLESS), (true, INTERRUPTED)] {
        for (sent, code) in codes {
            let ended = end_by(sent, || {
                let listen = ["sim", "ideal", "--listen", "127.0.0.1:0"];
                let mut child = tcpctl(listen).spawn().unwrap();
                let mut output = child.stdout.take().unwrap();
                let mut ready = Vec::new();
                while !ready.ends_with(b"\n") {
                    let mut byte = [0];
                    output.read_exact(&mut byte).unwrap();
                    ready.extend(byte);
                }
                let ready = String::from_utf8(ready).unwrap();
                let address = Board::address_in(ready.trim()).unwrap();
                if is_blocked {
                    fill(&output);
                }
                let mut served = TcpStream::connect(address).unwrap();
                served.write_all(b"hi").unwrap();
                assert_eq!(read_all(&mut served), b"Hello World");
                let silent = TcpStream::connect(address).unwrap();
                (child, (output, silent))
            });
            assert_eq!(ended.code, code, "{is_blocked}: {ended:?}");
        }
    }
}

#[test]
fn watch_on_a_terminal_ends() {
    for arguments in [
        &["discover", "--watch", "--no-serial", "--interface", "lo"][..],
        &["status", "sim", "--watch", "1h"],
        &["read", "sim", "--watch", "1h"],
        &["listen", "127.0.0.1:0"],
    ] {
        for (sent, code) in ENDLESS {
            let (ended, seen) = within_end_limit(|| {
                let (mut terminal, child) = Terminal::start(tcpctl(arguments.iter().copied()));
                terminal.wait_for("\n");
                let signaled = Instant::now();
                signal(&child, sent);
                let ended = terminal.finish(child);
                (signaled.elapsed(), ended)
            });
            assert_eq!(ended, code, "{arguments:?}: {seen}");
        }
    }
}
