//! `tcpctl discover --watch` while boards come, move and go. A record lives for two minutes, so an
//! event within the one-minute deadline of `Process` comes from an active check. `cargo bench --bench
//! discover` measures how soon.

use rustix::process::Signal;

use super::avahi::Avahi;
use super::two_hosts::{
    HERE, THERE, TwoHosts, event, events, greeter, interrupted, skipped_without_publisher, times,
};
use super::wire::{BOARD, Namespace, Wire};
use crate::processes::{Need, Process, Stream, skipped};

#[test]
fn watch_reports_power_off() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let _published = hosts.published("board-b", 3000);
    let watch = hosts.watch_of("board-b", THERE.1);

    // The board is killed: its kernel sends RST, and no goodbye is sent.
    let board = TwoHosts::board(&hosts.here, "--listen 10.77.0.1:4000");
    event(&watch, "found", "tcpctl-0001", "10.77.0.1");
    drop(board);
    event(&watch, "lost", "tcpctl-0001", "10.77.0.1");

    // Everything that the board sends is dropped, but the link stays up.
    hosts.there.ip("link set lab0 arp off");
    hosts.there.ip("route del 10.77.0.0/24 dev lab0");
    hosts.there.ip("addr del 10.77.0.2/24 dev lab0");
    event(&watch, "lost", "board-b", "10.77.0.2");

    // The board returns with another address.
    hosts.there.ip("link set lab0 arp on");
    hosts.there.ip("addr add 10.77.0.3/24 dev lab0");
    event(&watch, "found", "board-b", "10.77.0.3");
    interrupted(watch);
}

/// RFC 6762 §5.2: the first two multicast queries are one second apart, and each pause is twice the
/// previous one. Meanwhile the known board is asked by unicast, and stays.
#[test]
#[ignore = "long: .ci/run runs it"]
fn watch_backs_off_its_multicast_queries() {
    if skipped_without_publisher() || skipped(&[Need::Program("socat")]) {
        return;
    }
    let hosts = TwoHosts::new();
    let _published = hosts.published("board-b", 3000);
    // Prints the time of each query on standard error.
    let group = "bind=224.0.0.251,ip-add-membership=224.0.0.251:lab0";
    let listener = hosts.there.start(&format!(
        "socat -d -d -u -x UDP4-RECV:5353,{group},reuseaddr,reuseport,range={}/32 OPEN:/dev/null",
        HERE.1
    ));
    listener.line_with(Stream::Stderr, "starting data transfer loop");
    let watch = hosts.watch_of("board-b", THERE.1);
    let begins = listener.text(Stream::Stderr, |text| {
        let mut begins: Vec<f64> = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("> ")) {
            // The line is `> 2026/11/26 03:07:27.123456  length=...`
            let time = line.split_whitespace().nth(2)?;
            let parts = time.splitn(3, ':').map(str::parse::<f64>);
            let at = parts
                .map_while(Result::ok)
                .fold(0.0, |sum, it| sum * 60.0 + it);
            // Each query is sent from two ports.
            if begins.last().is_none_or(|last| at - last > 0.1) {
                begins.push(at);
            }
        }
        (begins.len() == 4).then_some(begins)
    });
    let pauses: Vec<_> = begins.windows(2).map(|it| it[1] - it[0]).collect();
    for (pause, least) in pauses.iter().zip([1.0, 2.0, 4.0]) {
        assert!(*pause > least * 0.95, "{pauses:?}");
    }
    let ended = interrupted(watch);
    let lost = |it: &serde_json::Value| it["event"] == "lost";
    assert!(!events(&ended).iter().any(lost), "{ended:?}");
}

#[test]
fn new_address_replaces_the_stale_one() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let _published = hosts.published("board-b", 3000);
    let watch = hosts.watch_of("board-b", THERE.1);
    hosts.there.ip("addr add 10.77.0.3/32 dev lab0");
    hosts
        .there
        .ip("route add 10.77.0.1/32 dev lab0 src 10.77.0.3");
    hosts.there.ip("addr del 10.77.0.2/24 dev lab0");
    let moved = watch.line(Stream::Stdout, |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] != "lost" && event["addresses"][0] == "10.77.0.3").then_some(event)
    });
    let stale = moved["addresses"].as_array().expect("a list");
    assert!(!stale.contains(&"10.77.0.2".into()), "{moved}");
    let sent = hosts.run("send board-b hi");
    assert_eq!(sent.stdout, "Hello from 3000", "{sent:?}");
}

#[test]
fn deleted_interface_loses_only_its_boards() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let third = Namespace::new();
    hosts.second_link(&third);
    let _a = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000 --seed 7");
    let _b = TwoHosts::board(&third, "--listen 10.78.0.2:3000 --seed 8");
    let watch = hosts.watch_of("tcpctl-0007", THERE.1);
    event(&watch, "found", "tcpctl-0008", "10.78.0.2");
    hosts.here.ip("link del desk1");
    event(&watch, "lost", "tcpctl-0008", "10.78.0.2");
    let ended = interrupted(watch);
    let lost = events(&ended);
    let lost = lost.iter().filter(|it| it["event"] == "lost").count();
    assert_eq!(lost, 1, "{ended:?}");
}

