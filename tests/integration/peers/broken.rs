//! `tcpctl discover` on networks that lack something, or mislead.

use super::avahi::{Avahi, NEEDS};
use super::two_hosts::{HERE, THERE, TwoHosts, events};
use super::wire::Namespace;
use crate::processes::{Need, Process, Stream, skipped};

#[test]
fn discover_without_network_reports_the_reason() {
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
fn mdns_port_is_shared_with_avahi() {
    if skipped(&NEEDS) {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.here, HERE.0);
    let board = TwoHosts::board(&hosts.here, "--listen 10.77.0.1:4000");
    let ended = hosts.run("discover --json");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "tcpctl-0001");
    let browse = Process::start(avahi.client("avahi-browse -rp _tcpctl._tcp"));
    browse.line_with(Stream::Stdout, ";10.77.0.1;4000;");
    drop(board);
}

#[test]
fn http_answer_of_a_router_is_unconfirmed() {
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

/// A program that holds the mDNS port exclusively.
fn port_holder(namespace: &Namespace) -> Process {
    let mut port_holder = namespace.command("python3");
    port_holder.arg("-c").arg(
        "import socket, sys\n\
         s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
         s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)\n\
         s.bind(('::', 5353))\n\
         print('taken', flush=True)\n\
         sys.stdin.read()\n",
    );
    let port_holder = Process::start(port_holder);
    port_holder.line_with(Stream::Stdout, "taken");
    port_holder
}

#[test]
fn board_is_found_while_the_mdns_port_is_taken() {
    if skipped(&[Need::Root, Need::Python("socket")]) {
        return;
    }
    let hosts = TwoHosts::new();
    let _holder = port_holder(&hosts.here);
    let ended = hosts.run("discover --no-serial --timeout 300ms");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("holds UDP port 5353"), "{ended:?}");
    let _board = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000");
    let ended = hosts.run("discover --json --first");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "tcpctl-0001");
    let _watch = hosts.watch_of("tcpctl-0001", THERE.1);
}

/// Each hint about the local network appears when it applies.
#[test]
fn empty_search_prints_hints_that_apply() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let message = || {
        let ended = hosts.run("discover --no-serial --timeout 250ms");
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
        ended.stderr
    };
    let plain = message();
    for part in ["no board found", "join its Wi-Fi", "--probe 10.77.0.0/24"] {
        assert!(plain.contains(part), "{part}: {plain}");
    }
    assert!(!plain.contains("no multicast"), "{plain}");
    hosts.here.ip("link set desk0 multicast off");
    assert!(
        message().contains("desk0 has no multicast"),
        "{}",
        message()
    );
    hosts.here.ip("link set desk0 multicast on");

    hosts.here.ip("addr flush dev desk0");
    hosts.here.ip("link set desk0 down");
    assert!(message().contains("on no network"), "{}", message());

    // A container's bridge.
    hosts.here.ip("link set desk0 name docker0");
    hosts.here.ip("addr add 172.17.0.1/16 dev docker0");
    hosts.here.ip("link set docker0 up");
    let bridge = message();
    assert!(
        bridge.contains("container bridges do not pass multicast"),
        "{bridge}"
    );
    assert!(bridge.contains("--network host"), "{bridge}");
}

#[test]
fn local_firewall_that_drops_queries_is_reported() {
    if skipped(&[Need::Root, Need::Program("nft")]) {
        return;
    }
    let hosts = TwoHosts::new();
    let rules = "add table inet wall; \
                 add chain inet wall out { type filter hook output priority 0; }; \
                 add rule inet wall out udp dport 5353 drop";
    let mut nft = hosts.here.command("nft");
    nft.arg(rules);
    let ended = Process::start(nft).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = hosts.run("discover --no-serial --timeout 250ms");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = "a firewall on this computer blocks mDNS queries on desk0";
    assert!(ended.stderr.contains(expected), "{ended:?}");
}

/// A board announces itself, but TCP to it is dropped on the way.
#[test]
fn announced_board_without_tcp_is_unreachable() {
    if skipped(&NEEDS) {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let _published = avahi.publish("board-b", 3000);
    let ended = hosts.run("discover --no-serial --timeout 700ms");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let [line] = ended.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{ended:?}")
    };
    assert!(
        line.starts_with("board-b ") && line.ends_with("unreachable"),
        "{line}"
    );
    assert!(ended.stderr.contains("client isolation"), "{ended:?}");
}
