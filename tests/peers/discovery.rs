use std::process::Command;
use std::time::{Duration, Instant};

use crate::processes::{Need, Process, Stream, skipped};
use crate::scratch::{Folder, ours};
use crate::wire::{BOARD, HOST, INTERFACE, Namespace, Wire};

/// A goodbye is acted on after a second (RFC 6762, section 10.1); without one, a record lives on
/// for two minutes.
const GOODBYE: Duration = Duration::from_secs(10);

#[test]
fn zeroconf_finds_the_board_and_sees_it_leave() {
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
        })
    );
    wire.board.says(&format!("link up host={name}.local"));

    let asked = Instant::now();
    wire.board.process.signal(rustix::process::Signal::INT);
    assert_eq!(event(&browse, "removed")["name"], added["name"]);
    assert!(asked.elapsed() < GOODBYE, "{:?}", asked.elapsed());
}

fn event(browse: &Process, kind: &str) -> serde_json::Value {
    browse.line(Stream::Stdout, |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == kind).then_some(event)
    })
}

/// Avahi drops what it knows with the interface, so it can't tell whether there was a goodbye.
#[test]
fn avahi_finds_the_board() {
    if skipped(&[
        Need::Root,
        Need::Tap,
        Need::Program("dbus-daemon"),
        Need::Program("avahi-daemon"),
        Need::Program("avahi-browse"),
        Need::Program("avahi-resolve"),
    ]) {
        return;
    }
    let wire = Wire::new("esp32");
    let avahi = Avahi::start(&wire.namespace);
    let browse = avahi.client("avahi-browse --resolve --parsable _tcpctl._tcp");
    let browse = Process::start(browse);
    let name = wire.board.says("link up host=");
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

/// An Avahi of the test's own: its bus and its files are in the namespace.
struct Avahi<'a> {
    namespace: &'a Namespace,
    bus: String,
    _daemon: Process,
    _bus_daemon: Process,
    _folder: Folder,
}

impl<'a> Avahi<'a> {
    fn start(namespace: &'a Namespace) -> Self {
        let folder = Folder::new();
        // An abstract socket is the network namespace's alone, and leaves no file.
        let config = folder.file(
            "bus.conf",
            "<busconfig><listen>unix:abstract=tcpctl-bus</listen><auth>EXTERNAL</auth>\
             <policy context='default'><allow send_destination='*' eavesdrop='true'/>\
             <allow eavesdrop='true'/><allow own='*'/></policy>\
             </busconfig>",
        );
        let mut bus = namespace.command("dbus-daemon");
        bus.arg(format!("--config-file={}", config.display()));
        bus.args(["--nofork", "--print-address"]);
        let bus_daemon = Process::start(bus);
        let bus = bus_daemon.line_with(Stream::Stdout, "unix:abstract=");

        let config = folder.file(
            "avahi.conf",
            &format!(
                "[server]\nuse-ipv6=no\nallow-interfaces={INTERFACE}\n\
                 [publish]\ndisable-publishing=yes\n"
            ),
        );
        // `ip netns exec` has given it mounts of its own: its /run is nobody else's.
        let mut daemon = in_bus(namespace, &bus, "sh");
        daemon.arg("-c").arg(
            "mount -t tmpfs none /run && mkdir /run/avahi-daemon && \
             exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f \"$0\"",
        );
        daemon.arg(config);
        let daemon = Process::start(daemon);
        daemon.line_with(Stream::Stderr, "Server startup complete");
        Self {
            namespace,
            bus,
            _daemon: daemon,
            _bus_daemon: bus_daemon,
            _folder: folder,
        }
    }

    /// A program that asks this Avahi.
    fn client(&self, command_line: &str) -> Command {
        let mut words = command_line.split(' ');
        let mut command = in_bus(self.namespace, &self.bus, words.next().unwrap_or_default());
        command.args(words);
        command
    }
}

fn in_bus(namespace: &Namespace, bus: &str, program: &str) -> Command {
    let mut command = namespace.command(program);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    command
}
