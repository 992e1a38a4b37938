//! `tcpctl discover` among programs that we did not write, and on networks that break.

use std::time::{Duration, Instant};

use crate::avahi::{Avahi, NEEDS};
use crate::processes::{Board, Ended, Need, Process, Stream, skipped};
use crate::scratch::{Folder, ours};
use crate::wire::{BOARD, INTERFACE, Namespace, Wire};

/// Within this time of a power-off a watch must have told of it.
const LOST: Duration = Duration::from_secs(3);

/// A desk, and another computer on the same cable.
struct Desk {
    here: Namespace,
    there: Namespace,
    cache: Folder,
}

const HERE: (&str, &str) = ("desk0", "10.77.0.1");
const THERE: (&str, &str) = ("lab0", "10.77.0.2");

impl Desk {
    fn new() -> Self {
        let (here, there) = (Namespace::new(), Namespace::new());
        here.connect(HERE, &there, THERE);
        Self {
            here,
            there,
            cache: Folder::new(),
        }
    }

    /// `tcpctl` at the desk.
    fn tcpctl(&self, arguments: &str) -> Process {
        let mut command = self.here.tcpctl(arguments);
        command.env("XDG_CACHE_HOME", self.cache.path());
        Process::start(command)
    }

    fn run(&self, arguments: &str) -> Ended {
        self.tcpctl(arguments).finish()
    }

    /// A virtual board that is announced, in one of the two.
    fn board(namespace: &Namespace, options: &str) -> Board {
        let line = format!("sim ideal --announce {options}");
        let board = Board::start(namespace.tcpctl(line.trim_end()));
        board.says("link up host=");
        board
    }
}

/// A server that greets whoever asks, in a namespace.
fn greeter(namespace: &Namespace, port: u16) -> Process {
    let mut server = namespace.command("python3");
    server.arg("-c").arg(format!(
        "import socket\n\
         s = socket.create_server(('', {port}))\n\
         print('listening', flush=True)\n\
         while True:\n\
         \x20   c, _ = s.accept()\n\
         \x20   if c.recv(100): c.sendall(b'Hello from {port}')\n\
         \x20   c.close()\n"
    ));
    let server = Process::start(server);
    server.line_with(Stream::Stdout, "listening");
    server
}

fn events(ended: &Ended) -> Vec<serde_json::Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

/// Waits for an event of a board, and returns it.
fn event(watch: &Process, kind: &str, name: &str, address: &str) -> serde_json::Value {
    watch.line(Stream::Stdout, |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let wanted =
            event["event"] == kind && event["name"] == name && event["addresses"][0] == address;
        wanted.then_some(event)
    })
}

#[test]
fn a_virtual_and_a_published_board_are_two_lines_and_either_can_be_sent_to() {
    if skipped(&NEEDS) || skipped(&[Need::Python("socket")]) {
        return;
    }
    let desk = Desk::new();
    let _board = Desk::board(&desk.here, "");
    let avahi = Avahi::start(&desk.there, THERE.0);
    let _server = greeter(&desk.there, 3001);
    let _published = avahi.publish("board-b", 3001);
    let ended = desk.run("discover");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut lines: Vec<_> = ended.stdout.lines().collect();
    lines.sort_unstable();
    let [published, own] = lines[..] else {
        panic!("{ended:?}")
    };
    assert!(published.starts_with("board-b "), "{published}");
    assert!(published.contains("10.77.0.2:3001"), "{published}");
    assert!(published.contains("esp32c3"), "{published}");
    assert!(own.starts_with("tcpctl-0001 "), "{own}");
    assert!(own.contains("127.0.0.1:3000"), "{own}");
    assert!(
        lines.iter().all(|line| line.contains("online")),
        "{lines:?}"
    );

    for (name, greeting) in [
        ("board-b", "Hello from 3001"),
        ("board-b.local", "Hello from 3001"),
        ("tcpctl-0001", "Hello World"),
        ("tcpctl-0001.local", "Hello World"),
    ] {
        let remembered = desk.run(&format!("send {name} hi"));
        assert_eq!(remembered.stdout, greeting, "{name}: {remembered:?}");
        let asked = desk.here.tcpctl(&format!("send {name} hi"));
        let mut asked = asked;
        asked.env("XDG_CACHE_HOME", "/proc/nowhere");
        let asked = Process::start(asked).finish();
        assert_eq!(asked.stdout, greeting, "{name}: {asked:?}");
    }
    let bench = desk.run("bench board-b --only latency -n 5 --json");
    assert_eq!(bench.code, Some(0), "{bench:?}");
    // A host's own name has no service, and so the port is the usual one.
    let host = desk.run("send desk.local:3001 hi");
    assert_eq!(host.stdout, "Hello from 3001", "{host:?}");
}

