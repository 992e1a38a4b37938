//! `tcpctl discover` and `send` among other implementations of mDNS.

use super::avahi::{Avahi, NEEDS};
use super::scratch::ours;
use super::two_hosts::{THERE, TwoHosts, events, greeter, skipped_without_publisher};
use super::wire::{BOARD, INTERFACE, Wire};
use crate::processes::{Need, Process, Stream, skipped};

#[test]
fn virtual_and_published_board_are_both_targets() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let _board = TwoHosts::board(&hosts.here, "");
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let _server = greeter(&hosts.there, 3001);
    let _published = avahi.publish("board-b", 3001);
    let ended = hosts.run("discover");
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
        let remembered = hosts.run(&format!("send {name} hi"));
        assert_eq!(remembered.stdout, greeting, "{name}: {remembered:?}");
        let asked = hosts.here.tcpctl(&format!("send {name} hi"));
        let mut asked = asked;
        asked.env("XDG_CACHE_HOME", "/proc/nowhere");
        let asked = Process::start(asked).finish();
        assert_eq!(asked.stdout, greeting, "{name}: {asked:?}");
    }
    let bench = hosts.run("bench board-b --only latency -n 5 --json");
    assert_eq!(bench.code, Some(0), "{bench:?}");
    // A host name has no service, so the default port applies.
    let host = hosts.run("send desk.local:3001 hi");
    assert_eq!(host.stdout, "Hello from 3001", "{host:?}");
}

#[test]
fn announced_board_is_resolved_by_avahi_and_zeroconf() {
    if skipped(&NEEDS) || skipped(&[Need::Python("zeroconf")]) {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let board = TwoHosts::board(&hosts.here, "--listen 10.77.0.1:4000");
    let browse = Process::start(avahi.client("avahi-browse -rp _tcpctl._tcp"));
    let found = browse.line_with(Stream::Stdout, "=;");
    let start = "=;lab0;IPv4;tcpctl-0001;_tcpctl._tcp;local;tcpctl-0001.local;10.77.0.1;4000;";
    assert!(found.starts_with(start), "{found}");
    let mut browse = hosts.there.command("python3");
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
fn board_that_is_the_gateway_is_listed_once() {
    if skipped(&[Need::Root, Need::Tap]) {
        return;
    }
    let wire = Wire::new("ideal");
    wire.board.wait_for("link up host=");
    let mut discover = wire.namespace.tcpctl("discover --json");
    discover.env("XDG_CACHE_HOME", "/proc/nowhere");
    let ended = Process::start(discover).finish();
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["addresses"], serde_json::json!([BOARD]));
    assert_eq!(found["interface"], INTERFACE);
    // There was only one connection, because the check requests no greeting.
    let summary = wire.board.interrupt();
    assert!(
        summary.stdout.contains("summary accepted=1 "),
        "{summary:?}"
    );

    // Without mDNS the gateway's address is checked, and greets.
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
fn board_published_by_zeroconf_is_found() {
    if skipped(&[Need::Root, Need::Python("zeroconf")]) {
        return;
    }
    let hosts = TwoHosts::new();
    let _server = greeter(&hosts.there, 3002);
    let mut publish = hosts.there.command("python3");
    publish
        .arg(ours("publish.py"))
        .args([THERE.1, "Snake board", "3002"]);
    let publish = Process::start(publish);
    publish.line_with(Stream::Stdout, "published");
    let ended = hosts.run("discover --json --first");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "Snake board");
    assert_eq!(found["host"], "snake.local");
    assert_eq!(found["addresses"], serde_json::json!([THERE.1]));
    assert_eq!(found["port"], 3002);
    assert_eq!(found["chip"], "esp32c6");
    assert_eq!(found["status"], "online");
    for target in ["Snake board", "snake.local:3002"] {
        let sent = hosts.run_without_cache(&["send", target, "hi"]);
        assert_eq!(sent.stdout, "Hello from 3002", "{target}: {sent:?}");
    }
}

#[test]
fn other_service_types_need_the_type_option() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let _server = greeter(&hosts.there, 8080);
    let _published = avahi.publish_as("A page", "_http._tcp", 8080, &[]);
    let ended = hosts.run("discover --type _http._tcp --json --first");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "A page");
    assert_eq!(found["port"], 8080);
    let ended = hosts.run("discover --no-serial --timeout 700ms");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
}

#[test]
fn ipv6_only_board_is_found() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::without_ipv4();
    let avahi = Avahi::start_v6(&hosts.there, THERE.0);
    let mut server = hosts.there.command("python3");
    server.arg("-c").arg(
        "import socket\n\
         s = socket.create_server(('::', 3006), family=socket.AF_INET6)\n\
         print('listening', flush=True)\n\
         while True:\n\
         \x20   c, _ = s.accept()\n\
         \x20   if c.recv(100): c.sendall(b'Hello from six')\n\
         \x20   c.close()\n",
    );
    let server = Process::start(server);
    server.line_with(Stream::Stdout, "listening");
    let _published = avahi.publish("board-six", 3006);
    let ended = hosts.run("discover --json --first");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "board-six");
    assert_eq!(found["addresses"], serde_json::json!(["fe80::77:2%desk0"]));
    assert_eq!(found["status"], "online");
    for target in ["board-six", "board-six.local", "[fe80::77:2%desk0]:3006"] {
        let sent = hosts.run_without_cache(&["send", target, "hi"]);
        assert_eq!(sent.stdout, "Hello from six", "{target}: {sent:?}");
    }
}
