//! Two hosts on a link, each a network namespace, and what `discover` finds from one of them.

use std::process::Command;

use rustix::process::Signal;

use super::avahi::{Avahi, NEEDS};
use super::scratch::Folder;
use super::wire::Namespace;
use crate::processes::{Board, Ended, Need, Process, Stream, skipped};

/// Two hosts on a link: `here` runs `tcpctl`, `there` is the other one.
pub(crate) struct TwoHosts {
    pub(crate) here: Namespace,
    pub(crate) there: Namespace,
    pub(crate) cache: Folder,
}

/// Interface and address of the near end.
pub(crate) const HERE: (&str, &str) = ("desk0", "10.77.0.1");
/// Interface and address of the far end.
pub(crate) const THERE: (&str, &str) = ("lab0", "10.77.0.2");

/// The ends of a second link.
pub(crate) const SECOND_HERE: (&str, &str) = ("desk1", "10.78.0.1");
pub(crate) const SECOND_THERE: (&str, &str) = ("lab1", "10.78.0.2");

/// A server that greets, and the Avahi that announces it. Both end when dropped.
pub(crate) struct Published<'a> {
    // Fields are dropped in this order.
    pub(crate) record: Process,
    _server: Process,
    pub(crate) avahi: Avahi<'a>,
}

impl TwoHosts {
    pub(crate) fn new() -> Self {
        let (here, there) = (Namespace::new(), Namespace::new());
        here.connect(HERE, &there, THERE);
        Self {
            here,
            there,
            cache: Folder::new(),
        }
    }

    /// Two hosts with IPv6 only, without duplicate address detection.
    pub(crate) fn without_ipv4() -> Self {
        let (here, there) = (Namespace::new(), Namespace::new());
        here.ip(&format!(
            "link add {} type veth peer name {}",
            HERE.0, THERE.0
        ));
        here.ip(&format!("link set {} netns {}", THERE.0, there.name()));
        for (namespace, interface, number) in [(&here, HERE.0, 1), (&there, THERE.0, 2)] {
            namespace.ip(&format!("link set {interface} addrgenmode none"));
            namespace.ip(&format!(
                "addr add fe80::77:{number}/64 dev {interface} nodad"
            ));
            namespace.ip(&format!("link set {interface} up"));
        }
        Self {
            here,
            there,
            cache: Folder::new(),
        }
    }

    /// Adds a second link from the near host to another one: [`SECOND_HERE`] to [`SECOND_THERE`].
    pub(crate) fn second_link(&self, there: &Namespace) {
        self.here.connect(SECOND_HERE, there, SECOND_THERE);
    }

    /// A board on the far host, announced by Avahi.
    pub(crate) fn published(&self, name: &str, port: u16) -> Published<'_> {
        let avahi = Avahi::start(&self.there, THERE.0);
        let server = greeter(&self.there, port);
        let record = avahi.publish(name, port);
        Published {
            record,
            _server: server,
            avahi,
        }
    }

    /// A watch on the near host that has reported this board.
    pub(crate) fn watch_of(&self, name: &str, address: &str) -> Process {
        let watch = self.tcpctl("discover --watch");
        event(&watch, "found", name, address);
        watch
    }

    /// `tcpctl` on the near host.
    pub(crate) fn tcpctl(&self, arguments: &str) -> Process {
        let mut command = self.here.tcpctl(arguments);
        command.env("XDG_CACHE_HOME", self.cache.path());
        Process::start(command)
    }

    pub(crate) fn run(&self, arguments: &str) -> Ended {
        self.tcpctl(arguments).finish()
    }

    /// `tcpctl` on the near host, with arguments that contain spaces.
    pub(crate) fn run_with(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command();
        command.args(arguments);
        Process::start(command).finish()
    }

    /// `tcpctl` on the near host, without the cache of earlier runs.
    pub(crate) fn run_without_cache(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command();
        command.args(arguments);
        command.env("XDG_CACHE_HOME", "/proc/nowhere");
        Process::start(command).finish()
    }

    /// `tcpctl` on the near host, with this line in `/etc/hosts`; `ip netns exec` provides a mount
    /// namespace.
    pub(crate) fn run_with_hosts_line(&self, line: &str, arguments: &[&str]) -> Ended {
        let file = self.cache.file("hosts", line);
        let tcpctl = self.command();
        let mut shell = self.here.command("sh");
        shell.args(["-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
        shell
            .arg(file)
            .arg(Board::tcpctl().get_program())
            .args(arguments);
        for (name, value) in tcpctl.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        Process::start(shell).finish()
    }

    fn command(&self) -> Command {
        let mut command = self.here.enter(&Board::tcpctl());
        command.env("XDG_CACHE_HOME", self.cache.path());
        command
    }

    /// A virtual board that is announced in this namespace.
    pub(crate) fn board(namespace: &Namespace, options: &str) -> Board {
        let line = format!("sim ideal --announce {options}");
        let board = Board::start(namespace.tcpctl(line.trim_end()));
        board.wait_for("link up host=");
        board
    }
}

/// Whether to skip a test that needs [`TwoHosts::published`], or an Avahi and a [`greeter`].
pub(crate) fn skipped_without_publisher() -> bool {
    skipped(&NEEDS) || skipped(&[Need::Python("socket")])
}

/// A server in a namespace that greets every client.
pub(crate) fn greeter(namespace: &Namespace, port: u16) -> Process {
    let mut server = namespace.command("python3");
    server.arg("-c").arg(format!(
        "import socket\n\
         s = socket.create_server(('', {port}))\n\
         print('listening', flush=True)\n\
         while True:\n\
         \x20   c, _ = s.accept()\n\
         \x20   if c.recv(100): c.sendall(b'Hello from {port}')\n\
         \x20   c.close()\n"
    ));
    let server = Process::start(server);
    server.line_with(Stream::Stdout, "listening");
    server
}

/// Interrupts a watch and returns its output.
pub(crate) fn interrupted(watch: Process) -> Ended {
    watch.signal(Signal::INT);
    let ended = watch.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

pub(crate) fn events(ended: &Ended) -> Vec<serde_json::Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

/// Waits until this many events of a board were printed.
pub(crate) fn times(watch: &Process, count: usize, kind: &str, name: &str) {
    watch.text(Stream::Stdout, |text| {
        let events = text.lines().filter_map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            (event["event"] == kind && event["name"] == name).then_some(())
        });
        (events.count() >= count).then_some(())
    });
}

/// Waits for an event of a board and returns it.
pub(crate) fn event(watch: &Process, kind: &str, name: &str, address: &str) -> serde_json::Value {
    watch.line(Stream::Stdout, |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let wanted =
            event["event"] == kind && event["name"] == name && event["addresses"][0] == address;
        wanted.then_some(event)
    })
}