#[test]
fn an_announced_board_is_resolved_by_avahi_and_zeroconf() {
    if skipped(&NEEDS) || skipped(&[Need::Python("zeroconf")]) {
        return;
    }
    let desk = Desk::new();
    let avahi = Avahi::start(&desk.there, THERE.0);
    let board = Desk::board(&desk.here, "--listen 10.77.0.1:4000");
    let browse = Process::start(avahi.client("avahi-browse -rp _tcpctl._tcp"));
    let found = browse.line_with(Stream::Stdout, "=;");
    let start = "=;lab0;IPv4;tcpctl-0001;_tcpctl._tcp;local;tcpctl-0001.local;10.77.0.1;4000;";
    assert!(found.starts_with(start), "{found}");
    let mut browse = desk.there.command("python3");
    browse.arg(ours("browse.py")).arg(THERE.1);
    let browse = Process::start(browse);
    let added = browse.line_with(Stream::Stdout, "added");
    let added: serde_json::Value = serde_json::from_str(&added).expect("JSON");
    assert_eq!(added["addresses"], serde_json::json!(["10.77.0.1"]));
    assert_eq!(added["port"], 4000);
    let ended = board.interrupt();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    browse.line_with(Stream::Stdout, "removed");
}

#[test]
fn the_port_of_mdns_is_shared_with_avahi() {
    if skipped(&NEEDS) {
        return;
    }
    let desk = Desk::new();
    let avahi = Avahi::start(&desk.here, HERE.0);
    let board = Desk::board(&desk.here, "--listen 10.77.0.1:4000");
    let ended = desk.run("discover --json");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "tcpctl-0001");
    let browse = Process::start(avahi.client("avahi-browse -rp _tcpctl._tcp"));
    browse.line_with(Stream::Stdout, ";10.77.0.1;4000;");
    drop(board);
}

#[test]
fn a_board_on_the_wire_is_one_line_though_its_address_is_the_gateway_s() {
    if skipped(&[Need::Root, Need::Tap]) {
        return;
    }
    let wire = Wire::new("ideal");
    wire.board.says("link up host=");
    let mut discover = wire.namespace.tcpctl("discover --json");
    discover.env("XDG_CACHE_HOME", "/proc/nowhere");
    let ended = Process::start(discover).finish();
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["addresses"], serde_json::json!([BOARD]));
    assert_eq!(found["interface"], INTERFACE);
    // One connection, and nobody has asked it for its greeting.
    let summary = wire.board.interrupt();
    assert!(
        summary.stdout.contains("summary accepted=1 "),
        "{summary:?}"
    );

    // Without mDNS it is found where it is, and greets.
    let wire = Wire::new("ideal");
    let mut discover = wire.namespace.tcpctl("discover --json --no-mdns");
    discover.env("XDG_CACHE_HOME", "/proc/nowhere");
    let ended = Process::start(discover).finish();
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["sources"], serde_json::json!(["gateway"]));
    assert_eq!(found["status"], "online");
    assert_eq!(found["greeting"], "Hello World");
}

