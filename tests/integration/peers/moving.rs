//! A board on a TAP interface that changes from its own network to another one, and is found again.

use super::addresses::udhcpd;
use super::scratch::Folder;
use super::wire::{HOST, INTERFACE, Namespace};
use crate::processes::{Board, Need, Process, skipped};

const NETWORKS: &str = "[[network]]\nssid = \"home\"\npassphrase = \"battery staple\"\n";

/// The board leaves its access point, gets another address by DHCP, and is found by its MAC address
/// over mDNS.
#[test]
fn board_is_found_at_its_new_address_and_confirmed() {
    if skipped(&[Need::Root, Need::Tap, Need::Busybox("udhcpd")]) {
        return;
    }
    let folder = Folder::new();
    let networks = folder.file("nets.toml", NETWORKS);
    let namespace = Namespace::new();
    namespace.ip(&format!("tuntap add dev {INTERFACE} mode tap"));
    // This computer is on both networks.
    namespace.ip(&format!("addr add 192.168.7.1/24 dev {INTERFACE}"));
    namespace.ip(&format!("addr add {HOST}/24 dev {INTERFACE}"));
    namespace.ip(&format!("link set {INTERFACE} up"));
    let _udhcpd = udhcpd(&namespace, &folder);
    let start = |command: &mut std::process::Command| {
        command.env("XDG_DATA_HOME", folder.path());
    };
    let mut sim = namespace.tcpctl(&format!("sim esp32 --mode ap --tap {INTERFACE}"));
    sim.arg("--networks").arg(&networks);
    start(&mut sim);
    let board = Board::start(sim);
    assert_eq!(board.address.to_string(), "192.168.1.1:3000");

    let options = "configure 192.168.1.1 --mode sta --ssid home --password-stdin";
    let mut configure = namespace.tcpctl(options);
    start(&mut configure);
    let mut configure = Process::start(configure);
    configure.write("battery staple\n");
    let ended = configure.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let confirmed = ended.stdout.lines().last().unwrap_or_default();
    assert!(
        confirmed.starts_with("confirmed  192.168.7.") && confirmed.contains(": Hello World in "),
        "{ended:?}"
    );
    let ended = board.interrupt();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
