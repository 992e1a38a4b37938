//! The recipe of docs/distributed.md: one load from three computers, started by GNU parallel over sshd.
//! A network namespace stands for each computer.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use serde_json::Value;
use tcpctl::bench::report::{PackedHistogram, Report};

use super::scratch::Folder;
use super::wire::Namespace;
use crate::processes::{Board, Need, Process, Stream, skipped};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// The server's address, the same for all.
const SERVER: &str = "10.9.0.1";

/// A namespace for the server and the user, and three for computers with sshd.
struct Network {
    // Dropped before their namespaces.
    _daemons: Vec<Process>,
    desk: Namespace,
    _machines: Vec<Namespace>,
    folder: Folder,
}

impl Network {
    fn new() -> Self {
        let folder = Folder::new();
        for key in ["host", "user"] {
            let mut keygen = std::process::Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
            keygen.arg(folder.path().join(key));
            assert_eq!(Process::start(keygen).finish().code, Some(0));
        }
        let desk = Namespace::new();
        desk.ip(&format!("addr add {SERVER}/32 dev lo"));
        let mut config = String::new();
        let (machines, daemons) = (1_u8..)
            .zip(NAMES)
            .map(|(number, name)| {
                let machine = Namespace::new();
                let [here, there] = [1, 2].map(|end| format!("10.9.{number}.{end}"));
                let interface = format!("to{number}");
                desk.connect((&interface, &here), &machine, ("eth0", &there));
                machine.ip(&format!("route add {SERVER} via {here}"));
                let _ = writeln!(config, "Host {name}\nHostName {there}");
                let daemon = sshd(&machine, &folder);
                (machine, daemon)
            })
            .unzip();
        let path = folder.path().display();
        let _ = write!(
            config,
            "Host *\nUser root\nPort 2222\nIdentityFile {path}/user\nStrictHostKeyChecking no\n\
             UserKnownHostsFile {path}/known\nLogLevel ERROR\n"
        );
        folder.file("config", &config);
        Self {
            _daemons: daemons,
            desk,
            _machines: machines,
            folder,
        }
    }

    /// Runs a command on all computers at once. Returns their output.
    fn on_all(&self, command: &str) -> crate::processes::Ended {
        let config = self.folder.path().join("config");
        let logins = NAMES.map(|name| format!("1/ssh -F {} {name}", config.display()));
        let mut parallel = self.desk.command("parallel");
        parallel
            .args([
                "--will-cite",
                "--nonall",
                "-j0",
                "--sshlogin",
                &logins.join(","),
            ])
            .arg(command)
            .env("HOME", self.folder.path());
        Process::start(parallel).finish()
    }
}

/// An sshd for the key of the folder, ready for logins.
fn sshd(machine: &Namespace, folder: &Folder) -> Process {
    let path = folder.path().display();
    let mut shell = machine.command("sh");
    // A mount namespace comes with `ip netns exec`, so this /run is its own.
    shell.args(["-c", &format!(
        "mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f /dev/null -p 2222 \
         -h {path}/host -o AuthorizedKeysFile={path}/user.pub -o StrictModes=no -o UsePAM=no \
         -o PermitRootLogin=yes -o PidFile=none"
    )]);
    let daemon = Process::start(shell);
    daemon.line_with(Stream::Stderr, "Server listening on");
    daemon
}

#[test]
fn merged_counts_are_the_servers_own() {
    let needs = [
        Need::Root,
        Need::Program("parallel"),
        Need::Program("ssh"),
        Need::Path("/usr/sbin/sshd"),
    ];
    if skipped(&needs) {
        return;
    }
    let network = Network::new();
    let sim = format!("sim ideal --listen {SERVER}:3000 --workers 8 --backlog 8 --json -q");
    let program = env!("CARGO_BIN_EXE_tcpctl");
    let mut lead = Duration::from_secs(3);
    let (board, at, lines) = loop {
        // A new board each time, because it counts the requests of all computers.
        let board = Board::start(network.desk.tcpctl(&sim));
        // On a busy machine logins may take longer than the time until the start.
        let at = SystemTime::now() + lead;
        let command = format!(
            "{program} bench {SERVER} --only latency -c 2 -d 2s --label \"$(hostname)-$SSH_CONNECTION\" \
             --start-at {} --json -q",
            humantime::format_rfc3339_millis(at)
        );
        let ended = network.on_all(&command);
        if ended.code == Some(0) {
            break (board, at, ended.stdout);
        }
        let has_passed = ended.stdout.contains("has passed");
        assert!(has_passed, "{}\n{}", ended.stderr, ended.stdout);
        lead *= 3;
        assert!(lead < Duration::from_mins(1), "{ended:?}");
    };

    let saved = network.folder.path().join("merged.json");
    let merge = network
        .desk
        .tcpctl(&format!("merge - --json --save {}", saved.display()));
    let mut merge = Process::start(merge);
    merge.write(&lines);
    let ended = merge.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let merged: Report = serde_json::from_str(&fs::read_to_string(&saved).unwrap()).unwrap();
    let runs: Vec<Report> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((runs.len(), merged.runs), (3, 3));

    // The server's counters.
    let console = board.interrupt().stdout;
    let summary: Value = serde_json::from_str(console.lines().last().unwrap()).unwrap();
    assert_eq!(summary["event"], "summary", "{console}");
    let latency = merged.latency.as_ref().unwrap();
    assert_eq!(latency.errors.sum(), 0, "{:?}", latency.errors);
    assert_eq!(summary["served"], latency.completed, "{summary}");
    assert_eq!(latency.requests, latency.completed);
    let each: Vec<_> = runs
        .iter()
        .map(|run| run.latency.as_ref().unwrap().completed)
        .collect();
    assert_eq!(each.iter().sum::<u64>(), latency.completed, "{each:?}");
    assert!(each.iter().all(|count| *count > 0), "{each:?}");

    // The merged histogram is the sum, value by value.
    let mut sum = Histogram::<u64>::new(3).unwrap();
    for run in &runs {
        let histograms = run.histograms.as_ref().unwrap();
        sum.add(histogram(&histograms.complete)).unwrap();
    }
    let all = merged.histograms.as_ref().unwrap();
    assert_eq!(counts(&histogram(&all.complete)), counts(&sum));
    assert_eq!(sum.len(), latency.completed);

    // Each machine has its part, and none started early.
    let machines = merged.machines.as_ref().unwrap();
    assert!(machines.overlap_us > 0.0, "{machines:?}");
    let share: f64 = machines.runs.iter().map(|machine| machine.share).sum();
    assert!((share - 1.0).abs() < 0.01, "{machines:?}");
    let mut labels: Vec<_> = machines.runs.iter().map(|it| it.name.clone()).collect();
    labels.sort();
    labels.dedup();
    assert_eq!(labels.len(), 3, "{labels:?}");
    for machine in &machines.runs {
        assert!(
            machine.started_at.0 >= at - Duration::from_millis(1),
            "{machine:?}"
        );
    }
}

fn histogram(packed: &PackedHistogram) -> Histogram<u64> {
    packed.0.histogram().into_owned()
}

/// Each value, with its count.
fn counts(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let recorded = histogram.iter_recorded();
    recorded
        .map(|step| (step.value_iterated_to(), step.count_at_value()))
        .collect()
}