#[test]
fn what_answers_like_a_router_is_unconfirmed() {
    if skipped(&[Need::Root, Need::Python("socket")]) {
        return;
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    here.connect(("desk0", "192.168.1.50"), &there, ("lab0", "192.168.1.1"));
    let mut router = there.command("python3");
    router.arg("-c").arg(
        "import socket\n\
         s = socket.create_server(('', 3000))\n\
         print('listening', flush=True)\n\
         while True:\n\
         \x20   c, _ = s.accept()\n\
         \x20   c.recv(100); c.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'); c.close()\n",
    );
    let router = Process::start(router);
    router.line_with(Stream::Stdout, "listening");
    let ended = Process::start(here.tcpctl("discover --json")).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let events = events(&ended);
    assert_eq!(events[0]["status"], "unconfirmed", "{ended:?}");
    assert_eq!(events[1]["schema"], "tcpctl.error/1");
}

#[test]
fn a_watch_tells_of_a_power_off_within_three_seconds() {
    if skipped(&NEEDS) || skipped(&[Need::Python("socket")]) {
        return;
    }
    let desk = Desk::new();
    let avahi = Avahi::start(&desk.there, THERE.0);
    let _server = greeter(&desk.there, 3000);
    let _published = avahi.publish("board-b", 3000);
    let watch = desk.tcpctl("discover --watch");
    event(&watch, "found", "board-b", "10.77.0.2");

    // Killed: its kernel refuses, and nobody says goodbye.
    let board = Desk::board(&desk.here, "--listen 10.77.0.1:4000");
    event(&watch, "found", "tcpctl-0001", "10.77.0.1");
    let off = Instant::now();
    drop(board);
    event(&watch, "lost", "tcpctl-0001", "10.77.0.1");
    assert!(off.elapsed() < LOST, "{:?}", off.elapsed());

    // Everything that it sends is dropped: nothing answers at all, and the link stays up.
    desk.there.ip("link set lab0 arp off");
    desk.there.ip("route del 10.77.0.0/24 dev lab0");
    desk.there.ip("addr del 10.77.0.2/24 dev lab0");
    let off = Instant::now();
    event(&watch, "lost", "board-b", "10.77.0.2");
    assert!(off.elapsed() < LOST, "{:?}", off.elapsed());

    // It comes back with another address.
    desk.there.ip("link set lab0 arp on");
    desk.there.ip("addr add 10.77.0.3/24 dev lab0");
    event(&watch, "found", "board-b", "10.77.0.3");
    watch.signal(rustix::process::Signal::INT);
    assert_eq!(watch.finish().code, Some(0));
}

#[test]
fn a_new_address_is_an_update_and_the_stale_one_is_gone() {
    if skipped(&NEEDS) || skipped(&[Need::Python("socket")]) {
        return;
    }
    let desk = Desk::new();
    let avahi = Avahi::start(&desk.there, THERE.0);
    let _server = greeter(&desk.there, 3000);
    let _published = avahi.publish("board-b", 3000);
    let watch = desk.tcpctl("discover --watch");
    event(&watch, "found", "board-b", "10.77.0.2");
    desk.there.ip("addr add 10.77.0.3/32 dev lab0");
    desk.there
        .ip("route add 10.77.0.1/32 dev lab0 src 10.77.0.3");
    desk.there.ip("addr del 10.77.0.2/24 dev lab0");
    let moved = watch.line(Stream::Stdout, |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] != "lost" && event["addresses"][0] == "10.77.0.3").then_some(event)
    });
    let stale = moved["addresses"].as_array().expect("a list");
    assert!(!stale.contains(&"10.77.0.2".into()), "{moved}");
    let sent = desk.run("send board-b hi");
    assert_eq!(sent.stdout, "Hello from 3000", "{sent:?}");
}

