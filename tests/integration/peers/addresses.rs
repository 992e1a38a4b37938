use std::net::Ipv4Addr;

use super::scratch::{Folder, ours};
use super::wire::{BOARD, INTERFACE, Namespace, PORT, Wire};
use crate::processes::{Board, GREETING, Need, Process, REQUEST, SHOWN, Stream, skipped};

#[test]
fn udhcpc_gets_a_lease_and_the_greeting() {
    if skipped(&[
        Need::Root,
        Need::Tap,
        Need::Busybox("udhcpc"),
        Need::Program("ncat"),
    ]) {
        return;
    }
    let wire = Wire::without_address("esp32");
    let mut udhcpc = wire.namespace.command("busybox");
    udhcpc.args(["udhcpc", "-i", INTERFACE, "-n", "-q", "-f", "-s"]);
    udhcpc.arg(ours("udhcpc_script.sh"));
    let ended = Process::start(udhcpc).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let bound = ended.stdout.lines().find(|line| line.starts_with("bound "));
    let bound = bound.unwrap_or_else(|| panic!("no address: {ended:?}"));
    let leased: Ipv4Addr = bound["bound ip=".len()..]
        .split(' ')
        .next()
        .and_then(|ip| ip.parse().ok())
        .unwrap_or_else(|| panic!("{bound}"));
    let pool = Ipv4Addr::new(192, 168, 1, 100)..=Ipv4Addr::new(192, 168, 1, 115);
    assert!(pool.contains(&leased), "{bound}");
    assert!(bound.contains(" mask=24 "), "{bound}");
    let line = wire.board.wait_for("station leased mac=");
    assert!(line.ends_with(&format!(" addr={leased}")), "{line}");

    let mut ncat = wire.namespace.start(&format!("ncat {BOARD} {PORT}"));
    ncat.write(REQUEST);
    assert_eq!(ncat.finish().stdout, GREETING);
    let shown = wire.board.wait_for("request ");
    let peer = format!("request peer={leased}:");
    assert!(shown.starts_with(&peer) && shown.contains(SHOWN), "{shown}");
}

/// A DHCP server for the boards on [`INTERFACE`], whose address is 192.168.7.1.
pub(super) fn udhcpd(namespace: &Namespace, folder: &Folder) -> Process {
    let leases = folder.file("leases", "");
    let process_id = folder.file("pid", "");
    let config = folder.file(
        "udhcpd.conf",
        &format!(
            "interface {INTERFACE}\nstart 192.168.7.50\nend 192.168.7.60\nmax_leases 11\n\
             lease_file {}\npidfile {}\noption subnet 255.255.255.0\n\
             option router 192.168.7.1\noption lease 600\n",
            leases.display(),
            process_id.display()
        ),
    );
    // `-a 100` sets an ARP probe of 100 ms; the default is 2 s.
    let mut udhcpd = namespace.command("busybox");
    udhcpd.args(["udhcpd", "-f", "-a", "100"]).arg(config);
    Process::start(udhcpd)
}

#[test]
fn station_takes_its_address_from_udhcpd() {
    if skipped(&[
        Need::Root,
        Need::Tap,
        Need::Busybox("udhcpd"),
        Need::Program("ncat"),
    ]) {
        return;
    }
    let folder = Folder::new();
    let namespace = Namespace::new();
    // An interface made in advance, as a user without root needs it.
    namespace.ip(&format!("tuntap add dev {INTERFACE} mode tap"));
    namespace.ip(&format!("addr add 192.168.7.1/24 dev {INTERFACE}"));
    namespace.ip(&format!("link set {INTERFACE} up"));
    let udhcpd = udhcpd(&namespace, &folder);
    let sim = format!("sim esp32 --mode sta --tap {INTERFACE}");
    let board = Board::start(namespace.tcpctl(&sim));

    let acknowledged = udhcpd.line_with(Stream::Stderr, "sending ACK to ");
    let (ip, port) = (board.address.ip(), board.address.port());
    assert!(acknowledged.ends_with(&format!(" {ip}")), "{acknowledged}");
    assert_eq!(port, 3000);
    assert!(board.wait_for("ready ").contains(" mode=sta "));
    let mut ncat = namespace.start(&format!("ncat {ip} {port}"));
    ncat.write(REQUEST);
    assert_eq!(ncat.finish().stdout, GREETING);
    let shown = board.wait_for("request ");
    assert!(
        shown.starts_with("request peer=192.168.7.1:") && shown.contains(SHOWN),
        "{shown}"
    );
    let ended = board.interrupt();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
