use super::avahi::{Avahi, NEEDS};
use super::scratch::ours;
use super::wire::{BOARD, HOST, INTERFACE, Wire};
use crate::processes::{Need, Process, Stream, skipped};

#[test]
fn zeroconf_sees_the_board_come_and_go() {
    if skipped(&[Need::Root, Need::Tap, Need::Python("zeroconf")]) {
        return;
    }
    let wire = Wire::new("esp32");
    let mut browse = wire.namespace.command("python3");
    browse.arg(ours("browse.py")).arg(HOST);
    let browse = Process::start(browse);
    let added = event(&browse, "added");
    let host = added["host"].as_str().expect("a board has a host name");
    let name = host.strip_suffix(".local.").expect("it ends in .local.");
    assert_eq!(added["name"], format!("{name}._tcpctl._tcp.local."));
    assert_eq!(added["addresses"], serde_json::json!([BOARD]));
    assert_eq!(added["port"], 3000);
    assert_eq!(
        added["txt"],
        serde_json::json!({
            "txtvers": "1",
            "chip": "virtual",
            "mode": "ap",
            "fw": env!("CARGO_PKG_VERSION"),
            "mac": "02:74:63:70:00:01",
            "mgmt": "3001",
        })
    );
    wire.board.wait_for(&format!("link up host={name}.local"));

    wire.board.process.signal(rustix::process::Signal::INT);
    // Without a goodbye the record would live for two minutes, twice the deadline of `event`.
    assert_eq!(event(&browse, "removed")["name"], added["name"]);
}

fn event(browse: &Process, kind: &str) -> serde_json::Value {
    browse.line(Stream::Stdout, |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == kind).then_some(event)
    })
}

/// Avahi drops its records with the interface, so it cannot show whether a goodbye was sent.
#[test]
fn avahi_resolves_the_board() {
    if skipped(&NEEDS) || skipped(&[Need::Tap]) {
        return;
    }
    let wire = Wire::new("esp32");
    let avahi = Avahi::start(&wire.namespace, INTERFACE);
    let browse = avahi.client("avahi-browse --resolve --parsable _tcpctl._tcp");
    let browse = Process::start(browse);
    let name = wire.board.wait_for("link up host=");
    let name = name["link up host=".len()..].trim_end_matches(".local");
    let found = browse.line_with(Stream::Stdout, "=;");
    let start = format!("=;{INTERFACE};IPv4;{name};_tcpctl._tcp;local;{name}.local;{BOARD};3000;");
    assert!(found.starts_with(&start), "{found}");
    for text in [
        r#""txtvers=1""#,
        r#""chip=virtual""#,
        r#""mode=ap""#,
        concat!(r#""fw="#, env!("CARGO_PKG_VERSION"), '"'),
        r#""mac=02:74:63:70:00:01""#,
    ] {
        assert!(found.contains(text), "{found}");
    }
    let resolve = avahi.client(&format!("avahi-resolve -4 --name {name}.local"));
    let resolved = Process::start(resolve).finish();
    assert_eq!(resolved.stdout, format!("{name}.local\t{BOARD}\n"));
}
