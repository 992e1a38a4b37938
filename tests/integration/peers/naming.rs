//! Instance names as targets.

use super::avahi::Avahi;
use super::two_hosts::{THERE, TwoHosts, events, greeter, skipped_without_publisher};
use super::wire::Namespace;
use crate::processes::{Need, skipped};

#[test]
fn duplicate_name_is_listed_and_not_a_target() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let third = Namespace::new();
    hosts.second_link(&third);
    // The same seed gives the same MAC address; the ports differ. Two links have no name conflict.
    let _a = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000");
    let _b = TwoHosts::board(&third, "--listen 10.78.0.2:3001");
    let ended = hosts.run("discover --json");
    let interfaces: Vec<_> = events(&ended)
        .iter()
        .map(|event| format!("{} {}", event["name"], event["interface"]))
        .collect();
    assert_eq!(interfaces.len(), 2, "{ended:?}");
    assert_ne!(interfaces[0], interfaces[1], "{ended:?}");
    let ended = hosts.run("discover --json --interface desk1");
    let [only] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(only["addresses"], serde_json::json!(["10.78.0.2"]));

    let ended = hosts.run("send tcpctl-0001 hi");
    assert_eq!(ended.code, Some(6), "{ended:?}");
    for part in [
        "2 boards have this name",
        "10.77.0.2:3000",
        "10.78.0.2:3001",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let ended = hosts.run("send --interface desk1 tcpctl-0001 hi");
    assert_eq!(ended.stdout, "Hello World", "{ended:?}");
}

/// Names with spaces, dots, punctuation and letters beyond ASCII.
#[test]
fn instance_names_are_targets() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let _server = greeter(&hosts.there, 3001);
    let names = [
        "Board in the kitchen",
        "Küche v1.2",
        "board-v1.2",
        "Desk: left",
        "Bob's",
    ];
    let _published = names.map(|name| avahi.publish(name, 3001));
    let targets = [
        "Board in the kitchen",
        "board in the KITCHEN",
        "Board in the kitchen.local",
        "Board in the kitchen:3001",
        r"Board\032in\032the\032kitchen",
        "Board in the kitchen._tcpctl._tcp.local",
        "Küche v1.2",
        r"K\195\188che\032v1\.2",
        "board-v1.2",
        "board-v1.2.local",
        "Desk: left",
        "Desk: left:3001",
        "Bob's",
    ];
    for target in targets {
        let sent = hosts.run_without_cache(&["send", target, "hi"]);
        assert_eq!(sent.stdout, "Hello from 3001", "{target}: {sent:?}");
    }
    let ended = hosts.run("discover --expect-count 5 --timeout 10s");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut sorted = names;
    sorted.sort_unstable();
    let listed = hosts.run("discover --names");
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), sorted);
    for target in targets {
        let sent = hosts.run_with(&["send", target, "hi"]);
        assert_eq!(sent.stdout, "Hello from 3001", "{target}: {sent:?}");
    }
    // No board has these names, which are similar to existing ones.
    for target in ["Board in the kitche", "Board", "in the kitchen"] {
        let sent = hosts.run_with(&["send", "--connect-timeout", "700ms", target, "hi"]);
        assert_eq!(sent.code, Some(6), "{target}: {sent:?}");
    }
}

/// A name with a dot may belong to another server: the resolver is asked first.
#[test]
fn resolver_wins_over_a_board_of_the_same_name() {
    if skipped_without_publisher() {
        return;
    }
    let hosts = TwoHosts::new();
    let _published = hosts.published("server.example", 3001);
    let _server = greeter(&hosts.here, 3000);
    let ended = hosts.run("discover --first");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let sent = hosts.run("send server.example hi");
    assert_eq!(
        sent.stdout, "Hello from 3001",
        "the resolver does not know it: {sent:?}"
    );
    let sent = hosts.run_with_hosts_line(
        "127.0.0.1 server.example",
        &["send", "server.example", "hi"],
    );
    assert_eq!(sent.stdout, "Hello from 3000", "{sent:?}");
}