/// The board's process is stopped, so its address does not reply.
#[test]
fn stopped_board_is_lost_and_found_again() {
    if skipped(&[Need::Root, Need::Tap]) {
        return;
    }
    let wire = Wire::new("ideal");
    wire.board.wait_for("link up host=");
    let mut watch = wire.namespace.tcpctl("discover --watch");
    watch.env("XDG_CACHE_HOME", "/proc/nowhere");
    let watch = Process::start(watch);
    let found = event(&watch, "found", "tcpctl-0001", BOARD);
    assert_eq!(found["status"], "online");
    wire.board.process.signal(Signal::STOP);
    event(&watch, "lost", "tcpctl-0001", BOARD);
    wire.board.process.signal(Signal::CONT);
    times(&watch, 2, "found", "tcpctl-0001");
    interrupted(watch);
}

#[test]
fn board_is_lost_while_its_link_is_down() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let _board = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000");
    let watch = hosts.watch_of("tcpctl-0001", THERE.1);
    hosts.there.ip("link set lab0 down");
    event(&watch, "lost", "tcpctl-0001", THERE.1);
    hosts.there.ip("link set lab0 up");
    times(&watch, 2, "found", "tcpctl-0001");
    interrupted(watch);
}

/// The server refuses connections while its board is already announced.
#[test]
fn server_that_starts_late_turns_online() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let _published = avahi.publish("board-b", 3000);
    let watch = hosts.tcpctl("discover --watch");
    let found = event(&watch, "found", "board-b", THERE.1);
    assert_eq!(found["status"], "unreachable");
    let _server = greeter(&hosts.there, 3000);
    watch.line_with(Stream::Stdout, r#""status":"online""#);
}

/// A board without a MAC address, identified by its name, is renamed.
#[test]
fn renamed_board_is_lost_under_its_old_name() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let published = hosts.published("board-b", 3000);
    let watch = hosts.watch_of("board-b", THERE.1);
    drop(published.record);
    let _renamed = published.avahi.publish("board-c", 3000);
    event(&watch, "found", "board-c", THERE.1);
    event(&watch, "lost", "board-b", THERE.1);
}

#[test]
fn search_continues_after_an_interface_is_deleted() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let third = Namespace::new();
    hosts.second_link(&third);
    let _a = TwoHosts::board(&third, "--listen 10.78.0.2:3000 --seed 8");
    let search = hosts.tcpctl("discover --json --expect-count 2 --timeout 30s");
    event(&search, "found", "tcpctl-0008", "10.78.0.2");
    hosts.here.ip("link del desk1");
    let _b = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000 --seed 7");
    event(&search, "found", "tcpctl-0007", "10.77.0.2");
    let ended = search.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A board on two links: each address is valid while the board is reachable on that link.
#[test]
fn board_on_two_links_keeps_the_live_address() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    hosts.second_link(&hosts.there);
    let avahi = Avahi::start(&hosts.there, "lab0,lab1");
    let _server = greeter(&hosts.there, 3000);
    let mac = "mac=02:74:63:70:00:09";
    let _published = avahi.publish_as("board-b", "_tcpctl._tcp", 3000, &[mac]);
    let watch = hosts.tcpctl("discover --watch");
    let latest = |wanted: &dyn Fn(&str) -> bool| {
        watch.text(Stream::Stdout, |text| {
            let last = text.lines().last()?;
            let event: serde_json::Value = serde_json::from_str(last).ok()?;
            (event["event"] != "lost" && wanted(&event["addresses"].to_string())).then_some(())
        });
    };
    let (one, other) = (r#""10.77.0.2""#, r#""10.78.0.2""#);
    latest(&|addresses| addresses.contains(one) && addresses.contains(other));
    // The board leaves one link, which stays up.
    hosts.there.ip("addr flush dev lab1");
    latest(&|addresses| addresses.contains(one) && !addresses.contains(other));
    hosts.there.ip("addr add 10.78.0.2/24 dev lab1");
    latest(&|addresses| addresses.contains(one) && addresses.contains(other));
    // The link is removed.
    hosts.here.ip("link del desk1");
    latest(&|addresses| addresses.contains(one) && !addresses.contains(other));
    let ended = interrupted(watch);
    let events = events(&ended);
    assert!(events.iter().all(|it| it["event"] != "lost"), "{ended:?}");
    let found = events.iter().filter(|it| it["event"] == "found").count();
    assert_eq!(found, 1, "{ended:?}");
}

#[test]
fn interrupted_search_has_printed_its_findings() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let _board = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let search = hosts.tcpctl("discover --json --no-serial --timeout 1m");
        event(&search, "found", "tcpctl-0001", THERE.1);
        search.signal(signal);
        let ended = search.finish();
        assert_eq!(ended.code, Some(code), "{ended:?}");
    }
}
