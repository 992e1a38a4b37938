use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// When set to 1, a missing requirement is a failure instead of a skip.
const REQUIRE: &str = "TCPCTL_REQUIRE_PEERS";

/// A requirement that some machines do not meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// Root with the capabilities for network namespaces.
    Root,
    /// TAP devices.
    Tap,
    /// A program, by name.
    Program(&'static str),
    /// OpenBSD's `nc`: other variants have other options.
    OpenBsdNc,
    /// An applet of `busybox`.
    Busybox(&'static str),
    /// A module of `python3`.
    Python(&'static str),
    /// A path that exists.
    Path(&'static str),
    /// A local address that can be bound.
    Address(IpAddr),
}

impl Need {
    /// Whether the requirement is met.
    pub(crate) fn is_there(self) -> bool {
        self.missing().is_none()
    }

    /// The missing part of the requirement, if any.
    fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!may_change_networks()).then(|| "root".into()),
            Self::Tap => (!Path::new("/dev/net/tun").exists()).then(|| "/dev/net/tun".into()),
            Self::Program(name) => (!is_program(name)).then(|| name.into()),
            Self::OpenBsdNc => {
                (!prints("nc", &["-h"], "OpenBSD netcat")).then(|| "OpenBSD's nc".into())
            }
            Self::Busybox(name) => {
                (!prints("busybox", &["--list"], name)).then(|| format!("busybox {name}"))
            }
            Self::Path(path) => (!Path::new(path).exists()).then(|| path.into()),
            Self::Address(address) => TcpListener::bind((address, 0))
                .is_err()
                .then(|| format!("the address {address}")),
            Self::Python(module) => (!prints("python3", &["-c", &import(module)], "imported"))
                .then(|| format!("python3 with the module {module}")),
        }
    }
}

/// Whether to skip a test. Prints the reason.
///
/// # Panics
/// Instead of a skip, with [`REQUIRE`].
pub(crate) fn skipped(needs: &[Need]) -> bool {
    let Some(missing) = needs.iter().find_map(|need| need.missing()) else {
        return false;
    };
    assert!(
        env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "needs {missing}, and {REQUIRE}=1 permits no skipping"
    );
    let test = thread::current();
    let name = test.name().unwrap_or_default();
    let line = format!("skipped: needs {missing} ({name})\n");
    // Not eprintln!, whose output is hidden in a passing test. One write, so that lines do not mix.
    let _ = io::stderr().write_all(line.as_bytes());
    true
}

/// Root in a container may lack capabilities.
fn may_change_networks() -> bool {
    const NET_ADMIN: u64 = 1 << 12;
    const SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    is_root && capabilities.is_some_and(|set| set & NET_ADMIN != 0 && set & SYS_ADMIN != 0)
}

fn is_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn import(module: &str) -> String {
    format!("import {module}; print('imported')")
}

/// Whether a program runs and prints a line that begins with `start`.
fn prints(program: &str, arguments: &[&str], start: &str) -> bool {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text)
            .lines()
            .any(|line| line.starts_with(start))
    })
}
