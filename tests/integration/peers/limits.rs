//! The limit finder over a TAP interface: a board, a slow link, a firewall, too few ports.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::wire::{BOARD, INTERFACE, Namespace, PORT, Wire};
use crate::processes::{Ended, Need, Process, skipped};

/// An unused address on the link.
const UNUSED_ADDRESS: &str = "192.168.1.77";

const NEEDS: [Need; 2] = [Need::Root, Need::Tap];

fn bench(namespace: &Namespace, target: &str, options: &str) -> (Ended, Value) {
    let line = format!("bench {target} --only limits --json {options}");
    let ended = Process::start(namespace.tcpctl(line.trim())).finish();
    let first = ended.stdout.lines().next().unwrap_or_default();
    let report = serde_json::from_str(first).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended, report)
}

/// TCP connections in a namespace that are in SYN-SENT or ESTABLISHED.
fn alive(namespace: &Namespace) -> Vec<String> {
    let mut cat = namespace.command("cat");
    cat.arg("/proc/net/tcp");
    let ended = Process::start(cat).finish();
    let is_alive = |line: &&str| {
        let state = line.split_whitespace().nth(3);
        matches!(state, Some("01" | "02"))
    };
    ended
        .stdout
        .lines()
        .filter(is_alive)
        .map(str::to_owned)
        .collect()
}

#[test]
fn limits_are_found_over_tap() {
    if skipped(&NEEDS) {
        return;
    }
    for (options, workers, backlog) in [
        ("--workers 2 --backlog 3", 2, 3),
        ("--workers 1 --backlog 0", 1, 0),
        // A link as slow as a bad radio.
        ("--workers 2 --backlog 1 --delay 10ms", 2, 1),
    ] {
        let wire = Wire::new(options);
        let (ended, report) = bench(&wire.namespace, BOARD, "");
        assert_eq!(ended.code, Some(0), "{options}: {ended:?}");
        let limits = &report["limits"];
        assert_eq!(limits["served_at_once"], workers, "{options}: {limits}");
        assert_eq!(limits["queued"], backlog, "{options}: {limits}");
        assert_eq!(limits["overflow"], "refused", "{options}: {limits}");
        let left = alive(&wire.namespace);
        assert!(left.is_empty(), "{options}: {left:?}");
    }
}

/// A firewall that drops everything: SYNs leave, and nothing comes back.
#[test]
fn dropped_syns_are_not_a_limit() {
    if skipped(&NEEDS) {
        return;
    }
    let wire = Wire::new("--workers 1");
    let neighbour = "lladdr 02:00:00:00:00:77 nud permanent";
    wire.namespace.ip(&format!(
        "neigh add {UNUSED_ADDRESS} {neighbour} dev {INTERFACE}"
    ));
    let target = format!("{UNUSED_ADDRESS}:{PORT}");
    let (ended, failure) = bench(&wire.namespace, &target, "--connect-timeout 300ms");
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert_eq!(failure["schema"], "tcpctl.error/1", "{failure}");
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("firewall"), "{message}");
    assert_eq!(alive(&wire.namespace), Vec::<String>::new());
}

#[test]
fn missing_local_ports_are_not_a_limit() {
    if skipped(&NEEDS) {
        return;
    }
    let wire = Wire::new("--workers 8 --backlog 8");
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let mut shell = wire.namespace.command("sh");
    shell.args(["-c", &format!("echo 40000 40015 > {range}")]);
    assert_eq!(Process::start(shell).finish().code, Some(0));
    let (ended, first) = bench(&wire.namespace, BOARD, "");
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert_eq!(first["limits"]["held"].as_u64(), None, "{first}");
    assert_eq!(first["limits"]["overflow"], Value::Null, "{first}");
    let last = ended.stdout.lines().next_back().unwrap_or_default();
    assert!(last.contains("no free local port"), "{last}");
    assert!(last.contains("--source"), "{last}");
}

/// A port that is free in a new network namespace.
const FREE_PORT: u16 = 4_000;

/// Servers with known limits, and the first line of the report about each.
#[test]
fn limits_of_other_servers_are_found() {
    const PYTHON: &str = "\
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.readline():
            self.wfile.write(b'hi\\n')
socketserver.TCPServer(('127.0.0.1', 4000), Handler).serve_forever()";
    const NODE: &str = "\
const server = require('net').createServer(client => {
  client.on('error', () => {});
  client.on('data', () => client.end('hi\\n'));
});
server.maxConnections = 5;
server.listen(4000, '127.0.0.1');";
    let socat = "TCP-LISTEN:4000,bind=127.0.0.1,fork,max-children=3,backlog=2";
    let servers: [(&str, &[&str], &str); 4] = [
        (
            "socat",
            &[socat, "EXEC:head -n 1"],
            "serves 3 clients at once, queues 3 more, drops the SYN of the 7th",
        ),
        (
            "ncat",
            &[
                "-lk",
                "127.0.0.1",
                "4000",
                "--max-conns",
                "4",
                "--exec",
                "/bin/cat",
            ],
            "serves 4 clients at once, queues none, accepts and closes the 5th",
        ),
        (
            "python3",
            &["-c", PYTHON],
            "serves 1 client at once, queues 6 more, drops the SYN of the 8th",
        ),
        (
            "node",
            &["-e", NODE],
            "serves 5 clients at once, queues none, accepts and closes the 6th",
        ),
    ];
    for (program, arguments, first) in servers {
        if skipped(&[Need::Root, Need::Program(program)]) {
            continue;
        }
        let namespace = Namespace::new();
        let mut server = namespace.command(program);
        server.args(arguments);
        let _server = Process::start(server);
        await_listener(&namespace);
        let line = format!("bench 127.0.0.1:{FREE_PORT} --only limits");
        let ended = Process::start(namespace.tcpctl(&line)).finish();
        assert_eq!(ended.code, Some(0), "{program}: {ended:?}");
        assert!(ended.stdout.starts_with(first), "{program}: {ended:?}");
    }
}

/// Waits until a server listens on the port.
fn await_listener(namespace: &Namespace) {
    let wanted = format!(":{FREE_PORT:04X} ");
    let begin = Instant::now();
    loop {
        let mut cat = namespace.command("cat");
        cat.arg("/proc/net/tcp");
        let table = Process::start(cat).finish().stdout;
        let listens = |line: &str| {
            let mut words = line.split_whitespace().skip(3);
            line.contains(&wanted) && words.next() == Some("0A")
        };
        if table.lines().any(listens) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{table}");
    }
}
