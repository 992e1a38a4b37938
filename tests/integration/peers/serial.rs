//! Boards on a serial port, as Linux lists them in `/sys`.

use super::avahi::{Avahi, NEEDS};
use super::two_hosts::{THERE, TwoHosts, events};
use crate::processes::{Board, Ended, Need, Process, skipped};

/// The sysfs entries of a C3 whose device is `/dev/tty`, which exists everywhere. `ip netns exec`
/// provides a private `/sys`. In a session of its own, `/dev/tty` cannot be opened.
const SYSFS: &str = r#"
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
exec setsid "$@"
"#;

/// Runs `tcpctl` on a host with a board on a serial port.
fn on_serial(hosts: &TwoHosts, arguments: &[&str]) -> Ended {
    let tcpctl = Board::tcpctl();
    let mut shell = hosts.here.command("sh");
    shell.args(["-c", SYSFS, "sh"]);
    shell.arg(tcpctl.get_program()).args(arguments);
    shell.env("XDG_CACHE_HOME", hosts.cache.path());
    Process::start(shell).finish()
}

#[test]
fn serial_and_network_entries_of_a_board_are_merged() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let on_serial = |line: &str| on_serial(&hosts, &line.split(' ').collect::<Vec<_>>());
    let ended = on_serial("discover --json --timeout 300ms");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [found] = &events(&ended)[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["sources"], serde_json::json!(["serial"]));
    assert_eq!(found["serial_port"], "/dev/tty");
    assert_eq!(found["usb"]["adapter"], "Espressif USB JTAG/serial");
    assert_eq!(found["usb"]["manufacturer"], "Espressif");

    let _board = TwoHosts::board(&hosts.there, "--listen 10.77.0.2:3000");
    let ended = on_serial("discover");
    let lines: Vec<_> = ended.stdout.lines().collect();
    let [line] = lines[..] else {
        panic!("{ended:?}")
    };
    for part in ["tcpctl-0001 ", "10.77.0.2:3000", "mdns+serial", "/dev/tty"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let ended = on_serial("discover --no-serial --no-mdns --timeout 200ms");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn unknown_serial_port_is_listed_with_verbose() {
    if skipped(&[Need::Root]) {
        return;
    }
    let hosts = TwoHosts::new();
    let unknown = SYSFS.replace("303a", "1234");
    let run = |arguments: &str| {
        let tcpctl = Board::tcpctl();
        let mut shell = hosts.here.command("sh");
        shell.args(["-c", &unknown, "sh"]);
        shell.arg(tcpctl.get_program()).args(arguments.split(' '));
        Process::start(shell).finish()
    };
    let ended = run("discover --no-mdns --timeout 200ms");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    let ended = run("discover -v --no-mdns --timeout 200ms");
    assert_eq!(ended.code, Some(1), "it is no board: {ended:?}");
    for part in ["/dev/tty", "1234:1001", "unknown serial"] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
}

/// The network name of a board also selects its port.
#[test]
fn port_option_accepts_a_network_name() {
    if skipped(&NEEDS) {
        return;
    }
    let hosts = TwoHosts::new();
    let avahi = Avahi::start(&hosts.there, THERE.0);
    let mac = "mac=02:74:63:70:00:01";
    let _published = avahi.publish_as("Board in the kitchen", "_tcpctl._tcp", 3000, &[mac]);
    let _other = avahi.publish_as("Another", "_tcpctl._tcp", 3001, &["mac=02:74:63:70:00:02"]);
    // The port cannot be opened, and the error shows that it was found.
    let named = |name: &str| {
        let arguments = ["monitor", "--timeout", "100ms", "--port", name];
        let ended = on_serial(&hosts, &arguments);
        assert_eq!(ended.code, Some(70), "{ended:?}");
        ended.stderr
    };
    for name in [
        "Board in the kitchen",
        "board in the kitchen.local",
        "02:74:63:70:00:01",
    ] {
        let message = named(name);
        assert!(
            message.starts_with("error: /dev/tty: "),
            "{name}: {message}"
        );
    }
    let message = named("Another");
    let expected = "the board 'Another' (02:74:63:70:00:02) is not connected by USB";
    assert!(message.contains(expected), "{message}");
    let message = named("Unknown");
    assert!(message.contains("no serial port 'Unknown'"), "{message}");
}
