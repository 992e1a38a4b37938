//! A network namespace of this bench's own: it has no name, so nothing of it is left when the
//! last process in it has ended.

use std::env;
use std::process::{Command, Stdio};

use crate::Result;

/// The argument that tells this program that it is inside.
pub(crate) const INSIDE: &str = "--inside-the-namespace";

/// The TAP interface in there.
pub(crate) const TAP: &str = "tap0";

/// Runs this program again, inside, with these arguments after [`INSIDE`]; it prints by itself.
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

/// Why nothing was measured.
pub(crate) struct Skipped(pub(crate) &'static str);

/// Makes the interface, with the client's address, for one server after the other.
///
/// # Errors
/// When `ip` is not there or /dev/net/tun can't be opened.
pub(crate) fn plug_in() -> Result<()> {
    for line in [
        format!("tuntap add dev {TAP} mode tap"),
        format!("address add 192.168.1.2/24 dev {TAP}"),
        format!("link set {TAP} up"),
    ] {
        ip(&line)?;
    }
    Ok(())
}

/// Forgets the last server's hardware address.
///
/// # Errors
/// When `ip` fails.
pub(crate) fn forget_neighbours() -> Result<()> {
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

/// How to get inside: as root, or as one who is root in there only.
fn unshare() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [
        &["unshare", "--net"],
        &["unshare", "--map-root-user", "--net"],
    ];
    WAYS.into_iter().find(|way| {
        // What it needs in there, tried in one that goes at once.
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