#[test]
fn two_boards_with_one_name_are_listed_and_neither_is_sent_to() {
    if skipped(&[Need::Root]) {
        return;
    }
    let desk = Desk::new();
    let third = Namespace::new();
    desk.here
        .connect(("desk1", "10.78.0.1"), &third, ("lab1", "10.78.0.2"));
    // The same seed is the same MAC address: the port tells them apart. Two links have no conflict.
    let _a = Desk::board(&desk.there, "--listen 10.77.0.2:3000");
    let _b = Desk::board(&third, "--listen 10.78.0.2:3001");
    let ended = desk.run("discover --json");
    let interfaces: Vec<_> = events(&ended)
        .iter()
        .map(|event| format!("{} {}", event["name"], event["interface"]))
        .collect();
    assert_eq!(interfaces.len(), 2, "{ended:?}");
    assert_ne!(interfaces[0], interfaces[1], "{ended:?}");
    let ended = desk.run("discover --json --interface desk1");
    let [only] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(only["addresses"], serde_json::json!(["10.78.0.2"]));

    let ended = desk.run("send tcpctl-0001 hi");
    assert_eq!(ended.code, Some(6), "{ended:?}");
    for part in [
        "2 boards have this name",
        "10.77.0.2:3000",
        "10.78.0.2:3001",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let ended = desk.run("send --interface desk1 tcpctl-0001 hi");
    assert_eq!(ended.stdout, "Hello World", "{ended:?}");
}

#[test]
fn no_network_at_all_is_said() {
    if skipped(&[Need::Root]) {
        return;
    }
    let namespace = Namespace::new();
    let ended = Process::start(namespace.tcpctl("discover --timeout 200ms --no-serial")).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("on no network"), "{ended:?}");
    namespace.ip("link set lo down");
    let ended = Process::start(namespace.tcpctl("discover --timeout 200ms --no-serial")).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn an_interface_that_vanishes_takes_its_boards_and_no_others() {
    if skipped(&[Need::Root]) {
        return;
    }
    let desk = Desk::new();
    let third = Namespace::new();
    desk.here
        .connect(("desk1", "10.78.0.1"), &third, ("lab1", "10.78.0.2"));
    let _a = Desk::board(&desk.there, "--listen 10.77.0.2:3000 --seed 7");
    let _b = Desk::board(&third, "--listen 10.78.0.2:3000 --seed 8");
    let watch = desk.tcpctl("discover --watch");
    event(&watch, "found", "tcpctl-0007", "10.77.0.2");
    event(&watch, "found", "tcpctl-0008", "10.78.0.2");
    desk.here.ip("link del desk1");
    event(&watch, "lost", "tcpctl-0008", "10.78.0.2");
    watch.signal(rustix::process::Signal::INT);
    let ended = watch.finish();
    let lost = events(&ended);
    let lost = lost.iter().filter(|it| it["event"] == "lost").count();
    assert_eq!(lost, 1, "{ended:?}");
}

/// The files that the kernel has of a C3 on a cable, whose device is `/dev/tty`, which is there
/// everywhere. `ip netns exec` has given the shell a `/sys` of its own.
const ON_A_CABLE: &str = r#"
set -e
cd /sys/class/tty
mount -t tmpfs none .
cd /sys/class/tty
mkdir -p fake/bus/usb fake/1-1/1-1:1.0 tty
echo 303a > fake/1-1/idVendor
echo 1001 > fake/1-1/idProduct
echo 02:74:63:70:00:01 > fake/1-1/serial
echo Espressif > fake/1-1/manufacturer
ln -s ../../bus/usb fake/1-1/1-1:1.0/subsystem
ln -s ../fake/1-1/1-1:1.0 tty/device
exec "$@"
"#;

#[test]
fn a_board_on_a_cable_is_one_with_itself_on_the_network() {
    if skipped(&[Need::Root]) {
        return;
    }
    let desk = Desk::new();
    let on_a_cable = |arguments: &str| {
        let tcpctl = Board::tcpctl();
        let mut shell = desk.here.command("sh");
        shell.args(["-c", ON_A_CABLE, "sh"]);
        shell.arg(tcpctl.get_program()).args(arguments.split(' '));
        shell.env("XDG_CACHE_HOME", desk.cache.path());
        Process::start(shell).finish()
    };
    let ended = on_a_cable("discover --json --timeout 300ms");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["sources"], serde_json::json!(["serial"]));
    assert_eq!(found["serial_port"], "/dev/tty");
    assert_eq!(found["usb"]["adapter"], "Espressif USB JTAG/serial");
    assert_eq!(found["usb"]["manufacturer"], "Espressif");

    let _board = Desk::board(&desk.there, "--listen 10.77.0.2:3000");
    let ended = on_a_cable("discover");
    let lines: Vec<_> = ended.stdout.lines().collect();
    let [line] = lines[..] else {
        panic!("{ended:?}")
    };
    for part in ["tcpctl-0001 ", "10.77.0.2:3000", "mdns+serial", "/dev/tty"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let ended = on_a_cable("discover --no-serial --no-mdns --timeout 200ms");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
