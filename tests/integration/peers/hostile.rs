//! `tcpctl discover` beside a host that sends malicious mDNS packets.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::scratch::ours;
use super::two_hosts::{HERE, THERE, TwoHosts, events};
use crate::common::hostile_packets::packets;
use crate::processes::{Board, Ended, Need, Process, Stream, skipped};

/// The announced port of the hostile boards. It is closed.
const NOWHERE: u16 = 3999;
/// Duration of a search.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Peak memory allowed, in KiB.
const MEMORY: u64 = 64 << 10;

/// Runs a command and prints its peak memory in KiB on standard error.
const MEASURED: &str = "\
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)";

/// A neighbor that replays hostile packets until dropped.
fn replaying(hosts: &TwoHosts) -> Process {
    let mut replay = hosts.there.command("python3");
    replay.arg(ours("replay.py")).args([THERE.1, HERE.1]);
    let mut replay = Process::start(replay);
    let address: Ipv4Addr = THERE.1.parse().expect("an address");
    let packets = packets(address, NOWHERE);
    let mut lines = String::new();
    for packet in &packets {
        for byte in packet {
            write!(lines, "{byte:02x}").expect("a text takes all");
        }
        lines.push('\n');
    }
    replay.write(&lines);
    replay.end_input();
    replay.line_with(Stream::Stdout, &format!("replaying {}", packets.len()));
    replay
}

/// Searches, and checks the run time, the exit code, the peak memory and that nothing was printed
/// that a terminal would interpret.
fn search(hosts: &TwoHosts, options: &str) -> Ended {
    let mut measured = hosts.here.command("python3");
    measured.args(["-c", MEASURED]);
    measured.arg(Board::tcpctl().get_program());
    measured.args(["discover", "--timeout", &format!("{}s", TIMEOUT.as_secs())]);
    measured.args(options.split_whitespace());
    measured.env("XDG_CACHE_HOME", hosts.cache.path());
    let start = Instant::now();
    let ended = Process::start(measured).finish();
    let took = start.elapsed();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took >= TIMEOUT, "{took:?}: {ended:?}");
    let peak = ended.stderr.lines().last().unwrap_or_default();
    let peak: u64 = peak
        .strip_prefix("peak ")
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| panic!("{ended:?}"));
    assert!(peak < MEMORY, "{peak} KiB");
    for text in [&ended.stdout, &ended.stderr] {
        let acted_on = |it: char| (it.is_control() && it != '\n') || it == '\u{202e}';
        assert!(!text.contains(acted_on), "{text:?}");
    }
    ended
}

#[test]
fn hostile_mdns_packets_hide_no_board() {
    if skipped(&[Need::Root, Need::Python("socket")]) {
        return;
    }
    let hosts = TwoHosts::new();
    let _board = TwoHosts::board(&hosts.here, "--listen 10.77.0.1:4000");
    let _hostile = replaying(&hosts);

    let ended = search(&hosts, "--json");
    let (online, others): (Vec<_>, Vec<_>) = events(&ended)
        .into_iter()
        .partition(|event| event["status"] == "online");
    let [found] = &online[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(found["name"], "tcpctl-0001");
    assert_eq!(found["addresses"], serde_json::json!([HERE.1]));
    assert_eq!(found["port"], 4000);
    // The others are listed as unreachable: two names, and perhaps one that is not UTF-8, which
    // mdns-sd does not read.
    let names: Vec<_> = others.iter().map(|it| it["name"].as_str()).collect();
    assert!((2..=3).contains(&names.len()), "{ended:?}");
    for it in &others {
        assert_eq!(it["status"], "unreachable", "{it}");
        assert_eq!(it["addresses"], serde_json::json!([THERE.1]), "{it}");
        assert_eq!(it["port"], NOWHERE, "{it}");
    }
    assert!(names.contains(&Some("\u{202e}evil")), "{names:?}");
    assert!(
        names.contains(&Some("\u{1b}[2J\u{1b}]0;owned\u{7}")),
        "{names:?}"
    );

    let ended = search(&hosts, "");
    let online: Vec<_> = ended
        .stdout
        .lines()
        .filter(|line| !line.ends_with("unreachable"))
        .collect();
    let [line] = online[..] else {
        panic!("{ended:?}")
    };
    assert!(
        line.starts_with("tcpctl-0001 ") && line.contains("10.77.0.1:4000"),
        "{line}"
    );
    assert!((3..=4).contains(&ended.stdout.lines().count()), "{ended:?}");
}
