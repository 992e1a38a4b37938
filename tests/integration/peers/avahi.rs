use std::process::Command;

use super::scratch::Folder;
use super::wire::Namespace;
use crate::processes::{Need, Process, Stream};

/// Requirements of an [`Avahi`].
pub(crate) const NEEDS: [Need; 6] = [
    Need::Root,
    Need::Program("dbus-daemon"),
    Need::Program("avahi-daemon"),
    Need::Program("avahi-browse"),
    Need::Program("avahi-resolve"),
    Need::Program("avahi-publish"),
];

/// An Avahi daemon with its own D-Bus, in a network namespace.
pub(crate) struct Avahi<'a> {
    namespace: &'a Namespace,
    bus: String,
    _daemon: Process,
    _bus_daemon: Process,
    _folder: Folder,
}

impl<'a> Avahi<'a> {
    /// Starts a daemon for IPv4 on this interface only.
    pub(crate) fn start(namespace: &'a Namespace, interface: &str) -> Self {
        Self::start_with(namespace, interface, "use-ipv6=no")
    }

    /// Starts a daemon for IPv6 on this interface only.
    pub(crate) fn start_v6(namespace: &'a Namespace, interface: &str) -> Self {
        Self::start_with(namespace, interface, "use-ipv4=no\nuse-ipv6=yes")
    }

    fn start_with(namespace: &'a Namespace, interface: &str, family: &str) -> Self {
        let folder = Folder::new();
        // An abstract socket belongs to the network namespace and leaves no file.
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
                "[server]\n{family}\nhost-name=desk\nallow-interfaces={interface}\n\
                 [publish]\npublish-workstation=no\npublish-hinfo=no\n"
            ),
        );
        // `ip netns exec` provides a mount namespace, so this /run is private.
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

    /// Publishes a board at this host's address until dropped.
    pub(crate) fn publish(&self, name: &str, port: u16) -> Process {
        let text = ["chip=esp32c3", "mode=sta", "fw=9"];
        self.publish_as(name, "_tcpctl._tcp", port, &text)
    }

    /// Publishes any service at this host's address until dropped.
    pub(crate) fn publish_as(&self, name: &str, kind: &str, port: u16, text: &[&str]) -> Process {
        let mut publish = self.client("avahi-publish -s");
        publish.args([name, kind, &port.to_string()]).args(text);
        let publishing = Process::start(publish);
        publishing.line_with(Stream::Stderr, "Established");
        publishing
    }

    /// A program that uses this daemon.
    pub(crate) fn client(&self, command_line: &str) -> Command {
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
