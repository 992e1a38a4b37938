//! An unnamed network namespace, which ends with its last process.

use std::env;
use std::process::{Command, Stdio};

use crate::Result;

/// The argument of a process inside the namespace.
pub(crate) const INSIDE: &str = "--inside-the-namespace";

/// The TAP interface inside.
pub(crate) const TAP: &str = "tap0";

/// Runs this program inside a namespace, with these arguments after [`INSIDE`].
///
/// # Errors
/// When it fails in there.
pub(crate) fn run_inside(arguments: &[String]) -> Result<Result<(), Skipped>> {
    let Some(unshare) = unshare() else {
        return Ok(Err(Skipped(
            "needs root, or a kernel that lets users make network namespaces",
        )));
    };
    let program = env::current_exe()?;
    let status = command(unshare)
        .arg(program)
        .arg(INSIDE)
        .args(arguments)
        .status()?;
    if !status.success() {
        return Err(format!("the part inside the namespace ended with {status}").into());
    }
    Ok(Ok(()))
}

/// Why a measurement was skipped.
pub(crate) struct Skipped(pub(crate) &'static str);

/// Creates the interface with the client's address.
///
/// # Errors
/// When `ip` is not there or /dev/net/tun can't be opened.
pub(crate) fn create_tap() -> Result<()> {
    for line in [
        format!("tuntap add dev {TAP} mode tap"),
        format!("address add 192.168.1.2/24 dev {TAP}"),
        format!("link set {TAP} up"),
    ] {
        ip(&line)?;
    }
    Ok(())
}

/// Flushes the neighbor cache, which holds the last server's hardware address.
///
/// # Errors
/// When `ip` fails.
pub(crate) fn flush_neighbors() -> Result<()> {
    ip(&format!("neighbour flush dev {TAP}"))
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ip {arguments} ended with {status}").into()),
        Err(error) => Err(format!("ip {arguments}: {error}").into()),
    }
}

/// How to create a namespace: as root, or in a user namespace.
fn unshare() -> Option<&'static [&'static str]> {
    const COMMANDS: [&[&str]; 2] = [
        &["unshare", "--net"],
        &["unshare", "--map-root-user", "--net"],
    ];
    COMMANDS.into_iter().find(|way| {
        // Creates the interface in a throw-away namespace.
        let status = command(way)
            .args(["ip", "tuntap", "add", "dev", TAP, "mode", "tap"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    })
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}
